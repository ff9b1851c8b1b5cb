// When the time axis of plots tells hours, minutes and seconds instead of seconds, and in which steps; the same in
// pictures and pages.
#pragma once

#include <array>

namespace sds {

inline constexpr double kClockFrom_s = 600;  ///< of a plot that is so long

inline constexpr std::array<double, 12> kClockSteps_s{60,   120,  300,   600,   900,   1800,
                                                      3600, 7200, 10800, 21600, 43200, 86400};

}  // namespace sds
