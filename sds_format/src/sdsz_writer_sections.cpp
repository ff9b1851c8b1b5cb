// The sections of a recording that is being written: encoded, put in order, appended.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "sdsz_writer_state.hpp"

namespace sds {

namespace {

constexpr std::size_t kIndexPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kTailPieceBytes = std::size_t{1} << 20;
// What closes a recording takes at most: a small section and its entry in the index, beside what it holds;
constexpr std::uint64_t kSmallSectionBytes = 192;
// the last clock pair of a stream, its gap, and what tells that it has less than came, all of a usual length;
constexpr std::uint64_t kStreamEndBytes = 3 * kSmallSectionBytes + 1024;
constexpr std::uint64_t kLeftOutBytes = kSmallSectionBytes + 192;
// the session, the index and the footer.
constexpr std::uint64_t kEndBytes = 512;
// Statistics of a column in the index.
constexpr std::uint64_t kColumnBytes = 40;

bool describes(SectionKind kind) { return kind == SectionKind::session || kind == SectionKind::stream; }

}  // namespace

Expected<void> SdszWriter::State::write_section(SectionHeader header, ByteView payload,
                                                const std::vector<ColumnStatistics>& statistics, ByteView facts) {
  header.sequence = sequence;
  header.recording = recording;
  Bytes whole = header.encode();
  append_bytes(whole, payload);
  const bool indexed = header.kind != SectionKind::index && header.kind != SectionKind::footer;
  Expected<void> done;
  try {
    if (takes_room(header)) done = sink->reserve(whole.size() + room_behind(header));
    if (done) {
      torn = true;
      done = sink->append(whole);
    }
    if (done && indexed) index.add({header, stored}, statistics, facts);
  } catch (const std::exception&) {
    done = tl::unexpected<Error>(no_memory());
  }
  if (!done) {
    note_failure(std::move(done.error()));
    (void)cut_back();  // the error that counts is the first
    save_in_log();
    return tl::unexpected<Error>(*failure);
  }
  torn = false;
  stored += whole.size();
  ++sequence;
  return {};
}

Expected<void> SdszWriter::State::cut_back() {
  if (!torn) return {};  // what was reserved stays
  auto cut = sink->truncate(stored);
  torn = !cut;
  return cut;
}

Expected<void> SdszWriter::State::write_index() {
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

void SdszWriter::State::push_small(SectionKind kind, std::uint32_t stream, Bytes payload, bool keep_facts) {
  auto job = std::make_unique<SectionJob>();
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

std::unique_ptr<DataSectionCoder> SdszWriter::State::borrow_coder() {
  const std::lock_guard lock(mutex);
  if (coders.empty()) return std::make_unique<DataSectionCoder>();
  auto coder = std::move(coders.back());
  coders.pop_back();
  return coder;
}

std::size_t SdszWriter::State::tail_piece_bytes() const {
  return std::max<std::size_t>(options.section_bytes, kTailPieceBytes);
}

void SdszWriter::State::start_sealing_tail(std::uint32_t id) {
  Bytes& tail = streams[id].tail;
  while (!tail.empty()) {
    const auto end = tail.begin() + static_cast<std::ptrdiff_t>(std::min(tail.size(), tail_piece_bytes()));
    push_small(SectionKind::tail, id, Bytes(tail.begin(), end));
    raw += static_cast<std::uint64_t>(end - tail.begin());
    open_bytes -= static_cast<std::uint64_t>(end - tail.begin());
    tail.erase(tail.begin(), end);
  }
  if (tail.capacity() > tail_piece_bytes()) tail = {};
  account();
}

void SdszWriter::State::start_sealing_blocks(std::uint32_t id) {
  OpenStream& stream = streams[id];
  if (stream.run.count() == 0) return;
  auto job = std::make_unique<SectionJob>();
  SectionJob* raw_job = job.get();
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

void SdszWriter::State::take_open_blocks(std::uint32_t id, OpenStream& stream, SectionJob& job) {
  job.stream = id;
  job.first_block = stream.sealed_blocks;
  job.logged_blocks = stream.logged.blocks;
  job.logged_bytes = stream.logged.bytes;
  if (stream.logged.blocks < stream.run.count()) job.tick_behind_log = tick_behind_log(stream);
  std::swap(job.run, stream.run);
  stream.sealed_blocks += job.run.count();
  stream.logged = {};
  raw += job.run.raw_bytes();
  open_bytes -= job.run.raw_bytes() + job.run.jumps.size() * kJumpBytes;
  account();
}

void SdszWriter::State::encode(SectionJob& job, const Layout& layout) {
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

Expected<void> SdszWriter::State::commit(std::size_t may_wait) {
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
    SectionJob& job = *jobs.front();
    if (!job.encoded) encode(job, streams[job.stream].layout);
    if (!job.encoded) throw std::bad_alloc();
    if (auto done = write_section(job.section.header, job.section.payload, job.section.statistics, job.facts); !done)
      return done;
    if (job.section.header.kind == SectionKind::data) {
      streams[job.stream].filed_blocks += job.section.header.block_count;
      streams[job.stream].filed_tick = job.section.header.last_tick;
    }
    const std::unique_ptr<SectionJob> written = std::move(jobs.front());
    jobs.pop_front();
    keep_spare(written->run, may_wait + 2);
  }
}

void SdszWriter::State::wait_for_encoders() {
  while (options.executor != nullptr && options.executor->help()) {
  }
  std::unique_lock lock(mutex);
  job_done.wait(lock, [&] { return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job->done; }); });
}

bool SdszWriter::State::leave_out_next_section() {
  // What a log may hold, also of a write to it that failed half way, is for recover: it would go with the log.
  if (wal || !failure || jobs.empty() || !(is_disk_full(*failure) || is_file_full(*failure))) return false;
  const SectionKind kind = jobs.front()->run.count() > 0 ? SectionKind::data : jobs.front()->section.header.kind;
  if (kind == SectionKind::clock) {  // the block that it tells of may stand in the file all the same
    jobs.pop_front();
    return true;
  }
  if (kind != SectionKind::data && kind != SectionKind::tail) return false;
  const std::uint32_t id = jobs.front()->stream;
  OpenStream& stream = streams[id];
  wait_for_encoders();
  const std::uint64_t blocks = stream.blocks() - stream.filed_blocks;
  const bool gap_follows = std::any_of(jobs.begin(), jobs.end(), [&](const auto& job) {
    return job->stream == id && job->run.count() == 0 && job->section.header.kind == SectionKind::gap;
  });
  const std::uint64_t tail = take_back(id);
  std::string what;
  if (blocks > 0) what = fmt::format("{} blocks", blocks);
  if (tail > 0) what += fmt::format("{}{} bytes of the torn end", what.empty() ? "" : " and ", tail);
  // Else whoever ends the stream tells.
  if (stream.ended || gap_follows || tail > 0) {
    const char* where = is_file_full(*failure) ? "in the file, which may not grow" : "on the full disk";
    push_small(SectionKind::gap, id, encode_gap(fmt::format("{} that came have no place {}", what, where)), true);
  }
  // What is said of a recording at its end is said of what is in it.
  if (closing && close_step == 1) {
    std::erase_if(jobs, [](const auto& job) { return job->run.count() == 0 && describes(job->section.header.kind); });
    close_step = 0;
  }
  return true;
}

std::uint64_t SdszWriter::State::take_back(std::uint32_t id) {
  OpenStream& stream = streams[id];
  std::uint64_t tail = stream.tail.size();
  std::erase_if(jobs, [&](const std::unique_ptr<SectionJob>& job) {
    if (job->stream != id) return false;
    SectionHeader& header = job->section.header;
    const bool has_blocks = job->run.count() > 0;
    if (has_blocks) raw -= job->run.raw_bytes();
    if (!has_blocks && header.kind == SectionKind::tail) {
      tail += header.raw_bytes;
      raw -= header.raw_bytes;
    }
    if (has_blocks || header.kind != SectionKind::gap) return has_blocks || !describes(header.kind);
    header.first_block = stream.filed_blocks;
    header.first_tick = header.last_tick = stream.filed_tick;
    return false;
  });
  open_bytes -= stream.open_bytes();
  stream.run.clear();
  stream.tail.clear();
  stream.sealed_blocks = stream.filed_blocks;
  stream.last_tick = stream.filed_tick;
  account();
  return tail;
}

Expected<void> SdszWriter::State::resume_with_what_fits() {
  auto done = resume();
  // To seal what is open is what the end would fail at.
  if (!for_good)
    for (std::uint32_t id = 0; id < streams.size(); ++id) start_sealing(id);
  if (done) done = commit(0);
  while (!done && leave_out_next_section()) done = resume();
  return done;
}

bool SdszWriter::State::takes_room(const SectionHeader& header) const {
  if (!keeps_room) return false;
  if (header.kind == SectionKind::clock) return !streams[header.stream].has_last_clock;
  if (header.kind == SectionKind::stream) return !closing;
  return header.kind == SectionKind::data || header.kind == SectionKind::tail;
}

std::uint64_t SdszWriter::State::room_behind(const SectionHeader& header) const {
  std::uint64_t bytes = kEndBytes + session.size() + described + index.pending_bytes() +
                        kSmallSectionBytes * streams.size() + kLeftOutBytes * ended_streams +
                        kStreamEndBytes * (streams.size() - ended_streams);
  // The entry of this section in the index.
  if (header.kind == SectionKind::data) bytes += kColumnBytes * streams[header.stream].layout.columns.size();
  if (header.kind == SectionKind::clock) bytes += kSmallSectionBytes;
  for (const auto& job : jobs)
    if (job->run.count() == 0 && job->section.header.kind != SectionKind::tail)
      bytes += kSmallSectionBytes + job->section.payload.size() + job->facts.size();
  return bytes;
}

void SdszWriter::State::keep_spare(BlockRun& run, std::size_t most) {
  const bool scarce = options.open_blocks != nullptr && options.open_blocks->scarce();
  if (run.bytes.capacity() == 0 || spare_runs.size() >= most || scarce) return;
  run.clear();
  spare_runs.push_back(std::move(run));
}

Expected<void> SdszWriter::State::trim() {
  if (options.open_blocks != nullptr && options.open_blocks->scarce()) spare_runs.clear();
  while (has_too_many()) {
    start_sealing(largest_stream());
    if (auto done = commit(0); !done) return done;
  }
  return {};
}

}  // namespace sds
