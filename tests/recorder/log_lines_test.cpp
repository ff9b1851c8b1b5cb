// What a session says in the server's log of what no recording can hold.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <sstream>

#include "sds/recorder/session_writer.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;

// The default log while it lives.
class KeptLog {
 public:
  KeptLog() {
    auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~KeptLog() { spdlog::set_default_logger(before_); }
  KeptLog(const KeptLog&) = delete;
  KeptLog& operator=(const KeptLog&) = delete;

  // Those with `what` in them.
  [[nodiscard]] std::vector<std::string> lines(const std::string& what) const {
    std::vector<std::string> found;
    std::istringstream text(text_.str());
    for (std::string line; std::getline(text, line);)
      if (line.find(what) != std::string::npos) found.push_back(line);
    return found;
  }
  void clear() { text_.str({}); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

class LogLines : public ::testing::TestWithParam<bool> {
 protected:
  Expected<std::unique_ptr<SessionWriter>> make_session() {
    SessionOptions options;
    options.directory = dir_.path();
    options.device = "walker";
    return GetParam() ? make_packed_session(options) : make_plain_session(options, "A");
  }
  [[nodiscard]] std::filesystem::path file() const { return dir_ / (GetParam() ? "recording.0.sdsz" : "A.0.sds"); }

  test::TempDir dir_;
  KeptLog log_;
};

class NoLocks final : public test::ReplacedFileSystem {
 public:
  int lock(int) override { return -ENOLCK; }
};

TEST_P(LogLines, AFileThatCannotBeLockedIsToldOnce) {
  const NoLocks disk;
  auto session = make_session();
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}})), {1000, 1000, true}));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(log_.lines("commands cannot tell"),
            std::vector<std::string>{fmt::format(
                "record   walker: {}: cannot be locked: No locks available: commands cannot tell that it is "
                "being recorded",
                file().string())});
}

