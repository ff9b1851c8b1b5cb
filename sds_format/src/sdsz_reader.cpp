#include "sds/format/sdsz_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "double_blocks.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "section_walker.hpp"
#include "stoppable_source.hpp"

namespace sds {

namespace {

// Damage that costs no block.
Damage without_blocks(Damage damage) {
  damage.blocks = 0;
  return damage;
}

bool is_of_a_stream(SectionKind kind) {
  return kind == SectionKind::stream || kind == SectionKind::data || kind == SectionKind::tail;
}

std::string out_of_range(std::uint32_t stream) { return fmt::format("stream number {} is out of range", stream); }

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
  StreamsByNumber streams;
  for (const auto& entry : reader->table_.entries)
    if (auto taken = reader->take_section(entry, streams); !taken) return fail(taken);
  auto contents = reader->list_logs(logs, log_sizes);
  if (!contents) return fail(contents);
  reader->settle_streams(std::move(streams), *contents);
  reader->note_damaged_descriptions();
  reader->note_lost_streams();
  reader->take_facts();
  if (!reader->has_session_) reader->damage_log_->add(without_blocks({0, 0, "the session section is lost"}));
  if (!reader->complete()) {
    const bool cannot_tell = in_use == ByteSource::InUse::no && reader->session_.get("lock") == "none";
    reader->in_use_ = cannot_tell ? ByteSource::InUse::unknown : in_use;
  }
  reader->note_log_damage(logs, *contents);
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

Expected<void> SdszReader::take_section(const IndexEntry& entry, StreamsByNumber& streams) {
  const SectionHeader& header = entry.header;
  if (header.kind == SectionKind::session) return take_session(entry);
  if (!is_of_a_stream(header.kind)) return {};  // labels, attachments and kinds of later versions
  if (header.stream >= limits::max_streams) {
    damage_log_->add({entry.offset, header.section_bytes(), out_of_range(header.stream)});
    return {};
  }
  SdszStream& stream = streams[header.stream];
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
      return {};  // gaps and clock pairs are taken by themselves
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

// A stream is what something tells of: numbers are a file's word, and cost nothing.
void SdszReader::settle_streams(StreamsByNumber streams, std::vector<WalContents>& logs) {
  const auto has_fact = [&](std::uint32_t number, std::uint64_t offset) {
    if (number < limits::max_streams) {
      streams.try_emplace(number);
    } else {
      damage_log_->add(without_blocks({offset, SectionHeader::bytes, out_of_range(number)}));
    }
  };
  for (const auto& gap : table_.gaps) has_fact(gap.stream, gap.offset);
  for (const auto& clock : table_.clocks) has_fact(clock.stream, clock.offset);
  // One that the file does not know any more may stand in the log: its description was in what is lost.
  for (auto& log : logs)
    for (auto& piece : log.pieces) streams[piece.stream].log.push_back(std::move(piece));
  streams_.reserve(streams.size());
  for (auto& [number, stream] : streams) {
    stream.number = number;
    streams_.push_back(std::move(stream));
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
}

std::optional<std::size_t> SdszReader::index_of(std::uint32_t number) const {
  const auto at = std::partition_point(streams_.begin(), streams_.end(),
                                       [&](const SdszStream& stream) { return stream.number < number; });
  if (at == streams_.end() || at->number != number) return std::nullopt;
  return static_cast<std::size_t>(at - streams_.begin());
}

// Streams are numbered as they begin: one that has a number had all those below before it.
void SdszReader::note_lost_streams() {
  // A copy gives the streams that are left numbers of their own: what its original had lost, its session says.
  const std::string before = session_.get("lost-streams").value_or("");
  if (std::from_chars(before.data(), before.data() + before.size(), streams_lost_before_).ec != std::errc())
    streams_lost_before_ = 0;
  if (streams_.empty()) return;
  streams_lost_ = std::size_t{streams_.back().number} + 1 - streams_.size();
  if (streams_lost_ == 0) return;
  std::uint32_t first = 0;
  while (streams_[first].number == first) ++first;
  damage_log_->add(without_blocks(
      {0, 0,
       streams_lost_ == 1
           ? fmt::format("the description of stream {} is lost, and all else that told of it", first)
           : fmt::format("the descriptions of {} streams are lost, and all else that told of them; the first is "
                         "stream {}",
                         streams_lost_, first)}));
}

// Of the two descriptions of a stream one is enough where the index says how far it goes.
void SdszReader::note_damaged_descriptions() {
  for (auto& damage : damaged_descriptions_) {
    damage.stream = index_of(static_cast<std::uint32_t>(*damage.stream));
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
    const auto index = index_of(entry.stream);
    if (!index) continue;
    SdszStream& stream = streams_[*index];
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
    const auto index = index_of(entry.stream);
    if (!index) continue;
    SdszStream& stream = streams_[*index];
    stream.clocks.push_back(entry.pair);
    stream.told_block = std::max(stream.told_block, entry.next_block);
  }
  table_.gaps = {};
  table_.clocks = {};
  for (auto& stream : streams_)
    std::stable_sort(stream.gaps.begin(), stream.gaps.end(),
                     [](const Gap& a, const Gap& b) { return a.before_block < b.before_block; });
}

Expected<std::vector<WalContents>> SdszReader::list_logs(const std::vector<std::shared_ptr<const ByteSource>>& logs,
                                                         const std::vector<std::uint64_t>& sizes) {
  const std::optional<std::uint64_t> key = has_session_ ? std::optional(session_key_) : std::nullopt;
  std::vector<WalContents> listed;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    auto contents = list_wal(logs[i], sizes[i], table_.recording, key);
    if (!contents) return fail(contents);
    has_log_ = has_log_ || contents->ours;
    foreign_log_ = foreign_log_ || (!contents->ours && sizes[i] > 0);
    listed.push_back(std::move(*contents));
  }
  return listed;
}

void SdszReader::note_log_damage(const std::vector<std::shared_ptr<const ByteSource>>& logs,
                                 const std::vector<WalContents>& contents) {
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const WalContents& log = contents[i];
    if (log.skipped_bytes == 0 || complete()) continue;
    Damage damage{0, 0,
                  fmt::format("the log beside it is damaged: {} bytes from its byte {} on cannot be read{}{}",
                              log.skipped_bytes, log.skipped_at, log.refused.empty() ? "" : "; ", log.refused)};
    damage.has_doubts = true;
    damage_log_->add(damage);
    log_damages_.push_back({logs[i], log.skipped_at});
  }
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

Expected<Bytes> SdszReader::payload(const IndexEntry& entry) const { return read_payload(*file_, entry, table_.end); }

}  // namespace sds
