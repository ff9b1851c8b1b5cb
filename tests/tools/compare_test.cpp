#include "compare.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <set>

#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::TestBlock;

const char* const kYaml =
    "sds:\n  name: T\n  content:\n    - {value: x, type: int8_t, scale: 0.5}\n    - {value: y, type: int8_t}\n";

CompareOptions absolute(const std::string& channel, double tolerance) {
  CompareOptions options;
  options.absolute[channel] = tolerance;
  return options;
}

CompareOptions relative(double tolerance) {
  CompareOptions options;
  options.relative_all = tolerance;
  return options;
}

class CompareTest : public ::testing::Test {
 protected:
  RecordingComparison compare(const std::vector<TestBlock>& a, const std::vector<TestBlock>& b,
                              CompareOptions options = {}, const std::string& yaml = kYaml) {
    if (!yaml.empty()) test::write_file(dir_ / "Test.sds.yml", yaml);
    test::write_file(dir_ / "Test.0.sds", test::plain(a));
    test::write_packed(dir_ / "b.sdsz", b, yaml);
    auto ra = Recording::open(dir_ / "Test.0.sds");
    auto rb = Recording::open(dir_ / "b.sdsz");
    auto result = compare_recordings(*ra, *rb, options, {});
    EXPECT_TRUE(result);
    return *result;
  }
  test::TempDir dir_;
};

TEST_F(CompareTest, EqualRecordingsAreEqualWhateverTheirContainer) {
  const auto result = compare({{1, "ab"}, {2, "cdef"}}, {{1, "ab"}, {2, "cdef"}});
  EXPECT_TRUE(result.equal());
  EXPECT_EQ(result.streams[0].identical, 2u);
  EXPECT_EQ(result.streams[0].channels[0].values, 3u);
}

TEST_F(CompareTest, ReportsMaxMeanAndFirstDifferencePerChannel) {
  const auto result = compare({{1000, "aa"}, {2000, "aaaa"}}, {{1000, "aa"}, {2000, "aaea"}});
  EXPECT_FALSE(result.equal());
  const auto& x = result.streams[0].channels[0];
  EXPECT_EQ(x.different, 1u);
  EXPECT_EQ(x.max_difference, 2.0);  // four steps of 0.5
  EXPECT_DOUBLE_EQ(x.mean_difference, 2.0 / 3);
  ASSERT_TRUE(x.first);
  EXPECT_EQ(x.first->tick, 2000u);
  EXPECT_EQ(x.first->seconds, 2.0);
  EXPECT_EQ(x.first->sample, 1u);
  EXPECT_EQ(x.first->a, 48.5);
  EXPECT_EQ(x.first->b, 50.5);
  EXPECT_EQ(result.streams[0].channels[1].different, 0u);
}

TEST_F(CompareTest, TolerancesAreInPhysicalUnits) {
  const std::vector<TestBlock> a{{1, "aa"}};
  const std::vector<TestBlock> b{{1, "ca"}};
  EXPECT_FALSE(compare(a, b, absolute("x", 0.99)).equal());
  EXPECT_TRUE(compare(a, b, absolute("x", 1.0)).equal());
  EXPECT_FALSE(compare(a, b, absolute("y", 5.0)).equal());
  EXPECT_TRUE(compare(a, b, relative(0.05)).equal());
  EXPECT_FALSE(compare(a, b, relative(0.01)).equal());
}

TEST_F(CompareTest, BlocksOnlyInOneAreCountedWithTheFirst) {
  const auto result = compare({{1, "aa"}, {2, "aa"}, {4, "aa"}}, {{2, "aa"}, {3, "aa"}, {4, "aa"}, {5, "aa"}});
  EXPECT_FALSE(result.equal());
  EXPECT_EQ(result.streams[0].blocks, 2u);
  EXPECT_EQ(result.streams[0].only_a, 1u);
  EXPECT_EQ(result.streams[0].first_only_a, 1u);
  EXPECT_EQ(result.streams[0].only_b, 2u);
  EXPECT_EQ(result.streams[0].first_only_b, 3u);
}

