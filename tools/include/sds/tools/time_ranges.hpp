// Sets of half-open time intervals: what a query finds, what a cut keeps.
#pragma once

#include <limits>
#include <vector>

namespace sds {

/// Seconds from `begin` up to, and without, `end`.
struct TimeSpan {
  double begin = 0;
  double end = 0;
  bool operator==(const TimeSpan&) const = default;
};

/// Disjoint, in order, none empty, none touching the next.
using TimeRanges = std::vector<TimeSpan>;

inline const TimeRanges all_time{{-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()}};

/// Brings spans in any order into that form; those at most `gap` apart become one.
TimeRanges normalized(std::vector<TimeSpan> spans, double gap = 0);
TimeRanges either(const TimeRanges& a, const TimeRanges& b);
TimeRanges both(const TimeRanges& a, const TimeRanges& b);
/// What of `whole` is not in `a`.
TimeRanges without(const TimeRanges& whole, const TimeRanges& a);
bool contains(const TimeRanges& ranges, double time);
/// True if some range has a part of [begin, end), or holds `begin` where that is empty.
bool overlaps(const TimeRanges& ranges, double begin, double end);
double total_seconds(const TimeRanges& ranges);

}  // namespace sds
