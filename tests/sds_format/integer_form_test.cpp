// Finding out that floats are integers times the sensor's resolution.
#include "integer_form.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/recordings.hpp"

namespace sds {
namespace {

double quantum_of(double quantum, double offset, int range, bool single) {
  test::Random random(2);
  std::vector<double> sample;
  for (int i = 0; i < 192; ++i) {
    const double x = (offset + static_cast<double>(random.below(static_cast<std::uint64_t>(range)))) * quantum;
    sample.push_back(single ? static_cast<double>(static_cast<float>(x)) : x);
  }
  return find_quantum(sample, single);
}

TEST(FindQuantum, FindsTheResolutionsOfCommonSensors) {
  for (const double q : {0.01, 0.1, 1.0, 0.001, 8.0 / 32768, 2000.0 / 32768, 10.0 / 16384, 1.0 / 1024, 0.06, 0.00390625,
                         0.061, 1.0 / 3, 9.80665 / 16384})
    for (const bool single : {true, false}) EXPECT_NEAR(quantum_of(q, -500, 1000, single), q, q * 1e-6) << q << single;
}

TEST(FindQuantum, FindsItUnderALargeOffset) { EXPECT_NEAR(quantum_of(0.01, 101300, 200, true), 0.01, 1e-8); }

TEST(FindQuantum, FindsNoneInNoiseOrTooFewValues) {
  test::Random random(3);
  std::vector<double> noise;
  for (int i = 0; i < 192; ++i)
    noise.push_back(std::ldexp(static_cast<double>(random.next() >> 11), -40) * (i % 2 == 0 ? 1 : -1));
  EXPECT_EQ(find_quantum(noise, false), 0);
  EXPECT_EQ(find_quantum(std::vector<double>{1, 2, 3}, true), 0);
  EXPECT_EQ(find_quantum(std::vector<double>(192, std::nan("")), true), 0);
}

TEST(IntegerConverter, KeepsExceptionsWhereTheyAre) {
  std::vector<float> x;
  for (int i = 0; i < 2000; ++i) x.push_back(static_cast<float>(20 + 0.01 * ((i * 7) % 300)));
  x[100] = std::nanf("");
  x[101] = -0.0f;
  x[1999] = 3.14159274f;
  IntegerConverter converter(kernels::best());
  IntegerForm form;
  std::vector<std::int16_t> y(2048);
  ASSERT_TRUE(converter.to_integers(ScalarType::f32, std::as_bytes(std::span(x)), form, y.data()));
  EXPECT_EQ(form.exception_index, (std::vector<std::uint32_t>{100, 101, 1999}));
  std::vector<float> back(x.size());
  converter.from_integers(ScalarType::f32, form, y.data(), std::as_writable_bytes(std::span(back)));
  EXPECT_EQ(std::memcmp(back.data(), x.data(), 4 * x.size()), 0);
}

TEST(IntegerConverter, WideIntegersWithSmallStepsAreSteps) {
  std::vector<std::uint64_t> x;
  for (std::uint64_t i = 0; i < 1000; ++i) x.push_back((std::uint64_t{1} << 60) + i * 40000 + i % 3);
  IntegerConverter converter(kernels::best());
  IntegerForm form;
  std::vector<std::int16_t> y(1024);
  ASSERT_TRUE(converter.to_integers(ScalarType::u64, std::as_bytes(std::span(x)), form, y.data()));
  EXPECT_TRUE(form.steps);
  std::vector<std::uint64_t> back(x.size());
  converter.from_integers(ScalarType::u64, form, y.data(), std::as_writable_bytes(std::span(back)));
  EXPECT_EQ(back, x);
}

}  // namespace
}  // namespace sds
