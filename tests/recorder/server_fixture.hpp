// A server on loopback, the device library as its device, and raw bytes for peers that misbehave.
#pragma once

#include "sds/recorder/server.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "sds/recorder/sdsio_message.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

extern "C" {
#include "sds_device.h"
#include "socket_transport.h"
}

namespace sds::test {

class ServerTest : public ::testing::Test {
 protected:
  void start(ServerOptions options) {
    options.port = 0;
    options.directory = dir_.path();
    options.threads = 2;
    auto server = Server::create(options);
    ASSERT_TRUE(server) << server.error().to_string();
    server_ = std::move(*server);
    port_ = server_->port();
    thread_ = std::thread([this] { served_ = server_->run(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    wait_for_end();
  }

  void wait_for_end() {
    thread_.join();
    server_.reset();
  }

  void TearDown() override { stop(); }

  TempDir dir_;
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
  Expected<void> served_;  // after the end
};

// The device library over a socket.
class Device {
 public:
  explicit Device(std::uint16_t port) {
    connected_ = socket_transport_connect(&transport_, "127.0.0.1", port, 2000) == 0;
    const sds_transport_t interface = socket_transport_interface(&transport_);
    sds_device_init(&device_, &interface);
  }
  ~Device() { socket_transport_disconnect(&transport_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  std::uint32_t open(const char* name, sds_device_mode_t mode = SDS_DEVICE_WRITE) {
    std::uint32_t handle = 0;
    EXPECT_EQ(sds_device_open(&device_, name, mode, &handle), SDS_DEVICE_OK) << name;
    return handle;
  }
  void write(std::uint32_t handle, std::uint32_t timeslot, const std::string& data) {
    ASSERT_EQ(sds_device_write(&device_, handle, timeslot, data.data(), static_cast<std::uint32_t>(data.size())),
              static_cast<std::int32_t>(data.size()));
  }
  void close(std::uint32_t handle) { EXPECT_EQ(sds_device_close(&device_, handle), SDS_DEVICE_OK); }
  void flush() { EXPECT_EQ(socket_transport_flush(&transport_), 0); }
  // The server answers in order: when this returns, it has seen everything before.
  void wait() { EXPECT_EQ(sds_device_ping(&device_), SDS_DEVICE_OK); }
  // Takes in what the server has sent, without waiting, and tells it our flags.
  bool exchange() { return sds_device_exchange(&device_) == SDS_DEVICE_OK; }
  sds_device_t& device() { return device_; }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int socket() const { return transport_.socket; }

 private:
  bool connected_ = false;
  socket_transport_t transport_{};
  sds_device_t device_{};
};

inline void send_raw(std::uint16_t port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port);
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof peer), 0);
  (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  ::shutdown(fd, SHUT_WR);
  char ignored[256];
  while (::recv(fd, ignored, sizeof ignored, 0) > 0) {  // until the server has closed it
  }
  ::close(fd);
}

inline std::string message(sdsio::Command command, std::uint32_t handle, std::uint32_t argument,
                           const std::string& data) {
  const auto head = sdsio::Header{command, handle, argument, static_cast<std::uint32_t>(data.size())}.encode();
  return std::string(as_text(head)) + data;
}

}  // namespace sds::test
