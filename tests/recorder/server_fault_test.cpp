// The server when disks stall and fill up, and when devices ask too much. Each test is bounded by what happens, not by
// time: what must not wait is done while the other is still stuck.
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include <condition_variable>
#include <mutex>

#include "sds/format/limits.hpp"
#include "server_fixture.hpp"
#include "support/limited_disk.hpp"

namespace sds {
namespace {

using test::Device;
using test::message;
using test::send_raw;
using test::ServerTest;
using test::TestBlock;

// Something that a disk hangs on until the test lets go.
class Hook {
 public:
  void hang() {
    std::unique_lock lock(mutex_);
    ++hanging_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return released_; });
  }
  void wait_until_it_hangs(int count = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return hanging_ >= count; });
  }
  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int hanging_ = 0;
  bool released_ = false;
};

enum class Stall { open, write, close, finish };

// A session on a disk that hangs where the stream is called Stuck.
class StallingSession final : public SessionWriter {
 public:
  StallingSession(std::unique_ptr<SessionWriter> inner, Hook& hook, Stall where, bool stuck)
      : inner_(std::move(inner)), hook_(hook), where_(where), stuck_(stuck) {}
  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    hang(Stall::open);
    return inner_->open_stream(handle, name);
  }
  Expected<void> write(std::uint32_t handle, ByteView bytes, const Arrival& arrival) override {
    hang(Stall::write);
    return inner_->write(handle, bytes, arrival);
  }
  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    hang(Stall::close);
    return inner_->close_stream(handle, reason);
  }
  Expected<void> flush() override { return inner_->flush(); }
  Expected<SessionSummary> finish() override {
    hang(Stall::finish);
    return inner_->finish();
  }
  SessionSummary abandon(const std::string& reason) override { return inner_->abandon(reason); }

 private:
  void hang(Stall where) {
    if (stuck_ && where == where_) hook_.hang();
  }
  std::unique_ptr<SessionWriter> inner_;
  Hook& hook_;
  Stall where_;
  bool stuck_;
};

MakeSession stalling(Hook& hook, Stall where) {
  return [&hook, where](const SessionOptions& options, const std::string& first) {
    auto inner = make_session(options, first);
    EXPECT_TRUE(inner);
    return Expected<std::unique_ptr<SessionWriter>>(
        std::make_unique<StallingSession>(std::move(*inner), hook, where, first == "Stuck"));
  };
}

class StalledDisk : public ServerTest, public ::testing::WithParamInterface<Stall> {};

TEST_P(StalledDisk, HoldsUpNoOtherDevice) {
  Hook hook;
  ServerOptions options;
  options.make_session = stalling(hook, GetParam());
  start(options);
  auto stuck = std::make_unique<Device>(port_);
  std::thread stuck_device([&] {  // OPEN waits for its own disk
    const auto handle = stuck->open("Stuck");
    stuck->write(handle, 1, "kept");
    if (GetParam() == Stall::finish) stuck->close(handle);
    stuck->flush();
    if (GetParam() == Stall::open) stuck->wait();
    if (GetParam() != Stall::write) stuck.reset();
  });
  if (GetParam() == Stall::close) stuck_device.join();
  hook.wait_until_it_hangs();
  // Fifteen others connect, learn that the server is alive again and again, record, and leave, all meanwhile.
  std::vector<std::thread> others;
  for (int d = 0; d < 15; ++d)
    others.emplace_back([this] {
      Device device(port_);
      for (int round = 0; round < 3; ++round) {
        device.device().flags = 0;
        while ((device.device().flags & SDS_DEVICE_FLAG_ALIVE) == 0) {
          std::this_thread::sleep_for(std::chrono::milliseconds(5));
          ASSERT_TRUE(device.exchange());
        }
        const auto a = device.open("A");
        device.write(a, 1, "fine");
        device.close(a);
        device.wait();
      }
    });
  for (auto& other : others) other.join();
  hook.release();
  if (stuck_device.joinable()) stuck_device.join();
  stop();
  std::size_t kept = 0;
  for (int n = 0; n < 46; ++n) {
    auto recording = Recording::open(dir_ / ("recording." + std::to_string(n) + ".sdsz"));
    ASSERT_TRUE(recording);
    EXPECT_TRUE(recording->sdsz()->complete());
    if (recording->streams().at(0).id == "Stuck") kept += recording->streams()[0].block_count.value();
  }
  EXPECT_EQ(kept, 1u);
  EXPECT_TRUE(served_);
}

INSTANTIATE_TEST_SUITE_P(Server, StalledDisk,
                         ::testing::Values(Stall::open, Stall::write, Stall::close, Stall::finish));

