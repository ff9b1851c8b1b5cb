// The server on loopback, driven by the device library and by peers that misbehave.
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "server_fixture.hpp"

namespace sds {
namespace {

using test::Device;
using test::message;
using test::send_raw;
using test::ServerTest;
using test::TestBlock;

TEST_F(ServerTest, RecordsSeveralStreamsIntoOneRecording) {
  start({});
  {
    Device device(port_);
    const auto a = device.open("A");
    const auto b = device.open("B");
    for (std::uint32_t i = 0; i < 1000; ++i) {
      device.write(a, i, "data " + std::to_string(i));
      if (i % 10 == 0) device.write(b, i, "");
    }
    device.close(a);
    device.close(b);
    device.wait();
  }
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz", 0).size(), 1000u);
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz", 1).size(), 100u);
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  EXPECT_TRUE(recording->sdsz()->complete());
  EXPECT_TRUE(recording->sdsz()->streams()[0].gaps.empty());
}

TEST_F(ServerTest, RecordsPlainFilesWithOneNumberForASession) {
  ServerOptions options;
  options.packed = false;
  test::write_file(dir_ / "A.0.sds", "taken");
  start(options);
  {
    Device device(port_);
    for (int session = 0; session < 2; ++session) {
      const auto a = device.open("A");
      const auto b = device.open("B");
      device.write(a, 1, "a");
      device.write(b, 1, "b" + std::to_string(session));
      device.close(a);
      device.close(b);
    }
    device.wait();
  }
  stop();
  EXPECT_EQ(test::read_file(dir_ / "A.1.sds"), test::plain({{1, "a"}}));
  EXPECT_EQ(test::read_file(dir_ / "B.1.sds"), test::plain({{1, "b0"}}));
  EXPECT_EQ(test::read_file(dir_ / "B.2.sds"), test::plain({{1, "b1"}}));
}

TEST_F(ServerTest, AStreamClosedAndOpenedAgainAtOnceStartsANewSession) {
  start({});
  {
    Device device(port_);
    const auto a = device.open("A");
    device.write(a, 1, "first");
    device.close(a);
    const auto b = device.open("A");
    EXPECT_NE(a, b);
    device.write(b, 2, "second");
    device.close(b);
    device.wait();
  }
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "first"}}));
  EXPECT_EQ(test::read_blocks(dir_ / "recording.1.sdsz"), (std::vector<TestBlock>{{2, "second"}}));
}

TEST_F(ServerTest, ADisconnectionKeepsWhatCameAndTheServerLivesOn) {
  start({});
  {
    Device device(port_);
    const auto a = device.open("A");
    device.write(a, 1, "kept");
    device.flush();
  }
  {
    Device device(port_);
    device.wait();
  }
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "kept"}}));
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  EXPECT_TRUE(recording->sdsz()->complete());
  ASSERT_EQ(recording->sdsz()->streams()[0].gaps.size(), 1u);
  EXPECT_EQ(recording->sdsz()->streams()[0].gaps[0].reason, "disconnected");
}

TEST_F(ServerTest, HalfMessagesKeepWhatCame) {
  start({});
  const std::string good = message(sdsio::Command::open, 0, 1, "A") +
                           message(sdsio::Command::write, 1, 0, test::plain({{1, "kept"}, {2, "cut off"}}));
  send_raw(port_, good.substr(0, good.size() - 3));
  send_raw(port_, good.substr(0, 7));
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "kept"}}));
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  EXPECT_NE(recording->sdsz()->streams()[0].gaps.at(0).reason.find("in the middle of a message"), std::string::npos);
}

TEST_F(ServerTest, PeersThatDoNotSpeakSdsioAreDropped) {
  start({});
  send_raw(port_, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  send_raw(port_, std::string(100000, '\xFF'));
  send_raw(port_, message(sdsio::Command::open, 0, 1, std::string(4097, 'x')));
  send_raw(port_, message(sdsio::Command::write, 77, 0, "to nobody"));
  send_raw(port_, message(sdsio::Command::close, 77, 0, "") + message(sdsio::Command::read, 5, 0xFFFFFFFF, ""));
  Device device(port_);
  device.wait();
}

TEST_F(ServerTest, BadNamesAndModesAreRefusedAndTheConnectionGoesOn) {
  start({});
  Device device(port_);
  for (const char* name : {"../evil", "a/b", "x*y"}) {
    std::uint32_t handle = 0;
    EXPECT_EQ(sds_device_open(&device.device(), name, SDS_DEVICE_WRITE, &handle), SDS_DEVICE_ERROR_IO) << name;
  }
  const auto a = device.open("A");
  std::uint32_t again = 0;
  EXPECT_EQ(sds_device_open(&device.device(), "A", SDS_DEVICE_WRITE, &again), SDS_DEVICE_ERROR_IO);
  EXPECT_EQ(sds_device_open(&device.device(), "B", SDS_DEVICE_READ, &again), SDS_DEVICE_ERROR_IO);  // no playback
  device.write(a, 1, "fine");
  device.close(a);
  device.wait();
}

TEST_F(ServerTest, AFloodIsHeldBackAndNothingIsLost) {
  start({});
  const std::string data(1000, 'x');
  constexpr std::uint32_t kBlocks = 60000;  // several times what the queue holds
  {
    Device device(port_);
    const auto a = device.open("A");
    for (std::uint32_t i = 0; i < kBlocks; ++i) device.write(a, i, data);
    device.close(a);
    device.wait();
  }
  stop();
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->streams()[0].block_count, kBlocks);
}

