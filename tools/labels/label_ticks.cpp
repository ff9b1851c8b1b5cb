#include "label_ticks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sds {

namespace {

constexpr Frequency kMicroseconds{1'000'000, 1};
constexpr double kMostTicks = 0x1p52;  // that a number of seconds tells apart

__extension__ typedef unsigned __int128 Wide;

// The first so many of them.
std::vector<Frequency> distinct(const std::vector<Frequency>& all) {
  constexpr std::size_t kMost = 32;
  std::vector<Frequency> some;
  for (const auto& one : all)
    if (some.size() < kMost && std::find(some.begin(), some.end(), one) == some.end()) some.push_back(one);
  return some;
}

// Times of samples are multiples of it: `numerator` / `denominator` seconds.
struct SampleGrid {
  std::uint64_t numerator;
  std::uint64_t denominator;
};

// Of these, and of pairs of them: what a sample's time is made of.
std::vector<SampleGrid> sample_grids(const std::vector<Frequency>& of_samples) {
  const std::vector<Frequency> all = distinct(of_samples);
  std::vector<SampleGrid> grids;
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k <= i; ++k)
      grids.push_back({std::gcd(all[i].denominator, all[k].denominator),
                       std::lcm(std::uint64_t{all[i].numerator}, std::uint64_t{all[k].numerator})});
  return grids;
}

// Whether a sample may lie before the instant, and have the same double for its time.
bool may_be_behind_sample(const Instant& edge, const std::vector<SampleGrid>& grids) {
  const double time_s = seconds(edge.tick, edge.frequency);
  const auto least = (static_cast<long double>(std::nextafter(time_s, 0.0)) + static_cast<long double>(time_s)) / 2;
  const Wide edge_s = Wide{edge.tick} * edge.frequency.denominator;  // times edge.frequency.numerator
  return std::any_of(grids.begin(), grids.end(), [&](const SampleGrid& grid) {
    if (edge_s == 0) return false;
    if (edge_s > ~Wide{0} / grid.denominator) return true;  // after thousands of years
    // The last one before the edge.
    const Wide last = (edge_s * grid.denominator - 1) / (Wide{edge.frequency.numerator} * grid.numerator);
    return static_cast<long double>(last) * static_cast<long double>(grid.numerator) /
               static_cast<long double>(grid.denominator) >=
           least;
  });
}

// Exactly, to the double that samples are told with: near 2^52 ticks these are an ulp or two; but not where a sample of
// that double may lie before the tick. What was cut, and what is a sum, is on no tick by accident, where ticks lie far
// enough apart.
bool holds(const LabelFile& file, double time_s, const TimedLabel& label, const std::vector<SampleGrid>& grids) {
  const auto tick = file.tick_of(time_s);
  const double tick_s = 1 / file.tick_frequency.hz();
  return tick &&
         std::abs(file.seconds_of(*tick) - time_s) <=
             std::max(std::min(label.precision_s, 0.01 * tick_s), std::min(label.error_s, 0.25 * tick_s)) &&
         !may_be_behind_sample({*tick, file.tick_frequency}, grids);
}

struct Ticks {
  Frequency frequency;
  bool hold_samples = true;
};

// Of these, and of pairs of them: what a sample's time is made of.
std::vector<Frequency> sums_of_two(const std::vector<Frequency>& all) {
  const std::vector<Frequency> some = distinct(all);
  std::vector<Frequency> sums = some;
  for (std::size_t i = 0; i < some.size(); ++i)
    for (std::size_t k = i + 1; k < some.size(); ++k)
      if (const auto common = common_ticks(some[i], some[k])) sums.push_back(*common);
  return sums;
}