TEST_F(ServerTest, BytesBehindAnOpenAreKeptUntilItIsAnswered) {
  Hook hook;
  ServerOptions options;
  options.sessions = 1;
  options.make_session = stalling(hook, Stall::open);
  start(options);
  // All in one go: the device guesses its handles.
  std::thread device([&] {
    send_raw(port_, message(sdsio::Command::open, 0, 1, "Stuck") +
                        message(sdsio::Command::write, 1, 0, test::plain({{1, "one"}})) +
                        message(sdsio::Command::open, 0, 1, "B") +
                        message(sdsio::Command::write, 2, 0, test::plain({{2, "two"}})) +
                        message(sdsio::Command::close, 1, 0, "") + message(sdsio::Command::close, 2, 0, ""));
  });
  hook.wait_until_it_hangs();
  hook.release();
  device.join();
  wait_for_end();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz", 0), (std::vector<TestBlock>{{1, "one"}}));
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz", 1), (std::vector<TestBlock>{{2, "two"}}));
}

TEST_F(ServerTest, AStopWhileAnOpenWaitsLosesNothingThatCame) {
  Hook hook;
  ServerOptions options;
  options.make_session = stalling(hook, Stall::open);
  start(options);
  std::thread device([&] {
    send_raw(port_, message(sdsio::Command::open, 0, 1, "Stuck") +
                        message(sdsio::Command::write, 1, 0, test::plain({{1, "one"}})));
  });
  hook.wait_until_it_hangs();
  server_->stop();
  device.join();  // it is sent away at once
  hook.release();
  wait_for_end();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "one"}}));
}

class FullServer : public ServerTest {
 protected:
  static constexpr std::uint64_t kReserve = 100'000'000;
  static constexpr std::uint64_t kInReserve = 50'000'000;  // enough to close what is open
  ServerOptions with_reserve(OnFull on_full) {
    ServerOptions options;
    options.on_full = on_full;
    options.keep_free = kReserve;
    options.full_retry = std::chrono::milliseconds(1);
    options.free_bytes = [this] {
      if (free_ < kReserve) ++looked_;
      return std::optional<std::uint64_t>(free_);
    };
    return options;
  }
  void wait_until_it_waits() const {
    while (looked_ < 3) std::this_thread::yield();
  }
  // For a disk that is really full, not one with a reserve.
  static ServerOptions looking_again(std::chrono::milliseconds retry) {
    ServerOptions options;
    options.flush_interval = std::chrono::milliseconds(1);
    options.full_retry = retry;
    return options;
  }
  // Opens a stream, fills the disk, and writes a block that it has refused `times` on return.
  static std::uint32_t fill(Device& device, test::LimitedDisk& disk, const std::string& block, int times) {
    const auto handle = device.open("A");
    device.wait();
    disk.room = 10;
    device.write(handle, 1, block);
    device.flush();
    while (disk.refused < times) std::this_thread::yield();
    return handle;
  }
  std::atomic<std::uint64_t> free_{2 * kReserve};
  std::atomic<int> looked_{0};
};

TEST_F(FullServer, WaitsForSpaceAndLosesNothing) {
  start(with_reserve(OnFull::wait));
  constexpr std::uint32_t kBlocks = 30000;
  Device device(port_);
  const auto a = device.open("A");
  device.wait();
  free_ = kInReserve;
  std::thread sender([&] {  // several times what the queue and the sockets hold
    for (std::uint32_t i = 0; i < kBlocks; ++i) device.write(a, i, std::string(1000, static_cast<char>('a' + i % 26)));
    device.close(a);
    device.wait();
  });
  wait_until_it_waits();
  free_ = 2 * kReserve;
  sender.join();
  stop();
  const auto blocks = test::read_blocks(dir_ / "recording.0.sdsz");
  ASSERT_EQ(blocks.size(), kBlocks);
  for (std::uint32_t i = 0; i < kBlocks; ++i) ASSERT_EQ(blocks[i].timeslot, i);
  EXPECT_TRUE(served_);
}

TEST_F(FullServer, ADeviceThatLeavesWhileItWaitsIsNoticed) {
  auto options = with_reserve(OnFull::wait);
  options.sessions = 1;
  start(options);
  {
    Device device(port_);
    const auto a = device.open("A");
    device.wait();
    free_ = kInReserve;
    for (std::uint32_t i = 0; i < 100; ++i) {
      device.write(a, i, "kept");
      device.flush();
      if (i == 0) wait_until_it_waits();  // the others stay in the socket
    }
  }
  wait_for_end();  // without any space
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz").size(), 100u);
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  EXPECT_TRUE(recording->sdsz()->complete());
  EXPECT_EQ(recording->sdsz()->streams()[0].gaps.at(0).reason, "disconnected");
}

