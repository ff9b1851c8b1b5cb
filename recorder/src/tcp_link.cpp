#include "tcp_link.hpp"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace sds {

namespace {

tl::unexpected<Error> lost(const std::error_code& error) { return fail(ErrorCode::io, error.message()); }

void set_option(int socket, int level, int name, int value) {
  (void)::setsockopt(socket, level, name, &value, sizeof value);  // a system without it does with less
}

std::optional<tcp_info> info_of(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return info;
}

}  // namespace

TcpLink::TcpLink(asio::ip::tcp::socket socket, std::chrono::milliseconds silent_peer)
    : socket_(std::move(socket)), silent_peer_(silent_peer) {
  std::error_code ignored;
  const auto endpoint = socket_.remote_endpoint(ignored);
  name_ = fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  // These count where nothing was sent; look_after_peer() where something was.
  const int silent = std::max(6, static_cast<int>(silent_peer.count() / 1000));
  const int handle = socket_.native_handle();
  set_option(handle, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(handle, IPPROTO_TCP, TCP_KEEPIDLE, silent / 3);
  set_option(handle, IPPROTO_TCP, TCP_KEEPINTVL, silent / 6);
  set_option(handle, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

void TcpLink::read(std::span<std::byte> buffer, OnRead on_read) {
  // Waited for, and read only when whoever wants it is told: what has come is then either with them or unread.
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [this, buffer, on_read = std::move(on_read)](std::error_code error) {
                       std::size_t count = 0;
                       if (!error) count = socket_.read_some(asio::buffer(buffer.data(), buffer.size()), error);
                       if (error == asio::error::would_block) {
                         try {
                           return read(buffer, on_read);
                         } catch (const std::bad_alloc&) {
                           error = std::make_error_code(std::errc::not_enough_memory);
                         }
                       }
                       if (error == asio::error::eof && peer_is_silent_)
                         return on_read(lost(std::make_error_code(std::errc::timed_out)));
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
  if (!farewell.empty()) socket_.write_some(asio::buffer(farewell.data(), farewell.size()), ignored);
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
}

std::size_t TcpLink::unread_bytes() const {
  std::error_code ignored;
  return socket_.available(ignored);
}

// The system's own TCP_USER_TIMEOUT ends a connection whose peer answers each probe, too, if it does not read.
void TcpLink::look_after_peer() {
  const auto info = info_of(socket_.native_handle());
  if (!info || peer_is_silent_) return;
  const bool waits = info->tcpi_unacked > 0 || info->tcpi_probes > 0;
  const auto now = std::chrono::steady_clock::now();
  const auto heard = now - std::chrono::milliseconds(std::min(info->tcpi_last_ack_recv, info->tcpi_last_data_recv));
  if (!waits) {
    unanswered_since_.reset();
  } else if (!unanswered_since_ || heard > *unanswered_since_) {
    unanswered_since_ = now;
  }
  if (!unanswered_since_ || now - *unanswered_since_ < silent_peer_) return;
  peer_is_silent_ = true;
  std::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_receive, ignored);  // what has come can still be read
}

bool TcpLink::has_unsent() const {
  int bytes = 0;
  return ::ioctl(socket_.native_handle(), SIOCOUTQNSD, &bytes) == 0 && bytes > 0;
}

bool TcpLink::peer_has_ended() const {
  const auto info = info_of(socket_.native_handle());
  return peer_is_silent_ || !info || info->tcpi_state != TCP_ESTABLISHED;
}

}  // namespace sds
