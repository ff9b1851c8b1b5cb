// What a recording has lost: blocks that neither its sections nor its log hold, and where nobody knows.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "sds/format/limits.hpp"
#include "sds/format/sdsz_reader.hpp"

namespace sds {

namespace {

// A stream's first section at or behind `offset`.
std::vector<IndexEntry>::const_iterator first_behind(const SdszStream& stream, std::uint64_t offset) {
  return std::partition_point(stream.data.begin(), stream.data.end(),
                              [&](const IndexEntry& entry) { return entry.offset < offset; });
}

// The piece of the log that has `block`, or the first one behind it.
std::vector<WalPiece>::const_iterator piece_with(const SdszStream& stream, std::uint64_t block) {
  return std::upper_bound(stream.log.begin(), stream.log.end(), block,
                          [](std::uint64_t at, const WalPiece& piece) { return at < piece.end_block(); });
}

// Why a recording has no end, as its writer's lock tells.
const char* why_no_end(ByteSource::InUse in_use) {
  switch (in_use) {
    case ByteSource::InUse::yes:
      return "the recording has no end: it is still being recorded";
    case ByteSource::InUse::unknown:
      return "the recording has no end: it is perhaps still being recorded, else it was cut off";
    default:
      return "the recording has no end: it was cut off";
  }
}

}  // namespace

// Joins sections and log of a stream by the ordinals of their blocks, and finds out what neither has.
void SdszReader::join(std::size_t index) {
  SdszStream& stream = streams_[index];
  // A closed recording has no blocks but those of its sections; its log, left of a kill, can still make up for damage.
  // Where it is damaged, as a power cut while it was closed may leave it, the log counts.
  const bool whole = complete() && table_.damages.empty();
  if (!whole && !stream.log.empty()) stream.end_block = std::max(stream.end_block, stream.log.back().end_block());
  // What had come when the writer ended, as is told of blocks that are not there.
  if (!complete() && in_use_ == ByteSource::InUse::no) stream.end_block = std::max(stream.end_block, stream.told_block);
  // Goes through holes between sections, and the one behind the last.
  std::size_t piece = 0;
  const auto fill = [&](std::uint64_t from, std::uint64_t to) {
    while (from < to) {
      while (piece < stream.log.size() && stream.log[piece].end_block() <= from) ++piece;
      const bool any = piece < stream.log.size() && stream.log[piece].first_block < to;
      if (!any) return damage_log_->add(missing(index, from, to));
      const WalPiece& found = stream.log[piece];
      if (found.first_block > from) damage_log_->add(missing(index, from, found.first_block));
      const std::uint64_t begin = std::max(from, found.first_block);
      const std::uint64_t count = std::min(to, found.end_block()) - begin;
      stream.log_needed = true;
      stream.block_count += count;
      stream.raw_bytes += found.bytes * count / found.block_count;
      from = begin + count;
    }
  };
  std::uint64_t next = 0;
  for (const auto& entry : stream.data) {
    fill(next, entry.header.first_block);
    next = entry.header.end_block();
    stream.block_count += entry.header.block_count;
    stream.raw_bytes += entry.header.raw_bytes;
    stream.stored_bytes += entry.header.section_bytes();
  }
  fill(next, stream.end_block);
  if (stream.has_description) return;
  stream.description.name = fmt::format("lost_{}", stream.number);
  Damage lost;
  lost.stream = index;
  if (stream.data.empty()) {  // the log stores blocks as they came
    lost.blocks = 0;
    lost.reason =
        fmt::format("the description of stream {} is lost: its name and metadata are not known", stream.number);
  } else {
    lost.blocks = stream.block_count;
    lost.reason = fmt::format("the description of stream {} is lost; its {} blocks cannot be decoded", stream.number,
                              stream.block_count);
  }
  damage_log_->add(lost);
}

// Notes that the file has no footer, and nothing beside it has what may have followed.
void SdszReader::note_cut_off() {
  Damage end = table_.unfinished;
  end.has_doubts = true;
  if (end.bytes == 0) end.offset = table_.end;
  const bool all_closed =
      std::all_of(streams_.begin(), streams_.end(), [](const SdszStream& stream) { return stream.closed_at; });
  if (all_closed && !streams_.empty() && streams_lost_ == 0) {
    end.blocks = 0;
    end.harmless = true;
    end.reason = "the recording's last sections are damaged or cut off; all streams end before" +
                 (end.reason.empty() ? "" : " (" + end.reason + ")");
  } else {
    end.reason = why_no_end(in_use_) + (end.reason.empty() ? "" : " (" + end.reason + ")");
    end.reason += foreign_log_ ? "; the log beside it is of another recording, or damaged"
                               // Which nothing in the file tells: see Durability.
                               : fmt::format("; what came last stands in its log, {}, if it had one",
                                             wal_path(file_->path()).filename().string());
  }
  damage_log_->add(end);
}

// The data section of a stream that comes next behind `offset`, if blocks are missing before it.
std::optional<std::size_t> SdszReader::hole_at(const SdszStream& stream, std::uint64_t offset) const {
  const auto behind = first_behind(stream, offset);
  const auto section = static_cast<std::size_t>(behind - stream.data.begin());
  const std::uint64_t end = section == 0 ? 0 : stream.data[section - 1].header.end_block();
  const auto if_missing = [&](bool missing) { return missing ? std::optional(section) : std::nullopt; };
  if (behind != stream.data.end()) return if_missing(behind->header.first_block > end);
  if (end >= stream.end_block) return std::nullopt;
  // What no section holds yet stands in the log.
  const auto piece = piece_with(stream, end);
  return if_missing(piece == stream.log.end() || piece->first_block > end ||
                    stream.log.back().end_block() < stream.end_block);
}

// Blocks are numbered, so what is missing between others is known; what a damaged stretch may have taken from a
// stream's end is not, nor whether a gap had been recorded in it. Version 1 numbers nothing.
void SdszReader::find_doubts() {
  // A hostile file has a million of either.
  const std::size_t most = std::max<std::size_t>(1, limits::max_sections / std::max<std::size_t>(1, streams_.size()));
  const auto told = std::span(table_.lost).first(std::min(most, table_.lost.size()));
  for (std::size_t i = 0; i < told.size(); ++i) {
    const auto& lost = told[i];
    // A hole that another damaged place lies in, too, may be of that one.
    const auto holes = std::count_if(streams_.begin(), streams_.end(), [&](const SdszStream& stream) {
      const auto hole = hole_at(stream, lost.offset);
      return hole && (i == 0 || hole_at(stream, told[i - 1].offset) != hole) &&
             (i + 1 == told.size() || hole_at(stream, told[i + 1].offset) != hole);
    });
    if (lost.count && *lost.count <= static_cast<std::uint64_t>(holes)) continue;  // they account for all of it
    for (auto& stream : streams_) {
      if (stream.closed_at && *stream.closed_at < lost.offset) continue;
      const auto behind = first_behind(stream, lost.offset);
      Gap doubt;
      doubt.reason = fmt::format("blocks may be lost: at byte {}: {}", lost.offset, lost.reason);
      doubt.before_block = behind == stream.data.end() ? at_end_of_stream : behind->header.first_block;
      if (behind == stream.data.end()) {
        doubt.after_tick = stream.last_tick().value_or(0);
      } else if (behind != stream.data.begin()) {
        doubt.after_tick = std::prev(behind)->header.last_tick;
      }
      stream.doubts.push_back(std::move(doubt));
    }
  }
  for (auto& stream : streams_) {
    std::stable_sort(stream.doubts.begin(), stream.doubts.end(),
                     [](const Gap& a, const Gap& b) { return a.before_block < b.before_block; });
    if (table_.lost.size() > most)
      stream.doubts.push_back({0, "blocks may be lost: more places are damaged than are told", at_end_of_stream});
    if (complete() || stream.closed_at) continue;
    const std::uint64_t last_tick = stream.last_tick().value_or(0);
    for (const auto& damage : log_damages_) {
      // Frames of a stream behind it say by their numbers whether one is missing.
      const bool proven = std::any_of(stream.log.begin(), stream.log.end(), [&](const WalPiece& piece) {
        return piece.log == damage.log && piece.offset > damage.offset;
      });
      if (!proven)
        stream.doubts.push_back(
            {last_tick, fmt::format("blocks may be lost: the log was damaged from its byte {} on", damage.offset),
             at_end_of_stream});
    }
    stream.doubts.push_back({last_tick,
                             has_log_ || being_written()
                                 ? "the recording was not closed: what came after its last flush is not known"
                                 : fmt::format("blocks may be lost: {}", why_no_end(in_use_)),
                             at_end_of_stream});
  }
}

// The tick of a block, where it can be told without reading: of one in the midst of a section or frame it cannot.
std::optional<std::uint64_t> SdszReader::tick_of(const SdszStream& stream, std::uint64_t block) const {
  const auto section =
      std::upper_bound(stream.data.begin(), stream.data.end(), block,
                       [](std::uint64_t at, const IndexEntry& e) { return at < e.header.end_block(); });
  if (section != stream.data.end()) {
    if (section->header.first_block == block) return section->header.first_tick;
    if (section->header.end_block() - 1 == block) return section->header.last_tick;
  }
  const auto piece = piece_with(stream, block);
  if (piece == stream.log.end()) return std::nullopt;
  if (piece->first_block == block) return piece->first_tick;
  return piece->end_block() - 1 == block ? piece->last_tick : std::nullopt;
}

Damage SdszReader::missing(std::size_t index, std::uint64_t from, std::uint64_t to) const {
  const SdszStream& stream = streams_[index];
  Damage damage;
  damage.stream = index;
  damage.first_block = from;
  damage.blocks = to - from;
  if (from > 0) damage.after_tick = tick_of(stream, from - 1);
  damage.before_tick = tick_of(stream, to);
  damage.reason = fmt::format("{} block{} lost (block{} {}{}{}{})", to - from, to - from == 1 ? " is" : "s are",
                              to - from == 1 ? "" : "s", from, to - from == 1 ? "" : fmt::format(" to {}", to - 1),
                              damage.after_tick ? fmt::format(", after tick {}", *damage.after_tick) : "",
                              damage.before_tick ? fmt::format(", before tick {}", *damage.before_tick) : "");
  return damage;
}

}  // namespace sds