// However much later that is.
TEST_F(FullServer, WhatADeviceSentBeforeItLeftWaitsForSpace) {
  test::LimitedDisk disk;
  auto options = looking_again(std::chrono::milliseconds(1));
  options.sessions = 1;
  start(options);
  {
    Device device(port_);
    const auto a = fill(device, disk, "kept", 3);
    for (std::uint32_t i = 2; i <= 100; ++i) {  // these stay in the socket
      device.write(a, i, "kept");
      device.flush();
    }
  }
  const int refused = disk.refused;
  // Long enough for the server to notice that the device has left, which it does within 100 ms.
  while (disk.refused < refused + 300) std::this_thread::yield();
  disk.room = 1 << 30;
  wait_for_end();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz").size(), 100u);
  EXPECT_TRUE(Recording::open(dir_ / "recording.0.sdsz")->sdsz()->complete());
  EXPECT_TRUE(served_);
}

TEST_F(FullServer, AStopTriesOnceMore) {
  test::LimitedDisk disk;
  start(looking_again(std::chrono::hours(1)));
  Device device(port_);
  fill(device, disk, "kept", 1);
  disk.room = 1 << 30;  // and nobody looks again for an hour
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "kept"}}));
  EXPECT_TRUE(Recording::open(dir_ / "recording.0.sdsz")->sdsz()->complete());
  EXPECT_TRUE(served_);
}

TEST_F(FullServer, AStopOfADiskThatStaysFullEndsAndSaysSo) {
  test::LimitedDisk disk;
  start(looking_again(std::chrono::milliseconds(1)));
  {
    Device device(port_);
    fill(device, disk, "lost", 3);
  }
  stop();
  ASSERT_FALSE(served_);
  EXPECT_EQ(served_.error().exit_code(), 4);
}

TEST_F(FullServer, AStopWhileItWaitsClosesTheRecording) {
  start(with_reserve(OnFull::wait));
  Device device(port_);
  const auto a = device.open("A");
  device.wait();
  free_ = kInReserve;
  device.write(a, 1, "kept");
  device.flush();
  wait_until_it_waits();
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "kept"}}));
  EXPECT_TRUE(Recording::open(dir_ / "recording.0.sdsz")->sdsz()->complete());
}

