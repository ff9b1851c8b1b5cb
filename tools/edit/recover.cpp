#include "recover.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "clock_fit.hpp"
#include "damage_text.hpp"
#include "labels_along.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sds/format/stream_losses.hpp"
#include "sds/format/worker_pool.hpp"
#include "sds/player/fingerprint.hpp"
#include "session_ids.hpp"
#include "stream_copy.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {

// What was written of a stream: sections that were copied, by their checksums, and between them blocks.
struct Written {
  struct Piece {
    bool copied = false;
    std::uint64_t blocks = 0;
    std::uint64_t checksum = 0;  // of a copied section's payload
  };
  std::vector<Piece> pieces;
  Fingerprint blocks;  // those that were not copied
  std::uint64_t count = 0;
  std::optional<std::uint64_t> first_tick;
  std::optional<std::uint64_t> last_tick;

  void add_section(const SectionHeader& header) {
    if (header.block_count > 0) {
      if (!first_tick) first_tick = header.first_tick;
      last_tick = header.last_tick;
    }
    pieces.push_back({true, header.block_count, header.payload_checksum});
    count += header.block_count;
  }
  void add_block(std::uint64_t tick, ByteView data) {
    if (pieces.empty() || pieces.back().copied) pieces.push_back({});
    ++pieces.back().blocks;
    ++count;
    if (!first_tick) first_tick = tick;
    last_tick = tick;
    blocks.add(0, tick, {}, data);
  }
};

class StreamRecovery {
 public:
  // Where sections are decoded, for one stream at a time.
  struct Decoder {
    DataSectionCoder coder;
    BlockRun run;
  };

  StreamRecovery(const Recording& recording, std::size_t index, SdszWriter& writer, Decoder& decoder,
                 RecoverReport& report)
      : recording_(recording),
        reader_(*recording.sdsz()),
        stream_(reader_.streams()[index]),
        index_(index),
        writer_(writer),
        decoder_(decoder),
        report_(report),
        losses_(recording, index) {}

  Expected<void> begin() {
    auto id = writer_.add_stream(stream_.description);
    if (!id) return fail(id);
    id_ = *id;
    if (stream_.log.empty()) return {};
    // What the log may replace must be known before the cursor comes there.
    for (const auto& entry : stream_.data) {
      auto payload = decoded(entry);
      if (!payload && is_unread(payload.error())) return fail(payload);
      if (!payload) damaged_.insert(entry.offset);
    }
    auto cursor = recording_.cursor(index_, nullptr,
                                    [this](const IndexEntry& entry) { return damaged_.count(entry.offset) > 0; });
    if (!cursor) return fail(cursor);
    from_log_ = std::move(*cursor);
    return advance();
  }

  // The stream's next section, after what the log has before it. Sections may stand in another order in the file.
  Expected<void> take_next() {
    const IndexEntry& entry = stream_.data[next_section_++];
    const SectionHeader& header = entry.header;
    if (damaged_.count(entry.offset) > 0) return {};  // the log's cursor has what is left of it
    if (auto done = take_from_log(header.first_block); !done) return done;
    auto payload = decoded(entry);
    if (!payload && is_unread(payload.error())) return fail(payload);
    if (!payload) return lose(entry, payload.error().message);
    if (auto done = note_losses(header.first_tick, header.first_block); !done) return done;
    expected_ = header.end_block();
    const auto& gaps = stream_.gaps;
    const auto gap = std::upper_bound(gaps.begin(), gaps.end(), header.first_block,
                                      [](std::uint64_t block, const Gap& g) { return block < g.before_block; });
    const bool split = gap != gaps.end() && gap->before_block < header.end_block();
    if (split || !writer_.has_layout(id_, stream_.layout)) return take_blocks(entry);
    ++report_.sections_copied;
    written.add_section(header);
    return writer_.append_section(id_, header, stream_.layout, std::move(*payload));
  }

