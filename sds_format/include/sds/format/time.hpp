// Time as recordings have it: integer ticks of a rational frequency. Floating-point seconds are made only here,
// at the edge, and only for people and text files.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "sds/format/error.hpp"

namespace sds {

/// A positive frequency in Hz as an exact fraction in lowest terms; numerator and denominator are below 2^31.
struct Frequency {
  std::uint32_t numerator = 1000;
  std::uint32_t denominator = 1;

  /// Parses a decimal number such as "1000", "12.5" or "1e6" exactly. One that needs more than 31 bits but has 15
  /// digits or more stands for a fraction with no end, "333.33333333333333" for 1000/3: the simplest fraction within
  /// half a unit of its last digit, or, up to 17 digits, within the rounding of a double. Fails on zero, negatives,
  /// non-numbers, more than 20 digits, and where there is no such fraction.
  static Expected<Frequency> parse(std::string_view text);

  /// The decimal number that parse() reads back as this very fraction: exact where it ends, else 17 digits, or as many
  /// more as it takes to tell it from every other fraction.
  [[nodiscard]] std::string to_string() const;

  [[nodiscard]] double hz() const { return static_cast<double>(numerator) / denominator; }
  bool operator==(const Frequency&) const = default;
};

/// The instant `tick / frequency` seconds, compared exactly.
struct Instant {
  std::uint64_t tick = 0;
  Frequency frequency;
};

std::strong_ordering compare(const Instant& a, const Instant& b);

/// Seconds of sample `index` of a block: tick / tick_frequency + index / sample_frequency, as the double nearest to
/// the exact fraction wherever that fraction fits 53 bits a side (weeks at common rates), else within one ulp.
double seconds(std::uint64_t tick, const Frequency& tick_frequency, std::uint64_t index,
               const Frequency& sample_frequency);
double seconds(std::uint64_t tick, const Frequency& tick_frequency);

/// The tick of frequency `to` that is nearest to tick `tick` of frequency `from`; at most the largest there is.
std::uint64_t convert_tick(std::uint64_t tick, const Frequency& from, const Frequency& to);

/// Unwraps 32-bit device timeslots into 64-bit ticks.
///
/// A step back by more than half the range is taken for a wrap-around; a smaller one is kept as it is
/// (out-of-order blocks are reported by `sds check`, not repaired here).
class TickUnwrapper {
 public:
  TickUnwrapper() = default;
  /// Continues after a block whose tick is known, so that a recording can be read from the middle.
  explicit TickUnwrapper(std::uint64_t last_tick) : last_(last_tick), started_(true) {}

  /// Returns the tick of `timeslot`: congruent to it modulo 2^32.
  std::uint64_t next(std::uint32_t timeslot) {
    const auto step = static_cast<std::int32_t>(timeslot - static_cast<std::uint32_t>(last_));
    const auto moved = last_ + static_cast<std::uint64_t>(std::int64_t{step});
    // Before tick 0 there is nothing: what looks like a step back there is a large step forward.
    last_ = !started_ || (step < 0 && moved > last_) ? timeslot : moved;
    started_ = true;
    return last_;
  }

 private:
  std::uint64_t last_ = 0;
  bool started_ = false;
};

}  // namespace sds
