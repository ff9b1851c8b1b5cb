#include "tcp_link.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "sds/recorder/server_limits.hpp"

namespace sds {

namespace {

tl::unexpected<Error> lost(const std::error_code& error) { return fail(ErrorCode::io, error.message()); }

void set_option(int socket, int level, int name, int value) {
  (void)::setsockopt(socket, level, name, &value, sizeof value);  // a system without it does with less
}

}  // namespace

TcpLink::TcpLink(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
  std::error_code ignored;
  const auto endpoint = socket_.remote_endpoint(ignored);
  name_ = fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  constexpr int silent = static_cast<int>(server_limits::silent_peer.count());
  const int handle = socket_.native_handle();
  set_option(handle, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(handle, IPPROTO_TCP, TCP_KEEPIDLE, silent / 3);
  set_option(handle, IPPROTO_TCP, TCP_KEEPINTVL, silent / 6);
  set_option(handle, IPPROTO_TCP, TCP_KEEPCNT, 4);
  set_option(handle, IPPROTO_TCP, TCP_USER_TIMEOUT, silent * 1000);
}

void TcpLink::read(std::span<std::byte> buffer, OnRead on_read) {
  socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()),
                          [on_read = std::move(on_read)](std::error_code error, std::size_t count) {
                            if (error == asio::error::eof) return on_read(std::size_t{0});
                            if (error) return on_read(lost(error));
                            on_read(count);
                          });
}

void TcpLink::write(ByteView bytes, OnWritten on_written) {
  asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                    [on_written = std::move(on_written)](std::error_code error, std::size_t) {
                      if (error) return on_written(lost(error));
                      on_written({});
                    });
}

void TcpLink::close(ByteView farewell) {
  if (!socket_.is_open()) return;
  std::error_code ignored;
  socket_.non_blocking(true, ignored);
  if (!farewell.empty()) socket_.write_some(asio::buffer(farewell.data(), farewell.size()), ignored);
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

std::size_t TcpLink::unread_bytes() const {
  std::error_code ignored;
  return socket_.available(ignored);
}

bool TcpLink::peer_has_ended() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  return info.tcpi_state != TCP_ESTABLISHED;
}

}  // namespace sds
