#include "losses_within.hpp"

#include <algorithm>

namespace sds {

namespace {

// What a log has more is not looked through.
bool ascends(const SdszStream& stream) {
  if (!stream.log.empty()) return false;
  std::uint64_t last = 0;
  for (const auto& section : stream.data) {
    if ((section.header.flags & SectionHeader::flag_unsorted) != 0 || section.header.first_tick < last) return false;
    last = section.header.last_tick;
  }
  return true;
}

}  // namespace

LossesWithin::LossesWithin(const Recording& recording, StreamTimes within) : within_(std::move(within)) {
  for (std::size_t i = 0; i < recording.streams().size(); ++i)
    streams_.push_back(
        {recording.streams()[i].tick_frequency(), recording.sdsz() && ascends(recording.sdsz()->streams()[i])});
}

bool LossesWithin::concern(const Damage& damage) const {
  if (within_ == StreamTimes() || !damage.stream || *damage.stream >= streams_.size() || damage.torn_end ||
      damage.blocks.value_or(0) == 0)
    return true;
  return concern(*damage.stream, damage.after_tick, damage.before_tick);
}

bool LossesWithin::concern(const Recording& recording, std::size_t stream, const Gap& gap) const {
  const auto& sections = recording.sdsz()->streams()[stream].data;
  const auto behind = std::partition_point(sections.begin(), sections.end(), [&](const IndexEntry& section) {
    return section.header.first_block < gap.before_block;
  });
  std::optional<std::uint64_t> before_tick;
  if (behind != sections.end()) before_tick = behind->header.first_tick;
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
