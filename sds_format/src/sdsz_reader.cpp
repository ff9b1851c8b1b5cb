#include "sds/format/sdsz_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"

namespace sds {

Expected<std::shared_ptr<const SdszReader>> SdszReader::open(const std::filesystem::path& path,
                                                             const Options& options) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  auto table = load_sections(**file, options.walk);
  if (!table) return fail(table);
  if (table->entries.empty())
    return fail(
        ErrorCode::bad_input,
        table->end == 0 ? "an empty file is no .sdsz recording" : "no .sdsz section found: not a .sdsz recording", path,
        0);
  std::shared_ptr<SdszReader> reader(new SdszReader());
  reader->file_ = std::move(*file);
  reader->table_ = std::move(*table);
  reader->damages_ = reader->table_.damages;
  for (const auto& entry : reader->table_.entries) reader->take_section(entry);
  if (!reader->has_session_) reader->damages_.push_back({0, 0, "the session section is lost"});
  for (std::size_t id = 0; id < reader->streams_.size(); ++id) {
    if (!reader->streams_[id].has_description) {
      reader->streams_[id].description.name = fmt::format("lost_{}", id);
      reader->damages_.push_back({0, 0,
                                  fmt::format("the description of stream {} is lost; its {} blocks cannot be decoded",
                                              id, reader->streams_[id].block_count)});
    }
  }
  if (!reader->complete()) reader->take_log();
  return std::shared_ptr<const SdszReader>(std::move(reader));
}

void SdszReader::take_section(const IndexEntry& entry) {
  const SectionHeader& header = entry.header;
  const auto damaged = [&](std::string reason) {
    damages_.push_back({entry.offset, SectionHeader::bytes + header.stored_bytes, std::move(reason)});
  };
  if (header.kind == SectionKind::session) {
    if (has_session_) return;
    auto bytes = payload(entry);
    auto session = bytes ? Properties::decode(*bytes) : fail(bytes);
    if (!session) return damaged(session.error().message);
    session_ = std::move(*session);
    has_session_ = true;
    recording_key_ = checksum(*bytes);
    return;
  }
  if (header.stream == SectionHeader::no_stream) return;
  if (header.stream >= limits::max_streams || header.stream > streams_.size() + 1024)
    return damaged(fmt::format("stream number {} is out of range", header.stream));
  if (header.stream >= streams_.size()) streams_.resize(header.stream + 1);
  SdszStream& stream = streams_[header.stream];
  const auto properties = [&]() -> Expected<Properties> {
    auto bytes = payload(entry);
    if (!bytes) return fail(bytes);
    return Properties::decode(*bytes);
  };
  switch (header.kind) {
    case SectionKind::stream: {
      if (stream.has_description) return;
      auto p = properties();
      if (!p) return damaged(p.error().message);
      auto layout = Layout::decode(as_bytes(p->get("layout").value_or("")));
      if (!layout) return damaged(layout.error().message);
      stream.layout = std::move(*layout);
      stream.description = {
          p->get("name").value_or(""), p->get("label").value_or(""),         p->get("playback") == "1",
          p->get("file").value_or(""), p->get("metadata-file").value_or(""), p->get("metadata").value_or("")};
      stream.has_description = true;
      if (auto ok = check_stream_name(stream.description.name); !ok) {
        damaged(ok.error().message);
        stream.description.name = fmt::format("unnamed_{}", header.stream);
      }
      return;
    }
    case SectionKind::data:
      stream.data.push_back(entry);
      stream.block_count += header.block_count;
      stream.raw_bytes += header.raw_bytes;
      stream.stored_bytes += SectionHeader::bytes + header.stored_bytes;
      return;
    case SectionKind::tail:
      stream.tail.push_back(entry);
      stream.raw_bytes += header.raw_bytes;
      stream.stored_bytes += SectionHeader::bytes + header.stored_bytes;
      return;
    case SectionKind::gap: {
      auto p = properties();
      if (!p) return damaged(p.error().message);
      stream.gaps.push_back({header.first_tick, p->get("reason").value_or("")});
      return;
    }
    case SectionKind::clock: {
      auto bytes = payload(entry);
      if (!bytes || bytes->size() != 16) return damaged(bytes ? "a malformed clock section" : bytes.error().message);
      stream.clocks.push_back({load_le<std::uint64_t>(bytes->data()), load_le<std::uint64_t>(bytes->data() + 8)});
      return;
    }
    default:
      return;  // labels, attachments and kinds of later versions
  }
}

