#include "sds/format/plain.hpp"

#include <gtest/gtest.h>

#include "sds/format/limits.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::le32;
using test::plain;
using test::TestBlock;

struct ReadResult {
  std::vector<TestBlock> blocks;
  std::optional<Tail> tail;
};

ReadResult read(const std::filesystem::path& path) {
  ReadResult result;
  auto reader = PlainReader::open(path);
  EXPECT_TRUE(reader);
  for (;;) {
    auto block = reader->next();
    EXPECT_TRUE(block);
    if (!*block) break;
    result.blocks.push_back({(*block)->timeslot, std::string(as_text((*block)->data))});
  }
  result.tail = reader->tail();
  return result;
}

TEST(PlainReader, ReadsBlocksOfAllSizesAcrossItsBuffer) {
  const test::TempDir dir;
  std::vector<TestBlock> blocks;
  for (std::uint32_t i = 0; i < 300; ++i) blocks.push_back({i, std::string((i * 7919) % 20000, static_cast<char>(i))});
  blocks.push_back({300, std::string(1'000'000, 'x')});  // larger than the buffer
  blocks.push_back({301, "end"});
  test::write_file(dir / "a.0.sds", plain(blocks));
  const auto result = read(dir / "a.0.sds");
  EXPECT_EQ(result.blocks, blocks);
  EXPECT_FALSE(result.tail);
}

TEST(PlainReader, EmptyFileHasNoBlocks) {
  const test::TempDir dir;
  test::write_file(dir / "a.0.sds", "");
  EXPECT_TRUE(read(dir / "a.0.sds").blocks.empty());
  EXPECT_FALSE(read(dir / "a.0.sds").tail);
}

TEST(PlainReader, ZeroLengthBlocksAreBlocks) {
  const test::TempDir dir;
  const std::vector<TestBlock> blocks{{1, ""}, {2, "ab"}, {3, ""}};
  test::write_file(dir / "a.0.sds", plain(blocks));
  EXPECT_EQ(read(dir / "a.0.sds").blocks, blocks);
}

TEST(PlainReader, TruncatedAnywhereKeepsWholeBlocksAndDescribesTheRest) {
  const test::TempDir dir;
  const std::string whole = plain({{1, "abcd"}, {2, "efghij"}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_file(dir / "a.0.sds", whole.substr(0, size));
    const auto result = read(dir / "a.0.sds");
    EXPECT_EQ(result.blocks.size(), size < 12 ? 0u : 1u) << size;
    const bool at_boundary = size == 0 || size == 12;
    EXPECT_EQ(result.tail.has_value(), !at_boundary) << size;
    if (result.tail) EXPECT_EQ(result.tail->offset + result.tail->bytes, size);
  }
}

TEST(PlainReader, AbsurdBlockSizeEndsTheBlocksAndAllocatesNothing) {
  const test::TempDir dir;
  test::write_file(dir / "a.0.sds", plain({{1, "ok"}}) + le32(2) + le32(0xFFFFFFFF) + "rest");
  const auto result = read(dir / "a.0.sds");
  EXPECT_EQ(result.blocks.size(), 1u);
  ASSERT_TRUE(result.tail);
  EXPECT_EQ(result.tail->offset, 10u);
  EXPECT_EQ(result.tail->reason, "block size 4294967295 runs past the end of the file (4 bytes left)");
}

TEST(PlainReader, UnwrapsTimeslotsAcrossTwoToThe32) {
  const test::TempDir dir;
  test::write_file(dir / "a.0.sds", plain({{0xFFFFFFFF, "a"}, {0, "b"}}));
  auto reader = PlainReader::open(dir / "a.0.sds");
  EXPECT_EQ((**reader->next()).tick, 0xFFFFFFFFu);
  EXPECT_EQ((**reader->next()).tick, 0x100000000u);
}

TEST(PlainReader, MissingFileAndDirectoryAreIoErrors) {
  const test::TempDir dir;
  EXPECT_EQ(PlainReader::open(dir / "none.sds").error().code, ErrorCode::io);
  EXPECT_EQ(PlainReader::open(dir.path()).error().code, ErrorCode::io);
}

TEST(BlockParser, GivesTheSameBlocksHoweverTheBytesAreCut) {
  test::Random random(3);
  std::vector<TestBlock> blocks;
  for (std::uint32_t i = 0; i < 50; ++i) blocks.push_back({i, std::string(random.below(60), static_cast<char>(i))});
  const std::string bytes = plain(blocks);
  for (std::size_t piece = 1; piece < 40; ++piece) {
    BlockParser parser;
    std::vector<TestBlock> parsed;
    const auto on_block = [&](std::uint32_t timeslot, ByteView data) {
      parsed.push_back({timeslot, std::string(as_text(data))});
      return Expected<void>{};
    };
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      ASSERT_TRUE(parser.push(as_bytes(std::string_view(bytes).substr(at, piece)), on_block));
    EXPECT_EQ(parsed, blocks) << piece;
    EXPECT_EQ(parser.rest_bytes(), 0u);
  }
}

TEST(BlockParser, KeepsAnUnfinishedBlockAndSaysWhatIsMissing) {
  BlockParser parser;
  const auto none = [](std::uint32_t, ByteView) { return Expected<void>{}; };
  ASSERT_TRUE(parser.push(as_bytes(le32(1) + le32(10) + "abc"), none));
  EXPECT_EQ(parser.missing_bytes(), 7u);
  EXPECT_EQ(parser.take_rest().size(), 11u);
}

TEST(BlockParser, AnAbsurdSizeSwitchesToRawBytes) {
  BlockParser parser;
  const auto none = [](std::uint32_t, ByteView) { return Expected<void>{}; };
  ASSERT_TRUE(parser.push(as_bytes(le32(1) + le32(limits::max_block_bytes + 1)), none));
  EXPECT_TRUE(parser.is_raw());
  ASSERT_TRUE(parser.push(as_bytes("more"), none));
  EXPECT_EQ(parser.take_rest().size(), 12u);
}

}  // namespace
}  // namespace sds
