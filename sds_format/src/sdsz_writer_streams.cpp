// What a recording that is being written is given: streams, blocks, sections; and whether there is room for it.
#include <fmt/format.h>

#include <algorithm>

#include "sds/format/names.hpp"
#include "sdsz_writer_state.hpp"

namespace sds {

namespace {

// What the second description of a stream has more than the first.
constexpr std::size_t kClosingDescriptionBytes = 64;
// Room for what closes a recording: descriptions, index pieces, footer.
constexpr std::size_t kSectionsForIndex = 512;
// What a section takes at most beside its data, its entry in the index included; and with each column's statistics.
constexpr std::uint64_t kSectionMargin = 512;
constexpr std::uint64_t kColumnMargin = 128;
// What a stream that is open may get before it ends: data, a clock pair, a gap (twice: in the index, too), a tail.
constexpr std::uint64_t kOpenStreamMargin = 4 * kSectionMargin + 2 * limits::max_gap_reason_bytes;
// And the footer, the last piece of the index, and what a file system rounds up.
constexpr std::uint64_t kClosingMargin = std::uint64_t{1} << 15;
// What a writer holds is told to the others in steps of this.
constexpr std::uint64_t kAccountBytes = std::uint64_t{1} << 14;

Properties properties_of(const StreamDescription& description) {
  Properties properties;
  properties.set("name", description.name);
  properties.set("label", description.label);
  if (description.playback) properties.set("playback", "1");
  if (!description.file_name.empty()) properties.set("file", description.file_name);
  if (!description.metadata_file_name.empty()) {
    properties.set("metadata-file", description.metadata_file_name);
    properties.set("metadata", description.metadata_text);
  }
  return properties;
}

}  // namespace

Expected<void> SdszWriter::State::take_stream(const StreamDescription& description) {
  if (auto ok = usable(); !ok) return ok;
  if (auto ok = check_stream_name(description.name); !ok) {
    ok.error().path = sink->path();
    return ok;
  }
  if (streams.size() >= limits::max_streams)
    return fail(ErrorCode::limit, fmt::format("more than {} streams", limits::max_streams), sink->path());
  if (auto room = room_for_sections(); !room) return room;
  OpenStream stream;
  if (!description.metadata_text.empty())
    if (const auto metadata = Metadata::parse(description.metadata_text, description.metadata_file_name))
      stream.layout = Layout::from(*metadata);
  stream.description = properties_of(description);
  stream.description.set("layout", stream.layout.encode());
  Bytes payload = stream.description.encode();
  stream.described_bytes = payload.size() + kClosingDescriptionBytes;
  const std::size_t of_all = described + stream.described_bytes;
  if (stream.described_bytes > limits::max_stream_bytes || of_all > limits::max_described_bytes)
    return fail(ErrorCode::limit,
                fmt::format("the descriptions of all streams would be more than {} bytes", limits::max_described_bytes),
                sink->path());
  streams.push_back(std::move(stream));
  described = of_all;
  try {
    push_small(SectionKind::stream, static_cast<std::uint32_t>(streams.size() - 1), std::move(payload));
  } catch (...) {
    forget_last_stream();
    throw;
  }
  return {};
}

Expected<void> SdszWriter::State::write_stream() {
  const SectionJob* queued = jobs.back().get();
  auto done = latching([&] { return commit(0); });
  if (done || jobs.empty() || jobs.back().get() != queued) return {};
  jobs.pop_back();
  forget_last_stream();
  return done;
}

void SdszWriter::State::take_section(std::uint32_t id, const SectionHeader& header,
                                     std::vector<ColumnStatistics> statistics, Bytes payload) {
  start_sealing(id);
  OpenStream& stream = streams[id];
  auto job = std::make_unique<SectionJob>();
  job->stream = id;
  job->section.header = header;
  job->section.header.version = SectionHeader::current_version;
  job->section.header.stream = id;
  job->section.header.first_block = stream.sealed_blocks;
  job->section.statistics = std::move(statistics);
  job->section.payload = std::move(payload);
  job->done = true;
  jobs.push_back(std::move(job));
  stream.sealed_blocks += header.block_count;
  stream.last_tick = header.last_tick;
  stream.ticks = TickUnwrapper(header.last_tick);
  raw += header.raw_bytes;
}

Expected<void> SdszWriter::State::append(std::uint32_t id, std::uint64_t tick, ByteView data) {
  OpenStream& stream = streams[id];
  // Seal first where a large block would push the section past its limit.
  const std::uint64_t more = 8 + data.size();
  const bool too_large =
      stream.run.count() > 0 && stream.run.raw_bytes() + more > 2 * std::uint64_t{options.section_bytes};
  const auto take = [&]() -> Expected<void> {
    if (failure || closing || stream.ended || stream.torn || stream.run.count() == 0 ||
        data.size() > limits::max_block_bytes) [[unlikely]]
      if (auto ok = accepts(stream, data.size()); !ok) return ok;
    if (too_large) start_sealing(id);
    if (stream.run.count() == 0 && stream.run.bytes.capacity() == 0 && !spare_runs.empty()) {
      stream.run = std::move(spare_runs.back());
      spare_runs.pop_back();
    }
    const std::size_t jumps = stream.run.jumps.size();
    stream.run.append(static_cast<std::uint32_t>(tick), tick, data);
    stream.last_tick = tick;
    stream.ticks = TickUnwrapper(tick);
    open_bytes += more + (stream.run.jumps.size() - jumps) * kJumpBytes;
    return {};
  };
  const auto write = [&]() -> Expected<void> {
    if (stream.run.raw_bytes() >= options.section_bytes) return seal(id);
    if (open_bytes > limits::max_open_bytes) return seal(largest_stream());
    if (open_bytes > accounted + kAccountBytes) {
      account();
      if (has_too_many()) return trim();
    }
    return too_large ? commit(pipelined()) : Expected<void>{};
  };
  return taking(take, write);
}

std::uint64_t SdszWriter::State::unwritten_bytes() const {
  const auto size = [](const BlockRun& run) { return run.raw_bytes() + run.jumps.size() * kJumpBytes; };
  std::uint64_t bytes = kClosingMargin + session.size() + described + index.pending_bytes();
  for (const auto& job : jobs) {
    // An encoder may be at work on what has blocks.
    bytes += kSectionMargin + job->facts.size();
    bytes += job->run.count() == 0 ? job->section.payload.size()
                                   : size(job->run) + kColumnMargin * streams[job->stream].layout.columns.size();
  }
  for (const auto& stream : streams) {
    bytes += kSectionMargin;  // of its second description
    if (stream.ended) continue;
    bytes += kOpenStreamMargin + stream.open_bytes() + kColumnMargin * stream.layout.columns.size();
  }
  return bytes + unlogged_bytes();
}

std::uint64_t SdszWriter::State::unlogged_bytes() const {
  std::uint64_t bytes = 0;
  if (!wal) return bytes;
  for (const auto& stream : streams)
    if (!stream.ended) bytes += stream.run.raw_bytes() + stream.run.jumps.size() * kJumpBytes - stream.live_log_bytes();
  return bytes;
}

Expected<void> SdszWriter::State::accepts(const OpenStream& stream, std::size_t bytes) const {
  if (auto ok = usable(); !ok) return ok;
  if (stream.ended || stream.torn) return fail(ErrorCode::usage, "a block after the stream's end", sink->path());
  if (auto ok = check_block_size(bytes); !ok) {
    ok.error().path = sink->path();
    return ok;
  }
  return stream.run.count() == 0 ? room_for_sections() : Expected<void>{};
}

Expected<void> SdszWriter::State::room_for_sections(Purpose purpose, std::size_t wanted) const {
  const std::size_t reserve =
      kSectionsForIndex + (purpose == Purpose::go_on && !options.copies ? 6 : 3) * (streams.size() + 1);
  if (sequence + jobs.size() + wanted + reserve <= limits::max_sections) return {};
  return fail(ErrorCode::limit, fmt::format("the recording has {} sections, and must be closed", sequence),
              sink->path());
}

}  // namespace sds
