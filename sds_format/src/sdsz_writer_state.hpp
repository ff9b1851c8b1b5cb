// What is behind SdszWriter: streams that are open, sections on their way to the file, and the log.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "sds/format/limits.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/format/time.hpp"
#include "sds/format/wal.hpp"

namespace sds {

// A block whose tick does not follow is a frame of its own in the log: what that weighs among the open bytes.
inline constexpr std::size_t kJumpBytes = 64;

// The first blocks of a run, which stand in the write-ahead log.
struct LoggedPart {
  std::size_t blocks = 0;
  std::size_t bytes = 0;        // of their data
  std::uint64_t last_tick = 0;  // of the last of them
};

struct OpenStream {
  Layout layout;
  Properties description;
  TickUnwrapper ticks;
  BlockRun run;                     // blocks not yet given to the encoder
  std::uint64_t sealed_blocks = 0;  // blocks before run's first
  std::uint64_t filed_blocks = 0;   // of them, in sections that stand in the file
  std::uint64_t filed_tick = 0;     // of the last of those
  std::uint64_t forced_blocks = 0;  // of all, that a flush forced to the disk
  LoggedPart logged;                // of run
  std::uint64_t last_tick = 0;
  Bytes tail;                   // of the torn end: in no section yet, and in no log
  bool torn = false;            // it has a torn end: no block can follow
  bool has_last_clock = false;  // given: it has its place in the room that closes the recording
  bool ended = false;
  std::size_t described_bytes = 0;  // by both of its descriptions at most

  // What is in no section, and what keeps it in mind.
  [[nodiscard]] std::uint64_t open_bytes() const {
    return run.raw_bytes() + run.jumps.size() * kJumpBytes + tail.size();
  }
  [[nodiscard]] std::uint64_t blocks() const { return sealed_blocks + run.count(); }
  // Size in the log of what is logged, without frame headers.
  [[nodiscard]] std::uint64_t live_log_bytes() const { return logged.bytes + 8 * std::uint64_t{logged.blocks}; }
};

// A section on its way to the file: a data section through an encoder, others are ready at once. Owned by the writer;
// `done` is guarded by the writer's mutex.
struct SectionJob {
  std::uint32_t stream = 0;
  BlockRun run;
  EncodedSection section;
  Bytes facts;  // for the index
  bool done = false;
  bool encoded = true;
  // Of the run, in the log, and what WalWriter::add() needs to go on behind it.
  std::uint64_t first_block = 0;
  std::size_t logged_blocks = 0;
  std::size_t logged_bytes = 0;
  std::uint64_t tick_behind_log = 0;
};

struct SdszWriter::State {
  std::unique_ptr<ByteSink> sink;
  SdszWriterOptions options;
  std::vector<OpenStream> streams;
  std::size_t ended_streams = 0;  // of them
  std::optional<WalWriter> wal;
  Bytes session;
  std::uint64_t recording = 0;
  IndexBuilder index;
  std::uint64_t last_index = 0;
  std::uint64_t stored = 0;   // bytes in the sink that are whole sections
  bool torn = false;          // there may be some behind them
  std::size_t described = 0;  // bytes of all descriptions
  std::uint64_t raw = 0;      // of sealed blocks
  std::uint64_t open_bytes = 0;
  std::uint64_t accounted = 0;         // of them, in options.open_blocks
  std::uint64_t synced_bytes = 0;      // of `stored`, forced to the disk
  std::uint64_t synced_log_bytes = 0;  // and of the log
  std::uint64_t renew_at = 0;          // bytes of the log from which on its renewal may be tried
  std::uint32_t sequence = 0;
  std::optional<Error> failure;
  std::optional<Error> log_failure;   // the log is not to be trusted: nothing is flushed before it is replaced
  std::optional<Error> replaced_log;  // why it was, and nobody asked yet
  std::optional<Error> not_marked;    // why the file could not be
  bool saved_in_log = false;          // since the failure, successfully
  bool for_good = false;              // no resume() helps
  bool keeps_room = false;            // nothing but what ends the recording takes the room that it needs to be closed
  bool closing = false;               // close() was called
  std::size_t close_step = 0;         // how far it came
  bool closed = false;

