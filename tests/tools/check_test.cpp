#include "check.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "stream_checker.hpp"
#include "support/recordings.hpp"
#include "support/sections.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;

class CheckTest : public ::testing::Test {
 protected:
  RecordingCheck check_plain(const std::string& bytes, const std::string& yaml = "") {
    test::write_file(dir_ / "T.0.sds", bytes);
    if (!yaml.empty()) test::write_file(dir_ / "T.sds.yml", yaml);
    return run(dir_ / "T.0.sds");
  }
  RecordingCheck run(const std::filesystem::path& path) {
    auto recording = Recording::open(path);
    EXPECT_TRUE(recording) << recording.error().to_string();
    auto result = check(*recording, {}, {});
    EXPECT_TRUE(result);
    return *result;
  }
  test::TempDir dir_;
};

TEST_F(CheckTest, ASoundRecordingIsSound) {
  const auto result = check_plain(plain(test::wave_blocks(100, 10, 2)), test::int16_metadata(2));
  EXPECT_TRUE(result.sound());
  EXPECT_EQ(result.streams[0].blocks, 100u);
  EXPECT_EQ(result.streams[0].interval_ticks, 100);
  EXPECT_EQ(result.streams[0].jitter.ticks, 0u);
  EXPECT_EQ(result.streams[0].gaps->count, 0u);
}

TEST_F(CheckTest, EmptyAndOneRecordFilesAreSound) {
  EXPECT_TRUE(check_plain("").sound());
  EXPECT_TRUE(check_plain(plain({{7, "one"}})).sound());
  EXPECT_TRUE(check_plain(plain({{7, ""}})).sound());
}

TEST_F(CheckTest, ATruncatedFileIsNot) {
  const auto result = check_plain(plain({{1, "abc"}, {2, "def"}}).substr(0, 20));
  EXPECT_FALSE(result.sound());
  EXPECT_EQ(result.streams[0].problems().at(0),
            "at byte 11: block size 3 runs past the end of the file (1 bytes left)");
}

TEST_F(CheckTest, DescendingTimeslotsAreNotButAWrapAroundIs) {
  const auto descending = check_plain(plain({{10, "a"}, {5, "b"}, {20, "c"}}));
  EXPECT_FALSE(descending.sound());
  EXPECT_EQ(descending.streams[0].descending.block, 1u);
  const auto wrapping = check_plain(plain({{0xFFFFFFF6, "a"}, {0, "b"}, {10, "c"}}));
  EXPECT_TRUE(wrapping.sound());
  EXPECT_EQ(wrapping.streams[0].wraps.count, 1u);
  EXPECT_EQ(wrapping.streams[0].interval_ticks, 10);
}

TEST_F(CheckTest, BlockSizesThatDoNotFitTheMetadataAreNot) {
  const auto result = check_plain(plain({{1, "abcd"}, {2, "abcde"}}), test::int16_metadata(2));
  EXPECT_FALSE(result.sound());
  EXPECT_EQ(result.streams[0].misfits.block, 1u);
}

TEST_F(CheckTest, WrongYamlIsNot) {
  const auto result = check_plain(plain({{1, "abcd"}}), "sds: nonsense");
  EXPECT_FALSE(result.sound());
  EXPECT_NE(result.streams[0].problems().at(0).find("T.sds.yml"), std::string::npos);
}

TEST_F(CheckTest, GapsJitterAndDuplicatesAreReportedAndSound) {
  std::vector<test::TestBlock> blocks;
  for (std::uint32_t i = 0; i < 100; ++i) blocks.push_back({i * 10 + (i >= 50 ? 500u : 0u) + (i == 20 ? 4u : 0u), "x"});
  blocks[70].timeslot = blocks[69].timeslot;
  const auto result = check_plain(plain(blocks));
  EXPECT_TRUE(result.sound());
  EXPECT_EQ(result.streams[0].gaps->count, 2u);  // the long one, and the step over the duplicate
  EXPECT_EQ(result.streams[0].gaps->block, 50u);
  EXPECT_EQ(result.streams[0].gaps->ticks, 510u);
  EXPECT_EQ(result.streams[0].duplicates.count, 1u);
  EXPECT_EQ(result.streams[0].duplicates.block, 70u);
  EXPECT_EQ(result.streams[0].longest_delta.block, 50u);
}

