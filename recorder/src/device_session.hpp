// A connected device: its link, the conversation on it, and the clock that keeps the conversation alive.
#pragma once

#include <asio.hpp>

#include "sds/recorder/link.hpp"
#include "sds/recorder/sdsio_connection.hpp"

namespace sds {

/// Lives on the receive thread; kept alive by its pending operations.
class DeviceSession : public std::enable_shared_from_this<DeviceSession> {
 public:
  struct Callbacks {
    /// The device has gone; `recorder` (may be null) is still writing.
    std::function<void(std::unique_ptr<RecorderThread> recorder)> on_end;
    std::function<void()> on_playback_done;
    /// A session that was recorded has ended, while the device may stay.
    std::function<void()> on_session_ended;
    /// Runs something that may wait for a disk, on another thread.
    std::function<void(std::function<void()>)> on_disk;
  };
  /// `descriptors` are those kept for the device.
  DeviceSession(asio::io_context& io, std::unique_ptr<Link> link, ServerShared& shared,
                std::shared_ptr<TotalShare> descriptors, Callbacks callbacks);

  void start();
  /// Closes the link and hands the recorder over; a second call does nothing. Waits for nothing.
  void end(const std::string& reason);
  /// How long the device has been silent with nothing open; zero if it has.
  [[nodiscard]] std::chrono::steady_clock::duration idle_time() const;
  /// False if it has gone.
  bool change_flags(std::uint32_t set, std::uint32_t clear);
  /// True while it has something open.
  [[nodiscard]] bool is_busy() const;
  /// Asks the device to close what it has open, if it was started; false if nothing is to be waited for.
  [[nodiscard]] bool ask_to_stop();
  /// True while it may still do so.
  [[nodiscard]] bool may_stop() const;

 private:
  // Memory that cannot be had costs this device its connection, and no other.
  template <class Call>
  void guarded(Call call);
  SdsioConnection::Host make_host();
  void read();
  void go_on(const Expected<bool>& advanced);
  void tick();
  void send();

  asio::io_context& io_;
  std::unique_ptr<Link> link_;
  ServerShared& shared_;
  std::shared_ptr<TotalShare> descriptors_;
  Callbacks callbacks_;
  asio::steady_timer timer_;
  std::unique_ptr<SdsioConnection> connection_;  // until the end
  Bytes output_;                                 // on its way
  std::chrono::steady_clock::time_point last_heard_ = std::chrono::steady_clock::now();
  bool sending_ = false;
  bool reading_ = false;
};

}  // namespace sds