  std::deque<std::unique_ptr<SectionJob>> jobs;  // in the order of their sections
  std::vector<BlockRun> spare_runs;
  std::vector<std::unique_ptr<DataSectionCoder>> coders;  // free ones; guarded by mutex
  std::mutex mutex;
  std::condition_variable job_done;

  ~State();

  // Of something that was tried with the file or the log. Permanent: nobody knows what became of it.
  enum class Failure { until_resumed, permanent };
  void note_failure(Error&& error, Failure kind = Failure::until_resumed) noexcept {
    for_good = for_good || kind == Failure::permanent;
    if (!failure) failure = std::move(error);
  }
  tl::unexpected<Error> latch(Expected<void> failed, Failure kind = Failure::until_resumed) {
    note_failure(kind == Failure::permanent ? lasting(std::move(failed.error())) : std::move(failed.error()), kind);
    return tl::unexpected<Error>(*failure);
  }

  // Makes a call that writes. A lack of memory latches as a write that failed does: file and log may end anywhere, what
  // the streams and jobs hold stays as it is, and resume() goes on from there.
  template <class Write>
  Expected<void> latching(Write write, Failure kind = Failure::until_resumed) {
    try {
      return write();
    } catch (const std::exception&) {
      note_failure(no_memory(), kind);
      save_in_log_if_possible();
      return tl::unexpected<Error>(no_memory());
    }
  }

  // A sync or close: of one that failed nobody knows what it left.
  template <class Call>
  Expected<void> surely(Call call) {
    return latching(
        [&]() -> Expected<void> {
          auto done = call();
          if (!done) return latch(std::move(done), Failure::permanent);
          return {};
        },
        Failure::permanent);
  }

  // Makes a call that takes something, and then one that writes what there is. What finds no memory takes nothing, and
  // is no failure of the writer.
  template <class Take, class Write>
  Expected<void> taking(Take take, Write write) {
    try {
      if (auto taken = take(); !taken) return taken;
    } catch (const std::exception&) {
      return tl::unexpected<Error>(no_memory());
    }
    return latching(write);
  }

  // Makes a call that writes what there is, unless the writer has failed or is closed.
  template <class Write>
  Expected<void> if_usable(Write write) {
    return latching([&]() -> Expected<void> {
      if (auto ok = usable(); !ok) return ok;
      return write();
    });
  }

  // The error that every call answers with while the writer has failed.
  [[nodiscard]] Expected<void> usable() const {
    if (failure) return tl::unexpected<Error>(*failure);
    if (closing) return fail(ErrorCode::usage, "the recording is closed", sink->path());
    return {};
  }

  // --- Sections (sdsz_writer_sections.cpp)

  Expected<void> write_section(SectionHeader header, ByteView payload, const std::vector<ColumnStatistics>& statistics,
                               ByteView facts);

  Expected<void> write_index();

  // Puts a section that is no data section into the queue.
  void push_small(SectionKind kind, std::uint32_t stream, Bytes payload, bool keep_facts = false);

  std::unique_ptr<DataSectionCoder> borrow_coder();

  void start_sealing(std::uint32_t id) {
    start_sealing_blocks(id);
    start_sealing_tail(id);
  }

  // A torn end is gathered up to this.
  [[nodiscard]] std::size_t tail_piece_bytes() const;

  // Puts what there is of a stream's torn end into sections.
  void start_sealing_tail(std::uint32_t id);

  // Gives the open blocks of a stream to the encoder; their section is written, in order, when it is ready.
  void start_sealing_blocks(std::uint32_t id);

  // Moves the open blocks of a stream into a job.
  void take_open_blocks(std::uint32_t id, OpenStream& stream, SectionJob& job);

  // Without the memory for it a job is done, but not encoded: commit() tries again.
  void encode(SectionJob& job, const Layout& layout);

  Expected<void> seal(std::uint32_t id) {
    start_sealing(id);
    return commit(pipelined());
  }

  // Sections that may be on their way through encoders while blocks are appended.
  [[nodiscard]] std::size_t pipelined() const {
    return options.executor == nullptr ? 0 : options.executor->concurrency();
  }

  // Writes finished sections in order until at most `may_wait` are still on their way.
  Expected<void> commit(std::size_t may_wait);

  // Encoders on other threads point at jobs.
  void wait_for_encoders();

