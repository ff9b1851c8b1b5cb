#include "export/closed_gaps.hpp"

#include <fmt/format.h>

namespace sds {

ClosedGaps::ClosedGaps(const Recording& recording, std::size_t stream, const TimeRanges& within)
    : whole_(within == all_time) {
  if (recording.sdsz()) losses_ = recording.sdsz()->streams()[stream].gaps;
}

void ClosedGaps::on_block(const BlockView& block) {
  while (seen_ < losses_.size() && losses_[seen_].before_block <= block.ordinal) ++seen_;
}

void ClosedGaps::add(const SampleRun& run) {
  if (blocks_ == 0 && !whole_) first_seen_ = seen_;
  last_seen_ = seen_;
  // Of one block, several runs may be wanted.
  const bool same_block = blocks_ > 0 && run.tick == tick_ && run.first > first_;
  first_ = run.first;
  if (same_block) return;
  if (blocks_ > 0 && run.tick >= tick_) steps_.add(run.tick - tick_, blocks_);
  tick_ = run.tick;
  ++blocks_;
}

std::vector<std::string> ClosedGaps::notes(const std::string& stream, const std::string& why) const {
  const std::size_t lost = (whole_ ? losses_.size() : last_seen_) - first_seen_;
  std::vector<std::string> notes;
  if (const auto gaps = steps_.gaps().count; gaps > 0)
    notes.push_back(fmt::format("{}: {} gap{} in time {} closed: {}", stream, gaps, gaps == 1 ? "" : "s",
                                gaps == 1 ? "is" : "are", why));
  if (lost > 0)
    notes.push_back(fmt::format("{}: {} loss{} of the recording {} closed: {}{}", stream, lost, lost == 1 ? "" : "es",
                                lost == 1 ? "is" : "are", lost == 1 ? "" : "the first: ", losses_[first_seen_].reason));
  return notes;
}

}  // namespace sds
