#include "sds/format/sdsz_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <tuple>

#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/sdsz_index.hpp"
#include "sds/format/time.hpp"
#include "sds/format/wal.hpp"

namespace sds {

namespace {

constexpr std::size_t kIndexPieceBytes = std::size_t{1} << 20;
// A log is not worth replacing before it holds this much that has been sealed since.
constexpr std::uint64_t kMinDeadLogBytes = std::uint64_t{4} << 20;
// One that could not be replaced grows by this much before that is tried again.
constexpr std::uint64_t kRetryLogBytes = std::uint64_t{1} << 20;
constexpr std::size_t kLogWriteBytes = std::size_t{1} << 20;
constexpr std::size_t kTailPieceBytes = std::size_t{1} << 20;
// What the second description of a stream has more than the first.
constexpr std::size_t kClosingDescriptionBytes = 64;
// Room for what closes a recording: descriptions, index pieces, footer.
constexpr std::size_t kSectionsForIndex = 512;
// A block whose tick does not follow is a frame of its own in the log: what that weighs among the open bytes.
constexpr std::size_t kJumpBytes = 64;
// What a section takes at most beside its data, its entry in the index included; and with each column's statistics.
constexpr std::uint64_t kSectionMargin = 512;
constexpr std::uint64_t kColumnMargin = 128;
// What a stream that is open may get before it ends: data, a clock pair, a gap (twice: in the index, too), a tail.
constexpr std::uint64_t kOpenStreamMargin = 4 * kSectionMargin + 2 * limits::max_gap_reason_bytes;
// And the footer, the last piece of the index, and what a file system rounds up.
constexpr std::uint64_t kClosingMargin = std::uint64_t{1} << 15;
// What a writer holds is told to the others in steps of this.
constexpr std::uint64_t kAccountBytes = std::uint64_t{1} << 14;

struct OpenStream {
  Layout layout;
  Properties description;
  TickUnwrapper ticks;
  BlockRun run;                     // blocks not yet given to the encoder
  std::uint64_t sealed_blocks = 0;  // blocks before run's first
  std::uint64_t filed_blocks = 0;   // of them, in sections that stand in the file
  std::size_t logged_blocks = 0;    // of run, in the write-ahead log
  std::size_t logged_bytes = 0;     // of their data
  std::uint64_t logged_tick = 0;    // of the last of them
  std::uint64_t last_tick = 0;
  Bytes tail;         // of the torn end: in no section yet, and in no log
  bool torn = false;  // it has a torn end: no block can follow
  bool ended = false;

  // What is in no section, and what keeps it in mind.
  [[nodiscard]] std::uint64_t open_bytes() const {
    return run.raw_bytes() + run.jumps.size() * kJumpBytes + tail.size();
  }
  [[nodiscard]] std::uint64_t blocks() const { return sealed_blocks + run.count(); }
  // Size in the log of what is logged, without frame headers.
  [[nodiscard]] std::uint64_t live_log_bytes() const { return logged_bytes + 8 * std::uint64_t{logged_blocks}; }
};

// A section on its way to the file: a data section through an encoder, others are ready at once. Owned by the writer;
// `done` is guarded by the writer's mutex.
struct Job {
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

}  // namespace

struct SdszWriter::State {
  std::unique_ptr<ByteSink> sink;
  SdszWriterOptions options;
  std::vector<OpenStream> streams;
  std::optional<WalWriter> wal;
  Bytes session;
  std::uint64_t recording = 0;
  IndexBuilder index;
  std::uint64_t last_index = 0;
  std::uint64_t stored = 0;   // bytes in the sink that are whole sections
  std::size_t described = 0;  // bytes of all descriptions
  std::uint64_t raw = 0;      // of sealed blocks
  std::uint64_t open_bytes = 0;
  std::uint64_t accounted = 0;         // of them, in options.open_blocks
  std::uint64_t synced_bytes = 0;      // of `stored`, forced to the disk
  std::uint64_t synced_log_bytes = 0;  // and of the log
  std::uint64_t renew_at = 0;          // bytes of the log from which on its renewal may be tried
  std::uint32_t sequence = 0;
  std::optional<Error> failure;
  bool saved_in_log = false;   // since the failure
  bool for_good = false;       // no resume() helps
  std::size_t close_step = 0;  // how far close() came
  bool closed = false;

