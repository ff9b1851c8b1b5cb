// The writer path of a connection: a thread that takes batches of received bytes from a bounded queue and writes them
// to the session's files. Nothing here makes the receive path wait: it is told when a stream is open, when the queue
// has room again, and when everything is on disk.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "sds/recorder/session_writer.hpp"
#include "sds/recorder/shared_total.hpp"

namespace sds {

/// What one read from the device brought: the bytes, when they came, and which of them belong to which stream.
struct ReceivedBatch {
  struct Slice {
    std::uint32_t handle = 0;
    std::size_t begin = 0;
    std::size_t size = 0;
    bool close = false;  ///< the device closed the stream here
  };
  Bytes bytes;
  Arrival arrival;
  std::vector<Slice> slices;

  /// Of all slices.
  [[nodiscard]] std::uint64_t data_bytes() const;
};

/// What the recorders of a server share.
struct RecorderShared {
  std::atomic<std::uint64_t> queued_bytes{0};  ///< of all batches that wait
  /// What is to be written of them, and of batches that were refused, which are still in their device's hands.
  std::atomic<std::uint64_t> queued_data{0};
  /// What open recordings have still to write, to keep what came and to be closed (SessionWriter::unwritten_bytes):
  /// the disk counts as full before it has less.
  SharedTotal unwritten{std::numeric_limits<std::uint64_t>::max()};
  /// What devices that sent something of late may have in hand when the disk is found full, beside what is queued: who
  /// begins or goes on leaves it free.
  SharedTotal in_hand{std::numeric_limits<std::uint64_t>::max()};
  /// What the disk has beside that, when it was last looked at: what waits must find its place there.
  std::atomic<std::uint64_t> room{std::numeric_limits<std::uint64_t>::max()};
  /// When the server stops on a full disk, what has no place is lost only when nobody is at work any more: whoever
  /// still writes may leave space, for what it needs to be closed is less in the end than it may have been.
  std::mutex stop_mutex;
  std::condition_variable stop_changed;
  unsigned at_work = 0;   ///< recorders that are to stop, and have something that fits; guarded by stop_mutex
  unsigned may_seal = 0;  ///< of the others, those that have something open; guarded by stop_mutex
  /// Recorders that stop and find no place for what they hold, while others go on: these seal what they have open.
  std::atomic<unsigned> seal_wanted{0};
  unsigned unsealed = 0;      ///< recorders that go on and have something open; guarded by stop_mutex
  unsigned wait_to_seal = 0;  ///< the same, of those who found no space for that; guarded by stop_mutex
  std::uint64_t looks = 0;    ///< how often these were made to look again; guarded by stop_mutex

  std::mutex mutex;
  std::optional<Error> first_loss;         ///< a recording that an I/O error cut short, or kept from being made
  std::atomic<bool> lacked_memory{false};  ///< so did a lack of memory

  void note_loss(const Error& error) {
    const std::lock_guard lock(mutex);
    if (!first_loss) first_loss = error;
  }
};

class RecorderThread {
 public:
  /// All are called on the writer thread. One that throws, for it may need memory, is called again until it does not:
  /// what it tells is not lost.
  struct Callbacks {
    /// A stream asked for with open_stream() is open, or refused.
    std::function<void(std::uint32_t handle, const Expected<void>& opened)> on_opened;
    /// try_push() may succeed again after it had failed.
    std::function<void()> on_space;
    /// Writing failed, or a full disk is to end the recording: send the device away.
    std::function<void(const Error&)> on_error;
  };
  struct Options {
    std::string device;  ///< the peer's address, for the log
    std::chrono::milliseconds flush_interval{200};
    std::chrono::milliseconds look_interval{1000};  ///< how often it is looked whether files are where they were
    MakeSession make_session = sds::make_session;
    SpaceGate::Options space;
    std::shared_ptr<TotalShare> descriptors;  ///< held until the recorder ends; may be null
    /// Starts the thread; throws as std::thread's constructor does.
    std::function<std::thread(std::function<void()>)> make_thread;
  };

  /// `shared` must outlive the recorder. Throws std::system_error if no thread can be had.
  RecorderThread(Options options, RecorderShared& shared, Callbacks callbacks);
  /// Waits until everything is written, but not for space.
  ~RecorderThread();
  RecorderThread(const RecorderThread&) = delete;
  RecorderThread& operator=(const RecorderThread&) = delete;

  /// Opens a stream for writing, with everything pushed before written; starts a session with `options` if none is
  /// open.
  void open_stream(std::uint32_t handle, const std::string& name, const SessionOptions& options);
  /// Hands a batch over; false if the queue is full, or would be too much for the disk, or the disk is waited for, and
  /// `batch` is unchanged then.
  [[nodiscard]] bool try_push(ReceivedBatch& batch);
  /// The same, whatever is queued: for the few that must not wait. `batch` is empty then; if there is no memory
  /// (std::bad_alloc), it is unchanged, as with try_push().
  void push(ReceivedBatch& batch);
  /// An empty batch to fill, reusing the buffers of one that was written.
  [[nodiscard]] ReceivedBatch take_spare();
  /// Ends a stream after everything pushed before; the session ends with its last stream.
  /// `reason` is empty for a CLOSE by the device.
  void close_stream(std::uint32_t handle, const std::string& reason);