TEST(StepCounterTest, StepsAreJudgedByTheSamplesOfTheEarlierBlock) {
  // 100 Hz, 1 ms ticks: blocks of 10 samples, a short one of 3 without a gap behind it, one of 10 that lacks a second.
  StepCounter steps;
  for (std::uint64_t block = 1; block <= 50; ++block) steps.add(block % 7 == 0 ? 101 : 100, block, 10);
  steps.add(30, 51, 3);
  EXPECT_EQ(steps.gaps().count, 0u);
  steps.add(1100, 52, 10);
  steps.add(130, 53, 3);  // 100 ms are missing: as long a step as 13 samples
  EXPECT_EQ(steps.gaps().count, 2u);
  EXPECT_EQ(steps.gaps().block, 52u);
  EXPECT_EQ(steps.gaps().ticks, 1100u);
  EXPECT_EQ(steps.median(), 100u);
}

TEST(StepCounterTest, OneThatWasAssignedCountsForItself) {
  StepCounter steps;
  steps.add(7, 1, 1);
  steps = StepCounter(10);
  steps.add(10, 1, 1);
  steps.add(10, 2, 1);
  steps.add(25, 3, 1);
  ASSERT_EQ(steps.steps().size(), 2u);
  EXPECT_EQ(steps.steps()[0].count, 2u);
  EXPECT_EQ(steps.gaps().count, 1u);
}

TEST(StepCounterTest, ALongBlockBeforeShortOnesIsNoGap) {
  StepCounter steps;
  steps.add(40960, 1, 4096);
  for (std::uint64_t block = 2; block <= 50; ++block) steps.add(10, block, 1);
  EXPECT_EQ(steps.gaps().count, 0u);
}

TEST_F(CheckTest, DamageInAPackedRecordingIsFound) {
  SdszWriterOptions options;
  options.section_bytes = 2000;
  test::write_packed(dir_ / "a.sdsz", test::wave_blocks(200, 10, 2), test::int16_metadata(2), options);
  EXPECT_TRUE(run(dir_ / "a.sdsz").sound());
  const std::string good = test::read_file(dir_ / "a.sdsz");
  for (std::size_t at = 100; at < good.size(); at += 211) {
    std::string bad = good;
    bad[at] ^= 0x10;
    test::write_file(dir_ / "a.sdsz", bad);
    EXPECT_FALSE(run(dir_ / "a.sdsz").sound()) << at;
  }
}

TEST_F(CheckTest, ARecordedLossIsNotSound) {
  auto writer = SdszWriter::create(dir_ / "a.sdsz", {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes("x")));
  ASSERT_TRUE(writer->add_gap(id, "cable pulled"));
  ASSERT_TRUE(writer->close());
  const auto result = run(dir_ / "a.sdsz");
  EXPECT_FALSE(result.sound());
  EXPECT_EQ(result.streams[0].problems().at(0), "recorded loss: cable pulled");
}