TEST_F(ServerTest, SeveralDevicesAtOnceGetRecordingsOfTheirOwn) {
  start({});
  std::vector<std::thread> devices;
  for (int d = 0; d < 4; ++d)
    devices.emplace_back([this, d] {
      Device device(port_);
      const auto a = device.open("A");
      for (std::uint32_t i = 0; i < 500; ++i) device.write(a, i, "device " + std::to_string(d));
      device.close(a);
      device.wait();
    });
  for (auto& device : devices) device.join();
  stop();
  std::size_t blocks = 0;
  for (int n = 0; n < 4; ++n) blocks += test::read_blocks(dir_ / ("recording." + std::to_string(n) + ".sdsz")).size();
  EXPECT_EQ(blocks, 2000u);
}

TEST_F(ServerTest, FlagsReachTheDevice) {
  start({});
  Device device(port_);
  server_->change_flags(sdsio::flag_start | 1, 0);
  for (int i = 0; i < 50 && (device.device().flags & 1) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ASSERT_EQ(sds_device_exchange(&device.device()), SDS_DEVICE_OK);
  }
  EXPECT_EQ(device.device().flags, SDS_DEVICE_FLAG_START | SDS_DEVICE_FLAG_ALIVE | 1);
}

// Waits for FLAGS, and returns what the device's flags are then.
std::uint32_t flags_of(Device& device) {
  for (int i = 0; i < 250 && (device.device().flags & SDS_DEVICE_FLAG_ALIVE) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(device.exchange());
  }
  return device.device().flags;
}

TEST_F(ServerTest, AStartThatIsAskedForWhileNobodyIsThereGoesToTheNextDeviceOnce) {
  start({});
  server_->change_flags(sdsio::flag_start | 2, 0);
  send_raw(port_, "no device");  // it is sent away, and takes nothing with it
  {
    Device first(port_);
    EXPECT_EQ(flags_of(first), SDS_DEVICE_FLAG_START | SDS_DEVICE_FLAG_ALIVE | 2);
    first.wait();
  }
  Device again(port_);
  EXPECT_EQ(flags_of(again), SDS_DEVICE_FLAG_ALIVE | 2) << "user flags stand, a start does not";
  server_->change_flags(sdsio::flag_start, 2);
  Device late(port_);
  EXPECT_EQ(flags_of(late), static_cast<std::uint32_t>(SDS_DEVICE_FLAG_ALIVE)) << "it was asked of who was there";
}

TEST_F(ServerTest, ASecondStopEndsTheWaitForDevicesThatWereStarted) {
  ServerOptions options;
  options.stop_wait = std::chrono::hours(1);
  start(options);
  Device device(port_);
  const auto a = device.open("A");
  device.write(a, 1, "kept");
  device.device().flags |= SDS_DEVICE_FLAG_START | SDS_DEVICE_FLAG_ALIVE;
  ASSERT_TRUE(device.exchange());
  device.wait();
  server_->stop();
  while ((device.device().flags & SDS_DEVICE_FLAG_START) != 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_TRUE(device.exchange());
  }
  device.write(a, 2, "kept, too");  // it goes on, and does not close
  device.wait();
  server_->stop();
  wait_for_end();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "kept"}, {2, "kept, too"}}));
  EXPECT_EQ(Recording::open(dir_ / "recording.0.sdsz")->sdsz()->streams()[0].gaps.at(0).reason,
            "the server was stopped");
}

// Of a device with a small buffer that does not read while it is busy sending.
TEST_F(ServerTest, APeerThatTakesNothingInButAnswersProbesIsKept) {
  ServerOptions options;
  options.silent_peer = std::chrono::seconds(1);
  start(options);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int small = 1;
  ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port_);
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof peer), 0);
  std::string first = test::message(sdsio::Command::info, 0, 50, "") + test::message(sdsio::Command::open, 0, 1, "A");
  for (int i = 0; i < 500; ++i)
    first += test::message(sdsio::Command::ping, 0, 0, "");  // more answers than it has room
  ASSERT_EQ(::send(fd, first.data(), first.size(), MSG_NOSIGNAL), static_cast<ssize_t>(first.size()));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::uint32_t blocks = 0;
  for (; std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(std::chrono::milliseconds(1800))) {
    const auto block = test::message(sdsio::Command::write, 1, 0, test::plain({{blocks, "kept"}}));
    ASSERT_EQ(::send(fd, block.data(), block.size(), MSG_NOSIGNAL), static_cast<ssize_t>(block.size())) << blocks;
    ++blocks;
  }
  while (test::read_blocks(dir_ / "recording.0.sdsz").size() < blocks) std::this_thread::yield();
  ::close(fd);
}

