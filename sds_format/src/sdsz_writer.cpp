#include "sds/format/sdsz_writer.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/sdsz_index.hpp"
#include "sds/format/time.hpp"
#include "sds/format/wal.hpp"

namespace sds {

namespace {

constexpr std::size_t kIndexPieceBytes = std::size_t{1} << 20;
constexpr std::uint64_t kWalRewriteBytes = std::uint64_t{8} << 20;

struct OpenStream {
  Layout layout;
  Bytes description;  // the payload of its stream section
  TickUnwrapper ticks;
  BlockRun run;                     // blocks not yet given to the encoder
  std::uint64_t sealed_blocks = 0;  // blocks before run's first
  std::size_t logged_blocks = 0;    // of run, in the write-ahead log
  std::size_t logged_bytes = 0;
  std::uint64_t last_tick = 0;
  bool has_tail = false;
};

// A section on its way through an encoder. Owned by the writer; `done` is guarded by the writer's mutex.
struct Job {
  std::uint32_t stream = 0;
  BlockRun run;
  EncodedSection section;
  bool done = false;
};

}  // namespace

struct SdszWriter::State {
  std::unique_ptr<ByteSink> sink;
  SdszWriterOptions options;
  std::vector<OpenStream> streams;
  std::optional<WalWriter> wal;
  Bytes session;
  std::uint64_t recording_key = 0;
  IndexBuilder index;
  std::uint64_t last_index = 0;
  std::uint64_t stored = 0;  // bytes in the sink that are whole sections
  std::uint64_t raw = 0;
  std::uint32_t sequence = 0;
  bool closed = false;
  bool wal_has_sealed = false;  // the log holds blocks that have been sealed since

  std::deque<std::unique_ptr<Job>> jobs;  // in the order of their sections
  std::vector<std::unique_ptr<Job>> spare_jobs;
  std::vector<std::unique_ptr<DataSectionCoder>> coders;  // free ones; guarded by mutex
  std::mutex mutex;
  std::condition_variable job_done;

  ~State() {
    // Encoders on other threads point at our jobs.
    while (options.executor != nullptr && options.executor->help()) {
    }
    std::unique_lock lock(mutex);
    job_done.wait(lock, [&] {
      for (const auto& job : jobs)
        if (!job->done) return false;
      return true;
    });
  }

  Expected<void> write_section(SectionHeader header, ByteView payload,
                               const std::vector<ColumnStatistics>& statistics = {}) {
    header.sequence = sequence;
    Bytes whole;
    whole.reserve(SectionHeader::bytes + payload.size());
    append_bytes(whole, header.encode());
    append_bytes(whole, payload);
    if (auto done = sink->append(whole); !done) {
      (void)sink->truncate(stored);  // leave whole sections; the error that counts is the first
      return done;
    }
    if (header.kind != SectionKind::index && header.kind != SectionKind::footer)
      index.add({header, stored}, statistics);
    stored += whole.size();
    ++sequence;
    if (index.pending_bytes() >= kIndexPieceBytes) return write_index();
    return {};
  }

  Expected<void> write_small(SectionKind kind, std::uint32_t stream, ByteView payload, std::uint64_t tick = 0,
                             std::uint16_t extra_flags = 0) {
    SectionHeader header;
    header.kind = kind;
    header.stream = stream;
    header.first_tick = header.last_tick = tick;
    header.flags = extra_flags;
    const Bytes sealed = seal_payload(payload, header);
    return write_section(header, sealed);
  }

  Expected<void> write_index() {
    const std::uint64_t here = stored;
    const Bytes payload = index.take(last_index);
    if (auto done = write_small(SectionKind::index, SectionHeader::no_stream, payload); !done) return done;
    last_index = here;
    return {};
  }

  static void encode(Job& job, const Layout& layout, Level level, DataSectionCoder& coder) {
    job.section = coder.encode(job.run, job.stream, layout, level);
  }

  std::unique_ptr<DataSectionCoder> borrow_coder() {
    const std::lock_guard lock(mutex);
    if (coders.empty()) return std::make_unique<DataSectionCoder>();
    auto coder = std::move(coders.back());
    coders.pop_back();
    return coder;
  }

