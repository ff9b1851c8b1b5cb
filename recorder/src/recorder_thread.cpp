#include "sds/recorder/recorder_thread.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace sds {

RecorderThread::RecorderThread(MakeSession make_session, std::chrono::milliseconds flush_interval,
                               std::function<void()> on_space, std::function<void(const Error&)> on_error)
    : make_session_(std::move(make_session)),
      flush_interval_(flush_interval),
      on_space_(std::move(on_space)),
      on_error_(std::move(on_error)),
      thread_([this] { run(); }) {}

RecorderThread::~RecorderThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Expected<void> RecorderThread::open_stream(std::uint32_t handle, const std::string& name) {
  std::unique_lock lock(mutex_);
  open_result_.reset();
  queue_.push_back({Work::Kind::open, {}, handle, name});
  changed_.notify_all();
  changed_.wait(lock, [&] { return open_result_.has_value(); });
  return *open_result_;
}

bool RecorderThread::try_push(ReceivedBatch& batch) {
  if (batch.slices.empty()) return true;
  const std::lock_guard lock(mutex_);
  if (queued_batches_ >= queue_batches) {
    refused_ = true;
    return false;
  }
  ++queued_batches_;
  queue_.push_back({Work::Kind::batch, std::move(batch), 0, {}});
  batch = {};
  changed_.notify_all();
  return true;
}

void RecorderThread::push(ReceivedBatch batch) {
  const std::lock_guard lock(mutex_);
  ++queued_batches_;
  queue_.push_back({Work::Kind::batch, std::move(batch), 0, {}});
  changed_.notify_all();
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
  const std::lock_guard lock(mutex_);
  queue_.push_back({Work::Kind::close, {}, handle, reason});
  changed_.notify_all();
}

void RecorderThread::run() {
  auto next_flush = std::chrono::steady_clock::now() + flush_interval_;
  for (;;) {
    Work work;
    bool space = false;
    bool any = false;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [&] { return stopping_ || !queue_.empty(); };
      if (dirty_) {
        changed_.wait_until(lock, next_flush, ready);
      } else {
        changed_.wait(lock, ready);
      }
      if (!queue_.empty()) {
        any = true;
        work = std::move(queue_.front());
        queue_.pop_front();
        if (work.kind == Work::Kind::batch) {
          --queued_batches_;
          space = std::exchange(refused_, false);
        }
      } else if (stopping_) {
        break;
      }
    }
    if (space) on_space_();
    if (any) perform(work);
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_flush) {
      next_flush = now + flush_interval_;
      if (dirty_ && session_)
        if (auto done = session_->flush(); !done) give_up(done.error());
      dirty_ = false;
    }
    if (any && work.kind == Work::Kind::batch) {
      const std::lock_guard lock(mutex_);
      if (spares_.size() < queue_batches) spares_.push_back(std::move(work.batch));
    }
  }
  for (const auto handle : std::set(open_)) {
    if (!session_) break;
    if (auto closed = session_->close_stream(handle, "the server was stopped"); !closed) give_up(closed.error());
  }
  open_.clear();
  end_session();
}

void RecorderThread::perform(Work& work) {
  switch (work.kind) {
    case Work::Kind::open: {
      Expected<void> result;
      if (!session_) {
        auto made = make_session_();
        if (made) {
          session_ = std::move(*made);
        } else {
          result = fail(made);
        }
      }
      if (result) result = session_->open_stream(work.handle, work.text);
      if (result) {
        open_.insert(work.handle);
      } else if (open_.empty()) {
        end_session();
      }
      const std::lock_guard lock(mutex_);
      open_result_ = result;
      changed_.notify_all();
      return;
    }
    case Work::Kind::batch:
      for (const auto& slice : work.batch.slices) {
        if (!session_) return;                         // it was given up; on_error said so
        if (open_.count(slice.handle) == 0) continue;  // the connection refuses these and says so
        if (slice.close) {
          finish_stream(slice.handle, "");
          continue;
        }
        dirty_ = true;
        if (auto done = session_->write(slice.handle, ByteView(work.batch.bytes).subspan(slice.begin, slice.size));
            !done)
          return give_up(done.error());
      }
      return;
    case Work::Kind::close:
      return finish_stream(work.handle, work.text);
  }
}

void RecorderThread::finish_stream(std::uint32_t handle, const std::string& reason) {
  if (open_.erase(handle) == 0 || !session_) return;
  if (auto done = session_->close_stream(handle, reason); !done) return give_up(done.error());
  if (open_.empty()) end_session();
}

void RecorderThread::end_session() {
  if (!session_) return;
  auto summary = session_->finish();
  session_.reset();
  dirty_ = false;
  if (!summary) {
    spdlog::error("{}", summary.error().to_string());
    return;
  }
  if (summary->blocks == 0 && summary->files.empty()) return;
  for (const auto& loss : summary->losses) spdlog::warn("loss     {}", loss);
  spdlog::info("session  {} blocks, {:.1f} MB received, {:.1f} MB stored in {}{}", summary->blocks,
               static_cast<double>(summary->raw_bytes) / 1e6, static_cast<double>(summary->stored_bytes) / 1e6,
               summary->files.front().string(),
               summary->files.size() > 1 ? fmt::format(" and {} more", summary->files.size() - 1) : "");
}

void RecorderThread::give_up(const Error& error) {
  spdlog::error("recording stopped: {}", error.to_string());
  // Close what can be closed: what was written stays a valid recording.
  for (const auto handle : open_)
    if (session_) (void)session_->close_stream(handle, "recording stopped: " + error.message);
  open_.clear();
  end_session();
  on_error_(error);
}

}  // namespace sds