  Expected<void> finish() {
    if (auto done = take_from_log(std::numeric_limits<std::uint64_t>::max()); !done) return done;
    if (auto done = add_gaps(writer_, id_, losses_.at_end()); !done) return done;
    for (const auto& pair : stream_.clocks)
      if (auto done = writer_.add_clock(id_, pair); !done) return done;
    for (const auto& entry : stream_.tail) {
      auto bytes = reader_.payload(entry);
      if (!bytes && is_unread(bytes.error())) return fail(bytes);
      if (!bytes) {
        Damage damage;
        damage.offset = entry.offset;
        damage.bytes = entry.header.section_bytes();
        damage.reason = "the stream's torn end is lost: " + bytes.error().message;
        damage.stream = index_;
        recording_.damage_log()->add(damage);
        if (auto done = writer_.add_gap(id_, damage.reason); !done) return done;
        break;
      }
      tail_bytes += bytes->size();
      if (auto done = writer_.append_tail(id_, *bytes); !done) return done;
    }
    return writer_.end_stream(id_);
  }

  [[nodiscard]] std::size_t index() const { return index_; }

  Written written;
  std::uint64_t tail_bytes = 0;

 private:
  Expected<void> advance() {
    auto block = from_log_->next();
    if (!block) return fail(block);
    pending_ = *block;
    return {};
  }

  Expected<void> take_from_log(std::uint64_t before) {
    while (pending_ && pending_->ordinal < before) {
      if (auto done = take_block(*pending_); !done) return done;
      if (auto done = advance(); !done) return done;
    }
    return {};
  }

  Expected<void> take_block(const BlockView& block) {
    if (auto done = note_losses(block.tick, block.ordinal); !done) return done;
    expected_ = block.ordinal + 1;
    ++report_.blocks_rebuilt;
    written.add_block(block.tick, block.data);
    return writer_.append_at(id_, block.tick, block.data);
  }

  // The payload of a section whose blocks, now in decoder_.run, are what its header says: a checksum may be sound
  // where they are not, and a copy would be.
  Expected<Bytes> decoded(const IndexEntry& entry) {
    auto payload = reader_.payload(entry);
    if (!payload) return payload;
    if (auto done = decoder_.coder.decode(entry.header, *payload, stream_.layout, decoder_.run); !done)
      return fail(done);
    return payload;
  }

  // The blocks of decoder_.run, of a section that cannot be copied.
  Expected<void> take_blocks(const IndexEntry& entry) {
    const BlockRun& run = decoder_.run;
    TickUnwrapper ticks(run.first_tick);
    std::size_t jump = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < run.count(); ++i) {
      if (jump < run.jumps.size() && run.jumps[jump].block == i) ticks = TickUnwrapper(run.jumps[jump++].tick);
      const BlockView block{run.timeslots[i], false, ticks.next(run.timeslots[i]),
                            ByteView(run.bytes).subspan(at, run.sizes[i]), entry.header.first_block + i};
      at += run.sizes[i];
      if (auto done = take_block(block); !done) return done;
    }
    return {};
  }

  Expected<void> lose(const IndexEntry& entry, const std::string& why) {
    const SectionHeader& header = entry.header;
    Damage damage = reader_.missing(index_, header.first_block, header.end_block());
    damage.offset = entry.offset;
    damage.bytes = header.section_bytes();
    damage.first_tick = header.first_tick;
    damage.last_tick = header.last_tick;
    damage.reason = why + "; " + blocks_are_lost(header.block_count, header.first_tick, header.last_tick);
    recording_.damage_log()->add(damage);
    return {};
  }

  Expected<void> note_losses(std::uint64_t tick, std::uint64_t ordinal) {
    const std::size_t damages = recording_.damage_log()->count();
    const bool lost = ordinal != expected_ || damages != damages_seen_;
    damages_seen_ = damages;
    const BlockView at{static_cast<std::uint32_t>(tick), lost, tick, {}, ordinal};
    return add_gaps(writer_, id_, losses_.before(at));
  }

  const Recording& recording_;
  const SdszReader& reader_;
  const SdszStream& stream_;
  std::size_t index_;
  SdszWriter& writer_;
  Decoder& decoder_;
  RecoverReport& report_;
  StreamLosses losses_;
  SdszWriter::StreamId id_ = 0;
  std::set<std::uint64_t> damaged_;  // offsets of sections whose payload is, where there is a log
  std::unique_ptr<BlockCursor> from_log_;
  std::optional<BlockView> pending_;
  std::size_t next_section_ = 0;
  std::uint64_t expected_ = 0;  // ordinal of the next block
  std::size_t damages_seen_ = 0;
};

tl::unexpected<Error> differs(const std::filesystem::path& path, const std::string& what) {
  return fail(ErrorCode::io, "what was written does not read back: " + what, path);
}

