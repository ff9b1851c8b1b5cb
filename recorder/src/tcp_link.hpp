// A Link over a connected TCP socket.
#pragma once

#include <asio.hpp>

#include "sds/recorder/link.hpp"

namespace sds {

/// Sends at once (no delay), and finds peers that vanish (server_limits::silent_peer).
class TcpLink final : public Link {
 public:
  explicit TcpLink(asio::ip::tcp::socket socket);
  ~TcpLink() override { close({}); }

  void read(std::span<std::byte> buffer, OnRead on_read) override;
  void write(ByteView bytes, OnWritten on_written) override;
  void close(ByteView farewell) override;
  [[nodiscard]] bool peer_has_ended() const override;
  [[nodiscard]] std::size_t unread_bytes() const override;
  [[nodiscard]] const std::string& name() const override { return name_; }

 private:
  mutable asio::ip::tcp::socket socket_;
  std::string name_;
};

}  // namespace sds
