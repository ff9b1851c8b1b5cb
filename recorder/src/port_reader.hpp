// A serial port that is read ahead of whoever wants its bytes.
#pragma once

#include <asio.hpp>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "sds/recorder/link.hpp"
#include "thrown_away.hpp"

namespace sds {

/// Reads up to server_limits::line_bytes ahead: nothing holds a device on a serial line back, and what its port's few
/// KiB do not take is lost. Kept alive by what is pending.
class PortReader : public std::enable_shared_from_this<PortReader> {
 public:
  using OnSilent = std::function<void(std::error_code error)>;

  PortReader(asio::serial_port port, std::string name);

  /// Throws away what comes, until nothing has come for so long. To be called first.
  void begin(std::chrono::milliseconds silence, OnSilent on_silent);
  /// As Link::read() and so on.
  void read(std::span<std::byte> buffer, Link::OnRead on_read);
  void write(ByteView bytes, Link::OnWritten on_written);
  void close(ByteView farewell);
  [[nodiscard]] bool has_unsent();
  [[nodiscard]] bool has_ended();
  [[nodiscard]] std::size_t unread_bytes();
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  void read_ahead();
  void received(std::error_code error, std::size_t count);
  void wait_for_silence();
  void silent(std::error_code error);
  void deliver();

  asio::serial_port port_;
  std::string name_;
  asio::steady_timer silence_timer_;
  std::chrono::milliseconds silence_{};
  OnSilent on_silent_;  // until then
  ThrownAway thrown_away_;
  std::array<std::byte, 4096> chunk_{};
  Bytes ahead_;  // has its room from the start
  bool reading_ = false;
  std::error_code error_;  // behind what is ahead
  std::span<std::byte> buffer_;
  Link::OnRead on_read_;  // while somebody waits
};

}  // namespace sds
