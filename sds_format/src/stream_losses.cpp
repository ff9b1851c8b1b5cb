#include "sds/format/stream_losses.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

namespace {

constexpr const char* kUntold = "blocks are lost: more places are damaged than are told";

}  // namespace

StreamLosses::StreamLosses(const Recording& recording, std::size_t stream) : recording_(recording), stream_(stream) {}

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
  take_damages(at_end_of_stream, losses);
  take_gaps(at_end_of_stream, losses);
  return losses;
}

std::optional<StreamLosses::Loss> StreamLosses::torn_end() const {
  if (recording_.sdsz()) {
    const SdszStream& stream = recording_.sdsz()->streams()[stream_];
    if (!stream.gaps.empty() && stream.gaps.back().before_block >= stream.end_block) return std::nullopt;
  }
  for (const auto& damage : recording_.damages())
    if (damage.stream == stream_ && damage.torn_end)
      return Loss{fmt::format("{} bytes were left out, {}", damage.bytes, damage.reason), last_tick_};
  return std::nullopt;
}

void StreamLosses::take_gaps(std::uint64_t before_block, std::vector<Loss>& losses) {
  const SdszStream& stream = recording_.sdsz()->streams()[stream_];
  const auto take = [&](const std::vector<Gap>& gaps, std::size_t& next, bool known) {
    for (; next < gaps.size() && gaps[next].before_block <= before_block; ++next)
      losses.push_back({gaps[next].reason, std::max(gaps[next].after_tick, last_tick_), known});
  };
  take(stream.gaps, next_gap_, true);
  take(stream.doubts, next_doubt_, false);
}

void StreamLosses::take_damages(std::uint64_t before_block, std::vector<Loss>& losses) {
  const std::vector<Damage> fresh = recording_.damage_log()->losses(stream_, seen_);
  seen_ += fresh.size();
  waiting_.insert(waiting_.end(), fresh.begin(), fresh.end());
  // What was found on opening may come later in the stream than what the cursor has met.
  if (!fresh.empty())
    std::stable_sort(waiting_.begin(), waiting_.end(),
                     [](const Damage& a, const Damage& b) { return a.first_block < b.first_block; });
  auto damage = waiting_.begin();
  for (; damage != waiting_.end() && damage->first_block + *damage->blocks <= before_block; ++damage)
    losses.push_back({damage->reason, damage->after_tick.value_or(last_tick_)});
  waiting_.erase(waiting_.begin(), damage);
  take_untold(before_block, losses);
}

// The log of damage has an end. Of what was found behind it, only the place is told.
void StreamLosses::take_untold(std::uint64_t before_block, std::vector<Loss>& losses) {
  const std::vector<BlockRange> fresh = recording_.damage_log()->untold_losses(stream_, untold_seen_);
  untold_seen_ += fresh.size();
  waiting_untold_.insert(waiting_untold_.end(), fresh.begin(), fresh.end());
  if (!fresh.empty())
    std::stable_sort(waiting_untold_.begin(), waiting_untold_.end(),
                     [](const BlockRange& a, const BlockRange& b) { return a.first < b.first; });
  auto range = waiting_untold_.begin();
  while (range != waiting_untold_.end() && range->first + range->count <= before_block) ++range;
  if (range != waiting_untold_.begin()) losses.push_back({kUntold, last_tick_});
  waiting_untold_.erase(waiting_untold_.begin(), range);
}

}  // namespace sds
