#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <map>
#include <random>

#include "plain_file.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/new_file.hpp"
#include "sds/format/plain.hpp"
#include "sds/format/sdsz_reader.hpp"
#include "sds/format/wal.hpp"
#include "sds/recorder/server_limits.hpp"
#include "sds/recorder/session_clock.hpp"
#include "sds/recorder/session_writer.hpp"
#include "utc_watch.hpp"
#include "watched_file.hpp"
#include "when_there_is_memory.hpp"

namespace sds {

namespace {

// A block that has begun and is longer than this is not copied to look at what comes behind it.
constexpr std::size_t kLookAheadBytes = std::size_t{1} << 16;
// The time from one clock pair of a stream to the next doubles with every so many: a recording that goes on for a year
// has no more than a few thousand of a stream.
constexpr std::uint64_t kClockIntervalNs = 10'000'000'000;
constexpr std::uint64_t kClockPairsOfAnInterval = 128;

// A block and when the bytes that completed it came.
struct ReceivedBlock {
  std::uint64_t tick = 0;
  Arrival arrival;
};

struct PackedStream {
  std::string name;
  SdszWriter::StreamId id = 0;
  SessionClock::StreamId clock = 0;
  BlockParser parser;
  std::uint64_t unfinished_bytes = 0;  // what the parser holds
  RecordCounter came;                  // blocks: counted without memory
  bool tail_only = false;
  std::uint64_t tail_bytes = 0;               // given to the writer as its torn end
  std::optional<ReceivedBlock> newest;        // the last block of the newest batch
  std::optional<ReceivedBlock> last_written;  // of which a clock pair was written
  std::uint64_t clock_pairs = 0;
};

// What is kept of a stream that was closed: what it had may not be in the file yet.
struct ClosedStream {
  std::string name;
  SdszWriter::StreamId id = 0;
  std::uint64_t blocks = 0;          // that came
  std::uint64_t tail_bytes = 0;      // of its torn end
  std::uint64_t refused_blocks = 0;  // that had no place when it was closed, as was told
  // Of a recording that has to be given up.
  bool open = false;
  std::uint64_t unfinished_bytes = 0;
  std::uint64_t saved_blocks = 0;
  std::uint64_t forced_blocks = 0;  // of them, to the disk
  std::uint64_t saved_tail_bytes = 0;
};

struct MetadataFile {
  std::string name;
  std::string text;
};

Expected<MetadataFile> read_metadata(const std::filesystem::path& directory, const std::string& stream) {
  for (const char* ending : {".sds.yml", ".sds.yaml"}) {
    const auto path = directory / (stream + ending);
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) continue;
    auto text = read_small_file(path, limits::max_metadata_bytes);
    if (!text) return fail(text);
    return MetadataFile{path.filename().string(), std::move(*text)};
  }
  return MetadataFile{};
}

class PackedSession final : public SessionWriter {
 public:
  PackedSession(SessionOptions options, std::filesystem::path path, SdszWriter writer)
      : options_(std::move(options)),
        path_(std::move(path)),
        file_(path_),
        writer_(std::make_unique<SdszWriter>(std::move(writer))),
        unfinished_(options_.unfinished, server_limits::unfinished_bytes, server_limits::unfinished_bytes_own) {}

  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    if (const auto streams = streams_.size() + closed_.size(); streams >= server_limits::max_session_streams)
      return fail(ErrorCode::limit,
                  fmt::format("the recording has {} streams; it ends when the device has none open", streams), path_);
    auto metadata = read_metadata(options_.directory, name);
    if (!metadata) return fail(metadata);
    StreamDescription description;
    description.name = name;
    // A stream that is opened, closed and opened again in one session gets the next label.
    description.label = std::to_string(labels_[name]);
    description.playback = options_.playback;
    description.metadata_file_name = std::move(metadata->name);
    description.metadata_text = std::move(metadata->text);
    Frequency frequency;
    if (description.metadata_file_name.empty()) {
      spdlog::warn("record   {}: {}: no {}.sds.yml in {}: blocks are recorded as plain bytes", options_.device, name,
                   name, options_.directory.string());
    } else if (auto parsed = Metadata::parse(description.metadata_text, description.metadata_file_name); !parsed) {
      spdlog::warn("record   {}: {}: {}: blocks are recorded as plain bytes", options_.device, name,
                   parsed.error().to_string());
    } else {
      frequency = parsed->tick_frequency;
    }
    auto id = add_stream(description);
    if (!id) return fail(id);
    ++labels_[name];
    spdlog::info("record   {}: {} -> {}", options_.device, name, path_.string());
    PackedStream stream;
    stream.name = name;
    stream.id = *id;
    stream.clock = clock_.add_stream(frequency);
    streams_[handle] = std::move(stream);
    any_stream_ = true;
    return {};
  }