// All that can be sent of a message that never ends: blocks of 1000 bytes, and a header before them. Returns what has
// arrived at the other side.
std::uint64_t send_without_end(const Device& device, std::uint32_t handle) {
  std::string data = message(sdsio::Command::write, handle, 0, "");
  store_le(reinterpret_cast<std::byte*>(data.data()) + 12, sdsio::max_write_bytes);
  for (std::uint32_t i = 0; i < 1000; ++i) data += test::plain({{i, std::string(992, 'x')}});
  std::uint64_t sent = 0;
  pollfd writable{device.socket(), POLLOUT, 0};
  while (::poll(&writable, 1, 500) > 0) {
    // Behind the header the blocks come again and again.
    const std::size_t at = sent < 16 ? sent : 16 + (sent - 16) % (data.size() - 16);
    const auto count = ::send(device.socket(), data.data() + at, data.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    EXPECT_GT(count, 0);
    if (count <= 0) return 0;
    sent += static_cast<std::uint64_t>(count);
  }
  int on_its_way = 0;
  EXPECT_EQ(::ioctl(device.socket(), SIOCOUTQ, &on_its_way), 0);
  return sent - static_cast<std::uint64_t>(on_its_way);
}

TEST_F(ServerTest, WhatAStopFindsInTheSocketIsALoss) {
  Hook hook;
  ServerOptions options;
  options.make_session = stalling(hook, Stall::write);
  start(options);
  Device device(port_);
  const auto arrived = send_without_end(device, device.open("Stuck"));
  server_->stop();
  char ignored = 0;
  while (::recv(device.socket(), &ignored, 1, 0) > 0) {  // until it has been sent away
  }
  hook.release();
  wait_for_end();
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  const auto& stream = recording->sdsz()->streams()[0];
  std::uint64_t taken = 16 + 1000 * stream.block_count;
  for (const auto& tail : stream.tail) taken += tail.header.raw_bytes;
  const std::string reason = stream.gaps.at(0).reason;
  const std::string begins = "the server was stopped in the middle of a message: ";
  ASSERT_EQ(reason.find(begins), 0u) << reason;
  EXPECT_EQ(std::stoull(reason.substr(begins.size())), arrived - taken) << reason;
  EXPECT_TRUE(served_);  // no disk is to blame
}

TEST_F(FullServer, WhatAStopFindsInTheSocketIsALossWithTheDiskNamed) {
  start(with_reserve(OnFull::wait));
  Device device(port_);
  const auto a = device.open("A");
  device.wait();
  free_ = kInReserve;
  for (std::uint32_t i = 0; i < 100; ++i) {
    device.write(a, i, "kept");
    device.flush();
    if (i == 0) wait_until_it_waits();  // the others stay in the socket
  }
  stop();
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  const auto& stream = recording->sdsz()->streams()[0];
  const std::uint64_t unread = (100 - stream.block_count) * (16 + 8 + 4);
  const std::string reason = stream.gaps.at(0).reason;
  const std::string begins = "the server was stopped while the disk was full: ";
  ASSERT_EQ(reason.find(begins), 0u) << reason;
  const std::uint64_t told = std::stoull(reason.substr(begins.size()));
  EXPECT_GT(told, 0u);
  EXPECT_LE(told, unread) << "some may be on its way yet";
  EXPECT_EQ(told % 28, 0u);
  ASSERT_FALSE(served_);
  EXPECT_EQ(served_.error().exit_code(), 4);
}

TEST_F(FullServer, AStopWithoutSpaceForWhatCameClosesTheRecordingAndRecordsTheLoss) {
  for (const bool packed : {true, false}) {
    auto options = with_reserve(OnFull::wait);
    options.packed = packed;
    start(options);
    Device device(port_);
    free_ = 2 * kReserve;
    looked_ = 0;
    const auto a = device.open("A");
    device.write(a, 1, "kept");
    device.wait();
    while (packed && test::read_blocks(dir_ / "recording.0.sdsz").empty()) std::this_thread::yield();
    free_ = 1000;  // another program took the rest: what is open cannot even be closed
    device.write(a, 2, "lost");
    device.flush();
    wait_until_it_waits();
    stop();
    ASSERT_FALSE(served_);
    EXPECT_EQ(served_.error().exit_code(), 4);
    if (!packed) continue;
    EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "kept"}}));
    auto recording = Recording::open(dir_ / "recording.0.sdsz");
    EXPECT_TRUE(recording->sdsz()->complete());
    EXPECT_EQ(recording->sdsz()->streams()[0].gaps.at(0).reason,
              "the server was stopped; 12 bytes that came are lost: the disk was full");
  }
}

TEST_F(FullServer, StopsWhereItIsToldTo) {
  start(with_reserve(OnFull::stop));
  {
    Device device(port_);
    const auto a = device.open("A");
    for (std::uint32_t i = 0; i < 100; ++i) device.write(a, i, "kept");
    device.wait();
    free_ = kInReserve;
    device.write(a, 100, "kept, too");
    device.flush();
    char byte = 0;
    while (::recv(device.socket(), &byte, 1, 0) > 0) {  // until it is sent away
    }
  }
  Device next(port_);
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&next.device(), "B", SDS_DEVICE_WRITE, &handle), SDS_DEVICE_ERROR_IO);
  stop();
  // The last one only if it came before the server looked at the disk.
  const std::size_t kept = test::read_blocks(dir_ / "recording.0.sdsz").size();
  EXPECT_TRUE(kept == 100 || kept == 101) << kept;
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  EXPECT_TRUE(recording->sdsz()->complete());
  const std::string reason = "recording stopped: the disk is full: 50.0 MB are free, 100.0 MB are to be left free";
  // Two headers and nine bytes.
  const std::string not_taken = ": 33 bytes that had come, and what comes behind them, were not taken";
  EXPECT_EQ(recording->sdsz()->streams()[0].gaps.at(0).reason, kept == 100 ? reason + not_taken : reason);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "recording.1.sdsz"));
  ASSERT_FALSE(served_);
  EXPECT_EQ(served_.error().exit_code(), 4);
}

