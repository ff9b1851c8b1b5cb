// Recordings of earlier versions stay readable for ever. golden/v1.sdsz and v2.sdsz were made by the first versions
// that wrote formats 1 and 2, with golden/make.sh, from golden/v1.*.sds; v1-killed and v2-killed are what a writer left
// that was killed (golden/make_killed.cpp), with their logs.
#include <gtest/gtest.h>

#include "support/recordings.hpp"

namespace sds {
namespace {

const std::filesystem::path kGolden = SDSKIT_SOURCE_DIR "/tests/sds_format/golden";

class Golden : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, Golden, ::testing::Values("v1.sdsz", "v2.sdsz"));

TEST_P(Golden, ReadsBackByteForByte) {
  auto recording = Recording::open(kGolden / GetParam());
  ASSERT_TRUE(recording) << recording.error().to_string();
  EXPECT_TRUE(recording->sdsz()->complete());
  EXPECT_TRUE(recording->sdsz()->damages().empty());
  ASSERT_EQ(recording->streams().size(), 3u);
  for (std::size_t i = 0; i < recording->streams().size(); ++i) {
    auto packed = recording->cursor(i);
    const auto blocks = test::read_blocks(**packed);
    const auto plain = Recording::open(kGolden / recording->streams()[i].file_name());
    ASSERT_TRUE(plain);
    auto cursor = plain->cursor(0);
    EXPECT_EQ(blocks, test::read_blocks(**cursor)) << recording->streams()[i].id;
  }
}

TEST(GoldenKilled, ARecordingOfFormat2ReadsBackWithItsLog) {
  auto recording = Recording::open(kGolden / "v2-killed.sdsz");
  ASSERT_TRUE(recording) << recording.error().to_string();
  EXPECT_TRUE(recording->damages().empty());
  auto a = recording->cursor(0);
  auto plain = Recording::open(kGolden / "v1-killed.A.0.sds");
  auto expected = plain->cursor(0);
  EXPECT_EQ(test::read_blocks(**a), test::read_blocks(**expected));
  auto b = recording->cursor(1);
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto block = *(*b)->next();
    ASSERT_TRUE(block);
    EXPECT_EQ(block->tick, 3'000'000'000 * 25 * i);
    EXPECT_EQ(load_le<std::uint32_t>(block->data.data()), 25 * i);
  }
  const auto& stream = recording->sdsz()->streams()[0];
  ASSERT_EQ(stream.gaps.size(), 1u);
  EXPECT_EQ(stream.gaps[0].before_block, 201u);
  ASSERT_EQ(stream.clocks.size(), 1u);
  EXPECT_EQ(stream.clocks[0], (ClockPair{0xFFFFFF00ull + 3000, 1750000000000000000ull, 42}));
}

}  // namespace
}  // namespace sds