TEST_F(CompareTest, DifferentSizesAreDifferent) {
  const auto result = compare({{1, "aaaa"}}, {{1, "aa"}});
  EXPECT_FALSE(result.equal());
  EXPECT_EQ(result.streams[0].size_mismatches, 1u);
}

TEST_F(CompareTest, WithoutMetadataBytesAreCompared) {
  const auto result = compare({{1, "abc"}}, {{1, "abd"}}, {}, "");
  EXPECT_FALSE(result.equal());
  EXPECT_EQ(result.streams[0].channels[0].name, "bytes");
  EXPECT_EQ(result.streams[0].channels[0].different, 1u);
}

TEST_F(CompareTest, NanEqualsNanAndNothingElse) {
  const std::string yaml = "sds:\n  name: T\n  content:\n    - {value: f, type: float}\n";
  const std::string nan("\0\0\xC0\x7F", 4);
  const std::string one("\0\0\x80\x3F", 4);
  EXPECT_TRUE(compare({{1, nan}, {2, one}}, {{1, nan}, {2, one}}, {}, yaml).equal());
  EXPECT_FALSE(compare({{1, nan}}, {{1, one}}, absolute("f", 1e300), yaml).equal());
}

TEST_F(CompareTest, InfinityEqualsItselfAndNothingElseWithinNoTolerance) {
  const std::string yaml = "sds:\n  name: T\n  content:\n    - {value: f, type: float}\n";
  const std::string one = test::le32(0x3F800000u);
  const std::string inf = test::le32(0x7F800000u);
  const std::string minus_inf = test::le32(0xFF800000u);
  const std::string nan = test::le32(0x7FC00000u);
  for (const auto& options : {CompareOptions{}, relative(1.0), absolute("f", 1e308)})
    for (const auto& a : {one, inf, minus_inf, nan})
      for (const auto& b : {one, inf, minus_inf, nan}) {
        const auto result = compare({{1, a}}, {{1, b}}, options, yaml);
        EXPECT_EQ(result.equal(), a == b);
        EXPECT_EQ(result.streams[0].channels[0].different, a == b ? 0u : 1u);
      }
}