// Reads a stream of the result and compares it with what was meant to be written.
Expected<void> verify_stream(const SdszReader& reader, std::size_t index, const StreamRecovery& recovery,
                             const OnProgress& on_progress) {
  const SdszStream& stream = reader.streams()[index];
  const std::filesystem::path& path = reader.file()->path();
  DataSectionCoder coder;
  BlockRun run;
  Fingerprint blocks;
  std::size_t section = 0;
  for (const auto& piece : recovery.written.pieces) {
    std::uint64_t left = piece.blocks;
    do {
      if (section == stream.data.size()) return differs(path, "a section is missing");
      const IndexEntry& entry = stream.data[section++];
      auto payload = reader.payload(entry);
      if (!payload) return fail(payload);
      if (auto go_on = report(on_progress, payload->size()); !go_on) return go_on;
      if (entry.header.block_count > left) return differs(path, "a section has more blocks");
      left -= entry.header.block_count;
      if (piece.copied) {
        if (left != 0 || entry.header.payload_checksum != piece.checksum) return differs(path, "a section is another");
        continue;
      }
      if (auto decoded = coder.decode(entry.header, *payload, stream.layout, run); !decoded) return decoded;
      TickUnwrapper ticks(run.first_tick);
      std::size_t jump = 0;
      std::size_t at = 0;
      for (std::size_t i = 0; i < run.count(); ++i) {
        if (jump < run.jumps.size() && run.jumps[jump].block == i) ticks = TickUnwrapper(run.jumps[jump++].tick);
        blocks.add(0, ticks.next(run.timeslots[i]), {}, ByteView(run.bytes).subspan(at, run.sizes[i]));
        at += run.sizes[i];
      }
    } while (left > 0);
  }
  if (section != stream.data.size() || stream.block_count != recovery.written.count ||
      blocks.hex() != recovery.written.blocks.hex())
    return differs(path, "the blocks are others");
  std::uint64_t tail = 0;
  for (const auto& entry : stream.tail) {
    auto bytes = reader.payload(entry);
    if (!bytes) return fail(bytes);
    tail += bytes->size();
  }
  return tail == recovery.tail_bytes ? Expected<void>() : differs(path, "the torn end is another");
}

Expected<void> verify(const std::filesystem::path& path, const std::vector<std::unique_ptr<StreamRecovery>>& streams,
                      const OnProgress& on_progress) {
  auto reader = SdszReader::open(path, {});
  if (!reader) return fail(reader);
  if (!(*reader)->complete() || !(*reader)->sections().from_index) return differs(path, "there is no index");
  if (const auto damages = (*reader)->damages(); !damages.empty()) return differs(path, damages.front().reason);
  if ((*reader)->streams().size() != streams.size()) return differs(path, "streams are missing");
  for (std::size_t i = 0; i < streams.size(); ++i)
    if (auto done = verify_stream(**reader, i, *streams[i], on_progress); !done) return done;
  return {};
}

// True if nothing is missing with it: the section's blocks were had from elsewhere, or it is whole and sound, and was
// left out because it is not this recording's, or is twice.
Expected<bool> is_harmless(const SdszReader& reader, const Damage& damage) {
  if (damage.harmless) return true;
  if (damage.blocks != 0 || damage.bytes < SectionHeader::bytes_v1) return false;
  Bytes stored(SectionHeader::bytes);
  auto got = reader.file()->read(damage.offset, stored);
  if (!got) return fail(got);
  auto header = SectionHeader::decode(ByteView(stored).first(*got));
  if (!header || header->section_bytes() != damage.bytes) return false;
  // Blocks that are missing are damage of their own: these stand in the log, or in another section.
  if (header->kind == SectionKind::data && damage.stream) return true;
  auto payload = reader.payload({*header, damage.offset});
  if (!payload && is_unread(payload.error())) return fail(payload);
  return payload.has_value();
}

}  // namespace

std::filesystem::path recovered_path(const std::filesystem::path& recording) {
  auto path = recording;
  return path.replace_extension(".recovered.sdsz");
}

