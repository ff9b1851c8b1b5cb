// The AVX2 kernels against the plain ones: the same bytes for the same input.
#include "kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "linear_predictor.hpp"
#include "residual_coder.hpp"
#include "sds/format/column.hpp"
#include "support/recordings.hpp"

namespace sds {
namespace {

class Kernels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kernels::avx2() == nullptr) GTEST_SKIP() << "this machine has no AVX2; the plain kernels are tested elsewhere";
  }
  const kernels::Table& plain_ = kernels::plain();
  const kernels::Table& fast_ = *kernels::avx2();
};

std::vector<std::int16_t> signal(std::size_t n, std::uint64_t seed, int kind) {
  test::Random random(seed);
  std::vector<std::int16_t> x(n);
  double phase = 0;
  for (std::size_t i = 0; i < n; ++i) {
    phase += 0.01 + 0.0001 * static_cast<double>(random.below(10));
    const double wave = kind == 0 ? 8000 * std::sin(phase) : 0;
    const auto noise = static_cast<int>(random.below(kind == 2 ? 65536 : 40));
    x[i] = static_cast<std::int16_t>(static_cast<int>(wave) + noise);
  }
  return x;
}

TEST_F(Kernels, DifferencesAndSumsAreTheSame) {
  for (const std::size_t n : {128u, 1280u, 5120u})
    for (int kind = 0; kind < 3; ++kind)
      for (int order = 0; order < 3; ++order) {
        const auto x = signal(n, n + static_cast<unsigned>(kind), kind);
        std::vector<std::uint16_t> a(n);
        std::vector<std::uint16_t> b(n);
        plain_.difference(x.data(), n, order, a.data());
        fast_.difference(x.data(), n, order, b.data());
        ASSERT_EQ(a, b);
        std::vector<std::int16_t> back(n);
        for (const auto* table : {&plain_, &fast_}) {
          table->integrate(a.data(), n, order, back.data());
          ASSERT_EQ(back, x) << order;
        }
        std::vector<std::uint32_t> sa(n / 128);
        std::vector<std::uint32_t> sb(n / 128);
        plain_.sum_miniblocks(a.data(), n / 128, sa.data());
        fast_.sum_miniblocks(a.data(), n / 128, sb.data());
        ASSERT_EQ(sa, sb);
      }
}

TEST_F(Kernels, BitPackingIsTheSameForEveryWidth) {
  test::Random random(3);
  std::vector<std::uint16_t> z(128);
  for (auto& v : z) v = static_cast<std::uint16_t>(random.next());
  for (int k = 0; k <= 13; ++k) {
    std::vector<std::uint8_t> packed_a(16 * 13);
    std::vector<std::uint8_t> packed_b(16 * 13);
    plain_.pack_low(z.data(), k, packed_a.data());
    fast_.pack_low(z.data(), k, packed_b.data());
    ASSERT_EQ(packed_a, packed_b) << k;
    std::vector<std::uint8_t> high_a(128);
    std::vector<std::uint8_t> high_b(128);
    EXPECT_EQ(plain_.take_high(z.data(), k, high_a.data()), fast_.take_high(z.data(), k, high_b.data()));
    ASSERT_EQ(high_a, high_b);
    std::vector<std::uint16_t> back_a(128);
    std::vector<std::uint16_t> back_b(128);
    EXPECT_EQ(plain_.join(high_a.data(), packed_a.data(), k, back_a.data()),
              fast_.join(high_a.data(), packed_a.data(), k, back_b.data()));
    ASSERT_EQ(back_a, back_b);
    for (std::size_t i = 0; i < 128; ++i)
      if (high_a[i] != 255) ASSERT_EQ(back_a[i], z[i]) << k;
  }
}

