#include "time_span.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_set>
#include <vector>

#include "duration_text.hpp"
#include "section_samples.hpp"

namespace sds {

namespace {

// Whether some sample of a section may be over behind a time.
bool may_end_behind(double time, const SdszReader& reader, const IndexEntry& section, const StreamInfo& stream) {
  if (!stream.metadata || !stream.metadata->sample_frequency || stream.metadata->sample_bytes == 0) return false;
  const SectionHeader& header = section.header;
  const auto end_of_last = [&](std::uint64_t bytes) {
    return seconds(header.last_tick, stream.tick_frequency(), bytes / stream.metadata->sample_bytes,
                   *stream.metadata->sample_frequency);
  };
  if (end_of_last(header.raw_bytes) <= time) return false;
  // Where all blocks have one size, the last one's samples are over last.
  const auto bytes = equal_block_bytes(reader, section);
  return !bytes || end_of_last(*bytes) > time;
}

// The headers of sealed sections say nearly all. What has to be read is the last section, which blocks of the log may
// follow, those whose clock steps back, for their extremes may lie within, and those that may have the sample that is
// over last.
std::unordered_set<std::uint64_t> sections_to_read(const SdszReader& reader, std::size_t index,
                                                   const StreamInfo& stream) {
  const auto& sections = reader.streams()[index].data;
  std::unordered_set<std::uint64_t> offsets;
  std::uint64_t latest = 0;
  for (const auto& section : sections) latest = std::max(latest, section.header.last_tick);
  const double known_end = seconds(latest, stream.tick_frequency());
  for (const auto& section : sections)
    if (&section == &sections.back() || (section.header.flags & SectionHeader::flag_unsorted) != 0 ||
        may_end_behind(known_end, reader, section, stream))
      offsets.insert(section.offset);
  return offsets;
}

}  // namespace

Expected<BlocksInTime> blocks_in_time(const Recording& recording, std::size_t index) {
  BlocksInTime blocks(recording, index);
  SectionFilter wanted;
  if (recording.sdsz())
    wanted = [to_read = sections_to_read(*recording.sdsz(), index, recording.streams()[index])](
                 const IndexEntry& entry) { return to_read.count(entry.offset) != 0; };
  auto cursor = recording.cursor(index, nullptr, wanted);
  if (!cursor) return fail(cursor);
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) return blocks;
    blocks.add((*block)->tick, (*block)->data.size());
  }
}

namespace {

Expected<std::optional<TimeSpan>> stream_span(const Recording& recording, std::size_t index) {
  auto blocks = blocks_in_time(recording, index);
  if (!blocks) return fail(blocks);
  if (!blocks->any()) return std::nullopt;
  return blocks->span();
}

}  // namespace

BlocksInTime::BlocksInTime(const Frequency& ticks, const std::optional<Metadata>& metadata) : ticks_(ticks) {
  if (!metadata || metadata->sample_bytes == 0) return;
  rate_ = metadata->sample_frequency;
  sample_bytes_ = metadata->sample_bytes;
}

BlocksInTime::BlocksInTime(const Recording& recording, std::size_t stream, std::optional<Frequency> ticks)
    : BlocksInTime(ticks.value_or(recording.streams()[stream].tick_frequency()), recording.streams()[stream].metadata) {
  if (recording.sdsz()) take_told(recording.sdsz()->streams()[stream]);
}

// Whether sections can be read or not; blocks that are lost between them have numbers, too.
void BlocksInTime::take_told(const SdszStream& stream) {
  std::uint64_t first_block = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t end_block = 0;
  const auto take = [&](const auto& part) {
    first_block = std::min(first_block, part.first_block);
    end_block = std::max(end_block, part.end_block());
  };
  for (const auto& section : stream.data) {
    take(section.header);
    first_tick = std::min(first_tick, section.header.first_tick);
    last_tick = std::max(last_tick, section.header.last_tick);
  }
  for (const auto& piece : stream.log) take(piece);
  told_ = end_block > first_block ? end_block - first_block : 0;
}

void BlocksInTime::add(std::uint64_t tick, std::size_t bytes) {
  ++blocks;
  first_tick = std::min(first_tick, tick);
  last_tick = std::max(last_tick, tick);
  if (!rate_) return;
  const Samples block{tick, bytes / sample_bytes_};
  const bool is_later = tick >= ends_last_.tick && block.count >= ends_last_.count;  // as nearly always
  const bool is_earlier = tick <= ends_last_.tick && block.count <= ends_last_.count;
  if (is_later || (!is_earlier && end_of(block) > end_of(ends_last_))) ends_last_ = block;
}

double BlocksInTime::end_of(const Samples& block) const { return seconds(block.tick, ticks_, block.count, *rate_); }

TimeSpan BlocksInTime::span() const {
  const double end = rate_ ? std::max(seconds(last_tick, ticks_), end_of(ends_last_)) : end_of_block(last_tick);
  return {seconds(first_tick, ticks_), end};
}

double BlocksInTime::end_of_block(std::uint64_t tick) const {
  const std::uint64_t count = std::max(blocks, told_);
  const std::uint64_t length = count > 1 ? last_tick - first_tick : 1;
  const std::uint64_t steps = count > 1 ? count - 1 : 1;
  if (length % steps == 0) return seconds(tick + length / steps, ticks_);
  return seconds(tick, ticks_) + static_cast<double>(length) / static_cast<double>(steps) / ticks_.hz();
}

Expected<std::optional<TimeSpan>> time_span(const Recording& recording, std::optional<std::size_t> stream) {
  if (stream) return stream_span(recording, *stream);
  std::vector<std::size_t> all(recording.streams().size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return time_span(recording, all);
}

Expected<std::optional<TimeSpan>> time_span(const Recording& recording, std::span<const std::size_t> streams) {
  std::optional<TimeSpan> all;
  for (const std::size_t index : streams) {
    auto span = stream_span(recording, index);
    if (!span) return fail(span);
    if (!*span) continue;
    if (!all) all = **span;
    all->begin = std::min(all->begin, (*span)->begin);
    all->end = std::max(all->end, (*span)->end);
  }
  return all;
}

Expected<std::string> spans_text(const Recording& recording, std::span<const std::size_t> streams) {
  std::string text;
  for (const std::size_t index : streams) {
    auto span = stream_span(recording, index);
    if (!span) return fail(span);
    text += fmt::format("{}{} ", text.empty() ? "" : "; ", recording.streams()[index].id);
    text += *span ? fmt::format("has [{}, {}) s", seconds_text((*span)->begin), seconds_text((*span)->end))
                  : "has no blocks";
  }
  return text;
}

}  // namespace sds
