#include "port_reader.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sds/recorder/server_limits.hpp"

namespace sds {

namespace {

Error line_error(const std::error_code& error) {
  const bool gone =
      error == asio::error::eof || error.value() == EIO || error.value() == ENXIO || error.value() == ENODEV;
  return {ErrorCode::io, gone ? "the port is gone: unplugged, or closed at its other end" : error.message(), {}, {}};
}

}  // namespace

PortReader::PortReader(asio::serial_port port, std::string name)
    : port_(std::move(port)), name_(std::move(name)), silence_timer_(port_.get_executor()) {
  ahead_.reserve(server_limits::line_bytes);
}

void PortReader::begin(std::chrono::milliseconds silence, OnSilent on_silent) {
  silence_ = silence;
  on_silent_ = std::move(on_silent);
  thrown_away_ = {};
  wait_for_silence();
  read_ahead();
}

void PortReader::wait_for_silence() {
  silence_timer_.expires_after(silence_);
  silence_timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
    // One that was about to be called when something came is not cancelled any more.
    if (!cancelled && self->silence_timer_.expiry() <= std::chrono::steady_clock::now()) self->silent({});
  });
}

void PortReader::silent(std::error_code error) {
  if (!on_silent_) return;
  silence_timer_.cancel();
  if (!error) thrown_away_.tell(name_);
  std::exchange(on_silent_, nullptr)(error);
}

void PortReader::read_ahead() {
  const std::size_t room = std::min(chunk_.size(), server_limits::line_bytes - ahead_.size());
  if (reading_ || error_ || room == 0) return;
  reading_ = true;
  port_.async_read_some(asio::buffer(chunk_.data(), room),
                        [self = shared_from_this()](std::error_code error, std::size_t count) {
                          self->reading_ = false;
                          self->received(error, count);
                        });
}

void PortReader::received(std::error_code error, std::size_t count) {
  if (error) {
    error_ = error;
    silent(error);
  } else if (on_silent_) {
    thrown_away_.add(count, name_);
    wait_for_silence();
  } else {
    append_bytes(ahead_, ByteView(chunk_).first(count));
  }
  try {
    read_ahead();
  } catch (const std::bad_alloc&) {
    error_ = std::make_error_code(std::errc::not_enough_memory);
    silent(error_);
  }
  if (on_read_) deliver();
}

void PortReader::deliver() {
  if (!on_read_ || (ahead_.empty() && !error_)) return;
  const auto on_read = std::exchange(on_read_, nullptr);
  if (ahead_.empty()) return on_read(tl::unexpected<Error>(line_error(error_)));
  const std::size_t count = std::min(buffer_.size(), ahead_.size());
  std::copy_n(ahead_.begin(), count, buffer_.begin());
  ahead_.erase(ahead_.begin(), ahead_.begin() + static_cast<std::ptrdiff_t>(count));
  read_ahead();
  on_read(count);
}

void PortReader::read(std::span<std::byte> buffer, Link::OnRead on_read) {
  buffer_ = buffer;
  on_read_ = std::move(on_read);
  if (!ahead_.empty() || error_) asio::post(port_.get_executor(), [self = shared_from_this()] { self->deliver(); });
}

void PortReader::write(ByteView bytes, Link::OnWritten on_written) {
  asio::async_write(port_, asio::buffer(bytes.data(), bytes.size()),
                    [on_written = std::move(on_written)](std::error_code error, std::size_t) {
                      if (error) return on_written(tl::unexpected<Error>(line_error(error)));
                      on_written({});
                    });
}

void PortReader::close(ByteView farewell) {
  if (!port_.is_open()) return;
  on_silent_ = nullptr;
  on_read_ = nullptr;
  silence_timer_.cancel();
  // The descriptor does not block: what does not fit is not waited for.
  if (!farewell.empty()) (void)!::write(port_.native_handle(), farewell.data(), farewell.size());
  std::error_code ignored;
  port_.close(ignored);
}

bool PortReader::has_unsent() {
  int bytes = 0;
  return ::ioctl(port_.native_handle(), TIOCOUTQ, &bytes) == 0 && bytes > 0;
}

bool PortReader::has_ended() {
  pollfd port{port_.native_handle(), POLLIN, 0};
  return error_ || (::poll(&port, 1, 0) == 1 && (port.revents & (POLLHUP | POLLERR)) != 0);
}

std::size_t PortReader::unread_bytes() {
  int bytes = 0;
  if (!port_.is_open() || ::ioctl(port_.native_handle(), FIONREAD, &bytes) != 0 || bytes < 0) bytes = 0;
  return ahead_.size() + static_cast<std::size_t>(bytes);
}

}  // namespace sds
