// How a device's ticks run against real time, from the clock pairs of a recording: what `sds merge` puts several
// recordings on one clock with. Pairs are stamped when a block is received, so they are late by whatever delayed it,
// now and then by much, and UTC may be set meanwhile: the fit is robust, and says how well it knows what it says.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "sds/format/recording.hpp"
#include "sds/format/time.hpp"

namespace sds {

/// A straight line through the instant at which a clock is known best, in the middle of its pairs.
struct ClockFit {
  std::uint64_t tick = 0;           ///< that instant on the device's clock,
  std::uint64_t utc_ns = 0;         ///< and its UTC; from there on with integers, for a double of UTC is 256 ns coarse
  double ns_per_tick = 0;           ///< the nominal one unless rate_applied
  double offset_uncertainty_s = 0;  ///< of utc_ns: 95 %, but for a delay that all pairs share
  double rate_ppm = 0;              ///< measured: how much slower than nominal the ticks come, in millionths
  double rate_uncertainty_ppm = 0;  ///< 95 %; infinite for a single pair
  double rate_bound_ppm = 0;        ///< how far ns_per_tick may be off: see uncertainty_s_at()
  bool rate_applied = false;
  std::string why_not;     ///< where it is not applied: why, as "because ..."
  bool real_time = true;   ///< false: the rate is no clock's
  std::size_t pairs = 0;   ///< that were looked at
  bool monotonic = false;  ///< the rate is by the monotonic clock; else by UTC

  /// UTC of an instant in ticks, which need not be whole, as two's complement: before 1970 it is negative.
  [[nodiscard]] std::uint64_t utc_ns_at(long double ticks) const;
  /// How well it is known there: 95 %. With the distance from the pairs' middle it grows by the rate's uncertainty, or,
  /// where no rate is applied, by what the rate may be.
  [[nodiscard]] double uncertainty_s_at(long double ticks) const;
};

/// Most pairs that a fit looks at; of more, evenly chosen ones.
inline constexpr std::size_t max_fit_pairs = 500;
/// A rate that is known no better is not applied.
inline constexpr double max_rate_uncertainty_ppm = 100;
/// What a clock is taken to be off by at most where its pairs do not tell: crystals are within 100 ppm.
inline constexpr double usual_rate_ppm = 100;

/// Fits `pairs` (at least one) of ticks of `frequency`.
///
/// The rate is Theil and Sen's: the median of the slopes between all pairs of pairs, of monotonic time where all have
/// it, else of UTC. Its uncertainty is Sen's interval, and no less than what the stamps' scatter (by the median of
/// absolute deviations, at least 1 ms, with fewer than 5 pairs 10 ms) allows a least-squares line. It is applied if it
/// differs from the nominal one by more than its uncertainty, and that is at most max_rate_uncertainty_ppm, and it can
/// be a clock's (within 3 %, as RC oscillators are). The offset is the median of UTC minus the line; its uncertainty
/// the distance of the order statistics between which a median lies with 95 %, and no less than such a scatter allows.
ClockFit fit_clock(std::span<const ClockPair> pairs, const Frequency& frequency);

/// The clock of a recording, whose streams share a device.
struct RecordingClock {
  ClockFit fit;
  Frequency ticks;  ///< of the stream whose pairs were fitted

  /// A stream's tick, or instant in ticks, in ticks of the fit.
  [[nodiscard]] long double position(long double tick, const Frequency& frequency) const {
    if (frequency == ticks) return tick;
    return tick * ticks.numerator * frequency.denominator /
           (static_cast<long double>(ticks.denominator) * frequency.numerator);
  }
};

/// By the stream with the most pairs of those that run in real time, the first one where several have; nothing if there
/// are none.
std::optional<RecordingClock> clock_of(const Recording& recording);

/// The same for ticks of `frequency`: by the streams that count so, whose counter need not stand where those of other
/// frequencies do; without pairs of theirs, by the others'.
std::optional<RecordingClock> clock_of(const Recording& recording, const Frequency& frequency);

/// Says of which tick frequencies the counters do not stand at the same time, by their clock pairs, and how far they
/// are apart at most: times of their streams cannot be compared. That is said of more than 0.1 s and a block of each,
/// beyond what is known of the clocks. Empty in all but odd recordings.
std::vector<std::string> clocks_apart(const Recording& recording);

/// Says by how much UTC stepped against the monotonic clock while it was recorded, by more than 0.5 s from one clock
/// pair to the next, whichever streams have them (of what was merged, in each stream), and when: somebody set the
/// clock, or the machine slept. Each step once.
std::vector<std::string> utc_steps(const Recording& recording);
/// What of it is to be told where times are made UTC by a fit.
std::vector<std::string> utc_steps_in_fit(const Recording& recording);

}  // namespace sds