  // Gives the open blocks of a stream to the encoder; their section is written, in order, when it is ready.
  Expected<void> seal(std::uint32_t id) {
    OpenStream& stream = streams[id];
    if (stream.run.count() == 0) return {};
    std::unique_ptr<Job> job;
    if (spare_jobs.empty()) {
      job = std::make_unique<Job>();
    } else {
      job = std::move(spare_jobs.back());
      spare_jobs.pop_back();
    }
    job->stream = id;
    job->done = false;
    job->run.clear();
    std::swap(job->run, stream.run);
    stream.sealed_blocks += job->run.count();
    if (stream.logged_blocks > 0) wal_has_sealed = true;
    stream.logged_blocks = 0;
    stream.logged_bytes = 0;
    raw += job->run.raw_bytes();
    Job* raw_job = job.get();
    jobs.push_back(std::move(job));
    // The layout is copied: `streams` may grow while another thread encodes.
    auto work = [this, raw_job, layout = stream.layout, level = options.level] {
      auto coder = borrow_coder();
      encode(*raw_job, layout, level, *coder);
      const std::lock_guard lock(mutex);
      coders.push_back(std::move(coder));
      raw_job->done = true;
      job_done.notify_all();
    };
    if (options.executor == nullptr) {
      work();
      return commit(0);
    }
    options.executor->run(std::move(work));
    return commit(options.executor->concurrency());
  }