void set_loopback(bool up) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = up ? IFF_UP : 0;
  EXPECT_EQ(::ioctl(fd, SIOCSIFFLAGS, &request), 0);
  ::close(fd);
}

TEST_F(ServerTest, APeerThatVanishesIsFoundWhetherItReadOrNot) {
  for (const bool reads : {true, false}) {
    bool possible = true;
    std::thread([&] {  // in a network of its own, and the server's threads with it
      possible = ::unshare(CLONE_NEWNET) == 0;
      if (!possible) return;
      set_loopback(true);
      ServerOptions options;
      options.silent_peer = std::chrono::seconds(1);
      options.sessions = 1;
      start(options);
      Device device(port_);
      const auto a = device.open("A");
      device.write(a, 1, "kept");
      ASSERT_TRUE(device.exchange());
      device.wait();
      const int small = 1;
      if (!reads) ::setsockopt(device.socket(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
      std::string pings;
      for (int i = 0; i < 4000 && !reads; ++i) pings += test::message(sdsio::Command::ping, 0, 0, "");
      (void)::send(device.socket(), pings.data(), pings.size(), MSG_NOSIGNAL);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      set_loopback(false);
      wait_for_end();
    })
        .join();
    if (!possible) GTEST_SKIP() << "no network of its own can be had here";
    const auto recording = Recording::open(dir_ / (reads ? "recording.0.sdsz" : "recording.1.sdsz"));
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->sdsz()->streams()[0].block_count, 1u);
    EXPECT_EQ(recording->sdsz()->streams()[0].gaps.at(0).reason, "connection lost: Connection timed out");
  }
}

TEST_F(ServerTest, PlaysBackNumberedFilesAndRecordsOutputs) {
  const std::vector<TestBlock> blocks{{10, "first"}, {20, ""}, {30, std::string(5000, 'z')}};
  test::write_file(dir_ / "In.0.sds", test::plain(blocks));
  ServerOptions options;
  options.playback = true;
  options.packed = false;
  start(options);
  {
    Device device(port_);
    const auto in = device.open("In", SDS_DEVICE_READ);
    const auto out = device.open("Out");
    std::vector<char> data(8000);
    for (const auto& block : blocks) {
      std::uint32_t timeslot = 0;
      const auto size = sds_device_read(&device.device(), in, &timeslot, data.data(), 8000);
      ASSERT_EQ(size, static_cast<std::int32_t>(block.data.size()));
      EXPECT_EQ(timeslot, block.timeslot);
      EXPECT_EQ(std::string(data.data(), static_cast<std::size_t>(size)), block.data);
      device.write(out, timeslot, "result");
    }
    std::uint32_t timeslot = 0;
    EXPECT_EQ(sds_device_read(&device.device(), in, &timeslot, data.data(), 8000), SDS_DEVICE_END);
    device.close(in);
    device.close(out);
    device.wait();
    std::uint32_t handle = 0;  // there is no In.1.sds
    EXPECT_EQ(sds_device_open(&device.device(), "In", SDS_DEVICE_READ, &handle), SDS_DEVICE_ERROR_IO);
  }
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "Out.0.p.sds").size(), 3u);
}

TEST_F(ServerTest, PlaybackOfNothingIsCompleteAtOnce) {
  ServerOptions options;
  options.playback = true;
  options.exit_after_playback = true;
  start(options);
  Device device(port_);
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&device.device(), "In", SDS_DEVICE_READ, &handle), SDS_DEVICE_ERROR_IO);
  wait_for_end();
}

TEST_F(ServerTest, ADiskThatRefusesEndsTheSessionNotTheServer) {
  start({});
  std::filesystem::permissions(dir_.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  std::filesystem::remove_all(dir_.path());
  Device device(port_);
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&device.device(), "A", SDS_DEVICE_WRITE, &handle), SDS_DEVICE_ERROR_IO);
  device.wait();
}

TEST(ServerCreate, NamesWhatIsWrong) {
  const test::TempDir dir;
  ServerOptions options;
  options.port = 0;
  options.directory = dir / "none";
  EXPECT_EQ(Server::create(options).error().code, ErrorCode::io);
  options.directory = dir.path();
  options.address = "localhost";
  EXPECT_EQ(Server::create(options).error().message, "'localhost' is not an IPv4 address");
  options.address = "127.0.0.1";
  auto first = Server::create(options);
  options.port = (*first)->port();
  EXPECT_NE(Server::create(options).error().message.find("cannot listen on 127.0.0.1"), std::string::npos);
}

}  // namespace
}  // namespace sds
