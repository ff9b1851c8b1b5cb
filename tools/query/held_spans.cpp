#include "held_spans.hpp"

#include <fmt/format.h>

#include "query.hpp"

namespace sds {

Expected<void> HeldSpans::add(const SampleRun& run, std::span<const std::uint8_t> holds) {
  for (std::size_t k = 0; k < run.count; ++k) {
    const double time = run.times[k];
    if (changes(time, holds[k] != 0)) {
      if (k > 0) last_ = {run.tick, run.first + k - 1};
      if (auto changed = change(time, holds[k] != 0); !changed) return changed;
    }
    last_time_ = time;
  }
  last_ = {run.tick, run.first + run.count - 1};
  return {};
}

Expected<void> HeldSpans::add(const SectionSamples& section, bool holds) {
  const double first_time = times_.time(section.first);
  if (changes(first_time, holds))
    if (auto changed = change(first_time, holds); !changed) return changed;
  if (holds && section.overlapping) spans_.push_back({first_time, times_.over(*section.overlapping)});
  last_time_ = times_.time(section.last);
  last_ = section.last;
  return {};
}

// `last_time_` and `last_` are of the sample before it.
Expected<void> HeldSpans::change(double time, bool holds) {
  Expected<void> closed;
  if (open_ && time < last_time_) {
    closed = close_when_over();
  } else if (open_) {
    // Of samples of one time the last one holds.
    if (*open_ < time) closed = close(time);
    open_.reset();
  }
  if (holds) open_ = time;
  return closed;
}

Expected<TimeRanges> HeldSpans::finish() {
  if (open_)
    if (auto closed = close_when_over(); !closed) return fail(closed);
  return normalized(std::move(spans_));
}

Expected<void> HeldSpans::close(double end) {
  spans_.push_back({*open_, end});
  open_.reset();
  if (++closed_ > max_query_ranges)
    return fail(ErrorCode::limit,
                fmt::format("the condition changes more than {} times: make it calmer", max_query_ranges));
  return {};
}

// One sample interval behind the last sample: the double that a sample there would have for its time. Without a sample
// frequency it is the mean step.
Expected<void> HeldSpans::close_when_over() {
  if (times_.has_rate()) return close(times_.over(last_));
  if (!blocks_) {
    auto blocks = blocks_in_time(recording_, stream_);
    if (!blocks) return fail(blocks);
    blocks_ = *blocks;
  }
  return close(blocks_->end_of_block(last_.tick));
}

}  // namespace sds
