#include "time_span.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "duration_text.hpp"

namespace sds {

Expected<BlocksInTime> blocks_in_time(const Recording& recording, std::size_t index) {
  BlocksInTime blocks;
  // The sealed sections' headers say nearly all; only the last one is read.
  SectionFilter only_last;
  if (recording.sdsz() && !recording.sdsz()->streams()[index].data.empty()) {
    const auto& sections = recording.sdsz()->streams()[index].data;
    for (const auto& section : sections) {
      if (&section != &sections.back()) blocks.blocks += section.header.block_count;
      blocks.first_tick = std::min(blocks.first_tick, section.header.first_tick);
      blocks.last_tick = std::max(blocks.last_tick, section.header.last_tick);
    }
    only_last = [at = sections.back().offset](const IndexEntry& entry) { return entry.offset == at; };
  }
  auto cursor = recording.cursor(index, nullptr, only_last);
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
  const StreamInfo& stream = recording.streams()[index];
  auto blocks = blocks_in_time(recording, index);
  if (!blocks) return fail(blocks);
  if (blocks->first_tick > blocks->last_tick) return std::nullopt;  // none
  return blocks->span(stream.tick_frequency(), stream.metadata);
}

}  // namespace

void BlocksInTime::add(std::uint64_t tick, std::size_t bytes) {
  ++blocks;
  first_tick = std::min(first_tick, tick);
  if (tick < last_tick) return;
  last_tick = tick;
  last_bytes = bytes;
}

TimeSpan BlocksInTime::span(const Frequency& ticks, const std::optional<Metadata>& metadata) const {
  TimeSpan span{seconds(first_tick, ticks), seconds(last_tick, ticks)};
  if (metadata && metadata->sample_frequency && metadata->sample_bytes > 0) {
    span.end = seconds(last_tick, ticks, last_bytes / metadata->sample_bytes, *metadata->sample_frequency);
  } else {
    span.end = end_of_block(last_tick, ticks);
  }
  return span;
}

double BlocksInTime::end_of_block(std::uint64_t tick, const Frequency& ticks) const {
  const std::uint64_t length = blocks > 1 ? last_tick - first_tick : 1;
  const std::uint64_t steps = blocks > 1 ? blocks - 1 : 1;
  if (length % steps == 0) return seconds(tick + length / steps, ticks);
  return seconds(tick, ticks) + static_cast<double>(length) / static_cast<double>(steps) / ticks.hz();
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
