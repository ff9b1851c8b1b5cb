#include "sds/format/sdsz_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "double_blocks.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "section_walker.hpp"
#include "stoppable_source.hpp"

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

// Damage that costs no block.
Damage without_blocks(Damage damage) {
  damage.blocks = 0;
  return damage;
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

Expected<std::shared_ptr<const SdszReader>> SdszReader::open(const std::filesystem::path& path,
                                                             const Options& options) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  // The log is opened before the file is looked at: what it loses from here on stands in the file by then.
  std::vector<std::shared_ptr<const ByteSource>> logs;
  std::error_code ignored;
  const bool is_link = std::filesystem::is_symlink(path, ignored);  // the log is beside what it leads to
  const auto recording = is_link ? std::filesystem::weakly_canonical(path, ignored) : path;
  for (const auto& log_path : {wal_path(recording), new_wal_path(recording)}) {
    auto log = InputFile::open(log_path);
    if (log) {
      logs.push_back(std::move(*log));
      continue;
    }
    const int why = log.error().system_error;
    if (why != ENOENT && why != ENAMETOOLONG) return fail(log);  // so long a name no log has
  }
  return open(std::move(*file), logs, options);
}

Expected<std::shared_ptr<const SdszReader>> SdszReader::open(std::shared_ptr<const ByteSource> file,
                                                             const std::vector<std::shared_ptr<const ByteSource>>& logs,
                                                             const Options& options) {
  if (options.stop) {
    const auto stoppable = [&](std::shared_ptr<const ByteSource> source) {
      return std::make_shared<const StoppableSource>(std::move(source), options.stop);
    };
    std::vector<std::shared_ptr<const ByteSource>> stoppable_logs;
    stoppable_logs.reserve(logs.size());
    for (const auto& log : logs) stoppable_logs.push_back(stoppable(log));
    Options same = options;
    same.stop = {};
    return open(stoppable(std::move(file)), stoppable_logs, same);
  }
  const auto in_use = file->in_use();
  // And measured: what is added to it from here on may follow blocks that only the file has by then.
  std::vector<std::uint64_t> log_sizes;
  for (const auto& log : logs) {
    auto size = log->size();
    if (!size) return fail(size);
    log_sizes.push_back(*size);
  }
  auto table = load_sections(*file, {.walk = options.walk, .with_index = options.with_index});
  if (!table) return fail(table);
  if (table->sections == 0)
    return fail(
        ErrorCode::bad_input,
        table->end == 0 ? "an empty file is no .sdsz recording" : "no .sdsz section found: not a .sdsz recording",
        file->path(), 0);
  std::shared_ptr<SdszReader> reader(new SdszReader());
  reader->file_ = std::move(file);
  reader->table_ = std::move(*table);
  for (const auto& damage : reader->table_.damages) reader->damage_log_->add(damage);
  for (const auto& entry : reader->table_.entries)
    if (auto taken = reader->take_section(entry); !taken) return fail(taken);
  reader->note_damaged_descriptions();
  reader->take_facts();
  if (!reader->has_session_) reader->damage_log_->add(without_blocks({0, 0, "the session section is lost"}));
  if (!reader->complete()) {
    const bool cannot_tell = in_use == ByteSource::InUse::no && reader->session_.get("lock") == "none";
    reader->in_use_ = cannot_tell ? ByteSource::InUse::unknown : in_use;
  }
  if (auto done = reader->take_logs(logs, log_sizes); !done) return fail(done);
  if (!reader->complete() && !reader->has_log_ && !reader->being_written()) reader->note_cut_off();
  if (auto done = reader->leave_out_doubles(); !done) return fail(done);
  for (std::size_t i = 0; i < reader->streams_.size(); ++i) reader->join(i);
  reader->find_doubts();
  return std::shared_ptr<const SdszReader>(std::move(reader));
}

Expected<void> SdszReader::take_session(const IndexEntry& entry) {
  if (has_session_) return {};
  auto bytes = payload(entry);
  if (!bytes && is_unread(bytes.error())) return fail(bytes);
  auto session = bytes ? Properties::decode(*bytes) : fail(bytes);
  if (!session) {
    damage_log_->add(without_blocks({entry.offset, entry.header.section_bytes(), session.error().message}));
    return {};
  }
  session_ = std::move(*session);
  has_session_ = true;
  session_key_ = recording_id(*bytes);
  return {};
}