// Ticks that hold those of the file and the times of samples up to that time, as far as there are such; else others
// that hold the file's and the edges, or the finest that hold the file's and decimals.
template <class HoldsEdges>
Ticks ticks_of_all(const Frequency& ticks, const std::vector<Frequency>& of_samples, double latest_s,
                   const HoldsEdges& holds_edges) {
  const auto with = [&](const Frequency& all, const Frequency& one) { return common_until(latest_s, all, one); };
  std::optional<Frequency> all = ticks;
  for (const auto& frequency : of_samples) all = all ? with(*all, frequency) : all;
  if (all) return {*all, true};
  if (const auto common = with(ticks, kMicroseconds); common && holds_edges(*common)) return {*common, false};
  for (const auto& frequency : sums_of_two(of_samples))
    if (const auto common = with(ticks, frequency); common && holds_edges(*common)) return {*common, false};
  for (const auto& decimal : finer_decimals(ticks))
    if (const auto common = with(ticks, decimal)) return {*common, false};
  return {ticks, false};
}

Expected<std::uint64_t> tick_of_edge(const LabelFile& file, double time_s, const TimedLabel& label, bool hold_samples,
                                     const std::vector<SampleGrid>& grids) {
  auto tick = file.tick_of(time_s);
  if (!tick || holds(file, time_s, label, grids)) return tick;
  const double at = file.seconds_of(*tick);
  if (hold_samples) return at < time_s ? *tick + 1 : *tick;
  return at >= time_s && *tick > 0 ? *tick - 1 : *tick;
}

// A time in ticks; whole where it is but for what a double cannot tell of a decimal number.
struct Step {
  explicit Step(double time_s, const Frequency& frequency)
      : exact(static_cast<long double>(time_s) * frequency.numerator / frequency.denominator),
        is_whole(std::abs(exact - std::round(exact)) <= 1e-9L + std::abs(exact) * 0x1p-53L) {}
  long double exact;
  bool is_whole;
};

}  // namespace

