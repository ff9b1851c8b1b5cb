// The example algorithm on simulated data that it was not trained on.
#include <gtest/gtest.h>

#include <array>
#include <vector>

extern "C" {
#include "algorithm.h"
#include "sim_signals.h"
}

namespace {

TEST(MotionExample, RecognisesTheSimulatedMotions) {
  std::array<std::array<int, SIM_MOTIONS>, SIM_MOTIONS> confusion{};
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    sim_imu_t imu;
    sim_imu_init(&imu, seed);
    ASSERT_EQ(InitAlgorithm(), 0);
    ResetAlgorithm();
    int since_change = 0;
    for (int block = 0; block < 600; ++block) {
      std::array<std::int16_t, 160 * 6> samples{};
      std::array<std::uint8_t, 9> output{};
      int changed = 0;
      const int motion = sim_imu_block(&imu, samples.data(), 160, &changed);
      ASSERT_EQ(ExecuteAlgorithm(reinterpret_cast<std::uint8_t*>(samples.data()), sizeof samples, output.data(), 9), 0);
      since_change = changed != 0 ? 0 : since_change + 1;
      if (since_change >= 4) ++confusion[static_cast<std::size_t>(motion)][output[8]];
    }
  }
  for (std::size_t motion = 0; motion < SIM_MOTIONS; ++motion) {
    int total = 0;
    for (const int count : confusion[motion]) total += count;
    EXPECT_GT(total, 100);
    EXPECT_GT(confusion[motion][motion], total * 97 / 100) << motion;
  }
}

TEST(MotionExample, RefusesBlocksThatItCannotUse) {
  std::vector<std::uint8_t> input(5000);
  std::array<std::uint8_t, 9> output{};
  EXPECT_EQ(ExecuteAlgorithm(input.data(), 0, output.data(), 9), -1);
  EXPECT_EQ(ExecuteAlgorithm(input.data(), 13, output.data(), 9), -1);
  EXPECT_EQ(ExecuteAlgorithm(input.data(), 4800, output.data(), 9), -1);
  EXPECT_EQ(ExecuteAlgorithm(input.data(), 1920, output.data(), 8), -1);
}

TEST(SimSignals, ASeedGivesTheSameSamplesEverywhere) {
  sim_imu_t imu;
  sim_imu_init(&imu, 1);
  std::array<std::int16_t, 160 * 6> samples{};
  int changed = 0;
  std::uint32_t hash = 2166136261u;
  for (int block = 0; block < 100; ++block) {
    sim_imu_block(&imu, samples.data(), 160, &changed);
    for (const auto sample : samples) hash = (hash ^ static_cast<std::uint16_t>(sample)) * 16777619u;
  }
  EXPECT_EQ(hash, 4096606249u) << "written down from an x86-64 machine; any other must agree";
}

}  // namespace