  // Writes finished sections in order until at most `may_wait` are still on their way.
  Expected<void> commit(std::size_t may_wait) {
    while (!jobs.empty()) {
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
      auto job = std::move(jobs.front());
      jobs.pop_front();
      auto done = write_section(job->section.header, job->section.payload, job->section.statistics);
      spare_jobs.push_back(std::move(job));
      if (!done) return done;
    }
    return {};
  }
};

SdszWriter::SdszWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SdszWriter::~SdszWriter() = default;
SdszWriter::SdszWriter(SdszWriter&&) noexcept = default;
SdszWriter& SdszWriter::operator=(SdszWriter&&) noexcept = default;

Expected<SdszWriter> SdszWriter::create(const std::filesystem::path& path, const Properties& session,
                                        const SdszWriterOptions& options) {
  auto sink = OutputFile::create(path, options.if_exists);
  if (!sink) return fail(sink);
  auto writer = create(std::move(*sink), session, options);
  if (!writer || !options.write_ahead_log) return writer;
  auto wal = WalWriter::create(path, writer->state_->recording_key);
  if (!wal) return fail(wal);
  if (auto done = wal->publish(); !done) return fail(done);
  writer->state_->wal = std::move(*wal);
  return writer;
}

Expected<SdszWriter> SdszWriter::create(std::unique_ptr<ByteSink> sink, const Properties& session,
                                        const SdszWriterOptions& options) {
  auto state = std::make_unique<State>();
  state->sink = std::move(sink);
  state->options = options;
  state->session = session.encode();
  state->recording_key = checksum(state->session);
  if (auto done = state->write_small(SectionKind::session, SectionHeader::no_stream, state->session); !done)
    return fail(done);
  return SdszWriter(std::move(state));
}

Expected<SdszWriter::StreamId> SdszWriter::add_stream(const StreamDescription& description) {
  if (state_->streams.size() >= limits::max_streams)
    return fail(ErrorCode::limit, fmt::format("more than {} streams", limits::max_streams), state_->sink->path());
  OpenStream stream;
  if (!description.metadata_text.empty())
    if (const auto metadata = Metadata::parse(description.metadata_text, description.metadata_file_name))
      stream.layout = Layout::from(*metadata);
  Properties properties;
  properties.set("name", description.name);
  properties.set("label", description.label);
  if (description.playback) properties.set("playback", "1");
  if (!description.file_name.empty()) properties.set("file", description.file_name);
  if (!description.metadata_file_name.empty()) {
    properties.set("metadata-file", description.metadata_file_name);
    properties.set("metadata", description.metadata_text);
  }
  properties.set("layout", stream.layout.encode());
  const auto id = static_cast<StreamId>(state_->streams.size());
  if (auto done = state_->commit(0); !done) return fail(done);
  stream.description = properties.encode();
  if (auto done = state_->write_small(SectionKind::stream, id, stream.description); !done) return fail(done);
  state_->streams.push_back(std::move(stream));
  return id;
}

Expected<void> SdszWriter::append(StreamId id, std::uint32_t timeslot, ByteView data) {
  OpenStream& stream = state_->streams[id];
  if (data.size() > limits::max_block_bytes || stream.has_tail)
    return fail(ErrorCode::limit,
                stream.has_tail ? std::string("a block after the stream's tail")
                                : fmt::format("a block of {} bytes; at most {}", data.size(), limits::max_block_bytes),
                state_->sink->path());
  // Seal first where a large block would push the section past its limit.
  if (stream.run.count() > 0 &&
      stream.run.raw_bytes() + 8 + data.size() > 2 * std::uint64_t{state_->options.section_bytes})
    if (auto sealed = state_->seal(id); !sealed) return sealed;
  stream.last_tick = stream.ticks.next(timeslot);
  stream.run.append(timeslot, stream.last_tick, data);
  if (stream.run.raw_bytes() >= state_->options.section_bytes) return state_->seal(id);
  return {};
}

Expected<void> SdszWriter::append_tail(StreamId id, ByteView bytes) {
  if (auto sealed = state_->seal(id); !sealed) return sealed;
  if (auto done = state_->commit(0); !done) return done;
  state_->streams[id].has_tail = true;
  state_->raw += bytes.size();
  while (!bytes.empty()) {
    const ByteView piece = bytes.first(std::min<std::size_t>(bytes.size(), state_->options.section_bytes));
    if (auto done = state_->write_small(SectionKind::tail, id, piece, state_->streams[id].last_tick); !done)
      return done;
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

Expected<void> SdszWriter::add_gap(StreamId id, const std::string& reason) {
  if (auto sealed = state_->seal(id); !sealed) return sealed;
  if (auto done = state_->commit(0); !done) return done;
  Properties properties;
  properties.set("reason", reason);
  return state_->write_small(SectionKind::gap, id, properties.encode(), state_->streams[id].last_tick);
}

Expected<void> SdszWriter::add_clock(StreamId id, std::uint64_t utc_ns) {
  if (auto done = state_->commit(0); !done) return done;
  Bytes payload;
  append_le(payload, state_->streams[id].last_tick);
  append_le(payload, utc_ns);
  return state_->write_small(SectionKind::clock, id, payload, state_->streams[id].last_tick);
}

Expected<void> SdszWriter::seal(StreamId id) { return state_->seal(id); }

Expected<void> SdszWriter::flush() {
  if (auto done = state_->commit(0); !done) return done;
  if (!state_->wal) return state_->options.sync ? state_->sink->sync() : Expected<void>{};
  // What has been sealed since is dead weight in the log: once there is much of it, or nothing else, start a new log.
  bool rewrite = state_->wal->bytes() > kWalRewriteBytes && state_->wal_has_sealed;
  if (!rewrite && state_->wal_has_sealed) {
    rewrite = true;
    for (const auto& stream : state_->streams) rewrite = rewrite && stream.logged_blocks == 0;
  }
  std::optional<WalWriter> fresh;
  if (rewrite) {
    auto created = WalWriter::create(state_->sink->path(), state_->recording_key);
    if (!created) return fail(created);
    fresh = std::move(*created);
    state_->wal_has_sealed = false;
    for (auto& stream : state_->streams) stream.logged_blocks = stream.logged_bytes = 0;
  }
  WalWriter& wal = fresh ? *fresh : *state_->wal;
  for (std::uint32_t id = 0; id < state_->streams.size(); ++id) {
    OpenStream& stream = state_->streams[id];
    if (stream.logged_blocks == stream.run.count()) continue;
    if (auto done = wal.append(id, stream.sealed_blocks, stream.run, stream.logged_blocks, stream.logged_bytes); !done)
      return done;
    stream.logged_blocks = stream.run.count();
    stream.logged_bytes = stream.run.bytes.size();
  }
  if (state_->options.sync) {
    if (auto done = state_->sink->sync(); !done) return done;
    if (auto done = wal.sync(); !done) return done;
  }
  if (fresh) {
    if (auto done = fresh->publish(); !done) return done;
    state_->wal = std::move(fresh);
  }
  return {};
}

Expected<void> SdszWriter::close() {
  if (state_->closed) return {};
  state_->closed = true;
  for (std::uint32_t id = 0; id < state_->streams.size(); ++id)
    if (auto sealed = state_->seal(id); !sealed) return sealed;
  if (auto done = state_->commit(0); !done) return done;
  // What everything else hangs on stands twice in the file: a damaged section costs only itself.
  if (auto done = state_->write_small(SectionKind::session, SectionHeader::no_stream, state_->session); !done)
    return done;
  for (std::uint32_t id = 0; id < state_->streams.size(); ++id)
    if (auto done = state_->write_small(SectionKind::stream, id, state_->streams[id].description); !done) return done;
  if (auto done = state_->write_index(); !done) return done;
  Bytes footer;
  append_le(footer, state_->last_index);
  append_le(footer, std::uint64_t{state_->sequence});
  SectionHeader header;
  header.kind = SectionKind::footer;
  header.raw_bytes = header.stored_bytes = static_cast<std::uint32_t>(footer.size());
  header.payload_checksum = checksum(footer);
  if (auto done = state_->write_section(header, footer); !done) return done;
  if (state_->options.sync)
    if (auto done = state_->sink->sync(); !done) return done;
  if (auto done = state_->sink->close(); !done) return done;
  if (state_->wal) return state_->wal->remove();
  return {};
}

std::uint64_t SdszWriter::stored_bytes() const { return state_->stored; }

std::uint64_t SdszWriter::raw_bytes() const {
  std::uint64_t open = 0;
  for (const auto& stream : state_->streams) open += stream.run.raw_bytes();
  return state_->raw + open;
}

}  // namespace sds
