#include "sds/format/column.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "sds/format/statistics.hpp"
#include "support/recordings.hpp"

namespace sds {
namespace {

constexpr ScalarType kTypes[] = {ScalarType::u8,  ScalarType::i8,  ScalarType::u16, ScalarType::i16,
                                 ScalarType::u24, ScalarType::i24, ScalarType::u32, ScalarType::i32,
                                 ScalarType::u64, ScalarType::i64, ScalarType::f32, ScalarType::f64};
constexpr Level kLevels[] = {Level::store, Level::fast, Level::dense};

void expect_round_trip(ScalarType type, const Bytes& values, const std::string& what) {
  ColumnCoder coder;
  for (const Level level : kLevels) {
    Bytes coded;
    const ColumnHeader header = coder.encode(type, values, level, coded);
    ASSERT_EQ(header.stored_bytes, coded.size());
    Bytes decoded(values.size());
    const auto done = coder.decode(header, type, coded, decoded);
    ASSERT_TRUE(done) << what << ": " << done.error().message;
    ASSERT_EQ(decoded, values) << what << ", " << name_of(type) << ", level " << static_cast<int>(level) << ", "
                               << describe(header);
    // A column that does not shrink costs nothing but its copy.
    EXPECT_LE(coded.size(), values.size()) << what;
  }
}

Bytes make(ScalarType type, std::size_t count, const std::function<std::uint64_t(std::size_t)>& value) {
  Bytes bytes(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t v = value(i);
    std::memcpy(bytes.data() + i * size_of(type), &v, size_of(type));
  }
  return bytes;
}

TEST(Column, RoundTripsEveryTypeLengthAndShape) {
  test::Random random(7);
  for (const ScalarType type : kTypes) {
    for (const std::size_t n : {0u, 1u, 2u, 7u, 127u, 128u, 129u, 1000u, 4095u, 4096u, 4097u, 20011u}) {
      expect_round_trip(type, make(type, n, [](auto) { return 42; }), "constant");
      expect_round_trip(type, make(type, n, [](auto i) { return i % 2 == 0 ? 0 : ~std::uint64_t{0}; }), "alternating");
      expect_round_trip(type, make(type, n, [](auto i) { return i * 37; }), "ramp");
      expect_round_trip(type, make(type, n, [&](auto) { return random.next(); }), "full-range noise");
      expect_round_trip(type, make(type, n, [&](auto i) { return i * 3 + random.below(9) - 4; }), "ramp with noise");
      expect_round_trip(type, make(type, n, [&](auto i) { return i % 100 == 99 ? random.next() : i / 50; }), "spikes");
      std::int64_t walk = 0;
      expect_round_trip(type,
                        make(type, n, [&](auto) { return walk += static_cast<std::int64_t>(random.below(41)) - 20; }),
                        "random walk");
    }
  }
}

TEST(Column, RoundTripsFloatsBitForBit) {
  test::Random random(9);
  std::vector<float> special{0.0f,
                             -0.0f,
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::denorm_min(),
                             std::numeric_limits<float>::max(),
                             std::bit_cast<float>(0x7FC12345u),
                             std::bit_cast<float>(0xFF800001u)};
  for (int i = 0; i < 3000; ++i)
    special.push_back(static_cast<float>(static_cast<int>(random.below(4000)) - 2000) * 0.061f);
  Bytes bytes(special.size() * 4);
  std::memcpy(bytes.data(), special.data(), bytes.size());
  expect_round_trip(ScalarType::f32, bytes, "specials among quantised floats");
  std::vector<float> quantised;
  for (int i = 0; i < 5000; ++i)
    quantised.push_back(static_cast<float>(20.0 + 0.01 * static_cast<double>(random.below(300))));
  bytes.resize(quantised.size() * 4);
  std::memcpy(bytes.data(), quantised.data(), bytes.size());
  expect_round_trip(ScalarType::f32, bytes, "quantised floats");
  std::vector<double> doubles;
  for (int i = 0; i < 5000; ++i) doubles.push_back(1013.25 + 0.125 * static_cast<double>(random.below(300)));
  doubles[77] = std::numeric_limits<double>::quiet_NaN();
  bytes.resize(doubles.size() * 8);
  std::memcpy(bytes.data(), doubles.data(), bytes.size());
  expect_round_trip(ScalarType::f64, bytes, "quantised doubles with a NaN");
}

TEST(Column, TheSameValuesGiveTheSameBytesInAnyOrderOfWork) {
  const Bytes values = make(ScalarType::i16, 30000, [](auto i) { return (i * i) % 977; });
  const Bytes other = make(ScalarType::f32, 5000, [](auto i) { return i * 7; });
  ColumnCoder fresh;
  ColumnCoder used;
  Bytes ignored;
  used.encode(ScalarType::f32, other, Level::dense, ignored);
  for (const Level level : kLevels) {
    Bytes a;
    Bytes b;
    EXPECT_EQ(fresh.encode(ScalarType::i16, values, level, a), used.encode(ScalarType::i16, values, level, b));
    EXPECT_EQ(a, b);
  }
}

TEST(Column, HostileStoredBytesAreErrorsAndNothingElse) {
  test::Random random(11);
  ColumnCoder coder;
  for (const ScalarType type : kTypes) {
    const Bytes values = make(type, 3000, [&](auto i) { return i + random.below(50); });
    for (const Level level : kLevels) {
      Bytes coded;
      const ColumnHeader header = coder.encode(type, values, level, coded);
      Bytes decoded(values.size());
      for (int round = 0; round < 60; ++round) {
        Bytes broken = coded;
        ColumnHeader broken_header = header;
        switch (random.below(4)) {
          case 0:
            broken.resize(random.below(broken.size() + 1));
            break;
          case 1:
            broken[random.below(broken.size())] ^= static_cast<std::byte>(1u << random.below(8));
            break;
          case 2:
            for (int k = 0; k < 8; ++k) broken[random.below(broken.size())] = static_cast<std::byte>(random.next());
            break;
          default:
            broken_header.codec = static_cast<ColumnCodec>(random.below(12));
            broken_header.predictor = static_cast<Predictor>(random.below(6));
            break;
        }
        // Any result is fine, as long as there is one: sanitizers watch the memory.
        (void)coder.decode(broken_header, type, broken, decoded);
      }
    }
  }
  Bytes out(100);
  EXPECT_FALSE(
      coder.decode({static_cast<ColumnCodec>(200), Predictor::none, false, 4}, ScalarType::i16, as_bytes("1234"), out));
}

TEST(Column, ValuesForAColumnThatHasNoneAreTakenOrRefusedWithoutTouchingMemory) {
  const Bytes stored(25);
  ColumnCoder coder;
  for (const ScalarType type : kTypes)
    for (int codec = 0; codec < 16; ++codec)
      (void)coder.decode({static_cast<ColumnCodec>(codec), Predictor::none, false, 25}, type, stored, {});
  EXPECT_TRUE(coder.decode({ColumnCodec::raw, Predictor::none, false, 0}, ScalarType::i16, {}, {}));
}

TEST(Statistics, CountNanApartAndKeepTheExtremes) {
  const std::vector<float> values{3.0f, std::numeric_limits<float>::quiet_NaN(), -7.5f, 2.0f};
  const auto s = statistics_of(ScalarType::f32, std::as_bytes(std::span(values)));
  EXPECT_EQ(s.count, 3u);
  EXPECT_EQ(s.nan_count, 1u);
  EXPECT_EQ(s.min, -7.5);
  EXPECT_EQ(s.max, 3.0);
  EXPECT_EQ(s.sum, -2.5);
  const Bytes wide = make(ScalarType::i24, 3, [](auto i) { return i == 0 ? 0xFFFFFFu : i; });
  EXPECT_EQ(statistics_of(ScalarType::i24, wide).min, -1);
  EXPECT_EQ(statistics_of(ScalarType::u16, {}).count, 0u);
}

TEST(ColumnCoder, NoiseIsStoredAsItIsAtOnce) {
  test::Random random(3);
  Bytes values(20000);
  for (auto& b : values) b = static_cast<std::byte>(random.next());
  ColumnCoder coder;
  Bytes stored;
  const ColumnHeader header = coder.encode(ScalarType::i16, values, Level::fast, stored);
  EXPECT_EQ(header.codec, ColumnCodec::raw);
  EXPECT_EQ(stored, values);
}

}  // namespace
}  // namespace sds
