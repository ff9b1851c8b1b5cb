// The writer path of a connection: a thread that takes batches of received bytes from a bounded queue and writes them
// to the session's files. The receive path stays on its own thread and waits when the queue is full.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "sds/recorder/session_writer.hpp"

namespace sds {

/// What one read from the socket brought: the bytes, and which of them belong to which stream.
struct ReceivedBatch {
  struct Slice {
    std::uint32_t handle = 0;
    std::size_t begin = 0;
    std::size_t size = 0;
    bool close = false;  ///< the device closed the stream here
  };
  Bytes bytes;
  std::vector<Slice> slices;
};

class RecorderThread {
 public:
  /// Batches that may wait; with batches of 256 KiB, 8 MiB. A full queue makes try_push() fail.
  static constexpr std::size_t queue_batches = 32;

  using MakeSession = std::function<Expected<std::unique_ptr<SessionWriter>>()>;

  /// `make_session` opens the files of a new session. `on_space` is called, from the writer thread, when a batch was
  /// taken after try_push() had failed; `on_error` when writing failed: the session is over by then.
  RecorderThread(MakeSession make_session, std::chrono::milliseconds flush_interval, std::function<void()> on_space,
                 std::function<void(const Error&)> on_error);
  ~RecorderThread();
  RecorderThread(const RecorderThread&) = delete;
  RecorderThread& operator=(const RecorderThread&) = delete;

  /// Opens a stream for writing, starting a session if none is open. Waits for the files to be there.
  [[nodiscard]] Expected<void> open_stream(std::uint32_t handle, const std::string& name);
  /// Hands a batch over; false if the queue is full, and `batch` is unchanged then.
  [[nodiscard]] bool try_push(ReceivedBatch& batch);
  /// The same, whatever is queued: for the few that must not wait.
  void push(ReceivedBatch batch);
  /// An empty batch to fill, reusing the buffers of one that was written.
  [[nodiscard]] ReceivedBatch take_spare();
  /// Ends a stream after everything pushed before; the session ends with its last stream.
  /// `reason` is empty for a CLOSE by the device.
  void close_stream(std::uint32_t handle, const std::string& reason);

 private:
  struct Work {
    enum class Kind { open, batch, close } kind = Kind::batch;
    ReceivedBatch batch;
    std::uint32_t handle = 0;
    std::string text;
  };
  void run();
  void perform(Work& work);
  void finish_stream(std::uint32_t handle, const std::string& reason);
  void end_session();
  void give_up(const Error& error);

  MakeSession make_session_;
  std::chrono::milliseconds flush_interval_;
  std::function<void()> on_space_;
  std::function<void(const Error&)> on_error_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  std::size_t queued_batches_ = 0;
  bool refused_ = false;  // a try_push() failed since the last on_space
  bool stopping_ = false;
  std::vector<ReceivedBatch> spares_;
  std::optional<Expected<void>> open_result_;

  // Of the writer thread alone.
  std::unique_ptr<SessionWriter> session_;
  std::set<std::uint32_t> open_;
  bool dirty_ = false;

  std::thread thread_;
};

}  // namespace sds
