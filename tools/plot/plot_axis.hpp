// When the time axis of plots tells hours, minutes and seconds instead of seconds, and in which steps; the same in
// pictures and pages.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace sds {

inline constexpr double kClockFrom_s = 600;  ///< of a plot that is so long

inline constexpr double kClockUpTo_s = 1e9;  ///< and no later: over 270,000 hours are no time of day for anybody

inline bool tells_clock(double begin, double end) {
  return end - begin >= kClockFrom_s && std::max(std::abs(begin), std::abs(end)) <= kClockUpTo_s;
}

inline constexpr std::array<double, 12> kClockSteps_s{60,   120,  300,   600,   900,   1800,
                                                      3600, 7200, 10800, 21600, 43200, 86400};

}  // namespace sds