TEST_F(Kernels, GatherAndScatterAreTheSame) {
  test::Random random(5);
  for (const std::size_t stride : {2u, 7u, 12u, 16u, 30u})
    for (std::size_t columns = 1; columns <= std::min<std::size_t>(8, stride / 2); ++columns)
      for (const std::size_t n : {1u, 7u, 8u, 9u, 100u}) {
        std::vector<std::uint8_t> samples((n - 1) * stride + 2 * columns);  // exactly: a sanitizer sees one more
        for (auto& s : samples) s = static_cast<std::uint8_t>(random.next());
        const std::size_t distance = (2 * n + 63) / 64 * 64;
        std::vector<std::uint8_t> a(distance * 8);
        std::vector<std::uint8_t> b(distance * 8);
        plain_.gather_16(samples.data(), stride, n, columns, a.data(), distance);
        fast_.gather_16(samples.data(), stride, n, columns, b.data(), distance);
        ASSERT_EQ(a, b);
        for (const auto* table : {&plain_, &fast_}) {
          auto back = samples;
          for (std::size_t i = 0; i < n; ++i)
            for (std::size_t c = 0; c < 2 * columns; ++c) back[i * stride + c] = 0;
          table->scatter_16(a.data(), distance, n, columns, back.data(), stride);
          ASSERT_EQ(back, samples);
        }
      }
}

TEST_F(Kernels, QuantisingAndStatisticsAreTheSame) {
  test::Random random(6);
  std::vector<float> x(1003);
  for (auto& v : x) v = static_cast<float>(static_cast<int>(random.below(2000)) - 1000) * 0.01f;
  x[5] = std::numeric_limits<float>::quiet_NaN();
  x[6] = -0.0f;
  x[7] = 1e30f;
  std::vector<std::int32_t> ka(x.size());
  std::vector<std::int32_t> kb(x.size());
  std::int32_t low[2];
  std::int32_t high[2];
  EXPECT_EQ(plain_.quantise_f32(x.data(), x.size(), 0.01, ka.data(), &low[0], &high[0]),
            fast_.quantise_f32(x.data(), x.size(), 0.01, kb.data(), &low[1], &high[1]));
  EXPECT_EQ(ka, kb);
  EXPECT_EQ(low[0], low[1]);
  EXPECT_EQ(high[0], high[1]);
  float lows[2][8] = {};
  float highs[2][8] = {};
  double sums[2][8] = {};
  std::uint32_t nans[2][8] = {};
  plain_.statistics_f32(x.data(), 1000, lows[0], highs[0], sums[0], nans[0]);
  fast_.statistics_f32(x.data(), 1000, lows[1], highs[1], sums[1], nans[1]);
  EXPECT_EQ(std::memcmp(lows[0], lows[1], sizeof lows[0]), 0);
  EXPECT_EQ(std::memcmp(highs[0], highs[1], sizeof highs[0]), 0);
  EXPECT_EQ(std::memcmp(sums[0], sums[1], sizeof sums[0]), 0);
  EXPECT_EQ(std::memcmp(nans[0], nans[1], sizeof nans[0]), 0);
}

TEST_F(Kernels, LinearPredictionIsTheSameToTheLastBit) {
  for (int kind = 0; kind < 3; ++kind) {
    const auto x = signal(40011, 9, kind);
    LinearPredictor a(plain_);
    LinearPredictor b(fast_);
    std::vector<std::uint16_t> za(x.size() + 128);
    std::vector<std::uint16_t> zb(x.size() + 128);
    Bytes pa;
    Bytes pb;
    for (const int order : {8, 16}) {
      EXPECT_EQ(a.estimate_bits(x.data(), x.size(), order), b.estimate_bits(x.data(), x.size(), order));
      pa.clear();
      pb.clear();
      a.encode(x.data(), x.size(), order, za.data(), pa);
      b.encode(x.data(), x.size(), order, zb.data(), pb);
      ASSERT_EQ(pa, pb);
      ASSERT_EQ(za, zb);
      std::vector<std::int16_t> back(x.size() + 128);
      for (auto* predictor : {&a, &b}) {
        ByteReader reader(pa);
        ASSERT_TRUE(predictor->decode(reader, za.data(), x.size(), back.data()));
        back.resize(x.size());
        ASSERT_EQ(back, x);
        back.resize(x.size() + 128);
      }
    }
  }
}

TEST_F(Kernels, WholeColumnsAreTheSame) {
  ColumnCoder a(plain_);
  ColumnCoder b(fast_);
  for (int kind = 0; kind < 3; ++kind)
    for (const Level level : {Level::fast, Level::dense}) {
      const auto x = signal(50000, 11, kind);
      const auto values = std::as_bytes(std::span(x));
      Bytes ca;
      Bytes cb;
      EXPECT_EQ(a.encode(ScalarType::i16, values, level, ca), b.encode(ScalarType::i16, values, level, cb));
      EXPECT_EQ(ca, cb);
    }
}

}  // namespace
}  // namespace sds
