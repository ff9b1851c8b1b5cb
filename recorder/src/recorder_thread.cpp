#include "sds/recorder/recorder_thread.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <cerrno>

#include "sds/recorder/server_limits.hpp"
#include "when_there_is_memory.hpp"

namespace sds {

namespace {

constexpr std::size_t kSpares = 4;
// For memory to be had again, to tell what is missing in a recording that was given up.
constexpr unsigned kTries = 250;
// Of the disk's room, the part that may wait in memory: the disk is not to be full because of that.
constexpr std::uint64_t kQueuePart = 4;

}  // namespace

std::uint64_t ReceivedBatch::data_bytes() const {
  std::uint64_t data = 0;
  for (const auto& slice : slices) data += slice.size;
  return data;
}

RecorderThread::RecorderThread(Options options, RecorderShared& shared, Callbacks callbacks)
    : options_(std::move(options)),
      shared_(shared),
      callbacks_(std::move(callbacks)),
      gate_(options_.space),
      unwritten_(&shared.unwritten),
      in_hand_(&shared.in_hand),
      thread_(options_.make_thread ? options_.make_thread([this] { run(); }) : std::thread([this] { run(); })) {
  pthread_setname_np(thread_.native_handle(), "sds-recorder");
}

RecorderThread::~RecorderThread() {
  expect_stop();
  gate_.cancel();
  finish({});
  thread_.join();
  note_refused(0);
}

void RecorderThread::finish(std::function<void()> on_finished) {
  gate_.release_reserve();
  const std::lock_guard lock(mutex_);
  if (on_finished) on_finished_ = std::move(on_finished);
  stopping_ = true;
  changed_.notify_all();
}

void RecorderThread::note_refused(std::uint64_t data) {
  shared_.queued_data += data - refused_data_;
  refused_data_ = data;
}

// With mutex_ held, both. If there is no memory for its place, nothing has happened.
void RecorderThread::add(Work&& work) {
  queue_.push_back(std::move(work));
  changed_.notify_all();
}

void RecorderThread::add_batch(ReceivedBatch& batch) {
  queue_.emplace_back();
  ++queued_batches_;
  note_refused(0);
  shared_.queued_bytes += batch.bytes.size();
  shared_.queued_data += batch.data_bytes();
  queue_.back().batch = std::move(batch);
  batch = {};
  changed_.notify_all();
}

void RecorderThread::open_stream(std::uint32_t handle, const std::string& name, const SessionOptions& options) {
  Work work{Work::Kind::open, {}, handle, name, options};
  work.options.gate = &gate_;
  const std::lock_guard lock(mutex_);
  add(std::move(work));
}

bool RecorderThread::try_push(ReceivedBatch& batch) {
  if (batch.slices.empty()) return true;
  const std::lock_guard lock(mutex_);
  const bool server_full =
      queued_batches_ > 0 && shared_.queued_bytes + batch.bytes.size() > server_limits::queue_bytes;
  const bool disk_full = queued_batches_ > 0 && kQueuePart * (shared_.queued_data + batch.data_bytes()) > shared_.room;
  const bool stopped = gate_.on_full() == OnFull::stop && gate_.cancelled();
  if (queued_batches_ >= server_limits::queue_batches || server_full || disk_full || gate_.waiting() || stopped) {
    refused_ = true;
    note_refused(batch.data_bytes());
    return false;
  }
  add_batch(batch);
  return true;
}

void RecorderThread::push(ReceivedBatch& batch) {
  const std::lock_guard lock(mutex_);
  add_batch(batch);
}

ReceivedBatch RecorderThread::take_spare() {
  const std::lock_guard lock(mutex_);
  if (spares_.empty()) return {};
  ReceivedBatch batch = std::move(spares_.back());
  spares_.pop_back();
  batch.slices.clear();
  return batch;
}

void RecorderThread::close_stream(std::uint32_t handle, const std::string& reason) {
  Work work{Work::Kind::close, {}, handle, reason, {}};
  const std::lock_guard lock(mutex_);
  add(std::move(work));
}

void RecorderThread::note_not_taken(std::uint64_t bytes) noexcept {
  not_taken_ = bytes;
  lacked_memory_ = true;
}

std::optional<RecorderThread::Work> RecorderThread::next_work(std::chrono::steady_clock::time_point next_flush,
                                                              std::chrono::steady_clock::time_point next_look) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return stopping_ || !queue_.empty(); };
  if (owes_) {
    changed_.wait_for(lock, kMemoryLook, ready);
  } else if (session_) {
    changed_.wait_until(lock, dirty_ ? std::min(next_flush, next_look) : next_look, ready);
  } else {
    changed_.wait(lock, ready);
  }
  if (queue_.empty()) return std::nullopt;
  Work work = std::move(queue_.front());
  queue_.pop_front();
  return work;
}

