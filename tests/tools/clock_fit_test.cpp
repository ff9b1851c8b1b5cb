// Clocks whose truth is known, seen through stamps as a recorder makes them: late, sometimes by much, UTC set
// meanwhile.
#include "clock_fit.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "check.hpp"
#include "edit.hpp"
#include "label_file.hpp"
#include "recover.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

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

double offset_s(const ClockFit& fit) {
  return 1e-9 * static_cast<double>(static_cast<std::int64_t>(fit.utc_ns_at(0) - kUtc));
}

TEST(FitClock, FindsTheRateThroughJitter) {
  for (const double ppm : {-80.0, -20.0, 35.0, 120.0, 2000.0, -15'000.0}) {
    const auto fit = fit_clock(pairs_of(3600, 10, ppm, 0.010), kTicks);
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
  const auto fit = fit_clock(pairs, kTicks);
  EXPECT_TRUE(fit.rate_applied) << fit.why_not;
  EXPECT_NEAR(fit.rate_ppm, 40, fit.rate_uncertainty_ppm + 0.5);
  EXPECT_NEAR(offset_s(fit), 0.002, 0.003);
}

TEST(FitClock, AStepOfUtcDoesNotChangeTheRate) {
  auto pairs = pairs_of(3600, 10, 25, 0.004);
  for (std::size_t i = pairs.size() * 2 / 3; i < pairs.size(); ++i) pairs[i].utc_ns += 1'500'000'000;  // NTP
  const auto fit = fit_clock(pairs, kTicks);
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
    const auto fit = fit_clock(pairs, kTicks);
    EXPECT_FALSE(fit.rate_applied);
    EXPECT_EQ(fit.ns_per_tick, 1000);
    EXPECT_GT(fit.rate_uncertainty_ppm, 860);
    EXPECT_NE(fit.why_not.find("too few"), std::string::npos) << fit.why_not;
    EXPECT_NEAR(offset_s(fit), 0, 0.0101);
    EXPECT_GE(fit.offset_uncertainty_s, 0.010);
    // An hour away a crystal may be off by 100 ppm of it, 360 ms.
    EXPECT_NEAR(fit.uncertainty_s_at(3600e6L), 0.36 + fit.offset_uncertainty_s, 0.002);
  }
}

TEST(FitClock, ANominalRateStaysNominal) {
  const auto fit = fit_clock(pairs_of(1800, 10, 0, 0.008), kTicks);
  EXPECT_FALSE(fit.rate_applied);
  EXPECT_EQ(fit.ns_per_tick, 1000);
  EXPECT_NE(fit.why_not.find("nominal"), std::string::npos);
}

TEST(FitClock, OnePairGivesAnOffset) {
  const auto fit = fit_clock(pairs_of(0, 1, 0, 0), {1000, 1});
  EXPECT_FALSE(fit.rate_applied);
  EXPECT_EQ(fit.ns_per_tick, 1e6);
  EXPECT_EQ(offset_s(fit), 0);
  EXPECT_TRUE(std::isinf(fit.rate_uncertainty_ppm));
}

TEST(FitClock, WithoutMonotonicTimeUtcIsUsed) {
  auto pairs = pairs_of(3600, 10, 50, 0.004);
  for (auto& pair : pairs) pair.monotonic_ns = 0;
  const auto fit = fit_clock(pairs, kTicks);
  EXPECT_FALSE(fit.monotonic);
  EXPECT_TRUE(fit.rate_applied);
  EXPECT_NEAR(fit.rate_ppm, 50, fit.rate_uncertainty_ppm);
}

TEST(FitClock, WhatIsNotRealTimeIsNotAClock) {
  const auto fit = fit_clock(pairs_of(600, 10, 500'000, 0.001), kTicks);
  EXPECT_FALSE(fit.rate_applied);
  EXPECT_NE(fit.why_not.find("real time"), std::string::npos);
}

TEST(FitClock, LooksAtAsMuchOfALongRecording) {
  const auto fit = fit_clock(pairs_of(40'000, 10, 10, 0.01), kTicks);
  EXPECT_EQ(fit.pairs, max_fit_pairs);
  EXPECT_NEAR(fit.rate_ppm, 10, fit.rate_uncertainty_ppm);
}

TEST(FitClock, UtcIsExactToNanosecondsAndTicksOfAnySize) {
  // One pair a minute of a clock 50 ppm slow, stamped without delay: 10 years of uptime at 1 GHz are 3e17 ticks, and
  // UTC is 1.7e18 ns, of which a double holds multiples of 256.
  constexpr std::uint64_t kUp = 300'000'000'000'000'000;
  std::vector<ClockPair> pairs;
  for (std::uint64_t i = 0; i < 60; ++i)
    pairs.push_back({kUp + i * 60'000'000'000, kUtc + 7 + i * 60'003'000'000, kMonotonic + i * 60'003'000'000});
  const auto fit = fit_clock(pairs, {1'000'000'000, 1});
  ASSERT_TRUE(fit.rate_applied) << fit.why_not;
  for (const std::uint64_t i : {0u, 17u, 59u})
    EXPECT_NEAR(static_cast<double>(static_cast<std::int64_t>(
                    fit.utc_ns_at(static_cast<long double>(kUp + i * 60'000'000'000)) - pairs[i].utc_ns)),
                0, 1)
        << i;
}

// Delays of a radio link: 2 ms on average, of every tenth block 400 ms; both exponential.
double delay_s(test::Random& random) {
  const auto exponential = [&](double mean) {
    return -mean * std::log((static_cast<double>(random.below(1'000'000)) + 0.5) / 1e6);
  };
  const bool held = random.below(10) == 0;
  return exponential(held ? 0.4 : 0.002);
}

// How often the distance of two devices' clocks by the fits is as near to the truth as they say, at the begin, the
// middle and the end of recordings of this length, 100 hours after both were switched on. The delays' median cancels
// out, as in a merged recording.
std::array<double, 3> coverage(double length_s, double ppm_a, double ppm_b) {
  constexpr int kRuns = 300;
  constexpr double kUp = 360'000;
  const auto tick_at = [&](double t, double ppm) { return (kUp + t / (1 + ppm * 1e-6)) * 1e6L; };
  test::Random random(static_cast<std::uint64_t>(length_s));
  std::array<double, 3> share{};
  for (int run = 0; run < kRuns; ++run) {
    const auto record = [&](double ppm) {
      std::vector<ClockPair> pairs;
      for (double t = 0; t <= length_s + 1e-9; t += 10) {
        const auto ns = static_cast<std::uint64_t>(std::llround((t + delay_s(random)) * 1e9));
        pairs.push_back({static_cast<std::uint64_t>(std::llround(tick_at(t, ppm))), kUtc + ns, kMonotonic + ns});
      }
      return fit_clock(pairs, kTicks);
    };
    const auto a = record(ppm_a);
    const auto b = record(ppm_b);
    for (std::size_t i = 0; i < share.size(); ++i) {
      const double t = 0.5 * static_cast<double>(i) * length_s;
      const long double tick_a = tick_at(t, ppm_a);
      const long double tick_b = tick_at(t, ppm_b);
      const double off =
          1e-9 * static_cast<double>(static_cast<std::int64_t>(a.utc_ns_at(tick_a) - b.utc_ns_at(tick_b)));
      if (std::abs(off) <= std::hypot(a.uncertainty_s_at(tick_a), b.uncertainty_s_at(tick_b))) share[i] += 1.0 / kRuns;
    }
  }
  return share;
}

TEST(FitClock, NinetyFiveInAHundredAreWithinTheUncertainty) {
  for (const double length_s : {300.0, 900.0, 1800.0})
    for (const double share : coverage(length_s, 50, -40)) {
      EXPECT_GE(share, 0.93) << length_s;
      EXPECT_LE(share, 0.998) << length_s;
    }
}

TEST(FitClock, ARateThatIsLeftOutIsInTheUncertainty) {
  for (const double ppm : {-90.0, 0.0, 50.0})
    for (const double share : coverage(60, ppm, 0)) EXPECT_GE(share, 0.93) << ppm;
}

// A stream without metadata is taken to count at 1000 Hz, whatever it does.
TEST(ClockOf, AGuessedTickFrequencyIsNobodysClock) {
  for (const double length_s : {2.0, 60.0}) {
    const test::TempDir dir;
    auto writer = SdszWriter::create(dir / "a.sdsz", {}, {});
    ASSERT_TRUE(writer);
    const auto raw = *writer->add_stream({"Raw", "0", false, "", "", ""});
    const auto imu = *writer->add_stream({"Imu", "0", false, "", "Imu.sds.yml",
                                          "sds:\n  name: Imu\n  tick-frequency: 1000000\n  content:\n"
                                          "    - {value: x, type: int16_t}\n"});
    for (const auto id : {raw, imu}) {
      ASSERT_TRUE(writer->append(id, 0, as_bytes("ab")));
      for (const auto& pair : pairs_of(length_s, length_s / 6, 0, 0.001)) ASSERT_TRUE(writer->add_clock(id, pair));
    }
    ASSERT_TRUE(writer->close());
    const auto clock = clock_of(*Recording::open(dir / "a.sdsz"));
    ASSERT_TRUE(clock);
    EXPECT_EQ(clock->ticks, (Frequency{1'000'000, 1})) << length_s;
    EXPECT_TRUE(clock->fit.real_time) << length_s;
  }
}

// A device that is on for about 3 h sends at 1 MHz and at 1 kHz; the recorder saw the first timeslot of each, and the
// faster counter had wrapped around twice: it stands 2 * 2^32 us = 8589.934592 s behind.
class CountersApart : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kUtc = 1'800'000'000'000'000'000;
  static constexpr std::uint64_t kTurns = std::uint64_t{2} << 32;

  // A block and a clock pair each second from `up_s` seconds after power-on, which was at kUtc + `on_s` seconds.
  static void record(const std::filesystem::path& path, std::uint64_t on_s, std::uint64_t up_s, std::uint64_t turns,
                     std::uint64_t late_ns = 0) {
    auto writer = SdszWriter::create(path, {}, {});
    ASSERT_TRUE(writer);
    const auto yaml = [](const char* name, int hz) {
      return fmt::format("sds:\n  name: {}\n  tick-frequency: {}\n  content:\n    - {{value: x, type: int16_t}}\n",
                         name, hz);
    };
    const auto fast = *writer->add_stream({"Fast", "0", false, "", "Fast.sds.yml", yaml("Fast", 1'000'000)});
    const auto slow = *writer->add_stream({"Slow", "0", false, "", "Slow.sds.yml", yaml("Slow", 1000)});
    for (std::uint64_t s = up_s; s < up_s + 60; ++s) {
      for (std::uint64_t tenth = 0; tenth < 10; ++tenth) {
        ASSERT_TRUE(writer->append_at(fast, s * 1'000'000 + tenth * 100'000 - turns, as_bytes("ab")));
        ASSERT_TRUE(writer->append_at(slow, s * 1000 + tenth * 100, as_bytes("ab")));
      }
      const std::uint64_t utc = kUtc + (on_s + s) * 1'000'000'000 + late_ns;
      ASSERT_TRUE(writer->add_clock(fast, {s * 1'000'000 - turns, utc, s * 1'000'000'000 + 1}));
      ASSERT_TRUE(writer->add_clock(slow, {s * 1000, utc, s * 1'000'000'000 + 1}));
    }
    ASSERT_TRUE(writer->close());
  }

  static std::vector<std::uint64_t> ticks_of(const Recording& recording, std::size_t stream) {
    std::vector<std::uint64_t> ticks;
    auto cursor = *recording.cursor(stream);
    while (const auto block = *cursor->next()) ticks.push_back(block->tick);
    return ticks;
  }

  void SetUp() override {
    record(dir_ / "a.sdsz", 0, 10'000, kTurns);
    record(dir_ / "b.sdsz", 20'000, 100, 0);
  }
  test::TempDir dir_;
};

TEST_F(CountersApart, WhatIsBeyondABlockOfEachIsTold) {
  // 0.1 s, and two blocks of 0.1 s.
  for (const auto& [apart_us, told] : {std::pair{250'000u, false}, {350'000u, true}, {950'000u, true}}) {
    const auto path = dir_ / fmt::format("{}.sdsz", apart_us);
    record(path, 0, 10'000, apart_us);
    const auto texts = clocks_apart(*Recording::open(path));
    ASSERT_EQ(texts.size(), told ? 1u : 0u) << apart_us;
    if (told)
      EXPECT_NE(texts[0].find(fmt::format("{:.3f} s ahead of", 1e-6 * apart_us)), std::string::npos) << texts[0];
  }
}

TEST_F(CountersApart, EachFrequencyHasItsClockAndTheDifferenceIsTold) {
  const auto recording = *Recording::open(dir_ / "a.sdsz");
  const auto texts = clocks_apart(recording);
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_EQ(texts[0],
            "ticks of 1000 Hz are 8589.935 s ahead of those of 1000000 Hz: times of their streams cannot be compared");
  EXPECT_TRUE(clocks_apart(*Recording::open(dir_ / "b.sdsz")).empty());
  EXPECT_EQ(check(recording, {}, {})->notes, texts);
  EXPECT_EQ(recover(dir_ / "a.sdsz", dir_ / "r.sdsz", false, {})->notes, texts);
  const std::uint64_t utc = kUtc + 10'030'000'000'000;
  for (const auto& [hz, tick] : {std::pair{1'000'000u, 10'030'000'000u - kTurns}, {1000u, 10'030'000u}}) {
    const auto clock = clock_of(recording, Frequency{hz, 1});
    ASSERT_TRUE(clock);
    EXPECT_EQ(clock->ticks.hz(), hz);
    EXPECT_NEAR(static_cast<double>(static_cast<std::int64_t>(clock->fit.utc_ns_at(tick) - utc)), 0, 1e3) << hz;
  }
  // Ticks that no stream with clock pairs counts are those of the others.
  EXPECT_TRUE(clock_of(recording, Frequency{50, 1}));
}

TEST_F(CountersApart, MergingGoesByTheClockOfEachFrequency) {
  std::vector<MergeInput> inputs;
  for (const char* name : {"a", "b"}) inputs.push_back({*Recording::open(dir_ / (std::string(name) + ".sdsz")), name});
  ASSERT_TRUE(merge(inputs, true, dir_ / "out.sdsz", {}, {}));
  const auto output = *Recording::open(dir_ / "out.sdsz");
  // The second recording began 20,100 s after the first one's device was switched on.
  EXPECT_EQ(ticks_of(output, 2).at(70), 20'107'000'000 - kTurns);
  EXPECT_EQ(ticks_of(output, 3).at(70), 20'107'000u);
}

// The second recording is 20,000.0004 s behind: labels of whole milliseconds are moved by no less and no more,
// whichever of the two label files has the finer ticks.
TEST_F(CountersApart, LabelsAreMovedByAsMuchAsTheBlocks) {
  record(dir_ / "c.sdsz", 20'000, 100, 0, 400'000);
  record(dir_ / "d.sdsz", 0, 10'000, 0);
  for (const bool finer_first : {true, false}) {
    const std::string yaml =
        "labels:\n  version: 1\n  tick-frequency: {}\n  intervals:\n    - {{class: {}, from: {}, to: {}, stream: "
        "Fast}}\n";
    test::write_file(dir_ / "d.labels.yml",
                     fmt::format(fmt::runtime(yaml), finer_first ? 1'000'000 : 1000, "d", 10'010, 10'020));
    test::write_file(dir_ / "c.labels.yml",
                     fmt::format(fmt::runtime(yaml), finer_first ? 1000 : 1'000'000, "c", 110, 115));
    std::vector<MergeInput> inputs;
    for (const char* name : {"d", "c"})
      inputs.push_back({*Recording::open(dir_ / (std::string(name) + ".sdsz")), name});
    EditOptions options;
    options.force = true;
    ASSERT_TRUE(merge(inputs, true, dir_ / "out.sdsz", options, {}));
    const auto labels = labels_of(*Recording::open(dir_ / "out.sdsz"));
    ASSERT_EQ(labels->labels.size(), 2u);
    EXPECT_EQ(labels->tick_frequency, (Frequency{1'000'000, 1}));
    EXPECT_EQ(labels->labels[0].begin, 10'010'000'000u);
    EXPECT_EQ(labels->labels[0].end, 10'020'000'000u);
    EXPECT_EQ(labels->labels[1].begin, 20'110'000'400u);
    EXPECT_EQ(labels->labels[1].end, 20'115'000'400u);
  }
}

// Labels are of a stream, and go by its clock: of the second recording, ten to fifteen seconds after its begin.
TEST_F(CountersApart, LabelsGoByTheClockOfTheirStream) {
  test::write_file(dir_ / "b.labels.yml",
                   "labels:\n  version: 1\n  intervals:\n    - {class: f, from: 110, to: 115, stream: Fast}\n"
                   "    - {class: s, from: 110, to: 115, stream: Slow}\n");
  std::vector<MergeInput> inputs;
  for (const char* name : {"a", "b"}) inputs.push_back({*Recording::open(dir_ / (std::string(name) + ".sdsz")), name});
  ASSERT_TRUE(merge(inputs, true, dir_ / "out.sdsz", {}, {}));
  const auto labels = labels_of(*Recording::open(dir_ / "out.sdsz"));
  ASSERT_TRUE(labels);
  ASSERT_EQ(labels->labels.size(), 2u);
  const double turns_s = static_cast<double>(kTurns) / 1e6;
  for (const auto& label : labels->labels) {
    const double begin = label.name == "f" ? 20'110 - turns_s : 20'110;
    EXPECT_NEAR(labels->seconds_of(label.begin), begin, 0.002) << label.name;
    EXPECT_NEAR(labels->seconds_of(label.end), begin + 5, 0.002) << label.name;
  }
}

}  // namespace
}  // namespace sds
