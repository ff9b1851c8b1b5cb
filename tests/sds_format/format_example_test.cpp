// The worked example of sds_format/FORMAT.md is what this code writes and reads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>

#include "support/memory_sink.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

Bytes write_example() {
  auto disk = std::make_shared<test::Disk>();
  Properties session;
  session.set("tool", "example");
  auto writer = SdszWriter::create(std::make_unique<test::MemorySink>(disk), session, {});
  const auto id = *writer->add_stream(
      {"T", "0", false, "", "T.sds.yml", "sds:\n  name: T\n  content:\n  - {value: t, type: int16_t}\n"});
  Bytes block;
  for (const int value : {100, 101, 103}) append_le(block, static_cast<std::int16_t>(value));
  EXPECT_TRUE(writer->append(id, 10, block));
  EXPECT_TRUE(writer->append(id, 20, ByteView(block).first(4)));
  EXPECT_TRUE(writer->close());
  return disk->bytes;
}

std::string dump(const Bytes& bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    text += fmt::format("{:04x} ", at);
    for (std::size_t i = at; i < std::min(at + 16, bytes.size()); ++i)
      text += fmt::format(" {:02x}", static_cast<unsigned>(bytes[i]));
    text += "\n";
  }
  return text;
}

// The dump between the markers in FORMAT.md, comments after ';' left out.
std::string documented_dump() {
  std::ifstream in(SDSKIT_SOURCE_DIR "/sds_format/FORMAT.md");
  std::string text;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```hexdump") {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside && std::regex_search(line, std::regex("^[0-9a-f]{4}  "))) {
      line = line.substr(0, line.find(';'));
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
  }
  return text;
}

TEST(FormatExample, TheDocumentedBytesAreTheBytesWritten) { EXPECT_EQ(documented_dump(), dump(write_example())); }

TEST(FormatExample, TheDocumentedBytesReadBack) {
  const test::TempDir dir;
  test::write_file(dir / "a.sdsz", std::string(as_text(write_example())));
  const auto blocks = test::read_blocks(dir / "a.sdsz");
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].timeslot, 10u);
  EXPECT_EQ(blocks[0].data, std::string("\x64\0\x65\0\x67\0", 6));
  EXPECT_EQ(blocks[1].data, std::string("\x64\0\x65\0", 4));
}

}  // namespace
}  // namespace sds
