// One device's conversation with the server, without its link: bytes in, bytes out.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sds/recorder/recorder_thread.hpp"
#include "sds/recorder/sdsio_message.hpp"
#include "sds/recorder/server.hpp"

namespace sds {

class LogLimiter;
class ReplyQueue;
struct PlaybackFile;

/// What the connections of one server share. Used by the receive thread alone, but for what is thread-safe.
struct ServerShared {
  explicit ServerShared(const ServerOptions& o);
  ServerOptions options;
  Executor* executor = nullptr;
  std::uint32_t user_flags = 0;   ///< set by the user so far, for every device
  std::uint32_t set_flags = 0;    ///< asked for while no device was there: for the next one
  std::uint32_t clear_flags = 0;  ///< the same
  /// On a line no handle is given twice: what is still written to an old one is told from what is written to a new one.
  std::uint32_t last_handle = 0;
  PlainLabels labels;
  SharedTotal unfinished;
  OpenBlocks open_blocks;
  SharedTotal descriptors;     ///< that may be open at a time beside those of the start
  SharedTotal playback_files;  ///< open ones
  RecorderShared recorders;
};

class SdsioConnection final : private sdsio::MessageHandler {
 public:
  /// What carries the conversation.
  struct Host {
    std::function<void()> output_ready;  ///< receive thread: take_output() has something
    /// Any thread: call opened() on the receive thread.
    std::function<void(std::uint32_t handle, const Expected<void>& opened)> post_opened;
    std::function<void()> post_resume;               ///< any thread: advance() may succeed now
    std::function<void(const Error&)> post_give_up;  ///< any thread: recording has ended, drop the device
    std::function<void()> playback_done;             ///< receive thread: all playback files were played
    std::function<void()> session_ended;  ///< receive thread: of streams that were recorded the last is closed
    /// Receive thread: calls `work` on another thread, and `then`, and advance(), on this one when it is done. If
    /// `then` fails, the device is sent away.
    std::function<void(std::function<void()> work, std::function<Expected<void>()> then)> on_disk;
  };
  /// `descriptors` are those kept for the device; they are held until its recorder ends. May be null.
  SdsioConnection(ServerShared& shared, std::string peer, std::shared_ptr<TotalShare> descriptors, Host host);
  ~SdsioConnection() override;

  /// Where what is received goes; valid until received().
  std::span<std::byte> buffer();
  /// Takes the first `count` bytes of buffer() and goes on as advance() does.
  [[nodiscard]] Expected<bool> received(std::size_t count);
  /// Goes on with what was received. True: all of it is taken, read on. False: a stream is being opened, the queue is
  /// full or the disk is: read no more until opened() or post_resume. An error: send the device away.
  [[nodiscard]] Expected<bool> advance();
  /// The stream that was waited for is open, or refused: answers the device. advance() goes on.
  void opened(std::uint32_t handle, const Expected<void>& result);
  /// Appends what is to be sent now, at most server_limits::reply_bytes.
  void take_output(Bytes& out);
  /// To be called every 100 ms, unless the device has yet to take in what was sent: sends the FLAGS message that tells
  /// the device we are alive, to those that know it.
  void tick();
  void change_flags(std::uint32_t set, std::uint32_t clear);
  /// Tells the device, at once, to close what it has open.
  void ask_to_stop();
  /// True while it can be hoped that the device does so: it has something open, and said that it was started.
  [[nodiscard]] bool may_stop() const;
  /// True if the device has nothing open.
  [[nodiscard]] bool is_idle() const { return writing_.empty() && reading_.empty() && !opening_; }
  /// True while a full disk holds the device back.
  [[nodiscard]] bool waits_for_space() const { return recorder_ && recorder_->waits_for_space(); }
  /// The device has left: the rest of what it sent may go into the reserve.
  void release_reserve() { recorder_->release_reserve(); }
  /// What a device is told when the server leaves it; may be empty.
  [[nodiscard]] Bytes farewell() const;
  /// The device has gone, or is sent away: `reason`, and `not_taken` of what it had sent, are recorded with every
  /// stream that was still open. Returns what still writes; null if nothing was recorded.
  [[nodiscard]] std::unique_ptr<RecorderThread> disconnected(const std::string& reason, const std::string& not_taken);
  /// The same where there was no memory for disconnected(): the recorder ends what is open, and says that, and how much
  /// was not taken, with `unread` bytes that were not received.
  [[nodiscard]] std::unique_ptr<RecorderThread> dropped(std::size_t unread) noexcept;
  /// Of what was received, in messages that a lack of memory came between, and behind them.
  [[nodiscard]] std::size_t bytes_not_looked_at() const noexcept { return broken_ ? parse_end_ - looked_at_ : 0; }

