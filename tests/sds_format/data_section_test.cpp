#include "sds/format/data_section.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sds {
namespace {

const Layout kWords{2, {{ScalarType::u16, 0, 1}}};

// Blocks (tick, bytes) with bytes that count.
BlockRun run_of(const std::vector<std::pair<std::uint64_t, std::size_t>>& blocks) {
  BlockRun run;
  for (const auto& [tick, size] : blocks) {
    Bytes data(size);
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(run.bytes.size() + i);
    run.append(static_cast<std::uint32_t>(tick), tick, data);
  }
  return run;
}

TEST(DataSection, BlocksAloneHaveTheTimesAndSizesOfAllOfIt) {
  const auto wide = std::uint64_t{1} << 40;
  for (const auto& blocks : {run_of({{5, 4}, {9, 4}, {13, 4}}), run_of({{5, 0}, {9, 7}, {7, 2}}),
                             run_of({{5, 4}, {wide, 0}, {wide + 1, 6}, {3, 2}})}) {
    DataSectionCoder coder;
    const EncodedSection section = coder.encode(blocks, 0, kWords, Level::fast);
    BlockRun whole;
    ASSERT_TRUE(coder.decode(section.header, section.payload, kWords, whole));
    EXPECT_EQ(whole.bytes, blocks.bytes);
    BlockRun alone;
    ASSERT_TRUE(coder.decode_blocks(section.header, section.payload, alone));
    EXPECT_TRUE(alone.bytes.empty());
    for (const auto* run : {&whole, &alone}) {
      EXPECT_EQ(run->timeslots, blocks.timeslots);
      EXPECT_EQ(run->sizes, blocks.sizes);
      EXPECT_EQ(run->jumps.size(), blocks.jumps.size());
      EXPECT_EQ(run->first_tick, blocks.first_tick);
      EXPECT_EQ(run->last_tick, blocks.last_tick);
      EXPECT_EQ(run->unsorted, blocks.unsorted);
    }
  }
}

TEST(DataSection, BlocksOfDamagedOnesAreNotDecoded) {
  DataSectionCoder coder;
  EncodedSection section = coder.encode(run_of({{5, 4}, {9, 6}}), 0, kWords, Level::fast);
  section.payload.back() ^= std::byte{1};
  BlockRun run;
  EXPECT_FALSE(coder.decode_blocks(section.header, section.payload, run));
  EXPECT_EQ(run.count(), 0U);
}

TEST(DataSection, OneSizeOfAllBlocksIsToldByItsHeadUnlessABitOfThatIsWrong) {
  DataSectionCoder coder;
  const EncodedSection equal = coder.encode(run_of({{5, 4}, {9, 4}, {13, 4}}), 0, kWords, Level::fast);
  EncodedSection differing = coder.encode(run_of({{5, 4}, {9, 6}, {13, 4}}), 0, kWords, Level::fast);
  EXPECT_TRUE(has_equal_blocks(ByteView(equal.payload).first(head_bytes)));
  EXPECT_FALSE(has_equal_blocks(ByteView(equal.payload).first(head_bytes - 1)));
  for (std::size_t bit = 0; bit < 8 * head_bytes; ++bit) {
    differing.payload[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(has_equal_blocks(differing.payload)) << bit;
    differing.payload[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
  }
}

}  // namespace
}  // namespace sds
