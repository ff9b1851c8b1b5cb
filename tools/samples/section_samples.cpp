#include "section_samples.hpp"

#include <array>

namespace sds {

std::optional<std::uint64_t> equal_block_bytes(const SdszReader& reader, const IndexEntry& section) {
  const SectionHeader& header = section.header;
  if (header.block_count == 0 || header.raw_bytes < 8 * std::uint64_t{header.block_count}) return std::nullopt;
  std::array<std::byte, head_bytes> head{};
  if (header.block_count > 1 &&
      (!reader.file()->read_exactly(section.payload_offset(), head) || !has_equal_blocks(head)))
    return std::nullopt;
  return header.raw_bytes / header.block_count - 8;
}

SectionTimes::SectionTimes(const Recording& recording, std::size_t stream)
    : reader_(recording.sdsz().get()),
      metadata_(*recording.streams()[stream].metadata),
      ticks_(recording.streams()[stream].tick_frequency()) {}

double SectionTimes::time(const SamplePlace& at) const {
  return has_rate() ? seconds(at.tick, ticks_, at.index, *metadata_.sample_frequency) : seconds(at.tick, ticks_);
}

double SectionTimes::over(const SamplePlace& at) const {
  return seconds(at.tick, ticks_, at.index + 1, *metadata_.sample_frequency);
}

Expected<std::optional<SectionSamples>> SectionTimes::of(const IndexEntry& section, double earliest_behind) {
  const SectionHeader& header = section.header;
  if ((header.flags & SectionHeader::flag_unsorted) != 0) return decoded(section);
  const auto bytes = equal_block_bytes(*reader_, section);
  if (!bytes) return decoded(section);
  const std::uint64_t samples = *bytes / metadata_.sample_bytes;
  if (samples == 0) return std::optional<SectionSamples>();
  const SectionSamples found{{header.first_tick, 0}, {header.last_tick, samples - 1}, std::nullopt};
  // No sample of the section is over behind its last one.
  if (has_rate() && over(found.last) > earliest_behind) return decoded(section);
  return std::optional(found);
}

Expected<std::optional<SectionSamples>> SectionTimes::decoded(const IndexEntry& section) {
  auto payload = reader_->payload(section);
  if (!payload) return fail(payload);
  if (auto done = coder_.decode_blocks(section.header, *payload, run_); !done) return fail(done);
  std::optional<SectionSamples> found;
  TickUnwrapper ticks(run_.first_tick);
  auto jump = run_.jumps.begin();
  for (std::size_t i = 0; i < run_.count(); ++i) {
    if (jump != run_.jumps.end() && jump->block == i) ticks = TickUnwrapper((jump++)->tick);
    const std::uint64_t tick = ticks.next(run_.timeslots[i]);
    const std::uint64_t samples = run_.sizes[i] / metadata_.sample_bytes;
    if (samples == 0) continue;
    const SamplePlace first{tick, 0};
    if (!found) found = SectionSamples{first, first, std::nullopt};
    if (has_rate() && time(first) < time(found->last) &&
        (!found->overlapping || over(found->last) > over(*found->overlapping)))
      found->overlapping = found->last;
    found->last = {tick, samples - 1};
  }
  return found;
}

}  // namespace sds