  std::deque<std::unique_ptr<Job>> jobs;  // in the order of their sections
  std::vector<BlockRun> spare_runs;
  std::vector<std::unique_ptr<DataSectionCoder>> coders;  // free ones; guarded by mutex
  std::mutex mutex;
  std::condition_variable job_done;

  ~State() {
    if (options.open_blocks != nullptr) {
      options.open_blocks->used_ -= accounted;
      --options.open_blocks->writers_;
    }
    // Encoders on other threads point at our jobs.
    while (options.executor != nullptr && options.executor->help()) {
    }
    std::unique_lock lock(mutex);
    job_done.wait(lock,
                  [&] { return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->done; }); });
  }

  tl::unexpected<Error> latch(const Expected<void>& failed, bool permanent = false) {
    if (!failure) failure = failed.error();
    for_good = for_good || permanent;
    return tl::unexpected<Error>(failed.error());
  }

  // The error that every call answers with while the writer has failed.
  [[nodiscard]] Expected<void> usable() const {
    if (failure) return tl::unexpected<Error>(*failure);
    if (close_step > 0) return fail(ErrorCode::usage, "the recording is closed", sink->path());
    return {};
  }

  Expected<void> write_section(SectionHeader header, ByteView payload, const std::vector<ColumnStatistics>& statistics,
                               ByteView facts) {
    header.sequence = sequence;
    header.recording = recording;
    Bytes whole = header.encode();
    whole.reserve(whole.size() + payload.size());
    append_bytes(whole, payload);
    if (auto done = sink->append(whole); !done) {
      (void)sink->truncate(stored);  // leave whole sections; the error that counts is the first
      save_in_log();
      return latch(done);
    }
    if (header.kind != SectionKind::index && header.kind != SectionKind::footer)
      index.add({header, stored}, statistics, facts);
    stored += whole.size();
    ++sequence;
    return {};
  }

  Expected<void> write_index() {
    const std::uint64_t here = stored;
    SectionHeader header;
    header.kind = SectionKind::index;
    Bytes payload = index.payload(last_index);
    seal_payload(header, payload, true);
    if (auto done = write_section(header, payload, {}, {}); !done) return done;
    last_index = here;
    index.clear();
    return {};
  }

  // Puts a section that is no data section into the queue.
  void push_small(SectionKind kind, std::uint32_t stream, Bytes payload, bool keep_facts = false) {
    auto job = std::make_unique<Job>();
    job->stream = stream;
    SectionHeader& header = job->section.header;
    header.kind = kind;
    header.stream = stream;
    if (stream != SectionHeader::no_stream && kind != SectionKind::stream) {
      header.first_tick = header.last_tick = streams[stream].last_tick;
      header.first_block = streams[stream].blocks();
    }
    if (keep_facts) job->facts = payload;
    seal_payload(header, payload, true);
    job->section.payload = std::move(payload);
    job->done = true;
    jobs.push_back(std::move(job));
  }

  std::unique_ptr<DataSectionCoder> borrow_coder() {
    const std::lock_guard lock(mutex);
    if (coders.empty()) return std::make_unique<DataSectionCoder>();
    auto coder = std::move(coders.back());
    coders.pop_back();
    return coder;
  }

  void start_sealing(std::uint32_t id) {
    start_sealing_blocks(id);
    start_sealing_tail(id);
  }

  [[nodiscard]] std::size_t tail_piece_bytes() const {
    return std::max<std::size_t>(options.section_bytes, kTailPieceBytes);
  }

  // Puts what there is of a stream's torn end into sections.
  void start_sealing_tail(std::uint32_t id) {
    const Bytes tail = std::exchange(streams[id].tail, {});
    for (ByteView rest = tail; !rest.empty();) {
      const ByteView piece = rest.first(std::min(rest.size(), tail_piece_bytes()));
      push_small(SectionKind::tail, id, Bytes(piece.begin(), piece.end()));
      rest = rest.subspan(piece.size());
    }
    raw += tail.size();
    open_bytes -= tail.size();
    account();
  }

