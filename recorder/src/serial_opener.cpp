#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "link_opener.hpp"
#include "port_reader.hpp"

namespace sds {

namespace {

using SerialBase = asio::serial_port_base;

class SerialLink final : public Link {
 public:
  explicit SerialLink(std::shared_ptr<PortReader> port) : port_(std::move(port)) {}
  SerialLink(const SerialLink&) = delete;
  SerialLink& operator=(const SerialLink&) = delete;
  ~SerialLink() override { port_->close({}); }

  void read(std::span<std::byte> buffer, OnRead on_read) override { port_->read(buffer, std::move(on_read)); }
  void write(ByteView bytes, OnWritten on_written) override { port_->write(bytes, std::move(on_written)); }
  void close(ByteView farewell) override { port_->close(farewell); }
  void look_after_peer() override {}  // a line that is silent is no sign of anything
  [[nodiscard]] bool has_unsent() const override { return port_->has_unsent(); }
  [[nodiscard]] bool peer_has_ended() const override { return port_->has_ended(); }
  [[nodiscard]] std::size_t unread_bytes() const override { return port_->unread_bytes(); }
  [[nodiscard]] const std::string& name() const override { return port_->name(); }

 private:
  std::shared_ptr<PortReader> port_;
};

// What asio has no word for: a parity bit that is always the same.
std::error_code set_fixed_parity(int port, bool mark) {
#ifdef CMSPAR
  termios settings{};
  if (::tcgetattr(port, &settings) != 0) return {errno, std::generic_category()};
  settings.c_cflag |= PARENB | CMSPAR;
  settings.c_cflag = mark ? settings.c_cflag | PARODD : settings.c_cflag & ~static_cast<tcflag_t>(PARODD);
  if (::tcsetattr(port, TCSANOW, &settings) != 0) return {errno, std::generic_category()};
  return {};
#else
  (void)port;
  (void)mark;
  return std::make_error_code(std::errc::not_supported);
#endif
}

std::error_code set_up(asio::serial_port& port, const SerialOptions& options) {
  std::error_code error;
  const bool fixed = options.parity == Parity::mark || options.parity == Parity::space;
  const auto parity = options.parity == Parity::odd    ? SerialBase::parity::odd
                      : options.parity == Parity::even ? SerialBase::parity::even
                                                       : SerialBase::parity::none;
  port.set_option(SerialBase::baud_rate(options.baudrate), error);
  if (!error) port.set_option(SerialBase::character_size(8), error);
  if (!error) port.set_option(SerialBase::flow_control(SerialBase::flow_control::none), error);
  if (!error)
    port.set_option(
        SerialBase::stop_bits(options.stop_bits == 2 ? SerialBase::stop_bits::two : SerialBase::stop_bits::one), error);
  if (!error) port.set_option(SerialBase::parity(parity), error);
  if (!error && fixed) error = set_fixed_parity(port.native_handle(), options.parity == Parity::mark);
  return error;
}

// Opened for this server alone.
std::error_code open_port(asio::serial_port& port, const SerialOptions& options) {
  std::error_code error;
  port.open(options.port, error);
  if (error) return error;
  if (::flock(port.native_handle(), LOCK_EX | LOCK_NB) != 0) return {EBUSY, std::generic_category()};
  (void)::ioctl(port.native_handle(), TIOCEXCL);
  if (auto unusable = set_up(port, options)) return unusable;
  (void)::tcflush(port.native_handle(), TCIFLUSH);  // what came when nobody listened
  return {};
}

// Those that a device might be at.
std::string ports_there() {
  std::vector<std::string> found;
  std::error_code ignored;
  const auto look = [&](const char* folder, auto is_one) {
    for (std::filesystem::directory_iterator i(folder, ignored), end; !ignored && i != end; i.increment(ignored))
      if (is_one(i->path().filename().string())) found.push_back(i->path().string());
  };
  look("/dev/serial/by-id", [](const std::string&) { return true; });
  look("/dev", [](const std::string& name) { return name.starts_with("ttyACM") || name.starts_with("ttyUSB"); });
  std::sort(found.begin(), found.end());
  return found.empty() ? "there is no port of a USB device" : fmt::format("there is {}", fmt::join(found, ", "));
}

std::string what_to_do(int error) {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return ports_there();
    case EACCES:
    case EPERM:
      return "its group (ls -l) may open it: sudo usermod -aG dialout $USER, then log in again";
    case EBUSY:
    case EWOULDBLOCK:
      return "another program has it open";
    default:
      return {};
  }
}

// What may be otherwise in a moment: a board that is plugged in, a program that ends, rights that udev is about to
// give.
bool may_pass(int error) {
  return !what_to_do(error).empty() || error == EIO || error == EAGAIN || error == EINTR || error == EMFILE ||
         error == ENFILE || error == ENOMEM;
}

// asio counts the end of a file by itself.
int number_of(const std::error_code& error) { return error == asio::error::eof ? EIO : error.value(); }

std::string reason_of(const std::error_code& error) {
  const int number = number_of(error);
  const std::string why = number == ENOTTY ? "is no serial port" : std::generic_category().message(number);
  const std::string advice = what_to_do(number);
  return advice.empty() ? why : why + "; " + advice;
}

class SerialOpener final : public LinkOpener, public std::enable_shared_from_this<SerialOpener> {
 public:
  SerialOpener(asio::io_context& io, const SerialOptions& options) : io_(io), options_(options), timer_(io) {}