  // After a long silence of the stream.
  bool wants_announcement(std::uint32_t handle, const Arrival& arrival) const override {
    const PackedStream& stream = streams_.at(handle);
    return !stream.tail_only && stream.parser.rest_bytes() <= kLookAheadBytes && clock_.in_doubt(stream.clock, arrival);
  }

  void announce(std::uint32_t handle, std::span<const ByteView> pieces, const Arrival& arrival) override {
    (void)with_memory([&]() -> Expected<void> {
      const PackedStream& stream = streams_.at(handle);
      std::vector<std::uint32_t> timeslots;
      BlockParser parser = stream.parser;
      for (const auto bytes : pieces)
        (void)parser.push(bytes, [&](std::uint32_t timeslot, ByteView) {
          timeslots.push_back(timeslot);
          return Expected<void>{};
        });
      clock_.expect(stream.clock, timeslots, arrival);
      return {};
    });
  }

  Expected<void> write(std::uint32_t handle, ByteView bytes, const Arrival& arrival) override {
    PackedStream& stream = streams_.at(handle);
    if (!stream.tail_only) stream.came.push(bytes);  // also what comes behind a failure
    utc_.look(options_.device, arrival);
    Expected<void> done = with_memory([&]() -> Expected<void> {
      // Another batch has begun: what is newest is the last block of the one before.
      if (stream.newest && stream.newest->arrival != arrival) return add_clock_if_due(stream);
      return {};
    });
    const auto on_block = [&](std::uint32_t timeslot, ByteView data) {
      if (!done) return Expected<void>{};
      done = with_memory([&] {
        const std::uint64_t tick = clock_.tick(stream.clock, timeslot, arrival);
        stream.newest = ReceivedBlock{tick, arrival};
        return give([&] { return writer_->append_at(stream.id, tick, data); });
      });
      return Expected<void>{};
    };
    auto parsed = with_memory([&] { return stream.parser.push(bytes, std::ref(on_block)); });
    if (!done) return done;
    if (!parsed) return parsed;
    if (stream.parser.is_raw()) {
      stream.tail_only = true;  // no block structure from here on: keep the bytes as they come
      const Bytes rest = stream.parser.take_rest();
      stream.tail_bytes += rest.size();
      if (auto kept = give([&] { return writer_->append_tail(stream.id, rest); }); !kept) return kept;
    }
    return hold(stream);
  }

  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    const auto found = streams_.find(handle);
    if (found == streams_.end()) return {};
    closed_.push_back({found->second.name, found->second.id, found->second.came.blocks(),
                       found->second.tail_bytes + found->second.parser.rest_bytes()});
    auto node = streams_.extract(found);
    closing_ = true;
    auto done = end_stream(node.mapped(), reason);
    closing_ = false;
    return done;
  }

  Expected<void> flush() override {
    for (auto& [handle, stream] : streams_)
      if (auto added = add_clock_if_due(stream); !added) return added;
    auto flushed = repeat([&] { return writer_->flush(); });
    tell_replaced_log();
    return flushed;
  }

  Expected<void> seal() override {
    Expected<void> sealed;
    for (const auto& [handle, stream] : streams_)
      if (sealed) sealed = give([&, id = stream.id] { return writer_->seal(id); });
    if (sealed) sealed = repeat([&] { return writer_->shrink_log(); });
    seal_failed_ = !sealed;
    tell_replaced_log();
    return sealed;
  }

  Expected<void> trim() override {
    return writer_->failure() ? Expected<void>{} : repeat([&] { return writer_->trim(); });
  }

  std::uint64_t unwritten_bytes() const override {
    return writer_->unwritten_bytes() + unfinished_bytes_ +
           (unfinished_bytes_ >> 10);  // with the headers of its pieces
  }

  std::uint64_t unlogged_bytes() const override { return writer_->unlogged_bytes(); }

  std::optional<Error> missing_file() override {
    if (auto missing = file_.missing()) return missing;
    if (log_missing_ || !writer_ || writer_->log_is_in_place()) return std::nullopt;
    log_missing_ = true;
    return Error{ErrorCode::io, "the log was moved or deleted while it was in use", wal_path(path_), {}};
  }

  // Where only the log failed, or what failed once does not again, the recording takes what came.
  // Who does not wait for space, or would wait in vain, is closed with what has a place.
  bool prepare_end() override {
    ends_ = !waits() || (writer_->failure() && is_file_full(*writer_->failure()));
    stopped_.reset();
    return resume().has_value();
  }

  std::optional<Error> must_end() override { return stopped_; }

  Expected<SessionSummary> finish() override {
    note_sizes();
    if (!any_stream_) {
      discard();
      return summary_;
    }
    SessionSummary summary = summary_;  // once the recording is closed nothing is to fail any more
    auto closed = repeat([&] { return writer_->close(); });
    if (!closed && writer_->closing() != SdszWriter::Closing::stored) return fail(closed);
    if (!closed)
      spdlog::warn("record   {}: {}: all that came is in the recording", options_.device, closed.error().to_string());
    for (const auto& stream : closed_) {
      summary.blocks += saved_blocks(stream.id);
      if (const auto left_out = stream.blocks - stream.refused_blocks - writer_->taken_blocks(stream.id); left_out > 0)
        summary.losses.push_back(fmt::format("{}: {} blocks that came have no place in it", stream.name, left_out));
    }
    summary.stored_bytes = writer_->stored_bytes();
    if (ends_ && with_memory([&] { return count_what_is_there(); }))
      for (const auto& stream : closed_)
        if (const auto left_out = stream.tail_bytes - stream.saved_tail_bytes; left_out > 0)
          summary.losses.push_back(
              fmt::format("{}: {} bytes of its torn end that came have no place in it", stream.name, left_out));
    return summary;
  }

  SessionSummary abandon(const std::string& reason) override {
    while (!streams_.empty()) {
      const PackedStream& stream = streams_.begin()->second;
      closed_.push_back({stream.name, stream.id, stream.came.blocks(), stream.tail_bytes});
      closed_.back().unfinished_bytes = stream.parser.rest_bytes();
      closed_.back().open = true;
      streams_.erase(streams_.begin());
    }
    (void)unfinished_.set(0);
    const bool written = writer_ && writer_->closing() == SdszWriter::Closing::written;
    if (writer_) {
      note_sizes();
      for (auto& stream : closed_) {
        stream.saved_blocks = saved_blocks(stream.id);
        stream.forced_blocks = writer_->forced_blocks(stream.id);
      }
      writer_.reset();
    }
    bool looked = true;
    if (any_stream_) {
      looked = with_memory([&] { return count_what_is_there(); }).has_value();
    } else {
      discard();
    }
    SessionSummary summary = summary_;
    const char* are_not = looked ? "are not" : "may not be";
    bool told = false;
    for (const auto& stream : closed_) {
      summary.blocks += stream.saved_blocks;
      const auto lost = stream.blocks - stream.saved_blocks;
      const auto lost_tail = stream.tail_bytes - stream.saved_tail_bytes + stream.unfinished_bytes;
      // What power cuts were to spare. (Of one that is whole that is said once.)
      const bool forces = options_.durability == Durability::power && !written;
      const auto unforced = forces ? stream.saved_blocks - std::min(stream.saved_blocks, stream.forced_blocks) : 0;
      if (!stream.open && lost == 0 && lost_tail == 0 && unforced == 0) continue;
      std::string what;
      if (lost > 0) {
        what = fmt::format("{} of the {} blocks that came {} in the recording", lost, stream.blocks, are_not);
      } else if (stream.open) {
        what = "what came since the last flush may be missing";
      }
      if (lost_tail > 0)
        what += what.empty() ? fmt::format("{} bytes of its torn end {} in the recording", lost_tail, are_not)
                             : fmt::format(", {} {} bytes of one that had begun",
                                           lost == 0 ? "and"
                                           : looked  ? "nor are"
                                                     : "nor",
                                           lost_tail);
      if (unforced > 0)
        what +=
            fmt::format("{}{} blocks of it would perhaps not survive a power cut", what.empty() ? "" : ", ", unforced);
      summary.losses.push_back(fmt::format("{}: {}; {}", stream.name, reason, what));
      told = true;
    }
    if (any_stream_ && !told)
      summary.losses.push_back(reason + (written ? "; the recording is whole, but would perhaps not survive a power cut"
                                                 : "; the recording is not closed"));
    if (any_stream_ && !written)
      spdlog::warn("record   {}: {} is not closed, and stays as after a kill: close it with sds recover {}",
                   options_.device, path_.filename().string(), path_.string());
    return summary;
  }

 private:
  Expected<void> end_stream(PackedStream& stream, const std::string& reason) {
    auto clock = add_last_clock(stream);
    std::string loss = reason;
    const auto refused = stream.came.blocks() - writer_->taken_blocks(stream.id);
    closed_.back().refused_blocks = refused;
    if (refused > 0)
      loss += fmt::format("{}{} blocks that came have no place in it", loss.empty() ? "" : "; ", refused);
    if (stream.tail_only) loss += (loss.empty() ? "" : "; ") + std::string("a block of an absurd size was announced");
    if (stream.parser.rest_bytes() > 0)
      loss += fmt::format("{}the last block is incomplete ({} bytes of it came)", loss.empty() ? "" : "; ",
                          stream.parser.rest_bytes());
    if (!loss.empty()) summary_.losses.push_back(stream.name + ": " + loss);
    if (const auto early = clock_.blocks_before_zero(stream.clock); early > 0)
      spdlog::warn("time     {}: {}: {} blocks are from before the session's tick 0, and have too high a tick",
                   options_.device, stream.name, early);
    if (!clock) return clock;
    if (!loss.empty())
      if (auto added = give([&] { return writer_->add_gap(stream.id, loss); }); !added) return added;
    const Bytes rest = stream.parser.take_rest();
    if (auto held = hold(stream); !held) return held;
    if (!rest.empty())
      if (auto kept = give([&] { return writer_->append_tail(stream.id, rest); }); !kept) return kept;
    return give([&] { return writer_->end_stream(stream.id); });
  }

  // In the file or in its log.
  [[nodiscard]] std::uint64_t saved_blocks(SdszWriter::StreamId id) const {
    return writer_->taken_blocks(id) - writer_->unsaved_blocks(id);
  }

  // A write that failed may have left whole blocks of what it was to write. Fails if that cannot be told.
  Expected<void> count_what_is_there() {
    if (file_.where() != path_) return fail(ErrorCode::io, "what has its name is not it", path_);
    const auto left = SdszReader::open(path_, {});
    if (!left) return fail(left);
    for (auto& stream : closed_) {
      if (stream.id >= (*left)->streams().size()) continue;
      const SdszStream& there = (*left)->streams()[stream.id];
      stream.saved_blocks = std::min(there.block_count, stream.blocks);
      std::uint64_t tail = 0;
      for (const auto& entry : there.tail) tail += entry.header.raw_bytes;
      stream.saved_tail_bytes = std::min(tail, stream.tail_bytes);
    }
    return {};
  }

  [[nodiscard]] bool waits() const { return options_.gate == nullptr || options_.gate->on_full() == OnFull::wait; }

  [[nodiscard]] Expected<void> resume() { return ends_ ? writer_->resume_with_what_fits() : writer_->resume(); }

  // What the writer has in hand when it fails it keeps, and writes when it resumes. What has no room when a stream is
  // closed is left out of a recording without a log, which then has to end.
  template <class Again>
  Expected<void> settle(Expected<void> done, Again again) {
    if (done || !writer_->failure() || !writer_->can_resume()) return done;
    const bool leaves_out = (closing_ || ends_) && options_.durability == Durability::none;
    if (leaves_out && (is_file_full(done.error()) || (!waits() && is_disk_full(done.error())))) {
      if (!std::exchange(ends_, true)) stopped_ = done.error();
      return again();
    }
    return sds::settle(options_.gate, options_.device, std::move(done), again);
  }

  // Gives the writer something; while it has failed it takes nothing.
  template <class Call>
  Expected<void> give(Call call) {
    const auto again = [&] { return resume(); };
    if (std::exchange(seal_failed_, false)) (void)resume();
    if (writer_->failure())
      if (auto resumed = settle(tl::unexpected<Error>(*writer_->failure()), again); !resumed) return resumed;
    return settle(call(), again);
  }

  // An OPEN is not made to wait: what failed is tried once more at once, and if it stays so, the stream is refused. A
  // stream that was refused is gone from the writer, so that nothing of it is in the way of the others.
  Expected<SdszWriter::StreamId> add_stream(const StreamDescription& description) {
    if (auto usable = writer_->resume(); !usable) return fail(usable);
    auto id = writer_->add_stream(description);
    if (id || !writer_->failure()) return id;
    const bool lacks = lacks_room(*writer_->failure());
    if (!writer_->resume() || lacks) return id;
    tell_another_try(options_.device, id.error());
    id = writer_->add_stream(description);
    (void)writer_->resume();
    return id;
  }

  void tell_replaced_log() {
    if (const auto replaced = writer_->take_replaced_log())
      spdlog::warn("record   {}: {}: the log was written anew", options_.device, replaced->to_string());
  }

  // For what is to be called again after a failure.
  template <class Call>
  Expected<void> repeat(Call call) {
    if (std::exchange(seal_failed_, false)) (void)resume();
    const auto again = [&] {
      auto resumed = resume();
      return resumed ? call() : resumed;
    };
    return settle(call(), again);
  }

  // Accounts for the block that `stream` has under way.
  Expected<void> hold(PackedStream& stream) {
    const std::uint64_t now = stream.parser.rest_bytes();
    unfinished_bytes_ = unfinished_bytes_ + now - stream.unfinished_bytes;
    stream.unfinished_bytes = now;
    if (unfinished_.set(unfinished_bytes_)) return {};
    return fail(ErrorCode::limit, fmt::format("{}: too many bytes of blocks that do not end ({} of this device)",
                                              stream.name, size_text(unfinished_bytes_)));
  }

  Expected<void> add_clock(PackedStream& stream, SdszWriter::ClockOf of = SdszWriter::ClockOf::block) {
    const ReceivedBlock& block = *stream.newest;
    stream.last_written = block;
    ++stream.clock_pairs;
    const ClockPair pair{block.tick, block.arrival.utc_ns, block.arrival.monotonic_ns};
    auto done = give([&] { return writer_->add_clock(stream.id, pair, of); });
    // A recording that can take no more sections has room for what was begun: the data say when it must end.
    if (!done && done.error().code == ErrorCode::limit) return {};
    return done;
  }

  Expected<void> add_clock_if_due(PackedStream& stream) {
    if (!stream.newest || stream.tail_only || !stream.newest->arrival.prompt) return {};
    if (stream.last_written) {
      const auto before = stream.last_written->arrival.monotonic_ns;
      const auto now = stream.newest->arrival.monotonic_ns;
      const auto doublings = std::min<std::uint64_t>(20, stream.clock_pairs / kClockPairsOfAnInterval);
      if (now < before || now - before < kClockIntervalNs << doublings) return {};
    }
    return add_clock(stream);
  }

  Expected<void> add_last_clock(PackedStream& stream) {
    if (!stream.newest || stream.tail_only || !stream.newest->arrival.prompt) return {};
    if (stream.last_written && stream.newest->arrival == stream.last_written->arrival) return {};
    return add_clock(stream, SdszWriter::ClockOf::end);
  }

  void note_sizes() {
    summary_.files = {path_};
    summary_.raw_bytes = writer_->raw_bytes();
    summary_.stored_bytes = writer_->stored_bytes();
  }

  // No stream was ever opened: there is nothing to keep. All three files are ours: creation saw to that.
  void discard() {
    writer_.reset();
    auto log = wal_path(path_);
    (void)remove_file(log);
    log += ".new";
    (void)remove_file(log);
    (void)remove_file(path_);
    summary_.files.clear();
  }

  SessionOptions options_;
  std::filesystem::path path_;
  WatchedFile file_;
  bool log_missing_ = false;
  std::unique_ptr<SdszWriter> writer_;
  SessionClock clock_;
  std::map<std::uint32_t, PackedStream> streams_;  // open ones
  std::vector<ClosedStream> closed_;
  std::map<std::string, std::uint32_t> labels_;
  std::uint64_t unfinished_bytes_ = 0;  // of all streams
  TotalShare unfinished_;
  bool any_stream_ = false;
  UtcWatch utc_;
  bool closing_ = false;          // a stream
  bool ends_ = false;             // with what has a place
  std::optional<Error> stopped_;  // why it has to end
  bool seal_failed_ = false;      // which need not have been: what comes next begins with another try
  SessionSummary summary_;
};