  // Gives the open blocks of a stream to the encoder; their section is written, in order, when it is ready.
  void start_sealing_blocks(std::uint32_t id) {
    OpenStream& stream = streams[id];
    if (stream.run.count() == 0) return;
    auto job = std::make_unique<Job>();
    Job* raw_job = job.get();
    // The layout is copied: `streams` may grow while another thread encodes.
    const std::function<void()> work = [this, raw_job, layout = stream.layout] { encode(*raw_job, layout); };
    jobs.push_back(std::move(job));
    // Nothing from here on needs memory: a job that is queued is done some time.
    take_open_blocks(id, stream, *raw_job);
    if (options.executor == nullptr) return work();
    try {
      options.executor->run(work);
    } catch (const std::bad_alloc&) {
      work();
    }
  }

  // Moves the open blocks of a stream into a job.
  void take_open_blocks(std::uint32_t id, OpenStream& stream, Job& job) {
    job.stream = id;
    job.first_block = stream.sealed_blocks;
    job.logged_blocks = stream.logged_blocks;
    job.logged_bytes = stream.logged_bytes;
    if (stream.logged_blocks < stream.run.count()) job.tick_behind_log = tick_behind_log(stream);
    std::swap(job.run, stream.run);
    stream.sealed_blocks += job.run.count();
    stream.logged_blocks = stream.logged_bytes = 0;
    raw += job.run.raw_bytes();
    open_bytes -= job.run.raw_bytes() + job.run.jumps.size() * kJumpBytes;
    account();
  }

  // Without the memory for it a job is done, but not encoded: commit() tries again.
  void encode(Job& job, const Layout& layout) {
    bool encoded = false;
    try {
      auto coder = borrow_coder();
      job.section = coder->encode(job.run, job.stream, layout, options.level);
      job.section.header.first_block = job.first_block;
      encoded = true;
      const std::lock_guard lock(mutex);
      coders.push_back(std::move(coder));
    } catch (const std::exception&) {
      // told by job.encoded; others' threads help with this, also where nothing may be thrown
    }
    const std::lock_guard lock(mutex);
    job.encoded = encoded;
    job.done = true;
    job_done.notify_all();
  }

  Expected<void> seal(std::uint32_t id) {
    start_sealing(id);
    return commit(pipelined());
  }

  // Sections that may be on their way through encoders while blocks are appended.
  [[nodiscard]] std::size_t pipelined() const {
    return options.executor == nullptr ? 0 : options.executor->concurrency();
  }

  // Writes finished sections in order until at most `may_wait` are still on their way.
  Expected<void> commit(std::size_t may_wait) {
    for (;;) {
      if (index.pending_bytes() >= kIndexPieceBytes)
        if (auto done = write_index(); !done) return done;
      if (jobs.empty()) return {};
      {
        std::unique_lock lock(mutex);
        if (!jobs.front()->done) {
          if (jobs.size() <= may_wait) return {};
          lock.unlock();
          if (options.executor->help()) continue;
          lock.lock();
          job_done.wait(lock, [&] { return jobs.front()->done; });
        }
      }
      Job& job = *jobs.front();
      if (!job.encoded) encode(job, streams[job.stream].layout);
      if (!job.encoded) return latch(fail(ErrorCode::io, "out of memory", sink->path()));
      if (auto done = write_section(job.section.header, job.section.payload, job.section.statistics, job.facts); !done)
        return done;
      if (job.section.header.kind == SectionKind::data)
        streams[job.stream].filed_blocks += job.section.header.block_count;
      const bool scarce = options.open_blocks != nullptr && options.open_blocks->scarce();
      if (job.run.bytes.capacity() > 0 && spare_runs.size() < may_wait + 2 && !scarce) {
        job.run.clear();
        spare_runs.push_back(std::move(job.run));
      }
      jobs.pop_front();
    }
  }

  Expected<void> append(std::uint32_t id, std::uint32_t timeslot, std::uint64_t tick, ByteView data) {
    OpenStream& stream = streams[id];
    // Seal first where a large block would push the section past its limit.
    const std::uint64_t more = 8 + data.size();
    const bool too_large =
        stream.run.count() > 0 && stream.run.raw_bytes() + more > 2 * std::uint64_t{options.section_bytes};
    if (too_large) start_sealing(id);
    if (stream.run.count() == 0 && stream.run.bytes.capacity() == 0 && !spare_runs.empty()) {
      stream.run = std::move(spare_runs.back());
      spare_runs.pop_back();
    }
    const std::size_t jumps = stream.run.jumps.size();
    stream.last_tick = tick;
    stream.run.append(timeslot, tick, data);
    open_bytes += more + (stream.run.jumps.size() - jumps) * kJumpBytes;
    if (stream.run.raw_bytes() >= options.section_bytes) return seal(id);
    if (open_bytes > limits::max_open_bytes) return seal(largest_stream());
    if (open_bytes > accounted + kAccountBytes) {
      account();
      if (has_too_many()) return trim();
    }
    return too_large ? commit(pipelined()) : Expected<void>{};
  }

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