TEST_F(ServerTest, ABrokenDiskEndsThatRecordingAsAKillWould) {
  test::LimitedDisk disk;
  ServerOptions options;
  options.flush_interval = std::chrono::milliseconds(1);
  start(options);
  Device other(port_);
  {
    Device device(port_);
    const auto a = device.open("A");
    device.write(a, 1, "kept");
    device.wait();
    while (!std::filesystem::exists(dir_ / "recording.0.sdsz") || test::read_blocks(dir_ / "recording.0.sdsz").empty())
      std::this_thread::yield();
    disk.error = EIO;
    disk.room = 0;
    device.write(a, 2, "lost");
    device.flush();
    char byte = 0;
    while (::recv(device.socket(), &byte, 1, 0) > 0) {  // until it is sent away
    }
    // And until its recording, which is tried to be closed, is left.
    while ((*InputFile::open(dir_ / "recording.0.sdsz"))->in_use() != ByteSource::InUse::no) std::this_thread::yield();
  }
  other.wait();
  disk.room = 1 << 30;
  const auto b = other.open("B");  // the server lives on
  other.write(b, 3, "fine");
  other.close(b);
  other.wait();
  stop();
  const auto blocks = test::read_blocks(dir_ / "recording.0.sdsz");
  ASSERT_FALSE(blocks.empty());
  EXPECT_EQ(blocks[0], (TestBlock{1, "kept"}));
  EXPECT_FALSE(Recording::open(dir_ / "recording.0.sdsz")->sdsz()->complete());
  EXPECT_EQ(test::read_blocks(dir_ / "recording.1.sdsz"), (std::vector<TestBlock>{{3, "fine"}}));
  ASSERT_FALSE(served_);
  EXPECT_EQ(served_.error().system_error, EIO);
}

TEST_F(ServerTest, ADeviceThatAsksAndDoesNotReadIsSentAway) {
  test::write_file(dir_ / "In.0.sds", test::plain({{1, std::string(3u << 20, 'x')}}));
  ServerOptions options;
  options.playback = true;
  start(options);
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  Device device(port_);
  const auto in = device.open("In", SDS_DEVICE_READ);
  std::string reads;
  for (int i = 0; i < 3 * 4096; ++i) reads += message(sdsio::Command::read, in, 1u << 20, "");
  std::size_t sent = 0;
  while (sent < reads.size()) {
    const auto put = ::send(device.socket(), reads.data() + sent, reads.size() - sent, MSG_NOSIGNAL);
    if (put <= 0) break;
    sent += static_cast<std::size_t>(put);
  }
  Device other(port_);
  other.wait();
  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB; the replies asked for are 12 GB";
  // What was sent before is read, then the connection ends.
  std::vector<char> buffer(1u << 20);
  std::uint64_t replied = 0;
  for (ssize_t got = 1; got > 0; replied += static_cast<std::uint64_t>(got > 0 ? got : 0))
    got = ::recv(device.socket(), buffer.data(), buffer.size(), 0);
  EXPECT_LT(replied, std::uint64_t{64} << 20);
}

TEST_F(ServerTest, RepliesComeInTheOrderOfTheirRequests) {
  test::write_file(dir_ / "In.0.sds", test::plain({{1, std::string(3u << 20, 'x')}}));
  ServerOptions options;
  options.playback = true;
  start(options);
  Device device(port_);
  const auto in = device.open("In", SDS_DEVICE_READ);
  const std::string wanted = message(sdsio::Command::read, in, 2u << 20, "") +
                             message(sdsio::Command::ping, in, 0, "") +  // 1.x asks: has it ended?
                             message(sdsio::Command::read, in, 2u << 20, "") +
                             message(sdsio::Command::read, in, 2u << 20, "") +
                             message(sdsio::Command::read, in, 2u << 20, "") +
                             message(sdsio::Command::ping, in, 0, "") + message(sdsio::Command::ping, 0, 0, "");
  ASSERT_EQ(::send(device.socket(), wanted.data(), wanted.size(), MSG_NOSIGNAL), static_cast<ssize_t>(wanted.size()));
  const auto next = [&] {
    std::array<std::uint32_t, 4> words{};
    EXPECT_EQ(::recv(device.socket(), words.data(), 16, MSG_WAITALL), 16);
    std::vector<char> data(words[3]);
    if (!data.empty()) ::recv(device.socket(), data.data(), data.size(), MSG_WAITALL);
    return words;
  };
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(next(), (Words{4, in, 0, 1u << 20}));
  EXPECT_EQ(next(), (Words{5, in, 0, 0}));
  EXPECT_EQ(next(), (Words{4, in, 0, 1u << 20}));
  EXPECT_EQ(next(), (Words{4, in, 0, 1u << 20}));
  EXPECT_EQ(next(), (Words{4, in, 0, 8}));
  EXPECT_EQ(next(), (Words{5, in, 1, 0}));
  EXPECT_EQ(next(), (Words{5, 0, 1, 0}));
}

