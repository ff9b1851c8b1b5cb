// The sample rate behind times that were rounded when they were written: sample i stands at t0 + i / rate, give or take
// half a unit of the last digit. Many samples leave a narrow interval of rates that put every one of them there, and
// people's rates are simple numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sds/format/time.hpp"

namespace sds {

/// The simplest rate in [low, high] Hz: the one of the rarest kind among decimals of few digits, fractions, and rates
/// whose period is a decimal of few digits (7 us). Nothing where 31-bit fractions have none, or low is not above 0.
std::optional<Frequency> simplest_rate(double low_hz, double high_hz);

/// Gathers the times of one stream, in seconds.
class RateFit {
 public:
  void add(double time_s);

  /// The unit that every time is a whole number of: 1 s, 0.1 s, ... 1 ns; nothing if they have more digits than that.
  [[nodiscard]] std::optional<double> unit_s() const;

  /// The rate of samples that are evenly spaced for the most part; nothing if they are not. It puts every sample of a
  /// stretch without a gap where its time is, within the rounding of its digits or of a device's clock of 1 us or 1 ms;
  /// where none does, it is the mean rate of the longest stretch.
  [[nodiscard]] std::optional<Frequency> rate() const;

 private:
  static constexpr std::size_t max_times = std::size_t{1} << 17;
  static constexpr int most_digits = 9;
  std::vector<double> times_;  // the first ones
  double largest_ = 0;
  int digits_ = 0;  // behind the point; most_digits + 1: more
};

}  // namespace sds