  // One by one, and each to its end: what is on its way takes memory, too.
  Expected<void> trim() {
    if (options.open_blocks != nullptr && options.open_blocks->scarce()) spare_runs.clear();
    while (has_too_many()) {
      start_sealing(largest_stream());
      if (auto done = commit(0); !done) return done;
    }
    return {};
  }

  [[nodiscard]] std::uint64_t unwritten_bytes() const {
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

  // A log that takes the place of the one there is has room where the section will be.
  [[nodiscard]] std::uint64_t unlogged_bytes() const {
    std::uint64_t bytes = 0;
    if (!wal) return bytes;
    for (const auto& stream : streams)
      if (!stream.ended)
        bytes += stream.run.raw_bytes() + stream.run.jumps.size() * kJumpBytes - stream.live_log_bytes();
    return bytes;
  }

  // Whether a block may be appended to a stream.
  [[nodiscard]] Expected<void> accepts(const OpenStream& stream, std::size_t bytes) const {
    if (auto ok = usable(); !ok) return ok;
    if (stream.ended || stream.torn) return fail(ErrorCode::usage, "a block after the stream's end", sink->path());
    if (bytes > limits::max_block_bytes)
      return fail(ErrorCode::limit, fmt::format("a block of {} bytes; at most {}", bytes, limits::max_block_bytes),
                  sink->path());
    return stream.run.count() == 0 ? room_for_sections() : Expected<void>{};
  }

  // Too many sections could not be read back. What ends a stream goes into the reserve: a gap, the begin of a torn end;
  // and what was in another recording, which had as many.
  enum class Purpose { go_on, end };
  [[nodiscard]] Expected<void> room_for_sections(Purpose purpose = Purpose::go_on, std::size_t wanted = 1) const {
    const std::size_t reserve =
        kSectionsForIndex + (purpose == Purpose::go_on && !options.copies ? 6 : 3) * (streams.size() + 1);
    if (sequence + jobs.size() + wanted + reserve <= limits::max_sections) return {};
    return fail(ErrorCode::limit, fmt::format("the recording has {} sections, and must be closed", sequence),
                sink->path());
  }

  // Writes what is open into `log`; what is written is marked in the streams.
  Expected<void> log_open_blocks(WalWriter& log) {
    std::vector<std::uint32_t> added;
    const auto write = [&]() -> Expected<void> {
      if (auto done = log.write(); !done) return done;
      for (const auto id : added) {
        streams[id].logged_blocks = streams[id].run.count();
        streams[id].logged_bytes = streams[id].run.bytes.size();
        streams[id].logged_tick = streams[id].last_tick;
      }
      added.clear();
      return {};
    };
    for (std::uint32_t id = 0; id < streams.size(); ++id) {
      OpenStream& stream = streams[id];
      if (stream.logged_blocks == stream.run.count()) continue;
      log.add(id, stream.sealed_blocks, stream.run, stream.logged_blocks, stream.logged_bytes, tick_behind_log(stream));
      added.push_back(id);
      if (log.pending_bytes() >= kLogWriteBytes)
        if (auto done = write(); !done) return done;
    }
    return write();
  }

  // Where the file takes no more, what came since the last flush goes into the log, as far as that takes it.
  void save_in_log() {
    if (!wal || std::exchange(saved_in_log, true)) return;
    Expected<void> done;
    for (auto& job : jobs) {
      if (job->logged_blocks == job->run.count()) continue;
      wal->add(job->stream, job->first_block, job->run, job->logged_blocks, job->logged_bytes, job->tick_behind_log);
      if (!(done = wal->write())) break;
      job->logged_blocks = job->run.count();
    }
    if (done) done = log_open_blocks(*wal);
    if (!done) return (void)wal->repair();
    if (options.durability == Durability::power && wal->sync()) synced_log_bytes = wal->bytes();
  }

  // The tick of a stream's first block that is not in the log yet.
  static std::uint64_t tick_behind_log(const OpenStream& stream) {
    const BlockRun& run = stream.run;
    if (stream.logged_blocks == 0) return run.first_tick;
    const auto jump = std::lower_bound(run.jumps.begin(), run.jumps.end(), stream.logged_blocks,
                                       [](const auto& j, std::size_t block) { return j.block < block; });
    if (jump != run.jumps.end() && jump->block == stream.logged_blocks) return jump->tick;
    return TickUnwrapper(stream.logged_tick).next(run.timeslots[stream.logged_blocks]);
  }

  // What has been sealed since is dead weight: with as much of it as of live blocks, what is logged is written twice at
  // most.
  [[nodiscard]] bool log_is_due_for_renewal() const {
    std::uint64_t live = 0;
    for (const auto& stream : streams) live += stream.live_log_bytes();
    const std::uint64_t dead = wal->bytes() - std::min(wal->bytes(), live);
    return dead >= std::max(live, kMinDeadLogBytes) || wal->frames() >= limits::max_log_frames / 4;
  }

  Expected<void> flush_log() {
    if (wal->bytes() >= renew_at && log_is_due_for_renewal()) {
      bool published = false;
      auto renewed = renew_log(published);
      if (renewed) return {};
      // Without a descriptor, or room, for its successor the log still does; but not for ever.
      if (published || wal->frames() >= limits::max_log_frames / 2) return latch(renewed, published);
      renew_at = wal->bytes() + kRetryLogBytes;
    }
    if (auto done = log_open_blocks(*wal); !done) return latch(done);
    if (options.durability != Durability::power || wal->bytes() == synced_log_bytes) return {};
    if (auto synced = wal->sync(); !synced) return latch(synced, true);
    synced_log_bytes = wal->bytes();
    return {};
  }

  // Puts a log of what is open in the place of the one that there is, which counts until it is published.
  Expected<void> renew_log(bool& published) {
    auto fresh = wal->successor();
    if (!fresh) return fail(fresh);
    std::vector<std::tuple<std::size_t, std::size_t, std::uint64_t>> logged;
    for (auto& stream : streams) {
      logged.emplace_back(stream.logged_blocks, stream.logged_bytes, stream.logged_tick);
      stream.logged_blocks = stream.logged_bytes = 0;
    }
    auto done = log_open_blocks(*fresh);
    if (done && options.durability == Durability::power) done = fresh->sync();
    published = done && (done = fresh->publish(*wal));
    if (published && options.durability == Durability::power) done = sync_directory(directory_of(sink->path()));
    if (!published) {
      fresh->discard();
      for (std::size_t i = 0; i < streams.size(); ++i)
        std::tie(streams[i].logged_blocks, streams[i].logged_bytes, streams[i].logged_tick) = logged[i];
      return done;
    }
    wal = std::move(*fresh);
    synced_log_bytes = wal->bytes();
    renew_at = 0;
    return done;
  }

  Expected<void> close_next(std::size_t step) {
    if (step == 0) {
      for (std::uint32_t id = 0; id < streams.size(); ++id) start_sealing(id);
      // What everything else hangs on stands twice in the file: a damaged section costs only itself.
      push_small(SectionKind::session, SectionHeader::no_stream, session);
      for (std::uint32_t id = 0; id < streams.size(); ++id) {
        std::string blocks(8, '\0');
        store_le(blocks.data(), streams[id].blocks());
        streams[id].description.set("blocks", blocks);
        push_small(SectionKind::stream, id, streams[id].description.encode());
      }
      return {};
    }
    if (step == 1) return commit(0);
    if (step == 2) return write_index();
    if (step == 3) {
      Bytes footer;
      append_le(footer, last_index);
      append_le(footer, std::uint64_t{sequence});
      SectionHeader header;
      header.kind = SectionKind::footer;
      seal_payload(header, footer, false);
      return write_section(header, footer, {}, {});
    }
    if (step == 4) {
      if (!wal) return {};
      auto synced = sink->sync();
      if (synced) synced = sync_directory(directory_of(sink->path()));
      return synced ? synced : latch(synced, true);
    }
    if (step == 5) {
      auto done = sink->close();
      return done ? done : latch(done, true);
    }
    if (!wal) return {};
    auto done = wal->remove();
    return done ? done : latch(done);
  }
};

namespace {

Expected<void> check_options(const SdszWriterOptions& options, const std::filesystem::path& path) {
  if (options.section_bytes >= limits::min_section_option && options.section_bytes <= limits::max_section_option)
    return {};
  return fail(ErrorCode::usage,
              fmt::format("sections of {} bytes; {} to {} are possible", options.section_bytes,
                          limits::min_section_option, limits::max_section_option),
              path);
}

}  // namespace

SdszWriter::SdszWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SdszWriter::~SdszWriter() = default;
SdszWriter::SdszWriter(SdszWriter&&) noexcept = default;
SdszWriter& SdszWriter::operator=(SdszWriter&&) noexcept = default;

Expected<SdszWriter> SdszWriter::create(const std::filesystem::path& path, const Properties& session,
                                        const SdszWriterOptions& options) {
  if (auto ok = check_options(options, path); !ok) return fail(ok);
  // A log beside the name holds blocks of a recording that was here, or will be taken for this one's.
  for (const auto& log : {wal_path(path), new_wal_path(path)}) {
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::symlink_status(log, ignored))) continue;
    if (options.if_exists == IfExists::fail) return fail(ErrorCode::exists, "exists already", log);
    if (auto removed = remove_file(log); !removed) return fail(removed);
  }
  auto sink = OutputFile::create(path, options.if_exists);
  if (!sink) return fail(sink);
  SdszWriterOptions without_log = options;
  without_log.durability = Durability::none;
  auto writer = create(std::move(*sink), session, without_log);
  if (writer && options.durability != Durability::none) {
    State& state = *writer->state_;
    state.options.durability = options.durability;
    auto wal = WalWriter::create(path, state.recording, options.if_exists);
    Expected<void> done = wal ? Expected<void>{} : fail(wal);
    if (wal) {
      state.wal = std::move(*wal);
      if (options.durability == Durability::power) {
        done = state.sink->sync();
        if (done) done = state.wal->sync();
        if (done) done = sync_directory(directory_of(path));
      }
      if (!done) (void)remove_file(wal_path(path));
    }
    if (!done) writer = fail(done);
  }
  // Nothing is left of a recording that could not be begun.
  if (!writer && options.if_exists == IfExists::fail) (void)remove_file(path);
  return writer;
}

