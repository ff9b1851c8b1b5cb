// Times that count from an instant: those of samples and of labels are one fraction where they are one instant,
// whatever ticks they are told in, and so one double.
#pragma once

#include <string>

#include "sds/format/time.hpp"

namespace sds {

/// Seconds from `origin` to `at`, negative before it: the double nearest to the exact fraction. Ticks below 2^62.
double seconds_since(const Instant& origin, const Instant& at);

/// The same as a decimal number, never later than it is: cut to the nanosecond, and told with six digits where the
/// other three are zeros. No sample at the instant is before the number.
std::string decimal_since(const Instant& origin, const Instant& at);

}  // namespace sds
