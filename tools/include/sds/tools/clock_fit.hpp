// How a device's ticks run against real time, from the clock pairs of a recording: what `sds merge` puts several
// recordings on one clock with. Pairs are stamped when a block is received, so they are late by whatever delayed it,
// now and then by much, and UTC may be set meanwhile: the fit is robust, and says how well it knows what it says.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "sds/format/sdsz_reader.hpp"
#include "sds/format/time.hpp"

namespace sds {

/// The line utc = origin + utc_ns_at_zero + ns_per_tick * tick.
struct ClockFit {
  double utc_ns_at_zero = 0;  ///< relative to the origin that was given
  double ns_per_tick = 0;     ///< the nominal one unless rate_applied
  double offset_uncertainty_s = 0;
  double rate_ppm = 0;              ///< measured: how much slower than nominal the ticks come, in millionths
  double rate_uncertainty_ppm = 0;  ///< 95 %, as offset_uncertainty_s; infinite for a single pair
  bool rate_applied = false;
  std::string why_not;     ///< where it is not applied: why
  std::size_t pairs = 0;   ///< that were looked at
  bool monotonic = false;  ///< the rate is by the monotonic clock; else by UTC

  [[nodiscard]] double utc_ns(std::uint64_t tick) const {
    return utc_ns_at_zero + ns_per_tick * static_cast<double>(tick);
  }
};

/// Most pairs that a fit looks at; of more, evenly chosen ones.
inline constexpr std::size_t max_fit_pairs = 500;
/// A rate that is known no better is not applied.
inline constexpr double max_rate_uncertainty_ppm = 100;

/// Fits `pairs` (at least one) of ticks of `frequency`; `origin_ns` is any UTC near them.
///
/// The rate is Theil and Sen's: the median of the slopes between all pairs of pairs, of monotonic time where all have
/// it, else of UTC. Its uncertainty is Sen's interval, and no less than what the stamps' scatter (by the median of
/// absolute deviations, at least 1 ms, with fewer than 5 pairs 10 ms) allows a least-squares line. It is applied if it
/// differs from the nominal one by more than its uncertainty, and that is at most max_rate_uncertainty_ppm, and it can
/// be a clock's (within 1000 ppm). The offset is the median of UTC minus the line.
ClockFit fit_clock(std::span<const ClockPair> pairs, const Frequency& frequency, std::uint64_t origin_ns);

}  // namespace sds