Expected<SdszWriter> SdszWriter::create(std::unique_ptr<ByteSink> sink, const Properties& session,
                                        const SdszWriterOptions& options) {
  if (auto ok = check_options(options, sink->path()); !ok) return fail(ok);
  if (options.durability != Durability::none)
    return fail(ErrorCode::usage, "a log needs a file that it stands beside", sink->path());
  auto state = std::make_unique<State>();
  state->sink = std::move(sink);
  state->options = options;
  if (options.open_blocks != nullptr) ++options.open_blocks->writers_;
  state->session = session.encode();
  if (state->session.size() > limits::max_session_bytes)
    return fail(ErrorCode::limit, "too many facts about the session", state->sink->path());
  state->recording = recording_id(state->session);
  state->push_small(SectionKind::session, SectionHeader::no_stream, state->session);
  if (auto done = state->commit(0); !done) return fail(done);
  return SdszWriter(std::move(state));
}

Expected<SdszWriter::StreamId> SdszWriter::add_stream(const StreamDescription& description) {
  if (auto ok = state_->usable(); !ok) return fail(ok);
  if (auto ok = check_stream_name(description.name); !ok) {
    ok.error().path = state_->sink->path();
    return fail(ok);
  }
  if (state_->streams.size() >= limits::max_streams)
    return fail(ErrorCode::limit, fmt::format("more than {} streams", limits::max_streams), state_->sink->path());
  if (auto room = state_->room_for_sections(); !room) return fail(room);
  OpenStream stream;
  if (!description.metadata_text.empty())
    if (const auto metadata = Metadata::parse(description.metadata_text, description.metadata_file_name))
      stream.layout = Layout::from(*metadata);
  Properties& properties = stream.description;
  properties.set("name", description.name);
  properties.set("label", description.label);
  if (description.playback) properties.set("playback", "1");
  if (!description.file_name.empty()) properties.set("file", description.file_name);
  if (!description.metadata_file_name.empty()) {
    properties.set("metadata-file", description.metadata_file_name);
    properties.set("metadata", description.metadata_text);
  }
  properties.set("layout", stream.layout.encode());
  Bytes payload = properties.encode();
  const std::size_t described = payload.size() + kClosingDescriptionBytes;
  if (described > limits::max_stream_bytes || state_->described + described > limits::max_described_bytes)
    return fail(ErrorCode::limit,
                fmt::format("the descriptions of all streams would be more than {} bytes", limits::max_described_bytes),
                state_->sink->path());
  const auto id = static_cast<StreamId>(state_->streams.size());
  state_->described += described;
  state_->streams.push_back(std::move(stream));
  state_->push_small(SectionKind::stream, id, std::move(payload));
  const Job* queued = state_->jobs.back().get();
  if (auto done = state_->commit(0); !done && !state_->jobs.empty() && state_->jobs.back().get() == queued) {
    state_->jobs.pop_back();
    state_->streams.pop_back();
    state_->described -= described;
    return fail(done);
  }
  return id;
}

