#include "sds/format/stream_losses.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace sds {

namespace {

// Version 1 does not number blocks: what stood in a damaged stretch of the file may have been of any stream.
std::vector<Gap> stretches_without_numbers(const Recording& recording, std::size_t stream) {
  std::vector<Gap> gaps;
  const auto& sections = recording.sdsz()->streams()[stream].data;
  if (sections.empty() || sections.front().header.version != 1) return gaps;
  for (const auto& damage : recording.damages()) {
    if (damage.stream || damage.bytes == 0) continue;
    const auto behind =
        std::find_if(sections.begin(), sections.end(), [&](const IndexEntry& s) { return s.offset > damage.offset; });
    Gap gap;
    gap.reason = fmt::format("blocks may be lost: at byte {}: {}", damage.offset, damage.reason);
    gap.before_block =
        behind == sections.end() ? std::numeric_limits<std::uint64_t>::max() : behind->header.first_block;
    if (behind != sections.begin()) gap.after_tick = std::prev(behind)->header.last_tick;
    gaps.push_back(std::move(gap));
  }
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const Gap& a, const Gap& b) { return a.before_block < b.before_block; });
  return gaps;
}

}  // namespace

StreamLosses::StreamLosses(const Recording& recording, std::size_t stream) : recording_(recording), stream_(stream) {
  if (recording.sdsz()) unnumbered_ = stretches_without_numbers(recording, stream);
}

std::vector<StreamLosses::Loss> StreamLosses::before(const BlockView& block) {
  std::vector<Loss> losses;
  if (recording_.sdsz()) {
    take_gaps(block.ordinal, losses);
    if (block.after_loss) take_damages(block.ordinal, losses);
  }
  last_tick_ = block.tick;
  return losses;
}

std::vector<StreamLosses::Loss> StreamLosses::at_end() {
  std::vector<Loss> losses;
  if (!recording_.sdsz()) return losses;
  take_gaps(std::numeric_limits<std::uint64_t>::max(), losses);
  take_damages(std::numeric_limits<std::uint64_t>::max(), losses);
  const SdszReader& reader = *recording_.sdsz();
  if (!reader.complete() && !reader.has_log())
    losses.push_back({"blocks may be lost: the recording has no end: it was cut off", last_tick_});
  return losses;
}

void StreamLosses::take_gaps(std::uint64_t before_block, std::vector<Loss>& losses) {
  const auto& gaps = recording_.sdsz()->streams()[stream_].gaps;
  for (; next_gap_ < gaps.size() && gaps[next_gap_].before_block <= before_block; ++next_gap_)
    losses.push_back({gaps[next_gap_].reason, gaps[next_gap_].after_tick});
  for (; next_unnumbered_ < unnumbered_.size() && unnumbered_[next_unnumbered_].before_block <= before_block;
       ++next_unnumbered_)
    losses.push_back({unnumbered_[next_unnumbered_].reason, unnumbered_[next_unnumbered_].after_tick});
}

void StreamLosses::take_damages(std::uint64_t before_block, std::vector<Loss>& losses) {
  for (const auto& damage : recording_.damages()) {
    if (damage.stream != stream_ || damage.blocks == 0) continue;
    if (damage.first_block + damage.blocks > before_block) continue;
    if (std::find(told_.begin(), told_.end(), damage) != told_.end()) continue;
    told_.push_back(damage);
    losses.push_back({fmt::format("{} block{} lost: {}", damage.blocks, damage.blocks == 1 ? "" : "s", damage.reason),
                      damage.first_tick.value_or(last_tick_)});
  }
}

}  // namespace sds
