#include "csv_export.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "support/memory_sink.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"
#include "value_text.hpp"

namespace sds {
namespace {

using test::TestBlock;

class CsvTest : public ::testing::Test {
 protected:
  Expected<CsvReport> run(const std::string& yaml, const std::vector<TestBlock>& blocks,
                          const SampleOptions& options = {}) {
    test::write_file(dir_ / "T.sds.yml", yaml);
    test::write_file(dir_ / "T.0.sds", test::plain(blocks));
    auto recording = Recording::open(dir_ / "T.0.sds");
    auto disk = std::make_shared<test::Disk>();
    test::MemorySink sink(disk);
    auto report = export_csv(*recording, 0, sink, options, {});
    text_ = std::string(as_text(disk->bytes));
    return report;
  }
  std::string csv(const std::string& yaml, const std::vector<TestBlock>& blocks, const SampleOptions& options = {}) {
    auto report = run(yaml, blocks, options);
    return report ? text_ : report.error().to_string();
  }
  test::TempDir dir_;
  std::string text_;
};

std::string i16(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) {
    std::string two(2, '\0');
    store_le(two.data(), static_cast<std::int16_t>(value));
    text += two;
  }
  return text;
}

TEST_F(CsvTest, DecodesMixedTypesBitFieldsAndArraysByTheMetadata) {
  const std::string yaml = R"(sds:
  name: T
  content:
    - {value: a, type: int16_t, scale: 0.5, offset: 1}
    - {value: "odd, \"name\"", type: "uint8_t:4"}
    - {value: c, type: "uint8_t:4"}
    - {value: d, type: uint8_t, dim-x: 2}
    - {value: e, type: int8_t, dim-x: 1, dim-y: 2}
    - {value: f, type: float}
)";
  std::string sample = i16({-3}) + "\x4F" + "\x01\x02" + "\xFF\x7F";
  std::string f(4, '\0');
  store_le(f.data(), 0.1f);
  EXPECT_EQ(csv(yaml, {{1500, sample + f}}),
            "timeslot,a,\"odd, \"\"name\"\"\",c,d[0],d[1],e[0][0],e[1][0],f\n1.5,-0.5,15,4,1,2,-1,127,0.1\n");
}

TEST_F(CsvTest, TimesFollowTheSampleFrequency) {
  EXPECT_EQ(csv(test::int16_metadata(1), {{1000, i16({1, 2, 3})}, {1040, i16({4})}}),
            "timeslot,c0\n1,1\n1.01,2\n1.02,3\n1.04,4\n");
}

TEST_F(CsvTest, WithoutSampleFrequencyAllSamplesShareTheBlocksTime) {
  const std::string yaml = "sds:\n  name: T\n  tick-frequency: 8\n  content:\n    - {value: v, type: int16_t}\n";
  EXPECT_EQ(csv(yaml, {{4, i16({1, 2})}, {5, i16({3})}}), "timeslot,v\n0.5,1\n0.5,2\n0.625,3\n");
}

TEST_F(CsvTest, InterpolatesUpToTheNextBlockAsArmsConverterDoes) {
  SampleOptions options;
  options.times = SampleTimes::interpolate;
  EXPECT_EQ(csv(test::int16_metadata(1), {{0, i16({1, 2})}, {1000, i16({3, 4})}, {3000, i16({5, 6})}}, options),
            "timeslot,c0\n0,1\n0.5,2\n1,3\n2,4\n3,5\n4,6\n");  // the last block takes the distance before it
}

TEST_F(CsvTest, NormalizesAndSelectsATimeRange) {
  SampleOptions options;
  options.normalize = true;
  options.within.front().begin = 5.01;  // of the recording's clock
  options.within.front().end = 5.03;
  EXPECT_EQ(csv(test::int16_metadata(1), {{5000, i16({1, 2, 3, 4})}}, options), "timeslot,c0\n0.01,2\n0.02,3\n");
}