  // Takes back the section that comes next, of blocks or of a torn end, which has no room, and of its stream all blocks
  // and the torn end that came behind; or a clock pair. False where that is not what failed, or the log has some of it.
  bool leave_out_next_section();
  // Takes what is left to be written of a stream, but for its gaps. Returns the bytes of its torn end in it.
  std::uint64_t take_back(std::uint32_t id);

  // The file is cut back to whole sections, if it ends anywhere.
  Expected<void> cut_back();

  // Whether a section must leave the room that closes the recording.
  [[nodiscard]] bool takes_room(const SectionHeader& header) const;
  // How much that is, behind this section.
  [[nodiscard]] std::uint64_t room_behind(const SectionHeader& header) const;

  Expected<void> resume_with_what_fits();

  // Keeps the memory of blocks that have been written for those that come, in up to `most` runs.
  void keep_spare(BlockRun& run, std::size_t most);

  // One by one, and each to its end: what is on its way takes memory, too.
  Expected<void> trim();

  // --- What is given (sdsz_writer_streams.cpp)

  Expected<void> take_stream(const StreamDescription& description);

  void forget_last_stream() {
    described -= streams.back().described_bytes;
    streams.pop_back();
  }

  // Of the stream that was taken last. If it cannot be written, the stream is forgotten.
  Expected<void> write_stream();

  // Queues a data section of another recording.
  void take_section(std::uint32_t id, const SectionHeader& header, std::vector<ColumnStatistics> statistics,
                    Bytes payload);

  Expected<void> append(std::uint32_t id, std::uint64_t tick, ByteView data);

  // Of those that have blocks open.
  [[nodiscard]] std::uint32_t largest_stream() const {
    const auto largest = std::max_element(streams.begin(), streams.end(),
                                          [](const auto& a, const auto& b) { return a.open_bytes() < b.open_bytes(); });
    return static_cast<std::uint32_t>(largest - streams.begin());
  }

  void account() {
    if (options.open_blocks == nullptr) return;
    options.open_blocks->used_ += open_bytes - accounted;
    accounted = open_bytes;
  }

  [[nodiscard]] bool has_too_many() const {
    return options.open_blocks != nullptr && open_bytes > 0 && options.open_blocks->too_many(open_bytes);
  }

  [[nodiscard]] std::uint64_t unwritten_bytes() const;

  // A log that takes the place of the one there is has room where the section will be.
  [[nodiscard]] std::uint64_t unlogged_bytes() const;

  // Whether a block may be appended to a stream.
  [[nodiscard]] Expected<void> accepts(const OpenStream& stream, std::size_t bytes) const;

  // Too many sections could not be read back. What ends a stream goes into the reserve: a gap, the begin of a torn end;
  // and what was in another recording, which had as many.
  enum class Purpose { go_on, end };
  [[nodiscard]] Expected<void> room_for_sections(Purpose purpose = Purpose::go_on, std::size_t wanted = 1) const;

  // --- The log (sdsz_writer_log.cpp)

  // Writes what is open into `log`; what is written is marked in the streams.
  Expected<void> log_open_blocks(WalWriter& log);

  // The same of jobs, too, into the log that there is.
  Expected<void> log_all_blocks();

  // Where the file takes no more, what came since the last flush goes into the log, as far as that takes it.
  void save_in_log();

  void save_in_log_if_possible() {
    try {
      save_in_log();
    } catch (const std::exception&) {
      // What the log has no memory for stays where it is.
    }
  }

  // The tick of a stream's first block that is not in the log yet.
  static std::uint64_t tick_behind_log(const OpenStream& stream);

  // What has been sealed since is dead weight: with as much of it as of live blocks, what is logged is written twice at
  // most.
  [[nodiscard]] bool log_is_due_for_renewal() const;

  Expected<void> flush_log();

  Expected<void> replace_log();

  static Error lasting(Error&& error);

  // Puts a log of what is open in the place of the one that there is, which counts until then. If that fails, it still
  // does, unless the failure latched. Throws only behind that.
  Expected<void> renew_log();

  // --- The end (sdsz_writer.cpp)

  // What everything else hangs on stands twice in the file: a damaged section costs only itself.
  void describe_again();

  Expected<void> flush();

  Expected<void> resume();

  Expected<void> close_next(std::size_t step);
};

}  // namespace sds
