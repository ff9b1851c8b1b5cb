#include "label_ticks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sds {

namespace {

constexpr Frequency kMicroseconds{1'000'000, 1};
constexpr double kMostTicks = 0x1p52;  // that a number of seconds tells apart

// Sums of exact times are off by an ulp or two. What was cut is on no tick by accident: by far these lie farther apart.
bool holds(const LabelFile& file, double time_s, double precision_s) {
  const auto tick = file.tick_of(time_s);
  return tick && std::abs(file.seconds_of(*tick) - time_s) <=
                     std::max(std::abs(time_s) * 1e-15, std::min(precision_s, 0.01 / file.tick_frequency.hz()));
}

struct Ticks {
  Frequency frequency;
  bool hold_samples = true;
};

// Of these, and of pairs of them: what a sample's time is made of.
std::vector<Frequency> sums_of_two(const std::vector<Frequency>& all) {
  constexpr std::size_t kMost = 32;
  std::vector<Frequency> some;
  for (const auto& one : all)
    if (some.size() < kMost && std::find(some.begin(), some.end(), one) == some.end()) some.push_back(one);
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
  const auto with = [&](const Frequency& all, const Frequency& one) {
    const auto common = common_ticks(all, one);
    return common && latest_s * common->hz() < kMostTicks ? common : std::nullopt;
  };
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

Expected<std::uint64_t> tick_of_edge(const LabelFile& file, double time_s, double precision_s, bool hold_samples) {
  auto tick = file.tick_of(time_s);
  if (!tick || holds(file, time_s, precision_s)) return tick;
  const double at = file.seconds_of(*tick);
  if (hold_samples) return at < time_s ? *tick + 1 : *tick;
  return at > time_s && *tick > 0 ? *tick - 1 : *tick;
}

// A time in ticks; whole where it is but for what a double cannot tell of a decimal number.
struct Step {
  explicit Step(double time_s, const Frequency& frequency)
      : exact(static_cast<long double>(time_s) * frequency.numerator / frequency.denominator),
        is_whole(std::abs(exact - std::round(exact)) <= 1e-9L + std::abs(exact) * 0x1p-53L) {}
  // `up`: to the next one; else to the nearest.
  [[nodiscard]] long double ticks(bool up) const { return up && !is_whole ? std::ceil(exact) : std::round(exact); }
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

std::optional<Frequency> common_ticks(const Frequency& a, const Frequency& b) {
  const std::uint64_t numerator = std::lcm(std::uint64_t{a.numerator}, std::uint64_t{b.numerator});
  if (numerator >= std::uint64_t{1} << 31) return std::nullopt;
  return Frequency{static_cast<std::uint32_t>(numerator), std::gcd(a.denominator, b.denominator)};
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
  const auto is_held = [](const LabelFile& in, const TimedLabel& label) {
    return holds(in, label.span.begin, label.precision_s) && holds(in, label.span.end, label.precision_s);
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
    auto begin = tick_of_edge(file, label.span.begin, label.precision_s, hold_samples);
    if (!begin) return fail(begin);
    auto end = tick_of_edge(file, label.span.end, label.precision_s, hold_samples);
    if (!end) return fail(end);
    if (!hold_samples && !is_held(file, label)) ++placed.rounded;
    label.label.begin = *begin;
    label.label.end = std::max(*begin, *end);
    file.labels.push_back(std::move(label.label));
  }
  return placed;
}

Expected<std::size_t> shift_labels(LabelFile& file, const std::vector<std::size_t>& indices, double by_s,
                                   const std::vector<Frequency>& of_samples) {
  Ticks all{file.tick_frequency};
  if (!Step(by_s, all.frequency).is_whole) {
    double latest_s = 0;
    for (const auto& label : file.labels) latest_s = std::max(latest_s, file.seconds_of(label.end));
    all = ticks_of_all(all.frequency, of_samples, latest_s + std::max(0.0, by_s),
                       [&](const Frequency& ticks) { return Step(by_s, ticks).is_whole; });
  }
  const Step step(by_s, all.frequency);
  const auto shift = step.ticks(all.hold_samples);
  LabelFile shifted = file;
  shifted.tick_frequency = all.frequency;
  for (auto& label : shifted.labels) label = in_ticks(std::move(label), file.tick_frequency, all.frequency);
  for (const std::size_t i : indices)
    for (std::uint64_t* edge : {&shifted.labels[i].begin, &shifted.labels[i].end}) {
      const auto tick = static_cast<long double>(*edge) + shift;
      if (!(tick >= 0) || tick > 0x1p53L)
        return fail(ErrorCode::usage, fmt::format("{} s is no time of a recording", shifted.seconds_of(*edge) + by_s));
      *edge = static_cast<std::uint64_t>(tick);
    }
  shifted.sort();
  file = std::move(shifted);
  return !all.hold_samples && !step.is_whole ? indices.size() : 0;
}

}  // namespace sds