void SdszReader::take_log() {
  auto pieces = list_wal(file_->path(), recording_key_);
  if (!pieces || pieces->empty()) return;
  auto log = InputFile::open(wal_path(file_->path()));
  if (!log) return;
  log_file_ = std::move(*log);
  // The file grows while we look: blocks that were sealed between the two looks are in both, and told by number.
  for (const auto& piece : *pieces) {
    if (piece.frame.stream >= streams_.size()) continue;
    SdszStream& stream = streams_[piece.frame.stream];
    std::uint64_t known = stream.block_count;
    if (piece.frame.first_block + piece.block_count <= known) continue;
    stream.log.push_back(piece);
    const std::uint64_t skipped = known > piece.frame.first_block ? known - piece.frame.first_block : 0;
    stream.block_count += piece.block_count - skipped;
    stream.raw_bytes += piece.bytes * (piece.block_count - skipped) / std::max<std::uint64_t>(piece.block_count, 1);
  }
}

Expected<Bytes> SdszReader::payload(const IndexEntry& entry) const {
  Bytes stored(entry.header.stored_bytes);
  if (auto got = file_->read_exactly(entry.offset + SectionHeader::bytes, stored); !got) return fail(got);
  if (entry.header.kind == SectionKind::data) return stored;
  auto opened = open_payload(entry.header, std::move(stored));
  if (!opened) {
    opened.error().path = file_->path();
    opened.error().offset = entry.offset;
  }
  return opened;
}

// Tells the cursor's thread that a section is decoded. Outlives the cursor where work is still on its way.
struct SdszCursor::Finished {
  std::mutex mutex;
  std::condition_variable changed;
};

// A section on its way through a decoder; it keeps coder and buffers for the next one. `finished` is guarded by the
// mutex of Finished.
struct SdszCursor::Decoding {
  IndexEntry entry;
  DataSectionCoder coder;
  Bytes stored;
  BlockRun run;
  Expected<void> outcome;
  bool finished = false;

  void decode(const SdszReader& reader, const Layout& layout) {
    run.clear();
    stored.resize(entry.header.stored_bytes);
    outcome = reader.file()->read_exactly(entry.offset + SectionHeader::bytes, stored);
    if (outcome) outcome = coder.decode(entry.header, stored, layout, run);
  }
};

SdszCursor::SdszCursor(std::shared_ptr<const SdszReader> reader, std::size_t stream, Executor* executor,
                       SectionFilter wanted)
    : reader_(std::move(reader)),
      stream_(stream),
      executor_(executor),
      wanted_(std::move(wanted)),
      finished_(std::make_shared<Finished>()) {}

Expected<std::optional<BlockView>> SdszCursor::next() {
  while (next_block_ == run_.count())
    if (!load_next()) return std::nullopt;
  const std::size_t i = next_block_++;
  const BlockView block{run_.timeslots[i], ticks_.next(run_.timeslots[i]),
                        ByteView(run_.bytes).subspan(next_byte_, run_.sizes[i])};
  next_byte_ += run_.sizes[i];
  last_tick_ = block.tick;
  any_block_ = true;
  return block;
}