TEST_F(CompareTest, IntegersOf64BitsAreComparedExactly) {
  const auto le64 = [](std::uint64_t value) {
    return test::le32(static_cast<std::uint32_t>(value)) + test::le32(static_cast<std::uint32_t>(value >> 32));
  };
  const auto yaml_of = [](const std::string& type) {
    return "sds:\n  name: T\n  content:\n    - {value: n, type: " + type + "}\n";
  };
  constexpr std::uint64_t kBig = std::uint64_t{1} << 60;
  const auto result = compare({{1, le64(kBig + 1)}}, {{1, le64(kBig)}}, {}, yaml_of("int64_t"));
  const auto& channel = result.streams[0].channels[0];
  EXPECT_EQ(channel.different, 1u);
  EXPECT_EQ(channel.max_difference, 1.0);
  ASSERT_TRUE(channel.first);
  EXPECT_EQ(channel.first->exact_a, "1152921504606846977");
  EXPECT_EQ(channel.first->exact_b, "1152921504606846976");
  EXPECT_TRUE(compare({{1, le64(kBig + 1)}}, {{1, le64(kBig)}}, absolute("n", 1), yaml_of("int64_t")).equal());
  EXPECT_FALSE(compare({{1, le64(kBig + 1)}}, {{1, le64(kBig)}}, absolute("n", 0.9), yaml_of("int64_t")).equal());
  EXPECT_FALSE(compare({{1, le64(UINT64_MAX)}}, {{1, le64(UINT64_MAX - 1)}}, {}, yaml_of("uint64_t")).equal());
  const auto farthest = compare({{1, le64(std::uint64_t{1} << 63)}}, {{1, le64(INT64_MAX)}}, {}, yaml_of("int64_t"));
  EXPECT_EQ(farthest.streams[0].channels[0].max_difference, 18446744073709551615.0);
  const auto scaled = compare({{1, le64(kBig + 3)}}, {{1, le64(kBig)}}, {},
                              "sds:\n  name: T\n  content:\n    - {value: n, type: int64_t, scale: 0.5}\n");
  EXPECT_EQ(scaled.streams[0].channels[0].max_difference, 1.5);
  EXPECT_EQ(scaled.streams[0].channels[0].first->exact_a, "") << "raw values would be misread";
  // Scales of any size, as far as all digits of the values are fewer than 39.
  const auto large = [&](const char* scale) {
    const auto yaml =
        std::string("sds:\n  name: T\n  content:\n    - {value: n, type: int64_t, scale: ") + scale + "}\n";
    return compare({{1, le64(kBig + 1)}}, {{1, le64(kBig)}}, {}, yaml).streams.at(0).channels.at(0).first->exact_a;
  };
  EXPECT_EQ(large("1152921504606846976"), "1329227995784915874056728564887191552");  // 2^120 + 2^60
  EXPECT_EQ(large("-1e18"), "-1152921504606846977000000000000000000");
  EXPECT_EQ(large("1e30"), "");
  // Against a double, which holds 2^60, but not what stands beside it.
  test::write_file(dir_ / "Test.0.sds", test::plain({{1, le64(std::bit_cast<std::uint64_t>(0x1p60))}}));
  test::write_file(dir_ / "Test.sds.yml", yaml_of("double"));
  test::write_packed(dir_ / "b.sdsz", {{1, le64(kBig + 1)}}, yaml_of("uint64_t"));
  const auto mixed =
      compare_recordings(*Recording::open(dir_ / "Test.0.sds"), *Recording::open(dir_ / "b.sdsz"), {}, {});
  EXPECT_EQ(mixed->streams.at(0).channels.at(0).max_difference, 1.0);
}

TEST_F(CompareTest, EachSideIsReadByItsOwnMetadata) {
  // The same physical values: bytes at a scale of 0.5 on one side, floats under other places on the other.
  test::write_file(dir_ / "Test.0.sds",
                   test::plain({{1, std::string("\x02\x07", 2)}, {2, std::string("\xFE\x01", 2)}}));
  test::write_file(dir_ / "Test.sds.yml", kYaml);
  const auto floats = [](float y, float z, float x) {
    std::string bytes;
    for (const float f : {y, z, x}) bytes.append(reinterpret_cast<const char*>(&f), 4);
    return bytes;
  };
  const std::string yaml =
      "sds:\n  name: B\n  content:\n    - {value: y, type: float}\n    - {value: z, type: float}\n"
      "    - {value: x, type: float}\n";
  test::write_packed(dir_ / "b.sdsz", {{1, floats(7, 99, 1)}, {2, floats(1, 99, -1.25)}}, yaml);
  auto ra = Recording::open(dir_ / "Test.0.sds");
  auto rb = Recording::open(dir_ / "b.sdsz");
  CompareOptions options;
  options.argmax = true;
  auto result = compare_recordings(*ra, *rb, options, {});
  ASSERT_TRUE(result);
  const auto& stream = result->streams.at(0);
  ASSERT_EQ(stream.channels.size(), 2u);
  EXPECT_EQ(stream.channels[0].name, "x");
  EXPECT_EQ(stream.channels[0].max_difference, 0.25);
  EXPECT_EQ(stream.channels[0].different, 1u);
  EXPECT_EQ(stream.channels[0].first->tick, 2u);
  EXPECT_EQ(stream.channels[1].different, 0u);
  EXPECT_EQ(stream.decisions, 2u);
  EXPECT_EQ(stream.agreeing, 2u);
  EXPECT_EQ(stream.channels_only_a, std::vector<std::string>{});
  EXPECT_EQ(stream.channels_only_b, std::vector<std::string>{"z"});
}