Expected<void> SdszWriter::append(StreamId id, std::uint32_t timeslot, ByteView data) {
  TickUnwrapper ticks = state_->streams[id].ticks;
  return append_at(id, ticks.next(timeslot), data);
}

Expected<void> SdszWriter::append_at(StreamId id, std::uint64_t tick, ByteView data) {
  State& state = *state_;
  OpenStream& stream = state.streams[id];
  if (state.failure || state.close_step > 0 || stream.ended || stream.torn || stream.run.count() == 0 ||
      data.size() > limits::max_block_bytes) [[unlikely]]
    if (auto ok = state.accepts(stream, data.size()); !ok) return ok;
  stream.ticks = TickUnwrapper(tick);
  return state.append(id, static_cast<std::uint32_t>(tick), tick, data);
}

bool SdszWriter::has_layout(StreamId id, const Layout& layout) const {
  const Layout& own = state_->streams[id].layout;
  return own.sample_bytes == layout.sample_bytes && own.columns == layout.columns;
}

Expected<void> SdszWriter::append_section(StreamId id, const SectionHeader& header, const Layout& layout,
                                          Bytes payload) {
  if (auto ok = state_->usable(); !ok) return ok;
  if (state_->streams[id].ended || state_->streams[id].torn)
    return fail(ErrorCode::usage, "a section after the stream's end", state_->sink->path());
  if (header.kind != SectionKind::data || !has_layout(id, layout))
    return fail(ErrorCode::usage, "a section of another layout cannot be copied", state_->sink->path());
  if (auto room = state_->room_for_sections(); !room) return room;
  if (auto sound = check_payload(header, payload); !sound) return sound;
  auto summary = summarize(payload);
  if (!summary) return fail(summary);
  state_->start_sealing(id);
  OpenStream& stream = state_->streams[id];
  auto job = std::make_unique<Job>();
  job->stream = id;
  job->section.header = header;
  job->section.header.version = SectionHeader::current_version;
  job->section.header.stream = id;
  job->section.header.first_block = stream.sealed_blocks;
  job->section.statistics = std::move(summary->statistics);
  job->section.payload = std::move(payload);
  job->done = true;
  stream.sealed_blocks += header.block_count;
  stream.last_tick = header.last_tick;
  stream.ticks = TickUnwrapper(header.last_tick);
  state_->raw += header.raw_bytes;
  state_->jobs.push_back(std::move(job));
  return state_->commit(state_->pipelined());
}

