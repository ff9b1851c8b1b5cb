// Sets of half-open time intervals: what a query finds, what a cut keeps.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace sds {

/// Seconds from `begin` up to, and without, `end`.
struct TimeSpan {
  double begin = 0;
  double end = 0;
  bool operator==(const TimeSpan&) const = default;
};

/// Times are doubles nearest to exact ones, and sums of such: an instant, or a duration up to it, is the same within
/// this.
inline double time_tolerance(double at_s) { return 1e-9 + std::abs(at_s) * 1e-15; }
/// Whether a span lasts less than that.
inline bool is_shorter(const TimeSpan& span, double least_s) {
  return span.end - span.begin < least_s - time_tolerance(span.end);
}

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

/// What of the time is wanted of each stream of a recording: the same of all, or of each something else.
class StreamTimes {
 public:
  StreamTimes(TimeRanges of_all = all_time) : of_all_(std::move(of_all)) {}  // NOLINT(google-explicit-constructor)
  void set(std::size_t stream, TimeRanges ranges) {
    of_stream_.insert_or_assign(stream, std::move(ranges));
    some_ = {};
    for (const auto& [index, its] : of_stream_) some_ = either(some_, its);
  }
  [[nodiscard]] const TimeRanges& of(std::size_t stream) const {
    const auto its = of_stream_.find(stream);
    return its == of_stream_.end() ? of_all_ : its->second;
  }
  /// Where any stream that was set is wanted; where none was, what is wanted of all.
  [[nodiscard]] const TimeRanges& of_any() const { return of_stream_.empty() ? of_all_ : some_; }
  bool operator==(const StreamTimes&) const = default;

 private:
  TimeRanges of_all_;
  std::map<std::size_t, TimeRanges> of_stream_;
  TimeRanges some_;
};

}  // namespace sds
