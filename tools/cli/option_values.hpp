// How values of options are written: times, frequencies and shares, the same for all commands (options.hpp has words).
// Each is a transform: the option gets a number.
#pragma once

#include "options.hpp"

namespace sds::cli {

/// A time or a duration, with its unit or in seconds; the option's number is in seconds.
ValueRule takes_time();
/// The same in whole milliseconds; a number alone and the option's number are milliseconds, too.
ValueRule takes_milliseconds();
/// A time like takes_time(), of whole milliseconds.
ValueRule takes_time_of_milliseconds();
/// "1600", "1600Hz", "16kHz"; in Hz.
ValueRule takes_frequency();
/// "0.5" or "50%"; from 0 to 1.
ValueRule takes_share();

}  // namespace sds::cli