Expected<void> SdszWriter::append_tail(StreamId id, ByteView bytes) {
  State& state = *state_;
  if (auto ok = state.usable(); !ok) return ok;
  OpenStream& stream = state.streams[id];
  if (stream.ended) return fail(ErrorCode::usage, "a torn end after the stream's end", state.sink->path());
  const std::size_t piece_bytes = state.tail_piece_bytes();
  const std::size_t pieces = (stream.tail.size() + bytes.size()) / piece_bytes;
  // What has been begun has a place.
  if (const auto wanted = pieces + (stream.tail.empty() ? 1 : 0); wanted > 0)
    if (auto room = state.room_for_sections(stream.torn ? State::Purpose::go_on : State::Purpose::end, wanted); !room)
      return room;
  const bool first = !std::exchange(stream.torn, true);
  if (first) state.start_sealing_blocks(id);
  append_bytes(stream.tail, bytes);
  state.open_bytes += bytes.size();
  if (stream.tail.size() >= piece_bytes) state.start_sealing_tail(id);
  if (first || stream.tail.empty()) return state.commit(0);
  if (state.open_bytes > limits::max_open_bytes) return state.seal(state.largest_stream());
  state.account();
  return state.has_too_many() ? state.trim() : Expected<void>{};
}

Expected<void> SdszWriter::add_gap(StreamId id, const std::string& reason) {
  if (auto ok = state_->usable(); !ok) return ok;
  if (auto room = state_->room_for_sections(State::Purpose::end); !room) return room;
  state_->start_sealing(id);
  state_->push_small(SectionKind::gap, id, encode_gap(reason), true);
  return state_->commit(0);
}