 private:
  // What is known of the library on the device: only from 3.x on does it understand a FLAGS message that it did not ask
  // for; before, it takes it for the answer to its next request.
  enum class Flags { not_yet, never_before_info, always };
  struct Opening {
    std::uint32_t handle = 0;
    std::string name;
    bool for_playback = false;
  };
  bool on_message(const sdsio::Header& header, ByteView text) override;
  void on_write(std::uint32_t handle, std::size_t begin, std::size_t size) override;
  void learn_version(const sdsio::Header& first);
  [[nodiscard]] std::uint32_t next_handle();
  void open(const sdsio::Header& header, const std::string& name);
  [[nodiscard]] Expected<void> check_open(const sdsio::Header& header, const std::string& name) const;
  void begin_recording(std::uint32_t handle, const std::string& name);
  [[nodiscard]] Expected<void> make_recorder();
  void begin_playback(std::uint32_t handle, const std::string& name);
  void playback_opened(std::uint32_t handle, const Expected<std::shared_ptr<PlaybackFile>>& opened);
  void answer_open(std::uint32_t handle, std::uint32_t mode, const std::string& name, const Expected<void>& result);
  void close(std::uint32_t handle);
  void info(const sdsio::Header& header, ByteView text);
  void all_closed();
  void continue_playback();
  [[nodiscard]] bool may_continue_playback() const;
  void next_playback(bool there_is_one);
  void push_slices_now();
  void pause();
  void reply(bool queued);
  void complain(const std::string& text);
  [[nodiscard]] std::shared_ptr<PlaybackFile> playback_of(std::uint32_t handle) const;
  struct PlaybackNames;
  [[nodiscard]] PlaybackNames playback_names(const std::string& stream) const;

  ServerShared& shared_;
  std::string peer_;
  std::shared_ptr<TotalShare> descriptors_;
  Host host_;
  sdsio::MessageDecoder decoder_;
  ReceivedBatch batch_;
  std::size_t parse_begin_ = 0;  // of what was received into batch_ and not yet looked at
  std::size_t parse_end_ = 0;
  std::size_t parse_origin_ = 0;  // of the bytes that the decoder sees now
  std::size_t looked_at_ = 0;     // up to here they are slices, or refused
  bool broken_ = false;           // what comes behind is not understood any more
  std::optional<Opening> opening_;
  std::optional<Error> failure_;
  bool leaving_ = false;
  std::optional<std::uint64_t> paused_since_ns_;
  bool late_ = false;  // what comes next may have waited in the socket
  std::unique_ptr<ReplyQueue> replies_;
  std::unique_ptr<LogLimiter> log_;  // of what the device can cause as often as it likes
  Flags flags_ = Flags::not_yet;
  unsigned ticks_ = 0;
  bool flags_due_ = false;
  std::map<std::uint32_t, std::string> writing_;
  std::map<std::uint32_t, std::shared_ptr<PlaybackFile>> reading_;
  std::uint32_t last_handle_ = 0;
  std::map<std::uint32_t, std::uint64_t> refused_bytes_;  // by handle that is not open for writing
  std::uint32_t set_flags_ = 0;
  std::uint32_t clear_flags_ = 0;
  std::uint32_t device_flags_ = 0;
  std::uint32_t idle_rate_ = 0xFFFFFFFF;
  bool playback_ = false;
  std::uint32_t playback_label_ = 0;
  std::string playback_stream_;
  bool start_pending_ = false;
  bool terminate_sent_ = false;
  bool looks_for_next_ = false;
  bool asked_to_stop_ = false;
  std::unique_ptr<RecorderThread> recorder_;  // made at the first OPEN for recording
};

}  // namespace sds
