// Durations for people.
#pragma once

#include <string>

namespace sds {

/// "1 h 02 min 03 s", "2 min 3.4 s", "12.345 s", "3.2 ms", "45.6 us": in the unit that the rounded number has, never
/// "1000 ms". Equal times read the same, however their seconds were worked out.
std::string human_seconds(double seconds);

}  // namespace sds