Expected<void> SdszReader::take_section(const IndexEntry& entry) {
  const SectionHeader& header = entry.header;
  if (header.kind == SectionKind::session) return take_session(entry);
  if (header.stream == SectionHeader::no_stream) return {};
  if (header.stream >= limits::max_streams) {
    damage_log_->add(
        {entry.offset, header.section_bytes(), fmt::format("stream number {} is out of range", header.stream)});
    return {};
  }
  if (header.stream >= streams_.size()) streams_.resize(header.stream + 1);
  SdszStream& stream = streams_[header.stream];
  switch (header.kind) {
    case SectionKind::stream:
      return take_stream(entry, stream);
    case SectionKind::data:
      stream.data.push_back(entry);
      if (header.version == 1) stream.data.back().header.first_block = stream.end_block;
      stream.end_block = std::max(stream.end_block, stream.data.back().header.end_block());
      return {};
    case SectionKind::tail:
      stream.tail.push_back(entry);
      if (header.version > 1) stream.told_block = std::max(stream.told_block, header.first_block);
      stream.raw_bytes += header.raw_bytes;
      stream.stored_bytes += header.section_bytes();
      return {};
    default:
      return {};  // labels, attachments and kinds of later versions
  }
}

Expected<void> SdszReader::take_stream(const IndexEntry& entry, SdszStream& stream) {
  const SectionHeader& header = entry.header;
  const auto damaged = [&](std::string reason) -> Expected<void> {
    Damage damage = without_blocks({entry.offset, header.section_bytes(), std::move(reason)});
    damage.stream = header.stream;
    damaged_descriptions_.push_back(std::move(damage));
    return {};
  };
  opened_bytes_ += header.raw_bytes;
  if (opened_bytes_ > 2 * limits::max_described_bytes ||
      (!stream.has_description && described_bytes_ + header.raw_bytes > limits::max_described_bytes))
    return damaged(fmt::format("the descriptions of all streams are more than {} bytes", limits::max_described_bytes));
  auto bytes = payload(entry);
  if (!bytes && is_unread(bytes.error())) return fail(bytes);
  auto p = bytes ? Properties::decode(*bytes) : fail(bytes);
  if (!p) return damaged(p.error().message);
  // The second description, written at the end, knows how many blocks there were.
  if (const auto blocks = p->get("blocks"); blocks && blocks->size() == 8) {
    stream.end_block = std::max(stream.end_block, std::min(limits::max_blocks, load_le<std::uint64_t>(blocks->data())));
    stream.closed_at = entry.offset;
  }
  if (stream.has_description) return {};
  auto layout = Layout::decode(as_bytes(p->get("layout").value_or("")));
  if (!layout) return damaged(layout.error().message);
  described_bytes_ += header.raw_bytes;
  stream.layout = std::move(*layout);
  stream.description = {
      p->get("name").value_or(""), p->get("label").value_or(""),         p->get("playback") == "1",
      p->get("file").value_or(""), p->get("metadata-file").value_or(""), p->get("metadata").value_or("")};
  stream.has_description = true;
  if (auto ok = check_stream_name(stream.description.name); !ok) {
    (void)damaged(ok.error().message);
    stream.description.name = fmt::format("unnamed_{}", header.stream);
  }
  return {};
}

// Of the two descriptions of a stream one is enough where the index says how far it goes.
void SdszReader::note_damaged_descriptions() {
  for (auto& damage : damaged_descriptions_) {
    if (streams_[*damage.stream].has_description && complete()) {
      damage.harmless = true;
      damage.reason += "; its other copy is sound";
    }
    damage_log_->add(damage);
  }
  damaged_descriptions_.clear();
}