bool is_taken(const std::filesystem::path& recording) {
  auto fresh_log = wal_path(recording);
  fresh_log += ".new";
  std::error_code ignored;
  // A name that cannot be looked at is left to the creation, which says why.
  auto labels = recording;
  labels.replace_extension(".labels.yml");
  for (const auto& path : {recording, wal_path(recording), fresh_log, labels})
    if (std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return true;
  return false;
}

}  // namespace

Expected<std::unique_ptr<SessionWriter>> make_packed_session(const SessionOptions& options) {
  std::random_device entropy;
  const std::uint64_t now = stamp_now().utc_ns;
  Properties session;
  session.set("id", fmt::format("{:016x}-{:08x}{:08x}", now, entropy(), entropy()));
  session.set("start-utc-ns", std::to_string(now));
  session.set("tool", "sdskit serve");
  if (!options.device.empty()) session.set("device", options.device);
  SdszWriterOptions writer_options;
  writer_options.level = options.level;
  writer_options.durability = options.durability;
  writer_options.executor = options.executor;
  writer_options.open_blocks = options.open_blocks;
  for (std::uint32_t number = 0;; ++number) {
    const auto path = options.directory / fmt::format("recording.{}{}.sdsz", number, options.playback ? ".p" : "");
    if (is_taken(path)) continue;
    NewFile recording(path);
    NewFile log(wal_path(path));
    auto writer = SdszWriter::create(path, session, writer_options);
    if (!writer && writer.error().code == ErrorCode::exists) continue;  // another session was faster
    if (!writer) return fail(writer);
    recording.made();
    log.made();
    warn_if_not_marked(options.device, writer->not_marked());
    auto made = std::make_unique<PackedSession>(options, path, std::move(*writer));
    recording.keep();
    log.keep();
    return made;
  }
}

}  // namespace sds