void RecorderThread::run() {
  guarded([&] {
    const std::lock_guard lock(mutex_);
    spares_.reserve(kSpares);
  });
  auto next_flush = std::chrono::steady_clock::now() + options_.flush_interval;
  auto next_look = std::chrono::steady_clock::now() + options_.look_interval;
  for (;;) {
    if (auto work = next_work(next_flush, next_look)) {
      guarded([&] { perform(*work); });
      guarded([&] { account(); });
      after_work(*work);
    } else {
      const std::lock_guard lock(mutex_);
      if (stopping_ && queue_.empty()) break;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_flush) {
      next_flush = now + options_.flush_interval;
      guarded([&] { flush(); });
    }
    if (now >= next_look) {
      next_look = now + options_.look_interval;
      guarded([&] { look_after(); });
    }
    guarded([&] { account(); });
    guarded([&] { seal_if_wanted(); });
    owes_ = !tell_what_is_owed();
  }
  guarded([&] {
    if (open_.empty()) return;
    std::string reason = lacked_memory_ ? "out of memory" : "the server was stopped";
    if (not_taken_ > 0)
      reason += fmt::format(": {} bytes that had come, and what comes behind them, were not taken", not_taken_.load());
    for (const auto handle : std::set(open_)) finish_stream(handle, reason);
  });
  guarded([&] { account(); });
  end_stop();
  std::function<void()> on_finished;
  {
    const std::lock_guard lock(mutex_);
    on_finished = std::move(on_finished_);
  }
  const auto finish = [&] {
    if (!tell_what_is_owed()) return false;
    tell_what_came_too_late();
    try {
      if (on_finished) on_finished();
      return true;
    } catch (const std::exception&) {
      return false;
    }
  };
  while (!finish()) std::this_thread::sleep_for(kMemoryLook);
}

// Memory that cannot be had costs this recording only.
template <class Call>
void RecorderThread::guarded(Call call) {
  try {
    try {
      call();
    } catch (const std::exception& error) {
      give_up(error_of(error));
    }
  } catch (const std::exception&) {
    // As after a kill. How much is missing in it is told when there is memory for that.
    if (session_) given_up_ = std::move(session_);
    open_.clear();
    dirty_ = false;
    shared_.lacked_memory = true;
    if (!owes_error_) owes_error_ = no_memory();
  }
}