TEST_F(ServerTest, OldLibrariesGetNoFlagsUntilTheyShowThatTheyKnowThem) {
  start({});
  // 2.x begins with a PING, 1.x with an OPEN; what comes first is the answer, whenever they go on.
  for (const bool ping : {true, false}) {
    Device device(port_);
    const std::string first =
        ping ? message(sdsio::Command::ping, 0, 0, "") : message(sdsio::Command::open, 0, 1, std::string("A\0", 2));
    ASSERT_EQ(::send(device.socket(), first.data(), first.size(), 0), static_cast<ssize_t>(first.size()));
    std::array<std::uint32_t, 4> words{};
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(::recv(device.socket(), words.data(), 16, MSG_WAITALL), 16);
      EXPECT_EQ(words[0], i == 0 && !ping ? 1u : 5u);
      std::this_thread::sleep_for(std::chrono::milliseconds(450));  // FLAGS would come in this time
      const std::string again = message(sdsio::Command::ping, 0, 0, "");
      ASSERT_EQ(::send(device.socket(), again.data(), again.size(), 0), 16);
    }
    ASSERT_EQ(::recv(device.socket(), words.data(), 16, MSG_WAITALL), 16);
    EXPECT_EQ(words[0], 5u);
    const std::string info = message(sdsio::Command::info, 0, 50, "");
    ASSERT_EQ(::send(device.socket(), info.data(), info.size(), 0), 16);
    ASSERT_EQ(::recv(device.socket(), words.data(), 16, MSG_WAITALL), 16);
    EXPECT_EQ(words[0], 6u);
  }
}

TEST_F(ServerTest, MoreDevicesThanAllowedAreSentAway) {
  ServerOptions options;
  options.max_devices = 2;
  start(options);
  {
    Device a(port_);
    Device b(port_);
    a.wait();
    b.wait();
    Device c(port_);
    char byte = 0;
    EXPECT_LE(::recv(c.socket(), &byte, 1, 0), 0);
    a.wait();
  }
  // And may come when others have left.
  for (;;) {
    Device d(port_);
    if (sds_device_ping(&d.device()) == SDS_DEVICE_OK) break;
  }
}

TEST_F(ServerTest, ABlockThatNeverEndsCostsOneDeviceItsConnection) {
  start({});
  Device other(port_);
  {
    Device device(port_);
    const std::string piece(1u << 20, 'x');
    bool sent_away = false;
    for (int stream = 0; stream < 3 && !sent_away; ++stream) {
      const auto handle = device.open(std::string("S" + std::to_string(stream)).c_str());
      const std::string head = test::le32(1) + test::le32(limits::max_block_bytes);
      std::string bytes = message(sdsio::Command::write, handle, 0, head);
      for (int i = 0; i < 30; ++i) bytes += message(sdsio::Command::write, handle, 0, piece);
      std::size_t sent = 0;
      while (sent < bytes.size() && !sent_away) {
        const auto put = ::send(device.socket(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        sent_away = put <= 0;
        if (!sent_away) sent += static_cast<std::size_t>(put);
      }
    }
    char byte = 0;
    while (::recv(device.socket(), &byte, 1, 0) > 0) {  // until it is sent away
    }
  }
  other.wait();
  stop();
  auto recording = Recording::open(dir_ / "recording.0.sdsz");
  ASSERT_TRUE(recording);
  EXPECT_TRUE(recording->sdsz()->complete());
  EXPECT_NE(recording->sdsz()->streams().at(0).gaps.at(0).reason.find("do not end"), std::string::npos);
  auto cursor = recording->cursor(0);
  EXPECT_TRUE(test::read_blocks(**cursor).empty());
  EXPECT_EQ((*cursor)->tail()->bytes, 8u + (30u << 20));
  EXPECT_TRUE(served_) << "the disk is well";
}

TEST_F(ServerTest, AThreadThatCannotBeHadCostsOneOpen) {
  std::atomic<bool> none_left{false};
  ServerOptions options;
  options.make_thread = [&](const std::function<void()>& run) {
    if (none_left) throw std::system_error(EAGAIN, std::generic_category());
    return std::thread(run);
  };
  start(options);
  Device first(port_);
  const auto a = first.open("A");
  first.write(a, 1, "before");
  first.wait();
  none_left = true;
  Device second(port_);
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&second.device(), "B", SDS_DEVICE_WRITE, &handle), SDS_DEVICE_ERROR_IO);
  first.write(a, 2, "after");
  none_left = false;
  const auto b = second.open("B");  // it may try again
  second.write(b, 3, "fine");
  second.close(b);
  first.close(a);
  first.wait();
  second.wait();
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "before"}, {2, "after"}}));
  EXPECT_EQ(test::read_blocks(dir_ / "recording.1.sdsz"), (std::vector<TestBlock>{{3, "fine"}}));
  ASSERT_FALSE(served_) << "a recording could not be made";
  EXPECT_EQ(served_.error().system_error, EAGAIN);
}

