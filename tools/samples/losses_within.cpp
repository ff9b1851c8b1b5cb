#include "losses_within.hpp"

#include <algorithm>

namespace sds {

LossesWithin::LossesWithin(const Recording& recording, StreamTimes within) : within_(std::move(within)) {
  for (std::size_t i = 0; i < recording.streams().size(); ++i)
    streams_.push_back(
        {recording.streams()[i].tick_frequency(), recording.sdsz() && recording.sdsz()->streams()[i].ascends()});
  // What a damaged place has cost: blocks that are known to be missing, and doubts.
  for (const auto& damage : recording.damages())
    places_concern_ = places_concern_ || (damage.blocks.value_or(0) > 0 && damage.stream && concern(damage));
  for (std::size_t i = 0; recording.sdsz() && i < streams_.size() && !places_concern_; ++i) {
    const auto& doubts = recording.sdsz()->streams()[i].doubts;
    places_concern_ =
        std::any_of(doubts.begin(), doubts.end(), [&](const Gap& doubt) { return concern(recording, i, doubt); });
  }
}

bool LossesWithin::concern(const Damage& damage) const {
  if (within_ == StreamTimes()) return true;
  if (damage.has_doubts) return places_concern_ || damage.harmless;
  if (!damage.stream || *damage.stream >= streams_.size() || damage.torn_end || damage.blocks.value_or(0) == 0)
    return true;
  return concern(*damage.stream, damage.after_tick, damage.before_tick);
}

bool LossesWithin::concern(const Recording& recording, std::size_t stream, const Gap& gap) const {
  const SdszStream& read = recording.sdsz()->streams()[stream];
  const auto section = std::partition_point(read.data.begin(), read.data.end(), [&](const IndexEntry& entry) {
    return entry.header.first_block < gap.before_block;
  });
  const auto piece = std::partition_point(
      read.log.begin(), read.log.end(), [&](const WalPiece& logged) { return logged.first_block < gap.before_block; });
  std::optional<std::uint64_t> before_tick;
  if (section != read.data.end()) before_tick = section->header.first_tick;
  if (piece != read.log.end() && piece->first_tick)
    before_tick = std::min(*piece->first_tick, before_tick.value_or(*piece->first_tick));
  return concern(stream, gap.after_tick > 0 ? std::optional(gap.after_tick) : std::nullopt, before_tick);
}

bool LossesWithin::concern(std::size_t stream, std::optional<std::uint64_t> after_tick,
                           std::optional<std::uint64_t> before_tick) const {
  const Stream& s = streams_[stream];
  if (!s.ascends) return true;
  const double infinity = std::numeric_limits<double>::infinity();
  return overlaps(within_.of(stream), after_tick ? seconds(*after_tick, s.ticks) : -infinity,
                  before_tick ? seconds(*before_tick, s.ticks) : infinity);
}

}  // namespace sds
