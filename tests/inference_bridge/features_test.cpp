// Features in C with whatever configuration: refused, or computed within the memory that was asked for. (The values are
// compared with NumPy in tests/oracle/test_features.py.)
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "sds/sds_features.h"

namespace {

TEST(Features, NoConfigurationWritesBehindItsMemory) {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  const auto any_number = [&] {
    constexpr std::array<float, 18> kNumbers{0,
                                             1,
                                             0.5f,
                                             0.001f,
                                             0.0005f,
                                             0.002f,
                                             0.01f,
                                             1e-20f,
                                             1e-45f,
                                             100.f,
                                             8000.f,
                                             16000.f,
                                             1e10f,
                                             3e38f,
                                             -1,
                                             std::numeric_limits<float>::infinity(),
                                             std::numeric_limits<float>::quiet_NaN(),
                                             44100.f};
    return kNumbers[below(kNumbers.size())] * (1 + static_cast<float>(below(2) * below(1000)) / 1000);
  };
  int computed = 0;
  for (int i = 0; i < 4000; ++i) {
    sds_mfcc_config_t config{};
    config.mel.convention = below(2) == 0 ? SDS_MEL_TENSORFLOW : SDS_MEL_EDGE_IMPULSE;
    config.mel.rate = any_number();
    config.mel.fft_length = 4u << below(10);
    config.mel.frame_length = below(600);
    config.mel.filters = below(below(2) == 0 ? 8 : 1025);
    config.mel.low = below(2) == 0 ? 0 : any_number();
    config.mel.high = below(3) == 0 ? any_number() : config.mel.rate / 2;
    config.samples = config.mel.frame_length + below(300);
    config.frame_stride = below(400);
    config.coefficients = below(2) == 0 ? 0 : below(config.mel.filters + 2);
    config.log_offset = any_number();
    config.noise_floor = -52;
    config.gain = any_number();
    config.pre_emphasis = any_number();
    config.normalise = below(2) == 0 ? 0 : below(30);
    const std::size_t floats = sds_mfcc_floats(&config);
    std::vector<float> memory(floats);  // under a sanitizer nobody writes behind it unseen
    std::vector<std::uint16_t> ranges(std::size_t{2} * config.mel.filters);
    sds_mfcc_t mfcc;
    const char* problem = sds_mfcc_init(&mfcc, &config, memory.data(), ranges.data());
    if (floats == 0) EXPECT_NE(problem, nullptr);
    if (problem != nullptr) continue;
    std::vector<float> samples(config.samples, 0.25f);
    std::vector<float> features(std::size_t{mfcc.frames} * mfcc.features);
    sds_mfcc(&mfcc, samples.data(), features.data());
    ++computed;
  }
  EXPECT_GT(computed, 100);
}

TEST(Features, TheGainOfASectionIsThatOfItsTransferFunction) {
  // (1 + 2/z + 3/z^2) / (1 + 0.5/z + 0.25/z^2): 6/1.75 at z = 1, 2/0.75 at z = -1, |-2 - 2i| / |0.75 - 0.5i| at z = i.
  const sds_biquad_t section{1, 2, 3, 0.5, 0.25};
  const double pi = std::acos(-1.0);
  EXPECT_NEAR(sds_biquad_gain(&section, 0), 6 / 1.75, 1e-12);
  EXPECT_NEAR(sds_biquad_gain(&section, pi), 2 / 0.75, 1e-12);
  EXPECT_NEAR(sds_biquad_gain(&section, pi / 2), std::sqrt(8.0) / std::sqrt(0.75 * 0.75 + 0.25), 1e-12);
}

TEST(Features, ASectionIsStableWhereItsPolesAre) {
  const auto stable = [](double a1, double a2) {
    const sds_biquad_t section{1, 0, 0, a1, a2};
    return sds_biquad_is_stable(&section) != 0;
  };
  EXPECT_TRUE(stable(-1.9, 0.91));  // z^2 - 1.9 z + 0.91: 0.95 +- 0.0866i
  EXPECT_TRUE(stable(0, -0.99));    // +-0.995
  EXPECT_FALSE(stable(-1.9, 0.9));  // 1 and 0.9
  EXPECT_FALSE(stable(0, 1));       // +-i
  EXPECT_FALSE(stable(0, -1.01));   // +-1.005
  EXPECT_FALSE(stable(2.1, 1.1));   // -1 and -1.1
  EXPECT_FALSE(stable(std::nan(""), 0));
}

TEST(Features, CoefficientsOfWholeNumbersAreTheNearest) {
  const sds_biquad_t section{3.9999999999, -3.9999999999, 1e-9, -1.5, 0.75};
  sds_biquad_q29_t fixed;
  ASSERT_EQ(sds_biquad_to_q29(&section, &fixed), 0);
  EXPECT_EQ(fixed.b0, std::numeric_limits<std::int32_t>::max());  // 2^31 is beyond
  EXPECT_EQ(fixed.b1, std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(fixed.b2, 1);  // 0.54
  EXPECT_EQ(fixed.a1, -805306368);
  EXPECT_EQ(fixed.a2, 402653184);
  const sds_biquad_t beyond{0, 0, 0, 0, 4};
  EXPECT_EQ(sds_biquad_to_q29(&beyond, &fixed), -1);
}

TEST(Features, GainsAreComparedWhereTheyDiffer) {
  const auto error = [](sds_biquad_t one, sds_biquad_t other) { return sds_filter_error(&one, &other, 1); };
  // At 0 only, a millionth of the rate beside it no more: 1 / (1 - 0.9999999975) = 4e8 against 1 / (1 - 0.999999998) =
  // 5e8.
  EXPECT_NEAR(error({1, 0, 0, -0.9999999975, 0}, {1, 0, 0, -0.999999998, 0}), 0.25, 1e-6);
  EXPECT_NEAR(error({1, 0, 0, 0.9999999975, 0}, {1, 0, 0, 0.999999998, 0}), 0.25,
              1e-6);  // the same at half of the rate
  // At a peak between: a pair of poles of radius r at a right angle has the gain 1 / (1 - r^2) there.
  EXPECT_NEAR(error({1, 0, 0, 0, 1 - 4e-8}, {1, 0, 0, 0, 1 - 5e-8}), 0.2, 1e-6);
  // y[n] = x[n] - x[n - 2] lets nothing through at 0 and has a gain of 2 at a quarter of the rate; the other lets
  // through a half at 0.
  EXPECT_NEAR(error({1, 0, -1, 0, 0}, {1, 0, -0.5, 0, 0}), 0.25, 1e-4);
}

TEST(Features, WhatIsRoundedIsCountedBehindAllSections) {
  const auto noise = [](const std::vector<sds_biquad_t>& sections) {
    std::vector<sds_biquad_q29_t> fixed(sections.size());
    for (std::size_t i = 0; i < sections.size(); ++i) EXPECT_EQ(sds_biquad_to_q29(&sections[i], &fixed[i]), 0);
    return sds_filter_q29_noise(fixed.data(), static_cast<std::uint32_t>(fixed.size()));
  };
  // Up to one unit is rounded off, and carried on: 1, -1. With a pole at 0.5: 1, -0.5, -0.25, ...: 2 in all, half of it
  // up.
  EXPECT_NEAR(noise({{1, 0, 0, 0, 0}}), 1, 1e-12);
  EXPECT_NEAR(noise({{1, 0, 0, -0.5, 0}}), 1, 2e-3);
  EXPECT_NEAR(noise({{1, 0, 0, -0.99999999, 0}}), 1, 2e-3);  // 1, and -1e-8 a hundred million times
  EXPECT_NEAR(noise({{1, 0, 0, 0, 0}, {3, 0, 0, 0, 0}, {2, 0, 0, 0, 0}}), 6 + 2 + 1, 1e-12);
  EXPECT_NEAR(noise({{1, 0, 0, 0, 0}, {1, -1, 0, 0, 0}}), 2 + 1, 1e-12);  // 1, -2, 1
  EXPECT_TRUE(std::isinf(noise({{1, 0, 0, -1, 0}})));
}

}  // namespace
