// A Link over a connected TCP socket.
#pragma once

#include <asio.hpp>

#include <chrono>
#include <optional>

#include "sds/recorder/link.hpp"

namespace sds {

/// Sends at once (no delay), and finds peers that vanish: they acknowledge nothing for `silent_peer`, neither what was
/// sent nor the system's probes. A peer that only takes nothing in answers the probes, and is kept.
class TcpLink final : public Link {
 public:
  TcpLink(asio::ip::tcp::socket socket, std::chrono::milliseconds silent_peer);
  ~TcpLink() override { close({}); }

  void read(std::span<std::byte> buffer, OnRead on_read) override;
  void write(ByteView bytes, OnWritten on_written) override;
  void close(ByteView farewell) override;
  void look_after_peer() override;
  [[nodiscard]] bool has_unsent() const override;
  [[nodiscard]] bool peer_has_ended() const override;
  [[nodiscard]] std::size_t unread_bytes() const override;
  [[nodiscard]] const std::string& name() const override { return name_; }

 private:
  mutable asio::ip::tcp::socket socket_;
  std::chrono::milliseconds silent_peer_;
  // Since when something was waiting for an answer that did not come.
  std::optional<std::chrono::steady_clock::time_point> unanswered_since_;
  bool peer_is_silent_ = false;
  std::string name_;
};

}  // namespace sds