TEST_P(LogLines, AStepOfUtcIsToldOnceAndASlowClockIsNone) {
  auto session = make_session();
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  // UTC is slow by 10 ms in a second; it is set forward by an hour, and back by 5 s.
  const auto send = [&](std::uint64_t ms) {
    const std::uint64_t set_ms = 1'800'000'000'000 + (ms > 4000 ? 3'600'000 : 0) - (ms > 7000 ? 5000 : 0);
    const Arrival when{(set_ms + ms * 99 / 100) * 1'000'000, (1 + ms) * 1'000'000, true};
    ASSERT_TRUE((*session)->write(1, as_bytes(plain({{static_cast<std::uint32_t>(ms), "ab"}})), when));
  };
  for (std::uint64_t ms = 0; ms <= 10'000; ms += 1000) send(ms);
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  const std::string line =
      "time     walker: UTC went {} s against the monotonic clock: it was set, or this machine slept";
  EXPECT_EQ(log_.lines("UTC"), (std::vector<std::string>{fmt::format(fmt::runtime(line), "+3599.990"),
                                                         fmt::format(fmt::runtime(line), "-5.010")}));
}

TEST_P(LogLines, SmallStepsOfUtcAreToldInSum) {
  auto session = make_session();
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  for (std::uint64_t s = 0; s < 6; ++s) {
    const Arrival when{(1'800'000'000'000 + 1000 * s + 400 * std::min<std::uint64_t>(s, 3)) * 1'000'000,
                       (1 + s) * 1'000'000'000, true};
    ASSERT_TRUE((*session)->write(1, as_bytes(plain({{static_cast<std::uint32_t>(s), "ab"}})), when));
  }
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(log_.lines("UTC"),
            std::vector<std::string>{
                "time     walker: UTC went +0.800 s against the monotonic clock: it was set, or this machine slept"});
}

// UTC that drifts by 100 ppm, or by 20, is off by 8.6 s, or by 1.7 s, after a day. Behind the day somebody sets it.
TEST_P(LogLines, DriftOfUtcIsNoStepHoweverLong) {
  for (const std::int64_t ppm : {20, 100, -100}) {
    log_.clear();
    auto session = make_session();
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    const auto send = [&](std::int64_t s, std::int64_t set_ms) {
      const Arrival when{
          static_cast<std::uint64_t>((1'800'000'000 + s) * 1'000'000'000 + 1000 * ppm * s + 1'000'000 * set_ms),
          static_cast<std::uint64_t>(1 + s) * 1'000'000'000, true};
      ASSERT_TRUE((*session)->write(1, as_bytes(plain({{static_cast<std::uint32_t>(s), "ab"}})), when));
    };
    constexpr std::int64_t day_s = 86'400;
    for (std::int64_t s = 0; s < day_s; s += 40) send(s, 0);
    send(day_s, 0);
    EXPECT_EQ(log_.lines("UTC"), std::vector<std::string>()) << ppm;
    for (const std::int64_t at : {10, 50, 60}) send(day_s + at, at == 10 ? 300 : 600);
    ASSERT_TRUE((*session)->close_stream(1, ""));
    ASSERT_TRUE((*session)->finish());
    const auto told = 0.6 + 50e-6 * static_cast<double>(ppm);
    EXPECT_EQ(log_.lines("UTC"), std::vector<std::string>{fmt::format(
                                     "time     walker: UTC went {:+.3f} s against the monotonic clock: it was set, or "
                                     "this machine slept",
                                     told)})
        << ppm;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, LogLines, ::testing::Bool(),
                         [](const auto& format) { return format.param ? "Packed" : "Plain"; });

// The next write fails, and so does the next sync.
class FailsOnce final : public test::ReplacedFileSystem {
 public:
  ssize_t write(int descriptor, ByteView bytes) override {
    return std::exchange(write_fails_, false) ? -EIO : FileSystem::write(descriptor, bytes);
  }
  int sync(int descriptor) override { return std::exchange(sync_fails_, false) ? -EIO : FileSystem::sync(descriptor); }
  [[nodiscard]] bool has_failed() const { return !write_fails_ && !sync_fails_; }

 private:
  bool write_fails_ = true;
  bool sync_fails_ = true;
};

// A section cannot be written, and what it holds goes into a log that cannot be forced to the disk.
TEST(PackedLogLines, ALogThatIsReplacedDuringASealIsTold) {
  const test::TempDir dir;
  SessionOptions options;
  options.directory = dir.path();
  options.device = "walker";
  options.durability = Durability::power;
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}, {2, "cd"}})), {1000, 1000, true}));
  const KeptLog log;
  {
    const FailsOnce disk;
    ASSERT_TRUE((*session)->seal());
    EXPECT_TRUE(disk.has_failed());
  }
  const auto path = dir / "recording.0.sdsz";
  EXPECT_EQ(log.lines("anew"),
            std::vector<std::string>{fmt::format(
                "record   walker: {}.wal: cannot sync: Input/output error: the log was written anew", path.string())});
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(test::read_blocks(path).size(), 2u);
}

TEST(PackedLogLines, HowToCloseARecordingThatWasGivenUpIsTold) {
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  options.device = "walker";
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}})), {1000, 1000, true}));
  ASSERT_TRUE((*session)->flush());
  disk.room = 0;
  EXPECT_FALSE((*session)->close_stream(1, ""));
  const KeptLog log;
  (void)(*session)->abandon("recording stopped: the disk is full");
  const auto path = dir / "recording.0.sdsz";
  EXPECT_EQ(
      log.lines("recover"),
      std::vector<std::string>{fmt::format(
          "record   walker: recording.0.sdsz is not closed, and stays as after a kill: close it with sds recover {}",
          path.string())});
  session->reset();
  EXPECT_EQ(test::read_blocks(path).size(), 1u);
}

}  // namespace
}  // namespace sds
