// Drift between two sets of recordings, by arithmetic on paper.
#include "quality.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sds {
namespace {

RecordingQuality constant(float value) {
  ValueQuality channel;
  channel.name = "x";
  channel.kept.assign(ValueQuality::max_kept, value);
  StreamQuality stream;
  stream.id = "Imu";
  stream.values.push_back(channel);
  RecordingQuality recording;
  recording.streams.push_back(stream);
  return recording;
}

// 64 recordings of zeros and 64 of ones: which stand first says nothing about their values.
TEST(Drift, DoesNotDependOnTheOrderOfTheRecordings) {
  std::vector<RecordingQuality> reference;
  for (const float value : {0.0f, 1.0f})
    for (int i = 0; i < 64; ++i) reference.push_back(constant(value));
  auto now = reference;
  std::reverse(now.begin(), now.end());
  const auto drift = drift_between(reference, now);
  ASSERT_EQ(drift.size(), 1u);
  EXPECT_EQ(drift[0].name, "Imu.x");
  EXPECT_EQ(drift[0].psi, 0);
  EXPECT_EQ(drift[0].ks, 0);
}

// Half of the reference is 0 and half is 1; a quarter of what is compared with it is 0. The distribution functions
// differ by 1/4; (1/4 - 1/2) ln(1/2) + (3/4 - 1/2) ln(3/2) = 0.27465.
TEST(Drift, IsThatOfAllValues) {
  std::vector<RecordingQuality> reference;
  std::vector<RecordingQuality> now;
  for (int i = 0; i < 128; ++i) {
    reference.push_back(constant(i < 64 ? 0 : 1));
    now.push_back(constant(i < 32 ? 0 : 1));
  }
  const auto drift = drift_between(reference, now);
  ASSERT_EQ(drift.size(), 1u);
  EXPECT_NEAR(drift[0].psi, 0.274653, 1e-6);
  EXPECT_NEAR(drift[0].ks, 0.25, 1e-12);
}

}  // namespace
}  // namespace sds
