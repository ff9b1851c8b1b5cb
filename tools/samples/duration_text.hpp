// Times, durations, frequencies and shares as people read and write them.
#pragma once

#include <string>

#include "sds/format/error.hpp"

namespace sds {

/// "1 h 02 min 03 s", "2 min 3.4 s", "12.345 s", "3.2 ms", "45.6 us": in the unit that the rounded number has, never
/// "1000 ms". Equal times read the same, however their seconds were worked out.
std::string human_seconds(double seconds);

/// A point in time for people, in seconds without their unit: "3.812845", "3". To the microsecond.
std::string seconds_text(double seconds);

/// A time as people write it, in seconds: "12.5", "12.5s", "500ms", "20us", "2min", "1h", "1:02.5", "1:00:02", with a
/// sign in front: the double nearest to the decimal number of seconds, so that "2.1ms" is "0.0021". A number alone
/// counts 10^`bare_exponent` seconds. Else the error says what is expected.
Expected<double> parse_time(const std::string& text, int bare_exponent = 0);

/// Frequencies "1600", "1600Hz", "16kHz", "1MHz" as a number in Hz, its digits as they are.
Expected<std::string> in_hertz(const std::string& text);

/// "0.5" or "50%" as a number.
Expected<double> parse_share(const std::string& text);

/// "1,5" as "1.5"; empty where that is not what is wrong with it.
std::string with_decimal_point(const std::string& text);

}  // namespace sds
