// Where labels are drawn: each in a row of its own where they overlap, its name inside or beside it; the same rows in
// pictures and pages.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plot.hpp"

namespace sds {

/// A label's bar in pixels of the time axis, at least one wide.
struct PlacedLabel {
  enum class Name { none, inside, right, left };
  std::size_t row = 0;
  double from = 0;
  double to = 0;
  Name name = Name::none;
};

/// What a text takes, about.
double text_pixels(const std::string& text);

/// One for each of the plot's labels. There are rows enough for all that overlap, up to 12, and up to 6 to have room
/// for names; a name that has no room is left out.
std::vector<PlacedLabel> place_labels(const Plot& plot, double width);

/// 0 where there are none.
std::size_t rows_of(const std::vector<PlacedLabel>& labels);

}  // namespace sds
