#include "event_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sds::cli {

namespace {

void print_score(const std::string& name, std::size_t width, const EventScore& score) {
  const auto rate = [](double value) { return std::isfinite(value) ? fmt::format("{:.3f}", value) : std::string("-"); };
  const auto onset = [&](double value) {
    return score.right == 0 ? std::string("-") : fmt::format("{:+.0f} ms", value * 1000);
  };
  fmt::print("{:<{}} {:>7} {:>7} {:>7} {:>10} {:>7} {:>7} {:>11} {:>10}\n", name, width, score.labels, score.found,
             score.right, rate(score.precision()), rate(score.recall()), rate(score.f1()), onset(score.mean_onset_s()),
             score.right == 0 ? "-" : fmt::format("{:.0f} ms", score.largest_onset_s * 1000));
}

}  // namespace

void print_event_scores(const std::map<std::string, EventScore>& by_class) {
  std::size_t width = 18;
  for (const auto& [name, score] : by_class) width = std::max(width, name.size() + 1);
  fmt::print("{:<{}} {:>7} {:>7} {:>7} {:>10} {:>7} {:>7} {:>11} {:>10}\n", "class", width, "labels", "events", "right",
             "precision", "recall", "F1", "mean onset", "largest");
  EventScore all;
  for (const auto& [name, score] : by_class) {
    print_score(name, width, score);
    all += score;
  }
  if (by_class.size() > 1) print_score("(all)", width, all);
}

}  // namespace sds::cli
