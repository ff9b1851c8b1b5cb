// One device's conversation with the server, without its transport: bytes in, bytes out.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sds/format/file.hpp"
#include "sds/recorder/recorder_thread.hpp"
#include "sds/recorder/sdsio_message.hpp"
#include "sds/recorder/server.hpp"

namespace sds {

/// What the connections of one server share. Used by the receive thread alone.
struct ServerShared {
  ServerOptions options;
  Executor* executor = nullptr;
  std::optional<std::uint32_t> last_label;  ///< of the newest plain recording session
  std::uint32_t set_flags = 0;              ///< asked for by the user so far
};

class SdsioConnection final : private sdsio::MessageHandler {
 public:
  struct Transport {
    std::function<void(ByteView)> send;         ///< called on the receive thread
    std::function<void()> resume;               ///< any thread: retry() may succeed now
    std::function<void(const Error&)> give_up;  ///< any thread: writing failed, drop the device
    std::function<void()> playback_done;        ///< receive thread: all playback files were played
  };
  SdsioConnection(ServerShared& shared, std::string peer, Transport transport);
  ~SdsioConnection() override;

  /// Where the transport puts what it receives; valid until received().
  std::span<std::byte> buffer();
  /// Takes the first `count` bytes of buffer(). False: the queue is full; read no more until retry() says true.
  [[nodiscard]] Expected<bool> received(std::size_t count);
  [[nodiscard]] bool retry();
  /// To be called every 100 ms: sends the FLAGS message that tells the device we are alive.
  void tick();
  void change_flags(std::uint32_t set, std::uint32_t clear);
  /// The device has gone, or is sent away: `reason` is recorded with every stream that was still open.
  void disconnected(const std::string& reason);
  [[nodiscard]] bool has_recorded() const { return has_recorded_; }

 private:
  struct PlaybackFile {
    std::shared_ptr<const InputFile> file;
    std::string name;
    std::uint64_t offset = 0;
  };
  void on_message(const sdsio::Header& header, ByteView text) override;
  void on_write(std::uint32_t handle, std::size_t begin, std::size_t size) override;
  void open(const sdsio::Header& header, std::string name);
  Expected<void> open_for_recording(std::uint32_t handle, const std::string& name);
  Expected<void> open_for_playback(std::uint32_t handle, const std::string& name);
  void close(std::uint32_t handle);
  void read(const sdsio::Header& header);
  void info(const sdsio::Header& header, ByteView text);
  void all_closed();
  void continue_playback();
  void push_slices_now();
  [[nodiscard]] std::filesystem::path playback_path(const std::string& name) const;

  ServerShared& shared_;
  std::string peer_;
  Transport transport_;
  sdsio::MessageDecoder decoder_;
  ReceivedBatch batch_;
  std::map<std::uint32_t, std::string> writing_;
  std::map<std::uint32_t, PlaybackFile> reading_;
  std::map<std::uint32_t, std::uint64_t> refused_bytes_;  // by handle that is not open for writing
  std::uint32_t last_handle_ = 0;
  std::uint32_t set_flags_ = 0;
  std::uint32_t clear_flags_ = 0;
  std::uint32_t device_flags_ = 0;
  std::uint32_t idle_rate_ = 0xFFFFFFFF;
  bool playback_ = false;
  std::uint32_t playback_label_ = 0;
  std::string playback_stream_;
  bool start_pending_ = false;
  bool terminate_sent_ = false;
  bool has_recorded_ = false;
  SessionOptions next_session_;  // of the session that the next open starts
  std::unique_ptr<RecorderThread> recorder_;
};

}  // namespace sds
