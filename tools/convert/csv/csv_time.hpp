// What the header of a CSV column tells of times: whether the column has them, and in which unit. Knows names only;
// what the fields hold is for others to look at.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sds {

/// A unit of time by any of its names, as it is called here: s, ms, us, ns, min or h ("usec", "milliseconds", "µs").
std::optional<std::string> time_unit_of(std::string_view word);

/// How long one of the units that time_unit_of gives is.
double seconds_per(const std::string& unit);

/// How surely a column has the times, the surest first.
enum class TimeName {
  time,    ///< time, timeslot, timestamp, datetime or seconds_elapsed, alone or with a unit
  t,       ///< t, or T with a unit
  partly,  ///< "time_offset_ms": more words, but a unit of time among them
  letter,  ///< T, which may be a temperature, too
  none,    ///< something else: "ax", "T (degC)", "t_amb", "time_step"
};

struct TimeHeader {
  TimeName name = TimeName::none;
  std::string unit;     ///< empty: none is named
  std::string unknown;  ///< what stands where a unit would, and is none: "ticks" of "time [ticks]"
};

TimeHeader time_header(std::string_view header);

}  // namespace sds
