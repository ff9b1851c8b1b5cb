#include "label_ticks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sds {

namespace {

constexpr Frequency kMicroseconds{1000000, 1};
constexpr double kMostTicks = 0x1p52;  // that a number of seconds tells apart

// Sums of exact times are off by an ulp or two.
bool holds(const LabelFile& file, double time_s) {
  const auto tick = file.tick_of(time_s);
  return tick && std::abs(file.seconds_of(*tick) - time_s) <= std::abs(time_s) * 1e-15;
}

struct Ticks {
  Frequency frequency;
  bool hold_samples = true;
};

// Ticks that hold those of the file and the times of samples up to that time, as far as there are such.
Ticks ticks_of_all(const Frequency& ticks, const std::vector<Frequency>& of_samples, double latest_s) {
  const auto with = [&](const Frequency& all, const Frequency& one) {
    const auto common = common_ticks(all, one);
    return common && latest_s * common->hz() < kMostTicks ? common : std::nullopt;
  };
  Ticks all{ticks};
  for (const auto& frequency : of_samples) {
    const auto common = with(all.frequency, frequency);
    if (!common) return {ticks.hz() < kMicroseconds.hz() ? with(ticks, kMicroseconds).value_or(ticks) : ticks, false};
    all.frequency = *common;
  }
  return all;
}

Expected<std::uint64_t> tick_of_edge(const LabelFile& file, double time_s, bool hold_samples) {
  auto tick = file.tick_of(time_s);
  if (!tick) return tick;
  const double at = file.seconds_of(*tick);
  if (hold_samples) return at < time_s && !holds(file, time_s) ? *tick + 1 : *tick;
  return at > time_s && *tick > 0 ? *tick - 1 : *tick;
}

// A time in ticks; whole where it is but for what a double cannot tell of a decimal number.
struct Step {
  explicit Step(double time_s, const Frequency& frequency)
      : exact(static_cast<long double>(time_s) * frequency.numerator / frequency.denominator),
        is_whole(std::abs(exact - std::round(exact)) <= 1e-9L + std::abs(exact) * 0x1p-53L) {}
  [[nodiscard]] long double ticks(bool up) const {
    return is_whole ? std::round(exact) : up ? std::ceil(exact) : std::floor(exact);
  }
  long double exact;
  bool is_whole;
};

}  // namespace

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
  const auto is_held = [&](const TimedLabel& label) {
    return holds(file, label.span.begin) && holds(file, label.span.end);
  };
  bool hold_samples = true;
  if (!std::all_of(labels.begin(), labels.end(), is_held)) {
    double latest_s = 0;
    for (const auto& label : labels) latest_s = std::max(latest_s, label.span.end);
    const Ticks all = ticks_of_all(ticks, of_samples, latest_s);
    file.tick_frequency = all.frequency;
    hold_samples = all.hold_samples;
  }
  const bool coarse = !hold_samples && file.tick_frequency.hz() < kMicroseconds.hz();
  for (auto& label : labels) {
    auto begin = tick_of_edge(file, label.span.begin, hold_samples);
    if (!begin) return fail(begin);
    auto end = tick_of_edge(file, label.span.end, hold_samples);
    if (!end) return fail(end);
    if (coarse && !is_held(label)) ++placed.rounded;
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
    all = ticks_of_all(all.frequency, of_samples, latest_s + std::max(0.0, by_s));
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
  const bool coarse = !all.hold_samples && all.frequency.hz() < kMicroseconds.hz();
  return coarse && !step.is_whole ? indices.size() : 0;
}

}  // namespace sds
