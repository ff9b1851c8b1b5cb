// Where labels that are made of samples begin and end, with times made on paper.
#include "label_auto.hpp"

#include <gtest/gtest.h>

#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

struct Block {
  std::uint64_t tick = 0;
  std::string samples;  // int8_t
  bool after_loss = false;
};

std::string loud(std::size_t count) {
  std::string samples;
  for (std::size_t k = 0; k < count; ++k) samples += k % 2 == 0 ? 'd' : '\x9c';  // 100 and -100
  return samples;
}

class LabelAuto : public ::testing::Test {
 protected:
  // `rate`: the line of the metadata.
  Recording record(const std::vector<Block>& blocks, const std::string& rate) {
    auto writer = SdszWriter::create(path_, {}, {});
    const auto id = *writer->add_stream({"S", "0", false, "", "S.sds.yml",
                                         "sds:\n  name: S\n" + rate + "  content:\n    - {value: v, type: int8_t}\n"});
    for (const auto& block : blocks) {
      if (block.after_loss) EXPECT_TRUE(writer->add_gap(id, "lost"));
      EXPECT_TRUE(writer->append_at(id, block.tick, as_bytes(block.samples)));
    }
    EXPECT_TRUE(writer->close());
    return *Recording::open(path_);
  }
  static std::vector<TimeSpan> spans(const std::vector<TimedLabel>& labels) {
    std::vector<TimeSpan> all;
    for (const auto& label : labels) all.push_back(label.span);
    return all;
  }
  static std::vector<TimeSpan> active(const Recording& recording) {
    ActivityOptions options;
    options.threshold = 20;
    std::vector<TimedLabel> labels;
    EXPECT_TRUE(label_activity(recording, 0, options, labels, {}));
    return spans(labels);
  }
  static std::vector<TimeSpan> scored(const Recording& recording) {
    std::vector<TimedLabel> labels;
    EXPECT_TRUE(label_scores(recording, 0, {}, labels, {}));
    return spans(labels);
  }
  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "r.sdsz";
};

TEST_F(LabelAuto, ALossWithoutAGapInTimeEndsALabel) {
  std::vector<Block> blocks;
  for (std::uint64_t k = 0; k < 100; ++k) blocks.push_back({100 + 10 * k, loud(16), k == 50});
  for (const char* rate : {"  sample-frequency: 1600\n", ""}) {
    const auto recording = record(blocks, rate);
    const std::vector<TimeSpan> parts{{0.1, 0.6}, {0.6, 1.1}};
    EXPECT_EQ(active(recording), parts) << rate;
    EXPECT_EQ(scored(recording), parts) << rate;
    std::filesystem::remove(path_);
  }
}

// A sensor that is 10 % fast: the next block begins before the samples of the one before are over. What was sampled
// before the loss is judged without what comes behind it, to the sample: 10 samples are a frame of 0.1 s here.
TEST_F(LabelAuto, BlocksThatOverlapAtALossAreParted) {
  std::vector<Block> blocks;
  for (std::uint64_t k = 0; k < 20; ++k) blocks.push_back({90 * k, loud(10), k == 10});
  const auto recording = record(blocks, "  sample-frequency: 100\n");
  EXPECT_EQ(scored(recording), (std::vector<TimeSpan>{{0, 0.9}, {0.9, 1.81}}));
  // Only the last block before the loss is loud: no frame behind the loss has any of it.
  blocks.clear();
  for (std::uint64_t k = 0; k < 20; ++k) blocks.push_back({90 * k, k < 10 ? loud(10) : std::string(10, 'd'), k == 10});
  std::filesystem::remove(path_);
  EXPECT_EQ(active(record(blocks, "  sample-frequency: 100\n")), (std::vector<TimeSpan>{{0, 0.9}}));
}

// The device began anew in front of the loss: its clock stepped back over it.
TEST_F(LabelAuto, ALossWhereTheClockStepsBackEndsALabel) {
  std::vector<Block> blocks;
  for (std::uint64_t k = 0; k < 20; ++k) blocks.push_back({100 * k, loud(10), false});
  for (std::uint64_t k = 0; k < 40; ++k) blocks.push_back({1000 + 100 * k, loud(10), k == 0});
  EXPECT_EQ(scored(record(blocks, "  sample-frequency: 100\n")), (std::vector<TimeSpan>{{0, 2}, {2, 5}}));
}

// The first block lasts until 0.25 s, beyond the short one between two losses.
TEST_F(LabelAuto, SamplesThatReachBeyondAShortStretchHaveALabelToo) {
  const auto recording =
      record({{0, loud(250)}, {100, loud(2), true}, {200, loud(100), true}}, "  sample-frequency: 1000\n");
  EXPECT_EQ(scored(recording), (std::vector<TimeSpan>{{0, 0.1}, {0.1, 0.2}, {0.2, 0.3}}));
}

}  // namespace
}  // namespace sds
