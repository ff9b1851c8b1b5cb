// The server's log: what strangers can put into it, how often, and whether anybody takes it in.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "log_limiter.hpp"
#include "sds/recorder/log_writer.hpp"
#include "sds/recorder/printable.hpp"
#include "support/no_memory.hpp"

namespace sds {
namespace {

using std::chrono::milliseconds;

TEST(Printable, KeepsTextAndWritesOutWhatATerminalObeys) {
  EXPECT_EQ(printable("Gyroskop-Größe 加速度 🙂"), "Gyroskop-Größe 加速度 🙂");
  EXPECT_EQ(printable("a\nb\r\t\x1b[2J\x7f"), "a\\nb\\x0d\\x09\\x1b[2J\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u{9b}31m");                                    // CSI in one character
  EXPECT_EQ(printable("x\xe2\x80\xaetxt"), "x\\u{202e}txt");  // right to left
  EXPECT_EQ(printable("\xff\xc3(\xc0\x80\xed\xa0\x80\xc3"), "\\xff\\xc3(\\xc0\\x80\\xed\\xa0\\x80\\xc3");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(LogLimiter, LetsAFewThroughAndThenOneASecond) {
  LogLimiter limiter(3);
  const LogLimiter::Clock::time_point start{};
  const auto at = [&](int ms) { return limiter.due(start + milliseconds(ms)); };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(at(0), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(at(999));
  EXPECT_EQ(limiter.hidden(), 5u);
  EXPECT_EQ(at(1000), 5u);
  EXPECT_FALSE(at(1999));
  EXPECT_EQ(at(60000), 1u);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(at(60000), 0u);
  EXPECT_FALSE(at(60000)) << "no more than three at once, after however long a time";
}

class LogToAPipe : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::pipe(ends_), 0);
    std::signal(SIGPIPE, SIG_IGN);
  }
  void TearDown() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
    std::signal(SIGPIPE, SIG_DFL);
  }
  // Everything that is in the pipe.
  std::string read_all() {
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(ends_[0], buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(got));
    return text;
  }
  int ends_[2] = {-1, -1};
};

TEST_F(LogToAPipe, WritesEveryLineBeforeItEnds) {
  {
    const LogWriter log(ends_[1]);
    spdlog::info("one {}", 1);
    spdlog::warn("two\nforged");
  }
  const std::string text = read_all();
  EXPECT_NE(text.find(" one 1\n"), std::string::npos);
  EXPECT_NE(text.find(" two\\nforged\n"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST_F(LogToAPipe, LinesThatFindNoMemoryAreCounted) {
  const std::string line(400, 'x');  // longer than what spdlog keeps on the stack
  std::size_t lost = 0;
  {
    const LogWriter log(ends_[1]);
    bool happened = true;
    for (long spared = 0; happened; ++spared) {
      const test::NoMemory lack(spared);
      spdlog::info("{}", line);
      happened = test::NoMemory::happened();
      if (happened) ++lost;
    }
    spdlog::info("the last");
  }
  const std::string text = read_all();
  ASSERT_GT(lost, 0u);
  EXPECT_NE(text.find("(" + std::to_string(lost) + " lines of the log are missing here"), std::string::npos) << text;
  EXPECT_NE(text.find(" the last\n"), std::string::npos);
}

TEST_F(LogToAPipe, AFullPipeCostsLinesAndNoTime) {
  const std::string line(1000, 'x');
  std::string text;
  {
    const LogWriter log(ends_[1], 100);
    for (int i = 0; i < 2000; ++i) spdlog::info(line);  // the pipe holds 64 KiB; this returns
    text = read_all();
    const auto read_up_to = [&](const char* wanted) {
      for (int i = 0; i < 500 && text.find(wanted) == std::string::npos; ++i) {
        std::this_thread::sleep_for(milliseconds(10));
        text += read_all();
      }
    };
    read_up_to("are missing here");
    spdlog::info("the last one");
    read_up_to(" the last one\n");  // what waits is more than the pipe holds
  }
  text += read_all();
  EXPECT_NE(text.find(" lines of the log are missing here"), std::string::npos);
  EXPECT_NE(text.find(" the last one\n"), std::string::npos);
}

TEST_F(LogToAPipe, APipeThatStaysFullDoesNotKeepItFromEnding) {
  const std::string line(1000, 'x');
  const LogWriter log(ends_[1], 100);
  for (int i = 0; i < 500; ++i) spdlog::info(line);
}

TEST_F(LogToAPipe, AReaderThatIsGoneIsNoMatter) {
  ::close(ends_[0]);
  const LogWriter log(ends_[1]);
  for (int i = 0; i < 100; ++i) spdlog::info("to nobody");
}

}  // namespace
}  // namespace sds
