// Gaps in time of streams whose truth is known: what clocks of coarse ticks show of sensors, block by block.
#include "sds/format/steps.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace sds {
namespace {

// Blocks whose ticks a clock of whole ticks tells, when the first of their samples is there, or up to `late` ticks
// later.
struct Sensor {
  double nominal_ticks;  // of a sample
  std::function<std::uint64_t(int)> samples;
  double off = 1;  // its true rate by the nominal one
  double late = 0;
  int burst = 1;      // so many blocks are told of at once
  int blocks = 4000;  // the gap is in the middle
};

struct Found {
  std::uint64_t gaps = 0;
  double missing = 0;
};

Found found_in(const Sensor& sensor, double gap_ticks) {
  StepCounter steps(sensor.nominal_ticks);
  std::uint64_t random = 1;
  double at = 1000;
  double end_of_burst = 0;
  std::uint64_t previous = 0;
  for (int k = 0; k < sensor.blocks; ++k) {
    if (k == sensor.blocks / 2) at += gap_ticks;
    if (k % sensor.burst == 0) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      end_of_burst = at + sensor.late * static_cast<double>(random >> 40) / (1 << 24);
      for (int i = k; i < k + sensor.burst - 1; ++i)
        end_of_burst += static_cast<double>(sensor.samples(i)) * sensor.nominal_ticks / sensor.off;
    }
    const auto tick = std::max(previous, static_cast<std::uint64_t>(end_of_burst));
    if (k > 0) steps.add(tick - previous, static_cast<std::uint64_t>(k), sensor.samples(k - 1));
    previous = tick;
    at += static_cast<double>(sensor.samples(k)) * sensor.nominal_ticks / sensor.off;
  }
  Found found;
  for (const auto& step : steps.steps()) {
    if (!step.gap) continue;
    EXPECT_GT(step.excess, 0);
    found.gaps += step.count;
    found.missing += step.missing * static_cast<double>(step.count);
  }
  return found;
}

std::function<std::uint64_t(int)> always(std::uint64_t samples) {
  return [samples](int) { return samples; };
}

// 10 s of ticks of 1 ms are missing, or nothing is.
void expect_one_gap(const Sensor& sensor) {
  EXPECT_EQ(found_in(sensor, 0).gaps, 0u);
  const Found found = found_in(sensor, 10'000);
  EXPECT_EQ(found.gaps, 1u);
  const double truth = 10'000 / sensor.nominal_ticks * sensor.off;
  EXPECT_NEAR(found.missing / truth, 1, 0.01);
}

TEST(StepsTest, AGapIsFoundAndMeasuredWhateverABlockLastsInTicks) {
  struct Case {
    double hz;
    std::uint64_t samples;
  };
  for (const auto& [hz, samples] : std::vector<Case>{
           {2000, 1}, {4000, 2},   {16000, 7},  {16000, 8},  {16000, 9},  {16000, 12},  {1980, 1},    {1900, 1},
           {1600, 1}, {1500, 1},   {1400, 1},   {6667.3, 9}, {44100, 50}, {44100, 60},  {44100, 100}, {1600, 3},
           {1600, 4}, {48000, 64}, {44100, 10}, {1000, 1},   {333.3, 1},  {100, 1},     {48000, 480}, {16000, 160},
           {26, 1},   {104, 8},    {52, 13},    {416, 52},   {6667.3, 1}, {44100, 200}, {10000, 99},  {48000, 6000}})
    for (const double off : {1.0, 1.01, 0.99, 1.003}) {
      SCOPED_TRACE(testing::Message() << hz << " Hz, " << samples << " a block, off by " << off);
      expect_one_gap({1000 / hz, always(samples), off});
      expect_one_gap({1000 / hz, always(samples), off, 0.9});
    }
}

TEST(StepsTest, BlocksOfDifferentLengthsHaveNoGapsOfTheirOwn) {
  const auto now_and_then = [](std::uint64_t some, std::uint64_t others, int each) {
    return [=](int k) { return k % each == each - 1 ? others : some; };
  };
  const auto any = [](int k) { return 1 + static_cast<std::uint64_t>(k) * 2654435761U % 4294967296U / 110127366U; };
  for (const double off : {1.0, 1.01, 0.99}) {
    SCOPED_TRACE(off);
    expect_one_gap({1 / 44.1, now_and_then(10, 300, 500), off});
    expect_one_gap({1 / 44.1, now_and_then(10, 30'000, 500), off});
    expect_one_gap({1 / 44.1, now_and_then(1, 300, 3), off});
    expect_one_gap({1 / 44.1, now_and_then(1, 100, 2), off});
    expect_one_gap({1 / 44.1, any, off});
    expect_one_gap({1 / 16.0, now_and_then(4, 64, 100), off});
    expect_one_gap({1 / 16.0, now_and_then(20, 400, 10), off});
    expect_one_gap({1, now_and_then(10, 100, 10), off});
  }
}

TEST(StepsTest, BlocksThatShareTicksAndComeInBurstsAreNoGaps) {
  expect_one_gap({1 / 6.6673, always(1), 1, 0, 16});
  expect_one_gap({1 / 44.1, always(10), 1, 0, 20});
  expect_one_gap({1 / 44.1, always(30), 0.99, 0, 10});
}

TEST(StepsTest, GapsBehindBlocksWithHalfOfTheSamplesAreGaps) {
  struct Block {
    std::uint64_t samples;
    std::uint64_t gap;  // ticks that are missing behind it
  };
  constexpr std::uint64_t kHour = 3'600'000;
  const std::vector<std::vector<Block>> streams = {{{12, 0}, {12, 0}, {12, 0}, {12, 0}, {12, 0}, {80, kHour}},
                                                   {{12, 0}, {12, 0}, {40, kHour}},
                                                   {{4, 0}, {26, kHour}},
                                                   {{14, 0}, {26, kHour}},
                                                   {{5, 0}, {26, kHour}, {5, 0}, {26, kHour}}};
  for (const std::uint64_t ticks : {1u, 10u, 1000u})
    for (const auto& blocks : streams) {
      SCOPED_TRACE(testing::Message() << ticks << " ticks a sample, " << blocks.size() << " blocks");
      StepCounter steps(static_cast<double>(ticks));
      std::uint64_t block = 0;
      std::uint64_t gaps = 0;
      for (const auto& [samples, gap] : blocks) {
        steps.add(ticks * samples + gap * ticks, ++block, samples);
        gaps += gap > 0 ? 1 : 0;
      }
      EXPECT_EQ(steps.gaps().count, gaps);
      for (const auto& step : steps.steps()) EXPECT_EQ(step.missing, step.gap ? static_cast<double>(kHour) : 0);
    }
}

TEST(StepsTest, ShortBlocksThatAreSentBehindLongOnesMakeNoGaps) {
  // Half of the steps say nothing: what follows a long block of 300 samples comes with it.
  StepCounter steps(10);
  for (std::uint64_t block = 1; block < 400; ++block) {
    const bool is_long = block % 4 == 1;
    steps.add(is_long ? 3020 : 1, block, is_long ? 300 : 1);
  }
  EXPECT_EQ(steps.gaps().count, 0u);
}

TEST(StepsTest, ARateThatIsFarOffIsNotBelieved) {
  for (const double off : {0.3, 0.5, 2.0, 10.0}) {
    SCOPED_TRACE(off);
    expect_one_gap({10, always(2), off});
  }
}

}  // namespace
}  // namespace sds
