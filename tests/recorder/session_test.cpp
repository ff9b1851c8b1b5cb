#include "sds/recorder/session_writer.hpp"

#include <gtest/gtest.h>

#include "sds/format/limits.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;
using test::TestBlock;

SessionOptions options_for(const test::TempDir& dir) {
  SessionOptions options;
  options.directory = dir.path();
  return options;
}

TEST(PlainSession, WritesArmsNamesAndKeepsAnExistingFileAsBak) {
  const test::TempDir dir;
  test::write_file(dir / "A.3.sds", "old");
  auto options = options_for(dir);
  options.label = 3;
  auto session = make_plain_session(options);
  const std::string bytes = plain({{1, "abc"}, {2, ""}});
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes.substr(0, 5))));
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes.substr(5))));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  const auto summary = (*session)->finish();
  EXPECT_EQ(summary->blocks, 2u);
  EXPECT_TRUE(summary->losses.empty());
  EXPECT_EQ(test::read_file(dir / "A.3.sds"), bytes);
  EXPECT_EQ(test::read_file(dir / "A.3.sds.bak"), "old");
}

TEST(PlainSession, AnUnfinishedBlockIsKeptAndReported) {
  const test::TempDir dir;
  auto session = make_plain_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "abcdef"}}).substr(0, 11))));
  ASSERT_TRUE((*session)->close_stream(1, "disconnected"));
  const auto summary = (*session)->finish();
  ASSERT_EQ(summary->losses.size(), 2u);
  EXPECT_EQ(summary->losses[0], "A: the last block has 3 of its 6 bytes; kept as the file's torn end");
  EXPECT_EQ(test::read_file(dir / "A.0.sds").size(), 11u);
}

TEST(PackedSession, TakesMetadataFromTheDirectoryAndTheNextFreeNumber) {
  const test::TempDir dir;
  test::write_file(dir / "A.sds.yml", test::int16_metadata(1));
  test::write_file(dir / "recording.0.sdsz", "taken");
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE(session);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}, {2, "cd"}}))));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain({{1, "x"}}))));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->close_stream(2, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(test::read_blocks(dir / "recording.1.sdsz", 0), (std::vector<TestBlock>{{1, "ab"}, {2, "cd"}}));
  auto recording = Recording::open(dir / "recording.1.sdsz");
  EXPECT_TRUE(recording->streams()[0].metadata);
  EXPECT_FALSE(recording->streams()[1].metadata);
  EXPECT_FALSE(recording->sdsz()->streams()[0].clocks.empty());
}

TEST(PackedSession, RecordsALossAndKeepsTheTornEnd) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}, {2, "cdef"}}).substr(0, 20))));
  ASSERT_TRUE((*session)->close_stream(1, "disconnected"));
  ASSERT_TRUE((*session)->finish());
  auto recording = Recording::open(dir / "recording.0.sdsz");
  ASSERT_EQ(recording->sdsz()->streams()[0].gaps.size(), 1u);
  EXPECT_EQ(recording->sdsz()->streams()[0].gaps[0].reason,
            "disconnected; the last block is incomplete (10 bytes of it came)");
  auto cursor = recording->cursor(0);
  EXPECT_EQ(test::read_blocks(**cursor).size(), 1u);
  EXPECT_EQ((*cursor)->tail()->bytes, 10u);
}

TEST(PackedSession, ABlockOfAnAbsurdSizeTurnsTheRestIntoBytes) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  const std::string bytes = plain({{1, "ab"}}) + test::le32(2) + test::le32(limits::max_block_bytes + 1) + "data";
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes)));
  ASSERT_TRUE((*session)->write(1, as_bytes("more")));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  auto recording = Recording::open(dir / "recording.0.sdsz");
  auto cursor = recording->cursor(0);
  EXPECT_EQ(test::read_blocks(**cursor).size(), 1u);
  EXPECT_EQ((*cursor)->tail()->bytes, 16u);
}

}  // namespace
}  // namespace sds