TEST_F(CompareTest, AChannelThatVanishedOrWasRenamedIsADifference) {
  const auto yaml_of = [](const std::string& names) {
    std::string yaml = "sds:\n  name: T\n  content:\n";
    for (const char name : names) yaml += std::string("    - {value: ") + name + ", type: uint8_t}\n";
    return yaml;
  };
  const auto compare_names = [&](const std::string& a, const std::string& b, const CompareOptions& options = {}) {
    test::write_file(dir_ / "Test.sds.yml", yaml_of(a));
    test::write_file(dir_ / "Test.0.sds", test::plain({{1, a}}));
    test::write_packed(dir_ / "b.sdsz", {{1, b}}, yaml_of(b));
    return compare_recordings(*Recording::open(dir_ / "Test.0.sds"), *Recording::open(dir_ / "b.sdsz"), options, {});
  };
  const auto only = [](std::vector<std::pair<std::string, std::string>> channels) {
    CompareOptions options;
    options.channels = std::move(channels);
    return options;
  };
  // A value is the letter of its channel: those of one name are equal.
  EXPECT_TRUE(compare_names("xy", "yx")->equal());
  for (const auto& [a, b, only_a, only_b] :
       {std::tuple{"xy", "x", "y", ""}, {"x", "xy", "", "y"}, {"xy", "xz", "y", "z"}, {"x", "y", "x", "y"}}) {
    const auto result = compare_names(a, b);
    ASSERT_TRUE(result);
    EXPECT_FALSE(result->equal()) << a << " " << b;
    const auto& stream = result->streams.at(0);
    EXPECT_EQ(stream.channels_only_a, *only_a ? std::vector<std::string>{only_a} : std::vector<std::string>{});
    EXPECT_EQ(stream.channels_only_b, *only_b ? std::vector<std::string>{only_b} : std::vector<std::string>{});
  }
  EXPECT_TRUE(compare_names("xy", "xz", only({{"x", "x"}}))->equal());
  const auto renamed = compare_names("xy", "xz", only({{"y", "z"}}));
  EXPECT_EQ(renamed->streams.at(0).channels.at(0).max_difference, 1.0);
  auto tolerant = only({{"y", "z"}});
  tolerant.absolute["z"] = 1;
  EXPECT_TRUE(compare_names("xy", "xz", tolerant)->equal());
  tolerant.absolute["x"] = 1;
  EXPECT_EQ(compare_names("xy", "xz", tolerant).error().code, ErrorCode::usage) << "x is not compared";
  EXPECT_EQ(compare_names("xy", "xz", only({{"y", "y"}})).error().message, "there is no channel 'y' in B");
  EXPECT_EQ(compare_names("xy", "xz", only({{"z", "z"}})).error().message, "there is no channel 'z' in A");
}

TEST_F(CompareTest, AStreamThatWasRenamedIsADifferenceUnlessItIsNamed) {
  test::write_packed(dir_ / "a.sdsz", {{1, "ab"}}, kYaml);
  test::write_file(dir_ / "Other.0.sds", test::plain({{1, "ab"}}));
  test::write_file(dir_ / "Other.sds.yml", kYaml);
  auto a = Recording::open(dir_ / "a.sdsz");
  auto b = Recording::open(dir_ / "Other.0.sds");
  const auto result = compare_recordings(*a, *b, {}, {});
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->equal());
  EXPECT_EQ(result->only_a, std::vector<std::string>{"Test"});
  EXPECT_EQ(result->only_b, std::vector<std::string>{"Other"});
  CompareOptions renamed;
  renamed.streams = name_pairs({"Test=Other"});
  EXPECT_TRUE(compare_recordings(*a, *b, renamed, {})->equal());
}

