#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>

#include "link_opener.hpp"
#include "tcp_link.hpp"
#include "thrown_away.hpp"

namespace sds {

namespace {

using asio::ip::tcp;

class Dialler final : public LinkOpener, public std::enable_shared_from_this<Dialler> {
 public:
  Dialler(asio::io_context& io, const DialOptions& options, tcp::endpoint endpoint,
          std::chrono::milliseconds silent_peer)
      : options_(options), endpoint_(std::move(endpoint)), silent_peer_(silent_peer), socket_(io), timer_(io) {}

  void open(OnOpen on_open) override {
    on_open_ = std::move(on_open);
    told_ = false;
    dial();
  }

  void cancel() override {
    on_open_ = nullptr;
    std::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
  }

 private:
  void dial() {
    std::error_code ignored;
    socket_.close(ignored);
    socket_.async_connect(endpoint_, [self = shared_from_this()](std::error_code error) {
      if (!self->on_open_) return;
      if (error) return self->dial_later(error);
      self->greet();
    });
  }

  void dial_later(std::error_code error) {
    if (!std::exchange(told_, true))
      spdlog::warn("cannot connect to {}: {}; it is tried again every {} ms", name_, error.message(),
                   options_.retry.count());
    timer_.expires_after(options_.retry);
    timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
      if (!cancelled && self->on_open_) self->dial();
    });
  }

  void greet() {
    asio::async_write(socket_, asio::buffer(options_.message),
                      [self = shared_from_this()](std::error_code error, std::size_t) {
                        if (!self->on_open_) return;
                        if (error) return self->dial_later(error);
                        self->thrown_away_ = {};
                        self->wait_for_silence();
                        self->discard();
                      });
  }

  // It is over when nothing has come for so long; discard() begins it anew.
  void wait_for_silence() {
    timer_.expires_after(options_.discard);
    timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
      if (cancelled || !self->on_open_ || self->timer_.expiry() > std::chrono::steady_clock::now()) return;
      std::error_code ignored;
      if (self->socket_.available(ignored) > 0) return self->wait_for_silence();  // discard() is about to be called
      self->socket_.cancel(ignored);
      self->thrown_away_.tell(self->name_);
      const auto on_open = std::exchange(self->on_open_, nullptr);
      on_open(std::make_unique<TcpLink>(std::move(self->socket_), self->silent_peer_));
    });
  }

  // Waits, and reads only what is thrown away: what comes behind the silence stays in the socket.
  void discard() {
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](std::error_code error) {
      if (!self->on_open_) return;
      std::array<std::byte, 4096> thrown_away{};
      if (!error) self->thrown_away_.add(self->socket_.read_some(asio::buffer(thrown_away), error), self->name_);
      self->timer_.cancel();
      if (error) return self->dial_later(error);
      self->wait_for_silence();
      self->discard();
    });
  }

  const DialOptions options_;
  const tcp::endpoint endpoint_;
  const std::chrono::milliseconds silent_peer_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  const std::string name_ = fmt::format("{}:{}", options_.address, options_.port);
  ThrownAway thrown_away_;
  OnOpen on_open_;  // while it is wanted
  bool told_ = false;
};

}  // namespace

Expected<std::shared_ptr<LinkOpener>> make_dialler(asio::io_context& io, const DialOptions& options,
                                                   std::chrono::milliseconds silent_peer) {
  std::error_code error;
  const auto address = asio::ip::make_address_v4(options.address, error);
  if (error) return fail(ErrorCode::usage, fmt::format("'{}' is not an IPv4 address", options.address));
  return std::make_shared<Dialler>(io, options, tcp::endpoint(address, options.port), silent_peer);
}

}  // namespace sds
