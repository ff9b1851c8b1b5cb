#include "sds/recorder/sdsio_message.hpp"

#include <gtest/gtest.h>

#include <map>

#include "support/recordings.hpp"

namespace sds::sdsio {
namespace {

// Writes down what it is told.
class Log final : public MessageHandler {
 public:
  bool on_message(const Header& header, ByteView text) override {
    events += "[" + std::to_string(static_cast<unsigned>(header.command)) + " " + std::to_string(header.handle) + " " +
              std::string(as_text(text)) + "]";
    return header.command != stop_after;
  }
  void on_write(std::uint32_t handle, std::size_t begin, std::size_t size) override {
    written[handle] += current.substr(begin, size);
  }
  Expected<std::size_t> feed(MessageDecoder& decoder, const std::string& bytes) {
    current = bytes;
    return decoder.push(as_bytes(current), *this);
  }
  Command stop_after{};  // none
  std::string current;
  std::string events;
  std::map<std::uint32_t, std::string> written;
};

std::string message(Command command, std::uint32_t handle, std::uint32_t argument, const std::string& data) {
  const auto head = Header{command, handle, argument, static_cast<std::uint32_t>(data.size())}.encode();
  return std::string(as_text(head)) + data;
}

TEST(MessageDecoder, FindsTheSameMessagesHoweverTheBytesAreCut) {
  const std::string stream = message(Command::open, 0, 1, "Accel") + message(Command::write, 3, 0, "0123456789") +
                             message(Command::ping, 0, 0, "") + message(Command::write, 4, 0, "") +
                             message(Command::write, 3, 0, "abc") + message(Command::close, 3, 0, "") +
                             message(Command::info, 7, 9, std::string("\1\0\0\0\2\0\0\0f.c", 11));
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    Log log;
    MessageDecoder decoder;
    for (std::size_t at = 0; at < stream.size(); at += piece) ASSERT_TRUE(log.feed(decoder, stream.substr(at, piece)));
    EXPECT_EQ(log.events.substr(0, 23), "[1 0 Accel][5 0 ][2 3 ]") << piece;
    EXPECT_EQ(log.written[3], "0123456789abc") << piece;
    EXPECT_FALSE(decoder.inside_message());
  }
}

TEST(MessageDecoder, StopsAfterAMessageWhereTheHandlerWantsIt) {
  const std::string before = message(Command::write, 3, 0, "0123") + message(Command::open, 0, 1, "Accel");
  const std::string after = message(Command::write, 3, 0, "4567") + message(Command::close, 3, 0, "");
  for (std::size_t piece = 1; piece <= before.size() + after.size(); ++piece) {
    Log log;
    log.stop_after = Command::open;
    MessageDecoder decoder;
    std::string left = before + after;
    std::size_t taken = 0;
    while (log.events.empty()) {
      const auto done = log.feed(decoder, left.substr(0, piece));
      ASSERT_TRUE(done);
      taken += *done;
      left.erase(0, *done);
    }
    EXPECT_EQ(taken, before.size()) << piece;
    EXPECT_EQ(log.written[3], "0123");
    while (!left.empty()) left.erase(0, *log.feed(decoder, left.substr(0, piece)));
    EXPECT_EQ(log.written[3], "01234567");
    EXPECT_EQ(log.events, "[1 0 Accel][2 3 ]");
  }
}

TEST(MessageDecoder, KnowsWhenAPeerLeavesInTheMiddle) {
  Log log;
  MessageDecoder decoder;
  ASSERT_TRUE(log.feed(decoder, message(Command::write, 1, 0, "abcdef").substr(0, 19)));
  EXPECT_TRUE(decoder.inside_message());
  EXPECT_EQ(log.written[1], "abc");
}

TEST(MessageDecoder, RefusesUnknownCommandsAndAbsurdTexts) {
  for (const std::uint32_t command : {0u, 8u, 0x20544547u /* "GET " */}) {
    Log log;
    MessageDecoder decoder;
    EXPECT_FALSE(log.feed(decoder, message(static_cast<Command>(command), 0, 0, "")));
  }
  Log log;
  MessageDecoder decoder;
  EXPECT_FALSE(log.feed(decoder, message(Command::open, 0, 1, std::string(5000, 'x')).substr(0, 16)));
}

TEST(MessageDecoder, RefusesAWriteOfAnAbsurdSize) {
  for (const std::size_t piece : {5u, 16u}) {
    Log log;
    MessageDecoder decoder;
    const std::string head(as_text(Header{Command::write, 1, 0, max_write_bytes + 1}.encode()));
    bool refused = false;
    for (std::size_t at = 0; at < head.size() && !refused; at += piece)
      refused = !log.feed(decoder, head.substr(at, piece));
    EXPECT_TRUE(refused);
  }
}

TEST(MessageDecoder, ALargeWriteNeedsNoMemory) {
  Log log;
  MessageDecoder decoder;
  const auto head = Header{Command::write, 1, 0, max_write_bytes}.encode();
  ASSERT_TRUE(log.feed(decoder, std::string(as_text(head))));
  ASSERT_TRUE(log.feed(decoder, std::string(1000, 'x')));
  EXPECT_EQ(log.written[1].size(), 1000u);
}

}  // namespace
}  // namespace sds::sdsio
