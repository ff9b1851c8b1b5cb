// Recordings of earlier versions stay readable for ever. golden/v1.sdsz was made by the first version that wrote format
// 1, with golden/make.sh, from golden/v1.*.sds: every codec and section kind that it had.
#include <gtest/gtest.h>

#include "support/recordings.hpp"

namespace sds {
namespace {

const std::filesystem::path kGolden = SDSKIT_SOURCE_DIR "/tests/sds_format/golden";

TEST(Golden, FormatVersion1ReadsBackByteForByte) {
  auto recording = Recording::open(kGolden / "v1.sdsz");
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

}  // namespace
}  // namespace sds
