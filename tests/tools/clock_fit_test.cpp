// Clocks whose truth is known, seen through stamps as a recorder makes them: late, sometimes by much, UTC set
// meanwhile.
#include "sds/tools/clock_fit.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/recordings.hpp"

namespace sds {
namespace {

constexpr std::uint64_t kUtc = 1'700'000'000'000'000'000;
constexpr std::uint64_t kMonotonic = 5'000'000'000'000;
constexpr Frequency kTicks{1'000'000, 1};

// Pairs every `every_s` of a device whose ticks come `ppm` slower than nominal, each received up to `jitter_s` late.
std::vector<ClockPair> pairs_of(double length_s, double every_s, double ppm, double jitter_s, std::uint64_t seed = 1) {
  test::Random random(seed);
  std::vector<ClockPair> pairs;
  for (double t = 0; t <= length_s + 1e-9; t += every_s) {
    const double late = jitter_s * static_cast<double>(random.below(1'000'000)) / 1e6;
    ClockPair pair;
    pair.tick = static_cast<std::uint64_t>(std::llround(t / (1 + ppm * 1e-6) * 1e6));
    pair.utc_ns = kUtc + static_cast<std::uint64_t>(std::llround((t + late) * 1e9));
    pair.monotonic_ns = kMonotonic + static_cast<std::uint64_t>(std::llround((t + late) * 1e9));
    pairs.push_back(pair);
  }
  return pairs;
}

double offset_s(const ClockFit& fit) { return fit.utc_ns_at_zero * 1e-9; }

TEST(FitClock, FindsTheRateThroughJitter) {
  for (const double ppm : {-80.0, -20.0, 35.0, 120.0}) {
    const auto fit = fit_clock(pairs_of(3600, 10, ppm, 0.010), kTicks, kUtc);
    EXPECT_TRUE(fit.rate_applied) << fit.why_not;
    EXPECT_TRUE(fit.monotonic);
    EXPECT_NEAR(fit.rate_ppm, ppm, fit.rate_uncertainty_ppm);
    EXPECT_LT(fit.rate_uncertainty_ppm, 3);
    EXPECT_NEAR(fit.ns_per_tick, 1000 * (1 + ppm * 1e-6), 1e-3 * fit.rate_uncertainty_ppm);
    // All pairs are late by 5 ms on average: what they share cannot be seen.
    EXPECT_NEAR(offset_s(fit), 0.005, 0.002);
    EXPECT_LT(fit.offset_uncertainty_s, 0.002);
  }
}

TEST(FitClock, OutliersDoNotMoveIt) {
  auto pairs = pairs_of(1800, 10, 40, 0.004);
  for (std::size_t i = 3; i < pairs.size(); i += 5) {  // every fifth block came seconds late
    pairs[i].utc_ns += 3'000'000'000;
    pairs[i].monotonic_ns += 3'000'000'000;
  }
  pairs.back().monotonic_ns += 30'000'000'000;
  pairs.back().utc_ns += 30'000'000'000;
  const auto fit = fit_clock(pairs, kTicks, kUtc);
  EXPECT_TRUE(fit.rate_applied) << fit.why_not;
  EXPECT_NEAR(fit.rate_ppm, 40, fit.rate_uncertainty_ppm + 0.5);
  EXPECT_NEAR(offset_s(fit), 0.002, 0.003);
}

TEST(FitClock, AStepOfUtcDoesNotChangeTheRate) {
  auto pairs = pairs_of(3600, 10, 25, 0.004);
  for (std::size_t i = pairs.size() * 2 / 3; i < pairs.size(); ++i) pairs[i].utc_ns += 1'500'000'000;  // NTP
  const auto fit = fit_clock(pairs, kTicks, kUtc);
  EXPECT_TRUE(fit.rate_applied) << fit.why_not;
  EXPECT_NEAR(fit.rate_ppm, 25, fit.rate_uncertainty_ppm);
  EXPECT_NEAR(offset_s(fit), 0.002, 0.003);  // by the two thirds before it
}

TEST(FitClock, TwelveSecondsTellNoRate) {
  // What sds serve notes of a short session: 10 ms of latency at one end would be 860 ppm.
  auto pairs = pairs_of(12, 12, 0, 0);
  pairs.back().utc_ns += 10'000'000;
  pairs.back().monotonic_ns += 10'000'000;
  for (const std::size_t count : {2u, 3u}) {
    if (count == 3) pairs.insert(pairs.begin() + 1, pairs_of(10, 10, 0, 0).back());
    const auto fit = fit_clock(pairs, kTicks, kUtc);
    EXPECT_FALSE(fit.rate_applied);
    EXPECT_EQ(fit.ns_per_tick, 1000);
    EXPECT_GT(fit.rate_uncertainty_ppm, 860);
    EXPECT_NE(fit.why_not.find("too few"), std::string::npos) << fit.why_not;
    EXPECT_NEAR(offset_s(fit), 0, 0.0101);
    EXPECT_GE(fit.offset_uncertainty_s, 0.010);
  }
}

TEST(FitClock, ANominalRateStaysNominal) {
  const auto fit = fit_clock(pairs_of(1800, 10, 0, 0.008), kTicks, kUtc);
  EXPECT_FALSE(fit.rate_applied);
  EXPECT_EQ(fit.ns_per_tick, 1000);
  EXPECT_NE(fit.why_not.find("nominal"), std::string::npos);
}

TEST(FitClock, OnePairGivesAnOffset) {
  const auto fit = fit_clock(pairs_of(0, 1, 0, 0), {1000, 1}, kUtc - 2'000'000'000);
  EXPECT_FALSE(fit.rate_applied);
  EXPECT_EQ(fit.ns_per_tick, 1e6);
  EXPECT_EQ(offset_s(fit), 2);
  EXPECT_TRUE(std::isinf(fit.rate_uncertainty_ppm));
}

TEST(FitClock, WithoutMonotonicTimeUtcIsUsed) {
  auto pairs = pairs_of(3600, 10, 50, 0.004);
  for (auto& pair : pairs) pair.monotonic_ns = 0;
  const auto fit = fit_clock(pairs, kTicks, kUtc);
  EXPECT_FALSE(fit.monotonic);
  EXPECT_TRUE(fit.rate_applied);
  EXPECT_NEAR(fit.rate_ppm, 50, fit.rate_uncertainty_ppm);
}

TEST(FitClock, WhatIsNotRealTimeIsNotAClock) {
  const auto fit = fit_clock(pairs_of(600, 10, 500'000, 0.001), kTicks, kUtc);
  EXPECT_FALSE(fit.rate_applied);
  EXPECT_NE(fit.why_not.find("real time"), std::string::npos);
}

TEST(FitClock, LooksAtAsMuchOfALongRecording) {
  const auto fit = fit_clock(pairs_of(40'000, 10, 10, 0.01), kTicks, kUtc);
  EXPECT_EQ(fit.pairs, max_fit_pairs);
  EXPECT_NEAR(fit.rate_ppm, 10, fit.rate_uncertainty_ppm);
}

}  // namespace
}  // namespace sds