// Has the sections that come next decoded: one for the caller, and as many ahead as the executor has threads.
void SdszCursor::start_decoding() {
  const SdszStream& stream = reader_->streams()[stream_];
  const std::size_t wanted = executor_ == nullptr ? 1 : 1 + executor_->concurrency();
  while (decodings_.size() < wanted && next_section_ < stream.data.size()) {
    if (wanted_ && !wanted_(stream.data[next_section_])) {
      sealed_blocks_ += stream.data[next_section_++].header.block_count;
      continue;
    }
    std::shared_ptr<Decoding> decoding;
    if (spare_decodings_.empty()) {
      decoding = std::make_shared<Decoding>();
    } else {
      decoding = std::move(spare_decodings_.back());
      spare_decodings_.pop_back();
    }
    decoding->entry = stream.data[next_section_++];
    decoding->finished = false;
    decodings_.push_back(decoding);
    if (executor_ == nullptr) {
      decoding->decode(*reader_, stream.layout);
      decoding->finished = true;
      continue;
    }
    executor_->run([decoding, reader = reader_, index = stream_, finished = finished_] {
      decoding->decode(*reader, reader->streams()[index].layout);
      const std::lock_guard lock(finished->mutex);
      decoding->finished = true;
      finished->changed.notify_all();
    });
  }
}

void SdszCursor::wait_for(const Decoding& decoding) {
  for (;;) {
    std::unique_lock lock(finished_->mutex);
    if (decoding.finished) return;
    lock.unlock();
    if (executor_->help()) continue;
    lock.lock();
    finished_->changed.wait(lock, [&] { return decoding.finished; });
    return;
  }
}

bool SdszCursor::load_next() {
  const SdszStream& stream = reader_->streams()[stream_];
  next_block_ = 0;
  next_byte_ = 0;
  run_.clear();
  if (!stream.has_description) return false;
  for (;;) {
    start_decoding();
    if (decodings_.empty()) break;
    const std::shared_ptr<Decoding> decoding = std::move(decodings_.front());
    decodings_.pop_front();
    wait_for(*decoding);
    spare_decodings_.push_back(decoding);
    const IndexEntry& entry = decoding->entry;
    sealed_blocks_ += entry.header.block_count;
    if (decoding->outcome) {
      std::swap(run_, decoding->run);
      ticks_ = TickUnwrapper(entry.header.first_tick);
      return true;
    }
    damages_.push_back({entry.offset, SectionHeader::bytes + entry.header.stored_bytes,
                        fmt::format("{}; {} blocks are lost (ticks {} to {})", decoding->outcome.error().message,
                                    entry.header.block_count, entry.header.first_tick, entry.header.last_tick)});
  }
  while (next_piece_ < stream.log.size())
    if (load_log_piece(stream.log[next_piece_++])) return true;
  return false;
}

bool SdszCursor::load_log_piece(const WalPiece& piece) {
  stored_.resize(piece.bytes);
  if (!reader_->log_file()->read_exactly(piece.offset, stored_)) return false;
  TickUnwrapper ticks = any_block_ ? TickUnwrapper(last_tick_) : TickUnwrapper();
  ByteReader records(stored_);
  for (std::uint32_t i = 0; i < piece.block_count; ++i) {
    const auto timeslot = records.number<std::uint32_t>();
    const auto size = records.number<std::uint32_t>();
    const auto data = size ? records.take(*size) : std::nullopt;
    if (!data) break;
    if (piece.frame.first_block + i < sealed_blocks_) continue;
    run_.append(*timeslot, ticks.next(*timeslot), *data);
  }
  sealed_blocks_ = std::max(sealed_blocks_, piece.frame.first_block + piece.block_count);
  if (run_.count() > 0) ticks_ = TickUnwrapper(run_.first_tick);
  return run_.count() > 0;
}

Expected<void> SdszCursor::read_tail(const std::function<Expected<void>(ByteView)>& take) const {
  for (const auto& entry : reader_->streams()[stream_].tail) {
    auto bytes = reader_->payload(entry);
    if (!bytes) return fail(bytes);
    if (auto taken = take(*bytes); !taken) return taken;
  }
  return {};
}

}  // namespace sds
