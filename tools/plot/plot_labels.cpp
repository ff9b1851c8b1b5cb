#include "plot_labels.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

namespace sds {

namespace {

constexpr std::size_t kRowsForNames = 6;
constexpr std::size_t kMostRows = 12;
constexpr double kNever = -std::numeric_limits<double>::infinity();

// Up to where a row is taken.
struct Row {
  double by_bars = kNever;
  double by_names = kNever;
  std::size_t last = 0;  // the label that came last
};

std::optional<std::size_t> first_free(const std::vector<Row>& rows, double Row::*taken, double from) {
  // Labels that meet share a row: their pixels may differ by a rounding.
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.*taken <= from + 1e-6; });
  if (row == rows.end()) return std::nullopt;
  return static_cast<std::size_t>(row - rows.begin());
}

}  // namespace

double text_pixels(const std::string& text) {
  return 8.0 * static_cast<double>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<PlacedLabel> place_labels(const Plot& plot, double width) {
  using Name = PlacedLabel::Name;
  std::vector<std::size_t> order(plot.labels.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return plot.labels[a].begin < plot.labels[b].begin; });
  const double scale = width / (plot.end - plot.begin);
  std::vector<PlacedLabel> placed(plot.labels.size());
  std::vector<Row> rows;
  for (const std::size_t i : order) {
    PlacedLabel& label = placed[i];
    label.from = std::min((plot.labels[i].begin - plot.begin) * scale, width - 1);
    label.to = std::max((plot.labels[i].end - plot.begin) * scale, label.from + 1);
    const double name = text_pixels(plot.labels[i].name) + 6;
    label.name = label.to - label.from >= name ? Name::inside : label.to + name <= width ? Name::right : Name::left;
    const double from = label.name == Name::left ? label.from - name : label.from;
    const double to = label.name == Name::right ? label.to + name : label.to;
    auto row = first_free(rows, &Row::by_names, from);
    if (!row && rows.size() < kRowsForNames) {
      row = rows.size();
      rows.emplace_back();
    }
    if (!row && label.name != Name::inside) {
      label.name = Name::none;
      row = first_free(rows, &Row::by_names, label.from);
    }
    if (!row) {
      row = first_free(rows, &Row::by_bars, label.from);
      if (row) placed[rows[*row].last].name = Name::none;  // whose name would lie beneath this bar
    }
    if (!row && rows.size() < kMostRows) {
      row = rows.size();
      rows.emplace_back();
    }
    if (!row) {
      const auto least =
          std::min_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.by_bars < b.by_bars; });
      row = static_cast<std::size_t>(least - rows.begin());
    }
    label.row = *row;
    Row& taken = rows[*row];
    taken.by_bars = std::max(taken.by_bars, label.to);
    taken.by_names = std::max(taken.by_bars, label.name == Name::right ? to : label.to);
    taken.last = i;
  }
  return placed;
}

std::size_t rows_of(const std::vector<PlacedLabel>& labels) {
  std::size_t rows = 0;
  for (const auto& label : labels) rows = std::max(rows, label.row + 1);
  return rows;
}

}  // namespace sds