// Writes blocks of ticks from 1 on, with a gap before those of `gaps`; 0: at the end.
void write_with_gaps(const std::filesystem::path& path, std::uint32_t blocks, const std::set<std::uint32_t>& gaps,
                     std::uint32_t without = 0) {
  SdszWriterOptions options;
  options.if_exists = IfExists::overwrite;
  auto writer = SdszWriter::create(path, Properties{}, options);
  ASSERT_TRUE(writer);
  StreamDescription stream;
  stream.name = "Test";
  const auto id = *writer->add_stream(stream);
  for (std::uint32_t tick = 1; tick <= blocks; ++tick) {
    if (gaps.contains(tick)) ASSERT_TRUE(writer->add_gap(id, "the disk was full"));
    if (tick != without) ASSERT_TRUE(writer->append(id, tick, as_bytes("ab")));
  }
  if (gaps.contains(0)) ASSERT_TRUE(writer->add_gap(id, "the device vanished"));
  ASSERT_TRUE(writer->close());
}

TEST_F(CompareTest, LossesThatOnlyOneSideStatesAreDifferences) {
  const auto compare_gaps = [&](const std::set<std::uint32_t>& a, const std::set<std::uint32_t>& b) {
    write_with_gaps(dir_ / "a.sdsz", 5, a);
    write_with_gaps(dir_ / "b.sdsz", 5, b);
    return compare_recordings(*Recording::open(dir_ / "a.sdsz"), *Recording::open(dir_ / "b.sdsz"), {}, {})
        ->streams.at(0);
  };
  for (const auto& both : {std::set<std::uint32_t>{}, {3}, {1, 4, 0}}) EXPECT_TRUE(compare_gaps(both, both).equal());
  const auto only_a = compare_gaps({3, 5}, {});
  EXPECT_FALSE(only_a.equal());
  EXPECT_EQ(only_a.losses_only_a, 2u);
  EXPECT_EQ(only_a.losses_only_b, 0u);
  EXPECT_EQ(only_a.first_loss_only_a->text(), "between the ticks 2 and 3 (the disk was full)");
  const auto only_b = compare_gaps({2}, {1, 2, 0});
  EXPECT_FALSE(only_b.equal());
  EXPECT_EQ(only_b.losses_only_b, 2u);
  EXPECT_EQ(only_b.first_loss_only_b->text(), "before tick 1 (the disk was full)");
  EXPECT_EQ(compare_gaps({0}, {}).first_loss_only_a->text(), "behind tick 5 (the device vanished)");
  const auto elsewhere = compare_gaps({2}, {3});
  EXPECT_EQ(elsewhere.losses_only_a + elsewhere.losses_only_b, 2u);
}

TEST_F(CompareTest, ALossIsTheSameWhereABlockBehindItIsMissing) {
  write_with_gaps(dir_ / "a.sdsz", 5, {3});
  write_with_gaps(dir_ / "b.sdsz", 5, {3}, 3);  // stands before block 4 now
  const auto result = compare_recordings(*Recording::open(dir_ / "a.sdsz"), *Recording::open(dir_ / "b.sdsz"), {}, {});
  EXPECT_EQ(result->streams.at(0).only_a, 1u);
  EXPECT_EQ(result->streams.at(0).losses_only_a + result->streams.at(0).losses_only_b, 0u);
}

TEST_F(CompareTest, TicksOfASideWithoutMetadataAreThoseOfTheOther) {
  const std::string yaml = "sds:\n  name: T\n  tick-frequency: 32768\n  content:\n    - {value: x, type: int8_t}\n";
  test::write_packed(dir_ / "with.sdsz", {{0, "a"}, {100, "b"}}, yaml);
  test::write_packed(dir_ / "without.sdsz", {{0, "a"}, {100, "b"}}, "");
  auto with = Recording::open(dir_ / "with.sdsz");
  auto without = Recording::open(dir_ / "without.sdsz");
  EXPECT_TRUE(compare_recordings(*with, *without, {}, {})->equal());
  EXPECT_TRUE(compare_recordings(*without, *with, {}, {})->equal());
}