TEST_F(CsvTest, NormalizedTimesHaveOneOriginDamagedOrNot) {
  // 200 blocks, one a second from 500 s on; the first section cannot be read.
  std::vector<TestBlock> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back({static_cast<std::uint32_t>(500'000 + 1000 * i), i16({i})});
  SdszWriterOptions small;
  small.section_bytes = 512;
  const auto path = dir_ / "T.sdsz";
  test::write_packed(path, blocks, test::int16_metadata(1), small);
  const auto csv = [&](double from) {
    auto recording = Recording::open(path);
    SampleOptions options;
    options.normalize = true;
    if (from > 0) options.within = {{500 + from, 1e9}};
    auto disk = std::make_shared<test::Disk>();
    test::MemorySink sink(disk);
    EXPECT_TRUE(export_csv(*recording, 0, sink, options, {}));
    return std::string(as_text(disk->bytes));
  };
  EXPECT_EQ(csv(0).substr(0, 21), "timeslot,c0\n0,0\n1,1\n2");
  const auto first = Recording::open(path)->sdsz()->streams()[0].data.front();
  std::string bytes = test::read_file(path);
  bytes[first.payload_offset() + 5] ^= 1;
  test::write_file(path, bytes);
  const std::string n = std::to_string(first.header.block_count);
  const std::string begin = "timeslot,c0\n" + n + "," + n + "\n";
  EXPECT_EQ(csv(0).substr(0, begin.size()), begin);
  EXPECT_EQ(csv(1).substr(0, begin.size()), begin);
  EXPECT_EQ(csv(150).substr(0, 20), "timeslot,c0\n150,150\n");
}

TEST_F(CsvTest, TimesGoOnAcrossTheWrapAround) {
  const std::string yaml = "sds:\n  name: T\n  content:\n    - {value: v, type: int16_t}\n";
  EXPECT_EQ(csv(yaml, {{0xFFFFFFFF, i16({1})}, {0, i16({2})}}), "timeslot,v\n4294967.295,1\n4294967.296,2\n");
}

TEST_F(CsvTest, ZeroLengthBlocksGiveNoRowsAndOddOnesAreNoted) {
  auto report = run(test::int16_metadata(1), {{0, ""}, {10, "abc"}});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rows, 1u);
  EXPECT_EQ(report->odd_blocks, 1u);
  EXPECT_EQ(report->notes.size(), 1u);
}

TEST_F(CsvTest, ImagesAndMissingMetadataAreRefused) {
  const std::string yaml =
      "sds:\n  name: T\n  content:\n    - image: {pixel_format: RAW8, width: 2, height: 2, stride_bytes: 2}\n";
  EXPECT_EQ(run(yaml, {{0, "abcd"}}).error().code, ErrorCode::unsupported);
  std::filesystem::remove(dir_ / "T.sds.yml");
  test::write_file(dir_ / "U.0.sds", "");
  auto recording = Recording::open(dir_ / "U.0.sds");
  auto disk = std::make_shared<test::Disk>();
  test::MemorySink sink(disk);
  EXPECT_NE(export_csv(*recording, 0, sink, {}, {}).error().message.find("U.sds.yml"), std::string::npos);
}

TEST_F(CsvTest, AFullDiskIsAnError) {
  test::write_file(dir_ / "T.sds.yml", test::int16_metadata(1));
  test::write_file(dir_ / "T.0.sds", test::plain(test::wave_blocks(10, 10, 1)));
  auto recording = Recording::open(dir_ / "T.0.sds");
  auto disk = std::make_shared<test::Disk>();
  disk->capacity = 100;
  test::MemorySink sink(disk);
  EXPECT_EQ(export_csv(*recording, 0, sink, {}, {}).error().code, ErrorCode::io);
}

TEST(WriteNumber, IsTheShortestThatReadsBack) {
  char text[max_number_chars];
  const auto written = [&](auto value) { return std::string(text, write_number(text, value)); };
  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(0.1f), "0.1");
  EXPECT_EQ(written(1e300), "1e+300");
  EXPECT_EQ(written(-0.0), "-0");
  EXPECT_EQ(written(std::nan("")), "nan");
  EXPECT_EQ(written(HUGE_VAL), "inf");
  EXPECT_EQ(written(5e-324), "5e-324");
}

TEST(ChannelText, GivesTheSameTextCachedOrNot) {
  Channel cached;
  cached.type = ScalarType::i16;
  cached.scale = 1.0 / 3;
  cached.offset = 0.7;
  TextCaches caches;
  ChannelText text(cached, caches);
  Channel twice = cached;
  twice.scale = 2;
  ChannelText other(twice, caches);
  // The first thousands of values are written before it is worth to keep them.
  for (int round = 0; round < 3; ++round)
    for (int value = -32768; value < 32768; value += 13) {
      const auto raw = static_cast<std::int16_t>(value);
      char first[max_number_chars];
      char second[max_number_chars];
      char expected[max_number_chars];
      const auto* p = reinterpret_cast<const std::byte*>(&raw);
      const std::string a(first, text.write(first, p, 0));
      const std::string b(second, text.write(second, p, 0));
      EXPECT_EQ(a, std::string(expected, write_number(expected, value * cached.scale + cached.offset)));
      EXPECT_EQ(a, b);
      const std::string c(first, other.write(first, p, 0));
      EXPECT_EQ(c, std::string(expected, write_number(expected, value * twice.scale + twice.offset)));
    }
}

}  // namespace
}  // namespace sds