// Of one size each, so that they can change places.
TEST_F(CheckTest, AnIndexThatTellsOfOtherSectionsThanThereAreIsTold) {
  SdszWriterOptions options;
  options.section_bytes = 64;
  options.level = Level::store;
  auto writer = SdszWriter::create(dir_ / "a.sdsz", {}, options);
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  for (std::uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(writer->append(id, i, as_bytes(std::string(100, "abcd"[i]))));
  ASSERT_TRUE(writer->close());
  EXPECT_TRUE(run(dir_ / "a.sdsz").sound());
  const std::string file = test::read_file(dir_ / "a.sdsz");
  const auto data = test::sections_of(file, SectionKind::data);
  ASSERT_EQ(data.size(), 4u);
  const auto size = data[0].header.section_bytes();
  ASSERT_EQ(data[1].header.section_bytes(), size);
  const auto text = [&](std::size_t i) { return file.substr(data[i].offset, size); };
  test::write_file(dir_ / "a.sdsz", std::string(file).replace(data[0].offset, 2 * size, text(1) + text(0)));
  const auto result = run(dir_ / "a.sdsz");
  EXPECT_FALSE(result.sound());
  EXPECT_TRUE(std::any_of(result.damages.begin(), result.damages.end(), [](const Damage& damage) {
    return damage.reason.find("the index tells of 2 sections that stand elsewhere or otherwise") == 0;
  }));
}

TEST_F(CheckTest, AStepOfUtcIsToldOnceAndASlowClockIsNone) {
  constexpr std::uint64_t second = 1'000'000'000;
  auto writer = SdszWriter::create(dir_ / "a.sdsz", {}, {});
  for (const char* name : {"A", "B"}) {
    const auto id = *writer->add_stream({name, "0", false, "", "", ""});
    for (std::uint64_t i = 0; i < 5; ++i) {
      ASSERT_TRUE(writer->append(id, static_cast<std::uint32_t>(10'000 * i), as_bytes("x")));
      // UTC is slow by 10 ms in 10 s, and set by an hour between 20 and 30 s.
      const std::uint64_t utc = 1'800'000'000 * second + i * 999 * second / 100 + (i > 2 ? 3600 * second : 0);
      ASSERT_TRUE(writer->add_clock(id, {10'000 * i, utc, (1 + 10 * i) * second}));
    }
  }
  ASSERT_TRUE(writer->close());
  const auto result = run(dir_ / "a.sdsz");
  EXPECT_TRUE(result.sound());
  EXPECT_EQ(result.notes, std::vector<std::string>{
                              "UTC went +3599.990 s against the monotonic clock between 20.000 s and 30.000 s: it "
                              "was set, or the server's machine slept"});
}

TEST_F(CheckTest, SmallStepsOfUtcAreToldInSum) {
  constexpr std::uint64_t second = 1'000'000'000;
  auto writer = SdszWriter::create(dir_ / "a.sdsz", {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  for (std::uint64_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(writer->append(id, static_cast<std::uint32_t>(10'000 * i), as_bytes("x")));
    const std::uint64_t set = 3 * std::min<std::uint64_t>(i, 4) * second / 10;  // 0.3 s four times
    ASSERT_TRUE(writer->add_clock(id, {10'000 * i, (1'800'000'000 + 10 * i) * second + set, (1 + 10 * i) * second}));
  }
  ASSERT_TRUE(writer->close());
  const std::string text =
      "UTC went +0.600 s against the monotonic clock between {}.000 s and {}.000 s: it was set, or the server's "
      "machine "
      "slept";
  EXPECT_EQ(run(dir_ / "a.sdsz").notes, (std::vector<std::string>{fmt::format(fmt::runtime(text), 0, 20),
                                                                  fmt::format(fmt::runtime(text), 20, 40)}));
}

// After 7 hours 20 ppm are 0.5 s. Pairs that are 10 s, and later 40,960 s apart, as of a recording of a year.
TEST_F(CheckTest, DriftOfUtcIsNoStepHoweverLong) {
  constexpr std::uint64_t second = 1'000'000'000;
  for (const std::uint64_t every_s : {10, 40'960})
    for (const std::uint64_t ppm : {20, 100}) {
      const auto path = dir_ / fmt::format("{}-{}.sdsz", every_s, ppm);
      auto writer = SdszWriter::create(path, {}, {});
      const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
      for (std::uint64_t i = 0; i < 3000; ++i) {
        const std::uint64_t s = i * every_s;
        ASSERT_TRUE(writer->append_at(id, 1000 * s, as_bytes("x")));
        ASSERT_TRUE(writer->add_clock(id, {1000 * s, (1'800'000'000 + s) * second + 1000 * ppm * s, (1 + s) * second}));
      }
      ASSERT_TRUE(writer->close());
      for (const auto& note : run(path).notes) EXPECT_EQ(note.find("UTC"), std::string::npos) << note;
    }
}

// Streams with clock pairs at some seconds. UTC is set by 10 s, and once more by 10 s.
class UtcStepTest : public CheckTest {
 protected:
  struct Stream {
    std::string name;
    std::uint64_t hz = 1000;
    std::uint64_t ahead_s = 0;  // its counter
    std::vector<std::uint64_t> at_s;
  };
  static constexpr std::uint64_t kSecond = 1'000'000'000;

  std::vector<std::string> notes_of(const std::vector<Stream>& streams, std::uint64_t first_step_s,
                                    std::uint64_t second_step_s, const Properties& session = {}) {
    const auto path = dir_ / "steps.sdsz";
    std::filesystem::remove(path);
    auto writer = SdszWriter::create(path, session, {});
    for (const auto& [name, hz, ahead_s, at_s] : streams) {
      const auto yaml = fmt::format(
          "sds:\n  name: {}\n  tick-frequency: {}\n  content:\n    - {{value: v, type: uint8_t}}\n", name, hz);
      const auto id = *writer->add_stream({name, "0", false, "", name + ".sds.yml", yaml});
      for (const std::uint64_t s : at_s) {
        const std::uint64_t tick = hz * (ahead_s + s);
        EXPECT_TRUE(writer->append_at(id, tick, as_bytes("x")));
        const std::uint64_t set_s = (s > first_step_s ? 10 : 0) + (s > second_step_s ? 10 : 0);
        EXPECT_TRUE(writer->add_clock(id, {tick, (1'800'000'000 + s + set_s) * kSecond, (1 + s) * kSecond}));
      }
    }
    EXPECT_TRUE(writer->close());
    auto notes = run(path).notes;
    std::erase_if(notes, [](const std::string& note) { return note.find("UTC") == std::string::npos; });
    return notes;
  }
  static std::string step(int after_s, int before_s) {
    return fmt::format(
        "UTC went +10.000 s against the monotonic clock between {}.000 s and {}.000 s: it was set, or the server's "
        "machine slept",
        after_s, before_s);
  }
};

TEST_F(UtcStepTest, OneBetweenTheLastPairOfAStreamAndTheFirstOfAnotherIsTold) {
  EXPECT_EQ(notes_of({{"A", 1000, 0, {0, 10, 20}}, {"B", 1000, 0, {30, 40}}}, 25, 100),
            std::vector<std::string>{step(20, 30)});
}

TEST_F(UtcStepTest, TwoInOnePauseOfAStreamAreToldAsTheOtherStreamHasThem) {
  EXPECT_EQ(notes_of({{"A", 1000, 0, {0, 40}}, {"B", 1000, 0, {0, 10, 20, 30}}}, 5, 25),
            (std::vector<std::string>{step(0, 10), step(20, 30)}));
}

TEST_F(UtcStepTest, OneIsToldOnceWhereCountersStandApart) {
  EXPECT_EQ(notes_of({{"A", 1000, 0, {0, 10, 20, 30}}, {"B", 1'000'000, 1000, {5, 15, 25, 35}}}, 12, 100),
            std::vector<std::string>{step(10, 15)});
}

TEST_F(UtcStepTest, StreamsThatWereMergedHaveClocksOfTheirOwn) {
  Properties session;
  session.set("sessions", "one another");
  EXPECT_EQ(notes_of({{"A", 1000, 0, {0, 10, 20}}, {"B", 1000, 0, {30, 40}}}, 25, 100, session),
            std::vector<std::string>{});
  EXPECT_EQ(notes_of({{"A", 1000, 0, {0, 10, 20}}, {"B", 1000, 0, {0, 10, 20}}}, 15, 100, session),
            std::vector<std::string>{step(10, 20)});
}

TEST(DeviationFinder, FindsWhatTwoPassesWouldFind) {
  test::Random random(4);
  for (int round = 0; round < 200; ++round) {
    const std::size_t n = 2 + random.below(60);
    std::vector<std::int64_t> values;
    for (std::size_t i = 0; i < n; ++i)
      values.push_back(static_cast<std::int64_t>(i * 100) + static_cast<std::int64_t>(random.below(80)) - 40);
    DeviationFinder finder;
    for (std::size_t i = 0; i < n; ++i) finder.add(i, values[i]);
    const double slope = static_cast<double>(values[n - 1] - values[0]) / static_cast<double>(n - 1);
    double largest = 0;
    for (std::size_t i = 0; i < n; ++i)
      largest = std::max(
          largest, std::round(std::abs(static_cast<double>(values[i] - values[0]) - slope * static_cast<double>(i))));
    EXPECT_NEAR(static_cast<double>(finder.largest().ticks), largest, 1) << round;
  }
}

}  // namespace
}  // namespace sds
