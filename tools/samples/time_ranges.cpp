#include "time_ranges.hpp"

#include <algorithm>

namespace sds {

namespace {

// The first range that ends behind `time`.
TimeRanges::const_iterator ending_after(const TimeRanges& ranges, double time) {
  return std::upper_bound(ranges.begin(), ranges.end(), time,
                          [](double t, const TimeSpan& span) { return t < span.end; });
}

}  // namespace

TimeRanges normalized(std::vector<TimeSpan> spans, double gap) {
  std::erase_if(spans, [](const TimeSpan& s) { return !(s.begin < s.end); });
  std::sort(spans.begin(), spans.end(), [](const TimeSpan& a, const TimeSpan& b) { return a.begin < b.begin; });
  TimeRanges ranges;
  for (const auto& span : spans) {
    const double reach = gap > 0 ? gap + time_tolerance(span.begin) : 0;
    if (!ranges.empty() && span.begin <= ranges.back().end + reach) {
      ranges.back().end = std::max(ranges.back().end, span.end);
    } else {
      ranges.push_back(span);
    }
  }
  return ranges;
}

TimeRanges either(const TimeRanges& a, const TimeRanges& b) {
  std::vector<TimeSpan> spans = a;
  spans.insert(spans.end(), b.begin(), b.end());
  return normalized(std::move(spans));
}

TimeRanges both(const TimeRanges& a, const TimeRanges& b) {
  TimeRanges ranges;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    const double begin = std::max(x->begin, y->begin);
    const double end = std::min(x->end, y->end);
    if (begin < end) ranges.push_back({begin, end});
    if (x->end < y->end) {
      ++x;
    } else {
      ++y;
    }
  }
  return ranges;
}

TimeRanges without(const TimeRanges& whole, const TimeRanges& a) {
  TimeRanges rest;
  double begin = -std::numeric_limits<double>::infinity();
  for (const auto& span : a) {
    if (begin < span.begin) rest.push_back({begin, span.begin});
    begin = span.end;
  }
  if (begin < std::numeric_limits<double>::infinity()) rest.push_back({begin, std::numeric_limits<double>::infinity()});
  return both(whole, rest);
}

bool contains(const TimeRanges& ranges, double time) {
  const auto range = ending_after(ranges, time);
  return range != ranges.end() && range->begin <= time;
}

bool overlaps(const TimeRanges& ranges, double begin, double end) {
  const auto range = ending_after(ranges, begin);
  return range != ranges.end() && (range->begin < end || range->begin <= begin);
}

double total_seconds(const TimeRanges& ranges) {
  double total = 0;
  for (const auto& range : ranges) total += range.end - range.begin;
  return total;
}

}  // namespace sds