Expected<RecoverReport> recover(const std::filesystem::path& path, const std::filesystem::path& output, bool force,
                                const OnProgress& on_progress) {
  // The index says where sections stood; where they stand now, their headers say.
  auto recording = open_until_end(path, {.metadata = {}, .walk = true, .with_index = true});
  if (!recording) return fail(recording);
  if (!recording->sdsz()) return fail(ErrorCode::bad_input, "is no .sdsz recording", path);
  if (auto ok = refuse_existing(output, force); !ok) return fail(ok);
  auto labels = LabelsAlong::plan(path, output, force);
  if (!labels) return fail(labels);
  const SdszReader& reader = *recording->sdsz();
  const auto pool = make_worker_pool(0);
  SdszWriterOptions options;
  options.executor = pool.get();
  options.copies = true;
  // Another recording, whose sections and log must not be taken for the input's: its blocks have numbers of their own.
  Properties session = copied_session(*recording);
  auto source = SourceFingerprint().add(*recording).to_string();
  if (!source) return fail(source);
  session.set("source", std::move(*source));
  auto file = PartialFile::create(output, if_exists(force));
  if (!file) return fail(file);
  auto writer = SdszWriter::create(file->borrow_sink(), session, options);
  if (!writer) return fail(writer);
  RecoverReport report;
  StreamRecovery::Decoder decoder;
  std::vector<std::unique_ptr<StreamRecovery>> streams;
  struct Turn {
    std::uint64_t offset;
    std::uint64_t bytes;
    StreamRecovery* stream;
  };
  std::vector<Turn> turns;
  for (std::size_t i = 0; i < reader.streams().size(); ++i) {
    RecoveredStream listed;
    listed.id = recording->streams()[i].id;
    listed.tick_frequency = recording->streams()[i].tick_frequency();
    report.stream_list.push_back(std::move(listed));
    streams.push_back(std::make_unique<StreamRecovery>(*recording, i, *writer, decoder, report));
    if (auto done = streams.back()->begin(); !done) return fail(done);
    if (!reader.streams()[i].has_description) continue;  // nobody can tell what its sections are
    for (const auto& entry : reader.streams()[i].data)
      turns.push_back({entry.offset, entry.header.raw_bytes, streams.back().get()});
  }
  // Streams take turns as in the file, so that what was recorded together stands together.
  std::stable_sort(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) { return a.offset < b.offset; });
  for (const auto& turn : turns) {
    if (auto done = turn.stream->take_next(); !done) return fail(done);
    if (auto go_on = sds::report(on_progress, turn.bytes); !go_on) return fail(go_on);
  }
  for (auto& stream : streams) {
    if (auto done = stream->finish(); !done) return fail(done);
    report.blocks += stream->written.count;
    RecoveredStream& listed = report.stream_list[stream->index()];
    listed.blocks = stream->written.count;
    listed.first_tick = stream->written.first_tick;
    listed.last_tick = stream->written.last_tick;
  }
  report.streams = streams.size();
  report.raw_bytes = writer->raw_bytes();
  if (auto closed = writer->close(); !closed) return fail(closed);
  report.stored_bytes = writer->stored_bytes();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file->path(), ignored)) {
    report.notes.push_back(output.string() + " is no plain file: what was written was not read back");
  } else if (auto done = verify(file->path(), streams, {}); !done) {
    return fail(done);
  }
  for (const auto& damage : recording->damages()) {
    if (damage.torn_end) {  // what of it is lost is damage of its own
      const std::uint64_t kept = streams[*damage.stream]->tail_bytes;
      if (!damage.harmless) report.unread_bytes += kept;
      report.notes.push_back(fmt::format("{}: {} bytes are kept, {}{}", report.stream_list[*damage.stream].id, kept,
                                         damage.reason,
                                         damage.harmless ? "" : ", of more than a block: blocks may be in it"));
      continue;
    }
    auto harmless = is_harmless(reader, damage);
    if (!harmless) return fail(harmless);
    (*harmless ? report.ignored : report.missing).push_back(damage);
  }
  auto copied = labels->keep(*file, report.notes);
  if (!copied) return fail(copied);
  report.labels = std::move(*copied);
  report.closed = is_closed(*recording);
  report.still_open = why_not_closed(*recording);
  for (const auto& text : clocks_apart(*recording)) report.notes.push_back(text);
  report.recorded_losses = reader.streams_lost_before();
  for (const auto& stream : reader.streams()) report.recorded_losses += stream.gaps.size();
  for (const auto& log : {wal_path(path), new_wal_path(path)})
    if (!reader.has_log() && std::filesystem::exists(log, ignored))
      report.notes.push_back(log.string() + " was not used: it is of another recording, or cannot be read");
  return report;
}

}  // namespace sds