// A session for which there is no memory once it is to write.
class HungrySession final : public SessionWriter {
 public:
  explicit HungrySession(std::unique_ptr<SessionWriter> inner) : inner_(std::move(inner)) {}
  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    return inner_->open_stream(handle, name);
  }
  Expected<void> write(std::uint32_t, ByteView, const Arrival&) override { throw std::bad_alloc(); }
  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    return inner_->close_stream(handle, reason);
  }
  Expected<void> flush() override { return inner_->flush(); }
  Expected<SessionSummary> finish() override { return inner_->finish(); }
  SessionSummary abandon(const std::string& reason) override { return inner_->abandon(reason); }

 private:
  std::unique_ptr<SessionWriter> inner_;
};

TEST_F(ServerTest, MemoryThatCannotBeHadCostsOneRecording) {
  ServerOptions options;
  options.make_session = [](const SessionOptions& session, const std::string& first) {
    if (first == "Refused") throw std::bad_alloc();
    auto made = make_session(session, first);
    if (first != "Hungry") return made;
    return Expected<std::unique_ptr<SessionWriter>>(std::make_unique<HungrySession>(std::move(*made)));
  };
  start(options);
  Device healthy(port_);
  const auto a = healthy.open("A");
  Device refused(port_);
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&refused.device(), "Refused", SDS_DEVICE_WRITE, &handle), SDS_DEVICE_ERROR_IO);
  Device hungry(port_);
  const auto h = hungry.open("Hungry");
  hungry.write(h, 1, "lost");
  hungry.flush();
  char byte = 0;
  while (::recv(hungry.socket(), &byte, 1, 0) > 0) {  // until it is sent away
  }
  healthy.write(a, 1, "fine");
  healthy.close(a);
  healthy.wait();
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "fine"}}));
  ASSERT_FALSE(served_);
  EXPECT_EQ(served_.error().message, "out of memory");
}

TEST_F(ServerTest, DescriptorsAreKeptForEachDeviceAndPlaybackTakesWhatIsLeft) {
  test::write_file(dir_ / "In.0.sds", "");
  ServerOptions options;
  options.playback = true;
  options.descriptors = 2 * server_limits::device_descriptors + 3;
  start(options);
  auto first = std::make_unique<Device>(port_);
  first->wait();
  for (int i = 0; i < 3 + 5; ++i) first->open("In", SDS_DEVICE_READ);  // what the second device would need
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&first->device(), "In", SDS_DEVICE_READ, &handle), SDS_DEVICE_ERROR_IO);
  const auto a = first->open("A");  // its own are kept
  first->write(a, 1, "fine");
  first->wait();
  Device second(port_);  // waits until there are enough
  pollfd answered{second.socket(), POLLIN, 0};
  const std::string ping = message(sdsio::Command::ping, 0, 0, "");
  ASSERT_EQ(::send(second.socket(), ping.data(), ping.size(), MSG_NOSIGNAL), 16);
  EXPECT_EQ(::poll(&answered, 1, 500), 0);
  first.reset();
  EXPECT_EQ(::poll(&answered, 1, 20000), 1);
  stop();
  EXPECT_EQ(test::read_blocks(dir_ / "recording.0.p.sdsz"), (std::vector<TestBlock>{{1, "fine"}}));
}

TEST_F(ServerTest, PlainFilesBeyondTheDescriptorsAreRefused) {
  ServerOptions options;
  options.packed = false;
  options.descriptors = server_limits::device_descriptors + 2;
  start(options);
  Device device(port_);
  device.open("A");
  const auto b = device.open("B");
  std::uint32_t handle = 0;
  EXPECT_EQ(sds_device_open(&device.device(), "C", SDS_DEVICE_WRITE, &handle), SDS_DEVICE_ERROR_IO);
  device.close(b);
  device.open("C");
}

// A file for playback that hangs when it is read, until the test lets go.
class HangingFile final : public ByteSource {
 public:
  HangingFile(std::shared_ptr<const ByteSource> inner, Hook& hook) : inner_(std::move(inner)), hook_(hook) {}
  [[nodiscard]] Expected<std::uint64_t> size() const override { return inner_->size(); }
  [[nodiscard]] Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    hook_.hang();
    return inner_->read(offset, out);
  }
  [[nodiscard]] const std::filesystem::path& path() const override { return inner_->path(); }

 private:
  std::shared_ptr<const ByteSource> inner_;
  Hook& hook_;
};