  void open(OnOpen on_open) override {
    on_open_ = std::move(on_open);
    told_.clear();
    until_.reset();
    if (options_.connect_timeout) until_ = std::chrono::steady_clock::now() + *options_.connect_timeout;
    asio::post(io_, [self = shared_from_this()] { self->attempt(); });
  }

  void cancel() override {
    on_open_ = nullptr;
    timer_.cancel();
    if (reader_) std::exchange(reader_, nullptr)->close({});
  }

 private:
  void attempt() {
    if (!on_open_) return;
    asio::serial_port port(io_);
    if (const auto error = open_port(port, options_)) return failed(error);
    reader_ = std::make_shared<PortReader>(std::move(port), options_.port);
    reader_->begin(options_.discard, [self = shared_from_this()](std::error_code error) {
      if (!self->on_open_) return;
      auto reader = std::exchange(self->reader_, nullptr);
      if (error) return self->failed(error);
      const auto on_open = std::exchange(self->on_open_, nullptr);
      on_open(std::make_unique<SerialLink>(std::move(reader)));
    });
  }

  void failed(const std::error_code& error) {
    const std::string why = reason_of(error);
    if (!may_pass(number_of(error)) || (until_ && std::chrono::steady_clock::now() >= *until_)) {
      const auto on_open = std::exchange(on_open_, nullptr);
      return on_open(fail(ErrorCode::io, why, options_.port));
    }
    if (std::exchange(told_, why) != why) spdlog::warn("{}: {}; it is waited for", options_.port, why);
    timer_.expires_after(options_.retry);
    timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
      if (!cancelled) self->attempt();
    });
  }

  asio::io_context& io_;
  const SerialOptions options_;
  asio::steady_timer timer_;
  std::optional<std::chrono::steady_clock::time_point> until_;
  std::shared_ptr<PortReader> reader_;  // while its silence is waited for
  OnOpen on_open_;                      // while it is wanted
  std::string told_;
};

}  // namespace

Expected<std::shared_ptr<LinkOpener>> make_serial_opener(asio::io_context& io, const SerialOptions& options) {
  termios ignored{};
  std::error_code error;
  SerialBase::baud_rate(options.baudrate).store(ignored, error);
  if (error)
    return fail(ErrorCode::usage,
                fmt::format("{} baud is no rate that this system knows; it knows 9600, 115200, 230400, 460800, 921600, "
                            "1000000, 2000000 and others",
                            options.baudrate));
  return std::make_shared<SerialOpener>(io, options);
}

}  // namespace sds
