// The colours of plots, the same in pictures and pages.
#pragma once

#include <array>
#include <set>
#include <string>

#include "plot.hpp"

namespace sds {

inline const char* series_color(std::size_t index) {
  static constexpr std::array colors{"#2f6fb2", "#d1495b", "#2e933c", "#9b5de5",
                                     "#e08e1b", "#1b998b", "#7a5c45", "#5b6770"};
  return colors[index % colors.size()];
}

/// Of a label's class: by its place in the order of the classes' names.
inline const char* color_of(const Plot& plot, const std::string& name) {
  std::set<std::string> names;
  for (const auto& label : plot.labels) names.insert(label.name);
  static constexpr std::array colors{"#3d7dca", "#c8553d", "#3f8f4f", "#8a5fc0",
                                     "#c98a1b", "#2a9d98", "#8d6e5a", "#667380"};
  std::size_t at = 0;
  for (const auto& one : names) {
    if (one == name) break;
    ++at;
  }
  return colors[at % colors.size()];
}

}  // namespace sds