// Gives gaps and clock pairs to their streams.
void SdszReader::take_facts() {
  std::size_t reasons = 0;
  for (auto& entry : table_.gaps) {
    if (entry.stream >= streams_.size()) continue;
    SdszStream& stream = streams_[entry.stream];
    Gap gap = std::move(entry.gap);
    if (entry.version == 1) {
      // It does not number gaps: they stand behind the sections before.
      const auto behind = std::upper_bound(stream.data.begin(), stream.data.end(), entry.offset,
                                           [](std::uint64_t at, const IndexEntry& e) { return at < e.offset; });
      gap.before_block = behind == stream.data.begin() ? 0 : std::prev(behind)->header.end_block();
    }
    stream.told_block = std::max(stream.told_block, gap.before_block);
    reasons += gap.reason.size();
    if (reasons > limits::max_reasons_bytes) gap.reason.clear();
    stream.gaps.push_back(std::move(gap));
  }
  for (const auto& entry : table_.clocks) {
    if (entry.stream >= streams_.size()) continue;
    SdszStream& stream = streams_[entry.stream];
    stream.clocks.push_back(entry.pair);
    stream.told_block = std::max(stream.told_block, entry.next_block);
  }
  table_.gaps = {};
  table_.clocks = {};
  for (auto& stream : streams_)
    std::stable_sort(stream.gaps.begin(), stream.gaps.end(),
                     [](const Gap& a, const Gap& b) { return a.before_block < b.before_block; });
}

Expected<void> SdszReader::take_logs(const std::vector<std::shared_ptr<const ByteSource>>& logs,
                                     const std::vector<std::uint64_t>& sizes) {
  const std::optional<std::uint64_t> key = has_session_ ? std::optional(session_key_) : std::nullopt;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    auto contents = list_wal(logs[i], sizes[i], table_.recording, key);
    if (!contents) return fail(contents);
    if (!contents->ours) {
      foreign_log_ = foreign_log_ || sizes[i] > 0;
      continue;
    }
    has_log_ = true;
    if (contents->skipped_bytes > 0 && !complete()) {
      Damage damage{0, 0,
                    fmt::format("the log beside it is damaged: {} bytes from its byte {} on cannot be read",
                                contents->skipped_bytes, contents->skipped_at)};
      damage.has_doubts = true;
      damage_log_->add(damage);
      log_damages_.push_back({logs[i], contents->skipped_at});
    }
    for (auto& piece : contents->pieces) {
      if (piece.stream >= limits::max_streams || piece.first_block > limits::max_blocks || piece.block_count == 0)
        continue;
      // One that the file does not know any more: its description was in what is lost.
      if (piece.stream >= streams_.size()) streams_.resize(piece.stream + 1);
      streams_[piece.stream].log.push_back(std::move(piece));
    }
  }
  for (auto& stream : streams_) {
    std::stable_sort(stream.log.begin(), stream.log.end(), [](const WalPiece& a, const WalPiece& b) {
      return a.first_block != b.first_block ? a.first_block < b.first_block : a.block_count > b.block_count;
    });
    // Two logs may hold the same blocks.
    std::uint64_t end = 0;
    std::erase_if(stream.log, [&](const WalPiece& piece) {
      if (piece.end_block() <= end) return true;
      end = piece.end_block();
      return false;
    });
  }
  return {};
}

Expected<void> SdszReader::leave_out_doubles() {
  SectionProver prover(*file_, table_.end);
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    SdszStream& stream = streams_[i];
    const auto left_out = [&](const IndexEntry& entry, const char* why) {
      const SectionHeader& header = entry.header;
      damage_log_->add({entry.offset, header.section_bytes(),
                        fmt::format("blocks {} to {} {}", header.first_block, header.end_block() - 1, why), i, 0, 0});
    };
    const Layout* layout = stream.has_description ? &stream.layout : nullptr;
    if (auto done = leave_out_double_blocks(stream.data, layout, prover, left_out); !done) return done;
  }
  return {};
}

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
  stream.description.name = fmt::format("lost_{}", index);
  Damage lost;
  lost.stream = index;
  if (stream.data.empty()) {  // the log stores blocks as they came
    lost.blocks = 0;
    lost.reason = fmt::format("the description of stream {} is lost: its name and metadata are not known", index);
  } else {
    lost.blocks = stream.block_count;
    lost.reason =
        fmt::format("the description of stream {} is lost; its {} blocks cannot be decoded", index, stream.block_count);
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
  if (all_closed && !streams_.empty()) {
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

Expected<Bytes> SdszReader::payload(const IndexEntry& entry) const { return read_payload(*file_, entry, table_.end); }

}  // namespace sds