Expected<void> SdszWriter::add_clock(StreamId id, const ClockPair& pair) {
  if (auto ok = state_->usable(); !ok) return ok;
  if (auto room = state_->room_for_sections(); !room) return room;
  state_->push_small(SectionKind::clock, id, encode_clock(pair), true);
  return state_->commit(state_->pipelined());
}

Expected<void> SdszWriter::seal(StreamId id) {
  if (auto ok = state_->usable(); !ok) return ok;
  return state_->seal(id);
}

Expected<void> SdszWriter::trim() {
  if (auto ok = state_->usable(); !ok) return ok;
  return state_->trim();
}

Expected<void> SdszWriter::end_stream(StreamId id) {
  if (auto ok = state_->usable(); !ok) return ok;
  auto done = state_->seal(id);
  state_->streams[id].ended = true;
  state_->streams[id].run = {};
  return done;
}

Expected<void> SdszWriter::flush() {
  if (auto ok = state_->usable(); !ok) return ok;
  // The log holds blocks only.
  if (state_->wal)
    for (StreamId id = 0; id < state_->streams.size(); ++id) state_->start_sealing_tail(id);
  if (auto done = state_->commit(0); !done) return done;
  if (state_->options.durability == Durability::power && state_->synced_bytes != state_->stored) {
    if (auto done = state_->sink->sync(); !done) return state_->latch(done, true);
    state_->synced_bytes = state_->stored;
  }
  return state_->wal ? state_->flush_log() : Expected<void>{};
}

Expected<void> SdszWriter::shrink_log() {
  if (auto done = flush(); !done || !state_->wal) return done;
  bool published = false;
  auto renewed = state_->renew_log(published);
  return renewed || !published ? Expected<void>{} : state_->latch(renewed, true);
}

Expected<void> SdszWriter::close() {
  if (state_->failure) return tl::unexpected<Error>(*state_->failure);
  for (; !state_->closed; ++state_->close_step) {
    if (auto done = state_->close_next(state_->close_step); !done) return done;
    if (state_->close_step == 6) state_->closed = true;
  }
  return {};
}

const std::optional<Error>& SdszWriter::failure() const { return state_->failure; }

Expected<void> SdszWriter::resume() {
  if (!state_->failure) return {};
  const auto still = [&]() -> Expected<void> { return tl::unexpected<Error>(*state_->failure); };
  if (state_->for_good) return still();
  // The file is cut back to whole sections, the log to whole frames, before anything is added.
  if (state_->close_step < 5)
    if (!state_->sink->truncate(state_->stored)) return still();
  if (state_->wal && state_->close_step <= 5)
    if (!state_->wal->repair()) return still();
  state_->failure.reset();
  auto done = state_->commit(0);
  if (done) state_->saved_in_log = false;
  return done;
}

bool SdszWriter::log_is_in_place() const {
  return !state_->wal || state_->close_step > 0 || state_->wal->is_in_place();
}

std::uint64_t SdszWriter::stored_bytes() const { return state_->stored; }

std::uint64_t SdszWriter::raw_bytes() const { return state_->raw + state_->open_bytes; }

std::uint64_t SdszWriter::unwritten_bytes() const { return state_->unwritten_bytes(); }

std::uint64_t SdszWriter::unlogged_bytes() const { return state_->unlogged_bytes(); }

std::uint64_t SdszWriter::taken_blocks(StreamId id) const { return state_->streams[id].blocks(); }

std::uint64_t SdszWriter::unsaved_blocks(StreamId id) const {
  const OpenStream& stream = state_->streams[id];
  std::uint64_t saved = stream.filed_blocks + stream.logged_blocks;
  for (const auto& job : state_->jobs)
    if (job->stream == id) saved += job->logged_blocks;
  return stream.blocks() - saved;
}

}  // namespace sds