// False if it has to be tried again.
bool RecorderThread::tell_what_is_owed() {
  try {
    tell_error();
    tell_what_is_missing();
    tell_end();
    wake_refused();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void RecorderThread::tell(const Error& error) {
  if (!owes_error_) owes_error_ = error;
  try {
    tell_error();
  } catch (const std::exception&) {
    // Again, later.
  }
}

void RecorderThread::tell_error() {
  if (!owes_error_) return;
  callbacks_.on_error(*owes_error_);
  owes_error_.reset();
}

void RecorderThread::tell_what_is_missing() {
  if (!given_up_) return;
  if (++tries_ > kTries) {
    spdlog::error("recording stopped: {}: out of memory, also to look at what is missing in it", options_.device);
  } else {
    log_end(given_up_->abandon("recording stopped: out of memory"));
  }
  given_up_.reset();
  tries_ = 0;
}

// Makes the place that a batch took free again.
void RecorderThread::after_work(Work& work) {
  if (work.kind != Work::Kind::batch) return;
  const std::lock_guard lock(mutex_);
  --queued_batches_;
  shared_.queued_bytes -= work.batch.bytes.size();
  shared_.queued_data -= work.batch.data_bytes();
  if (spares_.size() < spares_.capacity()) spares_.push_back(std::move(work.batch));
}

// Tells whoever was refused that there may be room now: in the queue, or on the disk.
void RecorderThread::wake_refused() {
  bool space = false;
  {
    const std::lock_guard lock(mutex_);
    space = !gate_.waiting() && std::exchange(refused_, false);
  }
  if (!space) return;
  try {
    callbacks_.on_space();
  } catch (const std::exception&) {
    const std::lock_guard lock(mutex_);
    refused_ = true;
    throw;
  }
}

void RecorderThread::perform(Work& work) {
  switch (work.kind) {
    case Work::Kind::open: {
      Expected<void> opened;
      try {
        opened = open(work);
      } catch (const std::exception& error) {
        // What was in the midst of it may be half done: as everywhere, the recording is given up.
        opened = tl::unexpected<Error>(error_of(error));
        if (session_) give_up(opened.error());
      }
      if (!opened) known_.erase(work.handle);
      if (!opened && opened.error().exit_code() == 4) shared_.note_loss(opened.error());
      when_there_is_memory([&] { callbacks_.on_opened(work.handle, opened); });
      return;
    }
    case Work::Kind::batch:
      return write(work.batch);
    case Work::Kind::close:
      return finish_stream(work.handle, work.text);
  }
}

Expected<void> RecorderThread::open(const Work& work) {
  // Whoever waits for an answer does not wait for long: it is refused where a WRITE would be held back. But the reserve
  // is not to be kept from those who are to wait in it.
  const std::uint64_t needed = shared_.unwritten.used() + shared_.in_hand.used() + kOpenBytes;
  if (auto may = gate_.may_begin(needed); !may) return may;
  // One end is kept in mind at a time.
  if ((given_up_ || ended_) && !tell_what_is_owed()) return tl::unexpected<Error>(no_memory());
  known_[work.handle].name = work.text;
  if (!session_) {
    auto made = made_or_tried_again(options_.device, [&] { return options_.make_session(work.options, work.text); });
    if (!made) return fail(made);
    session_ = std::move(*made);
    close_failed_ = false;
  }
  auto opened = session_->open_stream(work.handle, work.text);
  if (opened) {
    open_.insert(work.handle);
    has_recorded_ = true;
  } else if (open_.empty()) {
    abandon_session(opened.error().message);
  }
  return opened;
}

void RecorderThread::announce(const ReceivedBatch& batch, std::size_t first) {
  const std::uint32_t handle = batch.slices[first].handle;
  if (!session_->wants_announcement(handle, batch.arrival)) return;
  std::vector<ByteView> pieces;
  for (std::size_t i = first; i < batch.slices.size(); ++i) {
    const auto& slice = batch.slices[i];
    if (slice.handle != handle) continue;
    if (slice.close) break;
    pieces.push_back(ByteView(batch.bytes).subspan(slice.begin, slice.size));
  }
  session_->announce(handle, pieces, batch.arrival);
}

void RecorderThread::write(const ReceivedBatch& batch) {
  ++batches_;
  largest_batch_ = std::max<std::uint64_t>(largest_batch_, batch.data_bytes());
  guarded([&] {
    if (session_) make_room(batch.data_bytes());
  });
  bool whole = false;  // it has its place, all of it
  guarded([&] { whole = session_ && !losing_ && gate_.cancelled() && claim_if_it_fits(batch.data_bytes()); });
  for (std::size_t i = 0; i < batch.slices.size(); ++i) {
    const auto& slice = batch.slices[i];
    // Whatever fails, here or before: every slice is written or counted.
    const auto known = known_.find(slice.handle);
    if (known == known_.end()) continue;  // no stream was opened under it
    guarded([&] {
      if (whole || !session_ || slice.close || losing_ || !gate_.cancelled()) return;
      if (!claim(slice.size)) lose_the_rest(slice.size);
    });
    if (!session_ || open_.count(slice.handle) == 0) {  // it was given up; on_error said so
      known->second.late += slice.size;
    } else if (slice.close) {
      guarded([&] { finish_stream(slice.handle, ""); });
    } else if (losing_) {
      known->second.lost += slice.size;
    } else {
      dirty_ = true;
      sealed_ = cannot_seal_ = seal_failed_ = false;
      guarded([&] {
        if (std::exchange(known->second.last_batch, batches_) != batches_) announce(batch, i);
        if (auto done =
                session_->write(slice.handle, ByteView(batch.bytes).subspan(slice.begin, slice.size), batch.arrival);
            !done)
          give_up(done.error());  // the other slices come too late
      });
    }
  }
}

void RecorderThread::flush() {
  // The log is not to take what sections need.
  if (gate_.cancelled() && session_) {
    const std::lock_guard lock(shared_.stop_mutex);
    const std::uint64_t log = session_->unlogged_bytes();
    if (gate_.free_bytes() < shared_.unwritten.used() + log) return;
    (void)unwritten_.set(unwritten_.held() + log);
  }
  if (dirty_ && session_)
    if (auto done = session_->flush(); !done) give_up(done.error());
  dirty_ = false;
}

void RecorderThread::look_after() {
  largest_before_ = std::exchange(largest_batch_, 0);
  if (!session_) return;
  if (auto trimmed = session_->trim(); !trimmed) return give_up(trimmed.error());
  tell_missing_files();
}

void RecorderThread::tell_missing_files() {
  while (const auto missing = session_->missing_file()) {
    shared_.note_loss(*missing);
    spdlog::error("MISSING  {}: {}", options_.device, missing->to_string());
    missing_.push_back(missing->to_string());
  }
}

void RecorderThread::finish_stream(std::uint32_t handle, const std::string& reason) {
  if (open_.erase(handle) == 0 || !session_) return;
  std::string why = reason;
  if (const auto known = known_.find(handle); known != known_.end() && known->second.lost > 0) {
    why += fmt::format("{}{} bytes that came are lost: the disk was full", why.empty() ? "" : "; ", known->second.lost);
  }
  auto done = session_->close_stream(handle, why);
  if (const auto known = known_.find(handle); known != known_.end()) known->second.lost = 0;  // the session tells it
  close_failed_ = !done;
  if (!done) return give_up(done.error());
  if (const auto stopped = session_->must_end()) return give_up(*stopped);
  if (reason.empty()) known_.erase(handle);  // of what the device closed nothing comes any more
  if (open_.empty()) end_session();
}

void RecorderThread::end_session() {
  tell_missing_files();
  const auto finish = [this] {
    auto summary = session_->finish();
    if (summary) return summary;
    shared_.note_loss(summary.error());
    spdlog::error("recording stopped: {}: {}", options_.device, summary.error().to_string());
    return summary;
  };
  auto summary = finish();
  if (!summary && (is_disk_full(summary.error()) || is_file_full(summary.error())) && can_be_closed(summary.error()))
    summary = finish();
  if (!summary) return abandon_session(summary.error().message);
  session_.reset();
  dirty_ = false;
  log_end(std::move(*summary));
}

void RecorderThread::abandon_session(const std::string& reason) {
  tell_missing_files();
  auto summary = session_->abandon(reason);
  session_.reset();
  dirty_ = false;
  log_end(std::move(summary));
}

// Memory is not tried for once more, nor space by who waited for it: whoever else needs them goes first. Who stops on a
// full disk has its part of the reserve, and is closed where that does. And where a stream could not be
// closed, what was to be recorded with it may be missing: a closed recording would hide that.
bool RecorderThread::can_be_closed(const Error& error) {
  const bool may_try = !lacks_room(error) || (is_disk_full(error) && gate_.on_full() == OnFull::stop);
  return session_ && !close_failed_ && may_try && session_->prepare_end();
}

void RecorderThread::give_up(const Error& error) {
  const std::string reason = "recording stopped: " + error.message;
  spdlog::error("recording stopped: {}: {}", options_.device, error.to_string());
  const bool is_well = error.code == ErrorCode::limit;  // the device asked too much
  if (!is_well) shared_.note_loss(error);
  const bool closes = !is_well && can_be_closed(error);
  if (closes) tell(error);  // to close it may have to wait for space
  if (is_well || closes)
    for (const auto handle : std::set(open_)) finish_stream(handle, reason);
  if (closes && session_ && open_.empty()) end_session();  // all were closed before
  open_.clear();
  if (session_) abandon_session(reason);
  if (!closes) tell(error);
}

void RecorderThread::tell_what_came_too_late() {
  for (auto& [handle, stream] : known_)
    if (const auto bytes = std::exchange(stream.late, 0); bytes > 0)
      spdlog::warn("loss     {}: {}: {} bytes came behind the end of its recording", options_.device, stream.name,
                   bytes);
}

// What there is no memory to tell is told later.
void RecorderThread::log_end(SessionSummary summary) {
  ended_ = std::move(summary);
  losing_ = false;
  try {
    tell_end();
  } catch (const std::exception&) {
    // Again, later: what ended has ended well, or was told.
  }
}

void RecorderThread::tell_end() {
  if (!ended_) return;
  std::vector<std::string> losses = ended_->losses;
  losses.insert(losses.end(), missing_.begin(), missing_.end());
  for (const auto& [handle, stream] : known_)
    if (stream.lost > 0)
      losses.push_back(
          fmt::format("{}: {} bytes more that came are lost: the disk was full", stream.name, stream.lost));
  std::string line;
  if (!ended_->files.empty())
    line = fmt::format(
        "session  {}: {} blocks, {} received, {} stored in {}{}, {}", options_.device, ended_->blocks,
        size_text(ended_->raw_bytes), size_text(ended_->stored_bytes), ended_->files.front().string(),
        ended_->files.size() > 1 ? fmt::format(" and {} more", ended_->files.size() - 1) : "",
        losses.empty() ? "no losses" : fmt::format("{} {}", losses.size(), losses.size() == 1 ? "loss" : "losses"));
  // From here on nothing fails.
  if (!line.empty()) {
    for (const auto& loss : losses) spdlog::warn("loss     {}: {}", options_.device, loss);
    spdlog::info("{}", line);
  }
  missing_.clear();
  for (auto& [handle, stream] : known_) stream.lost = 0;
  ended_.reset();
}

}  // namespace sds