std::vector<Frequency> finer_decimals(const Frequency& ticks) {
  std::vector<Frequency> finer;
  for (const std::uint32_t hz : {1'000'000'000, 100'000'000, 10'000'000, 1'000'000})
    if (hz > ticks.hz()) finer.push_back({hz, 1});
  return finer;
}

std::optional<Frequency> decimal_ticks(double time_s) {
  std::uint32_t power = 1;
  for (int digits = 0; digits <= 9; ++digits, power *= 10) {
    const double number = std::round(std::abs(time_s) * power);
    if (!(number < 0x1p53)) break;
    if (number / power != std::abs(time_s)) continue;
    return Frequency{power / static_cast<std::uint32_t>(std::gcd(static_cast<std::uint64_t>(number), power)), 1};
  }
  return std::nullopt;
}

std::optional<Frequency> common_ticks(const Frequency& a, const Frequency& b) {
  const std::uint64_t numerator = std::lcm(std::uint64_t{a.numerator}, std::uint64_t{b.numerator});
  if (numerator >= std::uint64_t{1} << 31) return std::nullopt;
  return Frequency{static_cast<std::uint32_t>(numerator), std::gcd(a.denominator, b.denominator)};
}

std::optional<Frequency> common_until(double latest_s, const Frequency& a, const Frequency& b) {
  const auto common = common_ticks(a, b);
  return common && latest_s * common->hz() < kMostTicks ? common : std::nullopt;
}

std::uint64_t last_tick_until(const Instant& instant, const Frequency& ticks) {
  const std::uint64_t tick = convert_tick(instant.tick, instant.frequency, ticks);
  return std::is_gt(compare({tick, ticks}, instant)) ? tick - 1 : tick;
}

Label in_ticks(Label label, const Frequency& from, const Frequency& to) {
  label.begin = convert_tick(label.begin, from, to);
  label.end = convert_tick(label.end, from, to);
  return label;
}

void add_frequencies(const Frequency& ticks, const std::optional<Metadata>& metadata, std::vector<Frequency>& all) {
  all.push_back(ticks);
  if (metadata && metadata->sample_frequency) all.push_back(*metadata->sample_frequency);
}

std::vector<Frequency> sample_frequencies(const Recording& recording, std::span<const std::size_t> streams) {
  std::vector<Frequency> all;
  for (const std::size_t i : streams)
    add_frequencies(recording.streams()[i].tick_frequency(), recording.streams()[i].metadata, all);
  return all;
}

std::vector<Frequency> sample_frequencies(const Recording& recording) {
  std::vector<std::size_t> streams(recording.streams().size());
  std::iota(streams.begin(), streams.end(), std::size_t{0});
  return sample_frequencies(recording, streams);
}

Expected<PlacedLabels> place_labels(std::vector<TimedLabel> labels, const Frequency& ticks,
                                    const std::vector<Frequency>& of_samples) {
  PlacedLabels placed;
  LabelFile& file = placed.file;
  file.tick_frequency = ticks;
  const auto grids = sample_grids(of_samples);
  const auto is_held = [&](const LabelFile& in, const TimedLabel& label) {
    return holds(in, label.span.begin, label, grids) && holds(in, label.span.end, label, grids);
  };
  const auto all_are_held = [&](const Frequency& in) {
    LabelFile with;
    with.tick_frequency = in;
    return std::all_of(labels.begin(), labels.end(), [&](const auto& label) { return is_held(with, label); });
  };
  bool hold_samples = true;
  if (!all_are_held(ticks)) {
    double latest_s = 0;
    for (const auto& label : labels) latest_s = std::max(latest_s, label.span.end);
    const Ticks all = ticks_of_all(ticks, of_samples, latest_s, all_are_held);
    file.tick_frequency = all.frequency;
    hold_samples = all.hold_samples;
  }
  for (auto& label : labels) {
    auto begin = tick_of_edge(file, label.span.begin, label, hold_samples, grids);
    if (!begin) return fail(begin);
    auto end = tick_of_edge(file, label.span.end, label, hold_samples, grids);
    if (!end) return fail(end);
    if (!hold_samples && !is_held(file, label)) ++placed.rounded;
    label.label.begin = *begin;
    label.label.end = std::max(*begin, *end);
    file.labels.push_back(std::move(label.label));
  }
  return placed;
}

Expected<ShiftedLabels> shift_labels(LabelFile& file, const std::vector<std::size_t>& indices, double by_s,
                                     const std::vector<Frequency>& of_samples) {
  Frequency ticks = file.tick_frequency;
  if (!Step(by_s, ticks).is_whole) {
    double latest_s = std::max(0.0, by_s);
    for (const auto& label : file.labels)
      latest_s = std::max(latest_s, file.seconds_of(label.end) + std::max(0.0, by_s));
    const auto decimal = decimal_ticks(by_s);
    const auto holds_step = decimal ? common_until(latest_s, ticks, *decimal) : std::nullopt;
    ticks = holds_step ? *holds_step : ticks_of_all(ticks, of_samples, latest_s, [&](const Frequency& all) {
                                         return Step(by_s, all).is_whole;
                                       }).frequency;
  }
  const Step step(by_s, ticks);
  const auto shift = std::round(step.exact);
  LabelFile shifted = file;
  shifted.tick_frequency = ticks;
  for (auto& label : shifted.labels) label = in_ticks(std::move(label), file.tick_frequency, ticks);
  for (const std::size_t i : indices)
    for (std::uint64_t* edge : {&shifted.labels[i].begin, &shifted.labels[i].end}) {
      const auto tick = static_cast<long double>(*edge) + shift;
      if (!(tick >= 0) || tick > 0x1p53L)
        return fail(ErrorCode::usage, fmt::format("{} s is no time of a recording", shifted.seconds_of(*edge) + by_s));
      *edge = static_cast<std::uint64_t>(tick);
    }
  shifted.sort();
  file = std::move(shifted);
  return ShiftedLabels{step.is_whole ? 0 : indices.size(),
                       static_cast<double>(shift * ticks.denominator / ticks.numerator) + 0.0};
}

}  // namespace sds