TEST_F(CompareTest, APlainFileStatesNoLosses) {
  write_with_gaps(dir_ / "a.sdsz", 2, {2});
  test::write_file(dir_ / "Test.0.sds", test::plain({{1, "ab"}, {2, "ab"}}));
  const auto result =
      compare_recordings(*Recording::open(dir_ / "a.sdsz"), *Recording::open(dir_ / "Test.0.sds"), {}, {});
  EXPECT_TRUE(result->equal());
  EXPECT_EQ(result->streams.at(0).notes.back(), "losses are not compared: a plain .sds states none");
}

TEST_F(CompareTest, TheLargestValueIsFoundAsPipelinesFindIt) {
  CompareOptions options;
  options.argmax = true;
  const auto agree = [&](const std::string& type, const std::string& a, const std::string& b) {
    const auto result = compare(
        {{1, a}}, {{1, b}}, options,
        "sds:\n  name: T\n  content:\n    - {value: x, type: " + type + "}\n    - {value: y, type: " + type + "}\n");
    return result.streams.at(0).agreeing == 1;
  };
  const std::string nan = test::le32(0x7FC00000u);
  const std::string one = test::le32(0x3F800000u);
  const std::string minus_inf = test::le32(0xFF800000u);
  EXPECT_TRUE(agree("float", nan + one, minus_inf + one));
  EXPECT_FALSE(agree("float", nan + one, one + one)) << "the first of equals";
  EXPECT_FALSE(agree("float", nan + minus_inf, minus_inf + minus_inf)) << "a NaN does not lead";
  EXPECT_TRUE(agree("float", nan + minus_inf, nan + one));
  EXPECT_FALSE(agree("float", nan + nan, one + nan)) << "nothing leads";
  const std::string zeros = test::le32(0);
  const std::string big = test::le32(1) + test::le32(1u << 29);  // 2^61 + 1
  const std::string less = zeros + test::le32(1u << 29);
  EXPECT_FALSE(agree("int64_t", big + less, less + big));
  EXPECT_TRUE(agree("uint64_t", less + big, zeros + zeros + big));
}

TEST_F(CompareTest, OfSeveralChannelsOfOneNameEachIsCompared) {
  const std::string channel = "    - {value: v, type: uint8_t}\n";
  const auto compare_values = [&](const std::string& a, const std::string& b, const CompareOptions& options = {}) {
    const auto yaml = [&](const std::string& values) {
      std::string text = "sds:\n  name: T\n  content:\n";
      for (std::size_t i = 0; i < values.size(); ++i) text += channel;
      return text;
    };
    test::write_packed(dir_ / "a.sdsz", {{1, a}}, yaml(a));
    test::write_packed(dir_ / "b.sdsz", {{1, b}}, yaml(b));
    return compare_recordings(*Recording::open(dir_ / "a.sdsz"), *Recording::open(dir_ / "b.sdsz"), options, {});
  };
  EXPECT_TRUE(compare_values("12", "12")->equal());
  const auto result = compare_values("12", "14");
  EXPECT_FALSE(result->equal());
  ASSERT_EQ(result->streams.at(0).channels.size(), 2u);
  EXPECT_EQ(result->streams[0].channels[0].different, 0u);
  EXPECT_EQ(result->streams[0].channels[1].max_difference, 2.0);
  const auto more = compare_values("12", "123");
  EXPECT_FALSE(more->equal());
  EXPECT_EQ(more->streams.at(0).channels_only_b, std::vector<std::string>{"v_3"});
  // Each has a name by which it is chosen.
  CompareOptions chosen;
  chosen.channels = {{"v", "v"}};
  EXPECT_TRUE(compare_values("12", "14", chosen)->equal());
  chosen.channels = {{"v_2", "v_2"}};
  EXPECT_FALSE(compare_values("12", "14", chosen)->equal());
}

}  // namespace
}  // namespace sds