TEST_F(ServerTest, APlaybackFileThatHangsHoldsUpNoOtherDevice) {
  test::write_file(dir_ / "In.0.sds", test::plain({{1, "played"}}));
  Hook open_hook;
  Hook read_hook;
  ServerOptions options;
  options.playback = true;
  options.open_file = [&](const std::filesystem::path& path) -> Expected<std::shared_ptr<const ByteSource>> {
    open_hook.hang();
    auto file = InputFile::open(path);
    if (!file) return fail(file);
    return std::make_shared<HangingFile>(std::move(*file), read_hook);
  };
  start(options);
  const auto expect_others_are_served = [this] {
    Device other(port_);
    for (int round = 0; round < 3; ++round) {
      other.device().flags = 0;
      while ((other.device().flags & SDS_DEVICE_FLAG_ALIVE) == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        ASSERT_TRUE(other.exchange());
      }
    }
    const auto a = other.open("A");
    other.write(a, 1, "fine");
    other.close(a);
    other.wait();
  };
  std::string got(100, '\0');
  std::thread device_thread([&] {
    Device device(port_);
    const auto in = device.open("In", SDS_DEVICE_READ);
    std::uint32_t timeslot = 0;
    const auto size = sds_device_read(&device.device(), in, &timeslot, got.data(), 100);
    got.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    device.close(in);
    device.wait();
  });
  open_hook.wait_until_it_hangs();
  expect_others_are_served();
  open_hook.release();
  read_hook.wait_until_it_hangs();
  expect_others_are_served();
  read_hook.release();
  device_thread.join();
  EXPECT_EQ(got, "played");
}

TEST_F(ServerTest, AReadOfNothingIsAnsweredWithNothingAndIsNoEnd) {
  test::write_file(dir_ / "In.0.sds", "12345678");
  ServerOptions options;
  options.playback = true;
  start(options);
  Device device(port_);
  const auto in = device.open("In", SDS_DEVICE_READ);
  const std::string wanted = message(sdsio::Command::read, in, 0, "") + message(sdsio::Command::read, in, 8, "") +
                             message(sdsio::Command::read, in, 0, "") + message(sdsio::Command::read, 99, 8, "");
  ASSERT_EQ(::send(device.socket(), wanted.data(), wanted.size(), MSG_NOSIGNAL), static_cast<ssize_t>(wanted.size()));
  using Words = std::array<std::uint32_t, 4>;
  const auto next = [&] {
    Words words{};
    EXPECT_EQ(::recv(device.socket(), words.data(), 16, MSG_WAITALL), 16);
    std::vector<char> data(words[3]);
    if (!data.empty()) ::recv(device.socket(), data.data(), data.size(), MSG_WAITALL);
    return words;
  };
  EXPECT_EQ(next(), (Words{4, in, 0, 0}));
  EXPECT_EQ(next(), (Words{4, in, 0, 8}));
  EXPECT_EQ(next(), (Words{4, in, 1, 0}));
  EXPECT_EQ(next(), (Words{4, 99, 0, 0}));
}

// A file whose disk fails.
class BrokenFile final : public ByteSource {
 public:
  [[nodiscard]] Expected<std::uint64_t> size() const override { return 100; }
  [[nodiscard]] Expected<std::size_t> read(std::uint64_t, std::span<std::byte>) const override {
    return fail_errno(EIO, "cannot read", path_);
  }
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }

 private:
  std::filesystem::path path_ = "In.0.sds";
};

TEST_F(ServerTest, APlaybackFileThatCannotBeReadIsNoEndedOne) {
  ServerOptions options;
  options.playback = true;
  options.open_file = [](const std::filesystem::path&) -> Expected<std::shared_ptr<const ByteSource>> {
    return std::make_shared<BrokenFile>();
  };
  start(options);
  Device device(port_);
  const auto in = device.open("In", SDS_DEVICE_READ);
  char data[8];
  std::uint32_t timeslot = 0;
  EXPECT_EQ(sds_device_read(&device.device(), in, &timeslot, data, 8), SDS_DEVICE_ERROR_IO) << "it is sent away";
}

TEST_F(ServerTest, ASilentPeerMakesRoomForANewOne) {
  ServerOptions options;
  options.max_devices = 2;
  options.idle_peer = std::chrono::milliseconds(200);
  start(options);
  Device recording(port_);
  const auto a = recording.open("A");
  recording.write(a, 1, "kept");
  Device silent(port_);
  silent.wait();
  recording.wait();
  {
    Device early(port_);  // nobody has been silent for long
    char byte = 0;
    EXPECT_LE(::recv(early.socket(), &byte, 1, 0), 0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  Device late(port_);
  late.wait();
  char byte = 0;
  EXPECT_LE(::recv(silent.socket(), &byte, 1, 0), 0);
  recording.close(a);
  recording.wait();
}

}  // namespace
}  // namespace sds