  /// True while the disk is full and waited for.
  [[nodiscard]] bool waits_for_space() const { return gate_.waiting(); }
  /// Nothing more will come but what waits already: it may go into the reserve.
  void release_reserve() { gate_.release_reserve(); }
  /// stop_waiting() follows at once. Where many recorders stop, each is told this before the first stops waiting: none
  /// loses anything while another may yet leave space for it.
  void expect_stop();
  /// Ends a wait for space: what was taken is written, into the reserve, too, as far as all recordings can still be
  /// closed. The rest is lost, and recorded as that.
  void stop_waiting() { gate_.cancel(); }
  /// Nothing more comes: the thread ends when all is written, however long the disk stays full, and calls `on_finished`
  /// last of all, again and again if it throws.
  void finish(std::function<void()> on_finished);
  /// There was no memory to hand over what came last, `bytes` of it, nor to close streams: they end with finish(), and
  /// say so.
  void note_not_taken(std::uint64_t bytes) noexcept;
  /// True once a stream was opened.
  [[nodiscard]] bool has_recorded() const { return has_recorded_; }

 private:
  // What a recording, or a stream of one, takes at first.
  static constexpr std::uint64_t kOpenBytes = std::uint64_t{1} << 16;

  struct Work {
    enum class Kind { open, batch, close } kind = Kind::batch;
    ReceivedBatch batch;
    std::uint32_t handle = 0;
    std::string text;
    SessionOptions options;
  };
  void run();
  std::optional<Work> next_work(std::chrono::steady_clock::time_point next_flush,
                                std::chrono::steady_clock::time_point next_look);
  void add(Work&& work);
  void add_batch(ReceivedBatch& batch);
  void note_refused(std::uint64_t data);
  void perform(Work& work);
  template <class Call>
  void guarded(Call call);
  [[nodiscard]] Expected<void> open(const Work& work);
  void write(const ReceivedBatch& batch);
  void after_work(Work& work);
  void wake_refused();
  [[nodiscard]] bool tell_what_is_owed();
  void tell(const Error& error);
  void tell_error();
  void tell_what_is_missing();
  void flush();
  void look_after();
  void tell_missing_files();
  [[nodiscard]] bool has_space(std::uint64_t needed);
  [[nodiscard]] std::uint64_t needed_for(std::uint64_t bytes) const;
  void make_room(std::uint64_t bytes);
  void account();
  [[nodiscard]] bool claim(std::uint64_t bytes);
  [[nodiscard]] bool claim_if_it_fits(std::uint64_t bytes);
  [[nodiscard]] bool take_if_it_fits(std::uint64_t bytes);
  void lose_the_rest(std::uint64_t bytes);
  void tell_those_who_stop();
  void seal_if_wanted();
  enum class Standing { sealed, unsealed, waits_for_space };  // whether it has something open that it can seal
  void note_standing();
  void set_standing(Standing standing);
  void let_others_look_again();
  void end_stop();
  void tell_what_came_too_late();
  void finish_stream(std::uint32_t handle, const std::string& reason);
  void end_session();
  void abandon_session(const std::string& reason);
  // Shows the session what a batch has of a stream, from its slice `first` on.
  void announce(const ReceivedBatch& batch, std::size_t first);
  [[nodiscard]] bool can_be_closed(const Error& error);
  void give_up(const Error& error);
  void log_end(SessionSummary summary);
  void tell_end();

  Options options_;
  RecorderShared& shared_;
  Callbacks callbacks_;
  SpaceGate gate_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Work> queue_;
  std::size_t queued_batches_ = 0;
  bool refused_ = false;            // a try_push() failed since the last on_space
  std::uint64_t refused_data_ = 0;  // of the batch that was refused, and not pushed yet
  bool stopping_ = false;
  std::function<void()> on_finished_;
  std::vector<ReceivedBatch> spares_;
  std::atomic<bool> has_recorded_{false};
  std::atomic<bool> lacked_memory_{false};
  std::atomic<std::uint64_t> not_taken_{0};

  // Of the writer thread alone, but for stop_ and counted_.
  std::unique_ptr<SessionWriter> session_;
  std::set<std::uint32_t> open_;
  enum class Stop { not_yet, expected, ended } stop_ = Stop::not_yet;  // guarded by shared_.stop_mutex
  Standing counted_ = Standing::sealed;                                // in shared_; guarded by shared_.stop_mutex
  std::uint64_t looks_ = 0;  // shared_.looks when it was counted; guarded by shared_.stop_mutex
  Standing standing_ = Standing::sealed;
  bool cannot_seal_ = false;             // there was no space for that when it was last looked at
  std::uint64_t cannot_seal_since_ = 0;  // shared_.looks then
  bool seal_failed_ = false;             // there was none, and nothing came since
  bool dirty_ = false;
  std::unique_ptr<SessionWriter> given_up_;  // there was no memory to tell what is missing in it
  unsigned tries_ = 0;                       // to do so
  std::optional<SessionSummary> ended_;      // of a session whose end is to be told
  std::optional<Error> owes_error_;          // to be told to on_error
  bool owes_ = false;                        // something is to be told again
  TotalShare unwritten_;
  TotalShare in_hand_;
  std::uint64_t largest_batch_ = 0;   // bytes of data, since it was last looked after
  std::uint64_t largest_before_ = 0;  // the same of the interval before
  bool losing_ = false;               // what still comes of this session
  bool close_failed_ = false;         // of one of its streams
  bool sealed_ = false;               // nothing came since the session was sealed
  struct KnownStream {
    std::string name;
    std::uint64_t lost = 0;        // bytes that came, of what the session loses
    std::uint64_t late = 0;        // bytes that came when the recording had been given up
    std::uint64_t last_batch = 0;  // the number of the last one that had something of it
  };
  std::map<std::uint32_t, KnownStream> known_;  // by handle, of all that may still come
  std::uint64_t batches_ = 0;                   // that came
  std::vector<std::string> missing_;            // files of the session that are not where they were

  std::thread thread_;
};

}  // namespace sds
