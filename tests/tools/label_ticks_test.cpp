// Edges of labels where no ticks hold the times of all samples, against exact fractions.
#include "label_ticks.hpp"

#include <gtest/gtest.h>

#include "sds/format/elapsed.hpp"

namespace sds {
namespace {

// After 50 days a double tells times that are 0.9 ns apart. A sample's and that of the tick nearest to it may be one
// double, and the tick lie behind the sample: then labels of it would lose it where times count from another origin.
TEST(LabelTicks, NoEdgeLiesBehindASampleThatHasTheSameDouble) {
  const Frequency ticks{32768, 1};
  const Frequency rate{44100, 1};
  const Frequency both{361'267'200, 1};  // their least common multiple: 11025 * 32768, 8192 * 44100
  const std::vector<Frequency> of_samples{ticks, rate, {1'000'000, 1}, {3333, 10}};
  const std::uint64_t up = 4'294'960ull * 32768;
  for (const Frequency file : {Frequency{1000, 1}, Frequency{512'000'000, 1}})
    for (std::uint64_t k = 0; k < 2000; ++k) {
      const std::uint64_t block = up + k;
      const Instant sample{block * 11025 + (k % 7) * 8192, both};
      const Instant next{sample.tick + 8192, both};
      TimedLabel label;
      label.label.name = "x";
      label.span = {seconds(block, ticks, k % 7, rate), seconds(block, ticks, k % 7 + 1, rate)};
      const auto placed = place_labels({label}, file, of_samples);
      ASSERT_TRUE(placed);
      const auto at = [&](std::uint64_t tick) { return Instant{tick, placed->file.tick_frequency}; };
      const Label& made = placed->file.labels.front();
      ASSERT_TRUE(std::is_lteq(compare(at(made.begin), sample))) << k;
      ASSERT_TRUE(std::is_lteq(compare(at(made.end), next))) << k;
      ASSERT_TRUE(std::is_gt(compare(at(made.end), sample))) << k;
      // By no more than two ticks of the file.
      const double tick_s = 1 / placed->file.tick_frequency.hz();
      ASSERT_LE(seconds_since(at(made.begin), sample), 2 * tick_s) << k;
    }
}

TEST(LabelTicks, ATickThatIsTheTimeOfASampleIsTaken) {
  TimedLabel label;
  label.label.name = "x";
  label.span = {4'294'960.5, 4'294'960.625};
  const auto placed = place_labels({label}, {1000, 1}, {{32768, 1}, {44100, 1}, {1'000'000, 1}, {1600, 1}});
  ASSERT_TRUE(placed);
  EXPECT_EQ(placed->rounded, 0u);
  EXPECT_EQ(placed->file.tick_frequency, (Frequency{1000, 1}));
  EXPECT_EQ(placed->file.labels.front().begin, 4'294'960'500u);
  EXPECT_EQ(placed->file.labels.front().end, 4'294'960'625u);
}

}  // namespace
}  // namespace sds
