// Pipelines without models: windows, conversions, scores, times, alignment, and what is wrong with a file.
#include "sds/bridge/pipeline.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "sds/bridge/replay_job.hpp"
#include "support/recordings.hpp"
#include "support/sanitized.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

struct Out {
  std::uint64_t tick;
  std::vector<double> values;
  bool operator==(const Out&) const = default;
};

void PrintTo(const Out& out, std::ostream* stream) {
  *stream << out.tick << ":";
  for (const double v : out.values) *stream << " " << v;
}

class PipelineTest : public ::testing::Test {
 protected:
  // Blocks of int16 samples of one channel "a" at 1 kHz of a 1 MHz clock, counted through from `first`.
  void write_stream(const std::string& name, const std::vector<std::pair<std::uint32_t, int>>& ticks_and_sizes,
                    int first = 0) {
    std::vector<test::TestBlock> blocks;
    int next = first;
    for (const auto& [tick, size] : ticks_and_sizes) {
      std::string data;
      for (int i = 0; i < size; ++i, ++next) {
        data.push_back(static_cast<char>(next & 0xFF));
        data.push_back(static_cast<char>((next >> 8) & 0xFF));
      }
      blocks.push_back({tick, data});
    }
    test::write_file(dir_ / (name + ".0.sds"), test::plain(blocks));
    test::write_file(dir_ / (name + ".sds.yml"),
                     "sds:\n  name: s\n  tick-frequency: 1000000\n  sample-frequency: 1000\n  content:\n"
                     "    - {value: a, type: int16_t, scale: 0.5, offset: 1}\n");
  }

  std::filesystem::path write_pipeline(const std::string& stages, const std::string& input = "S") {
    test::write_file(dir_ / "p.yml", "pipeline:\n  name: Out\n  input: " + input + "\n  stages:\n" + stages);
    return dir_ / "p.yml";
  }

  Expected<Recording> open(const std::vector<std::string>& streams) {
    std::vector<std::filesystem::path> paths;
    for (const auto& stream : streams) paths.push_back(dir_ / (stream + ".0.sds"));
    return Recording::open(paths, {});
  }

  // The physical values that come out of the last stage.
  std::vector<Out> run(const std::string& stages, const std::vector<std::string>& streams = {"S"},
                       const std::string& input = "S", const std::string& id = "") {
    ReplayJob job;
    job.algorithm = parse_algorithm(write_pipeline(stages, input).string());
    job.output = dir_ / "out.sdsz";
    job.if_exists = IfExists::overwrite;
    auto recording = open(streams);
    auto result = run_job(*recording, job);
    if (!result) {
      ADD_FAILURE() << result.error().to_string();
      return {};
    }
    failures_ = result->runs[0].failures;
    gaps_ = result->runs[0].gaps;
    gaps_in_time_ = result->runs[0].gaps_in_time;
    restarts_ = result->runs[0].restarts;
    return read(id);
  }

  std::vector<Out> read(const std::string& id) {
    auto outputs = Recording::open(dir_ / "out.sdsz");
    const std::size_t index = id.empty() ? outputs->streams().size() - 1 : *outputs->find_stream(id);
    const auto& metadata = *outputs->streams()[index].metadata;
    EXPECT_TRUE(metadata.notes.empty());
    auto cursor = outputs->cursor(index);
    std::vector<Out> all;
    for (;;) {
      auto block = (*cursor)->next();
      if (!*block) return all;
      Out out{(*block)->tick, {}};
      EXPECT_EQ((*block)->data.size(), metadata.sample_bytes);
      for (const auto& channel : metadata.channels)
        for (std::size_t i = 0; i < channel.count(); ++i)
          out.values.push_back(raw_value(channel, (*block)->data.data(), i) * channel.scale + channel.offset);
      all.push_back(out);
    }
  }

  std::string error_of(const std::string& stages, const std::string& input = "S") {
    auto recording = open({"S"});
    auto made = make_pipeline(write_pipeline(stages, input), {&recording->streams()[0]}, {});
    return made ? "fine" : made.error().message;
  }

  test::TempDir dir_;
  std::vector<AlgorithmFailure> failures_;
  std::uint64_t gaps_ = 0;
  std::uint64_t gaps_in_time_ = 0;
  std::uint64_t restarts_ = 0;
};

TEST_F(PipelineTest, WindowsAreCutAcrossBlocksAndCarryTheTimeOfTheirLastSample) {
  write_stream("S", {{1000, 3}, {4000, 1}, {5000, 6}});  // samples 0 to 9 at 1, 2, ... 10 ms
  const std::vector<Out> expected{{4000, {1, 1.5, 2, 2.5}}, {7000, {2.5, 3, 3.5, 4}}, {10000, {4, 4.5, 5, 5.5}}};
  EXPECT_EQ(run("    - window: {length: 4, stride: 3}\n"), expected);
}

TEST_F(PipelineTest, AStrideLongerThanTheWindowLeavesSamplesOut) {
  write_stream("S", {{0, 4}, {4000, 7}});
  const std::vector<Out> expected{{1000, {1, 1.5}}, {6000, {3.5, 4}}};
  EXPECT_EQ(run("    - window: {length: 2, stride: 5}\n"), expected);
}

TEST_F(PipelineTest, TheSizesOfBlocksDoNotMatter) {
  write_stream("S", {{0, 100}});
  const auto once = run("    - window: {length: 7, stride: 2}\n    - stack: {count: 3, stride: 2}\n");
  std::vector<std::pair<std::uint32_t, int>> pieces;
  for (std::uint32_t i = 0; i < 100; ++i) pieces.emplace_back(i * 1000, 1);
  write_stream("S", pieces);
  EXPECT_EQ(run("    - window: {length: 7, stride: 2}\n    - stack: {count: 3, stride: 2}\n"), once);
  EXPECT_EQ(once.size(), 23u);
  EXPECT_EQ(once[0].values.size(), 21u);
}

TEST_F(PipelineTest, ConversionsRoundClipAndScale) {
  write_stream("S", {{0, 5}}, -2);  // physical 0, 0.5, 1, 1.5, 2
  EXPECT_EQ(run("    - window: {length: 5}\n    - convert: {to: int8, scale: 0.25, zero-point: -128}\n")[0].values,
            (std::vector<double>{0, 0.5, 1, 1.5, 2}));
  EXPECT_EQ(run("    - window: {length: 5}\n    - convert: {to: uint8, gain: 200, bias: -10}\n")[0].values,
            (std::vector<double>{0, 90, 190, 255, 255}));
  // Ties are rounded away from zero before the zero point is added, as TensorFlow Lite Micro's Quantize does:
  // 0, 0.5, 1, 1.5, 2 become 0, 1, 1, 2, 2.
  EXPECT_EQ(run("    - window: {length: 5}\n    - convert: {to: int8, zero-point: -128}\n")[0].values,
            (std::vector<double>{0, 1, 1, 2, 2}));
  EXPECT_EQ(run("    - window: {length: 5}\n    - convert: {to: float, gain: 0.5}\n")[0].values,
            (std::vector<double>{0, 0.25, 0.5, 0.75, 1}));
}

TEST_F(PipelineTest, ScoresAreSmoothedDecidedAndDebounced) {
  write_stream("S", {{0, 6}});
  // Windows of two are rows of two scores once stacked: (1, 1.5), (2, 2.5), (3, 3.5).
  const std::string scores = "    - window: {length: 2}\n    - stack: {count: 1}\n";
  EXPECT_EQ(run(scores + "    - smooth: {count: 2}\n"),
            (std::vector<Out>{{1000, {1, 1.5}}, {3000, {1.5, 2}}, {5000, {2.5, 3}}}));
  EXPECT_EQ(run(scores + "    - argmax: true\n"), (std::vector<Out>{{1000, {1}}, {3000, {1}}, {5000, {1}}}));
  EXPECT_EQ(run(scores + "    - debounce: {threshold: 2.5}\n"), (std::vector<Out>{{3000, {1}}, {5000, {1}}}));
  EXPECT_EQ(run(scores + "    - debounce: {threshold: 0, count: 2, hold: 5}\n"), (std::vector<Out>{{3000, {1}}}));
}

TEST_F(PipelineTest, AnyStageCanBeRecorded) {
  write_stream("S", {{0, 6}});
  const auto last = run("    - {window: {length: 2}, record: Windows}\n    - stack: {count: 1}\n    - argmax: true\n");
  EXPECT_EQ(last.size(), 3u);
  EXPECT_EQ(read("Windows").size(), 3u);
  EXPECT_EQ(read("Windows")[1], (Out{3000, {2, 2.5}}));
}

TEST_F(PipelineTest, ACompiledAlgorithmIsAStage) {
  write_stream("S", {{0, 6}});
  const auto out = run("    - window: {length: 2}\n    - algorithm: " SDSKIT_LIB_DIR
                       "/bad_prints.so\n      output: {type: uint32, labels: [sum]}\n");
  EXPECT_EQ(out, (std::vector<Out>{{1000, {1}}, {3000, {6}}, {5000, {15}}}));
}

TEST_F(PipelineTest, StreamsOfDifferentRatesAreJoinedByTheNewestSampleInHand) {
  write_stream("S", {{2000, 4}, {6000, 4}});
  std::vector<test::TestBlock> slow{{1000, std::string("\x0A\0", 2)}, {4500, std::string("\x14\0", 2)}};
  test::write_file(dir_ / "T.0.sds", test::plain(slow));
  test::write_file(dir_ / "T.sds.yml",
                   "sds:\n  name: t\n  tick-frequency: 1000000\n  sample-frequency: 100\n  content:\n"
                   "    - {value: b, type: int16_t}\n");
  const auto out = run("    - window: {length: 1}\n", {"S", "T"}, "[S, T]");
  ASSERT_EQ(out.size(), 8u);
  EXPECT_EQ(out[0], (Out{2000, {1, 10}}));
  EXPECT_EQ(out[3], (Out{5000, {2.5, 10}})) << "the block of 4.5 ms came only after the one of 2 ms";
  EXPECT_EQ(out[4], (Out{6000, {3, 20}}));
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PipelineTest, ASampleIsJoinedWithNoneThatIsLaterHoweverCoarseTheTicks) {
  // 16 samples a tick: all of a tick would look simultaneous if times were rounded to ticks.
  const auto write = [&](const std::string& name, const std::string& frequency, std::uint32_t tick, int count) {
    std::string data;
    for (int i = 0; i < count; ++i) data.push_back(static_cast<char>(i));
    test::write_file(dir_ / (name + ".0.sds"), test::plain({{tick, data}}));
    test::write_file(dir_ / (name + ".sds.yml"), "sds:\n  name: s\n  tick-frequency: 1000\n  sample-frequency: " +
                                                     frequency + "\n  content:\n    - {value: a, type: uint8_t}\n");
  };
  write("A", "16000", 0, 120);
  write("S", "4000", 1, 25);
  const auto out = run("    - window: {length: 1}\n", {"A", "S"}, "[S, A]");
  ASSERT_EQ(out.size(), 25u);
  for (std::size_t i = 0; i < 25; ++i)
    EXPECT_EQ(out[i], (Out{1 + i / 4, {static_cast<double>(i), static_cast<double>(16 + 4 * i)}}));
  // Sample i of S lies at 1 + i/7 seconds, A's k at k/3: every seventh of S is at the very time of one of A.
  write("A", "3", 0, 15);
  write("S", "7", 1000, 28);
  const auto odd = run("    - window: {length: 1}\n", {"A", "S"}, "[S, A]");
  ASSERT_EQ(odd.size(), 28u);
  for (std::size_t i = 0; i < 28; ++i)
    EXPECT_EQ(odd[i].values, (std::vector<double>{static_cast<double>(i), static_cast<double>(3 + i * 3 / 7)}));
}

// Of two streams whose sensors run at other than the nominal rate, so that their blocks overlap or lie apart: looked up
// among all samples that were delivered, in whole microseconds.
std::vector<Out> joined_by_hand(const std::vector<std::pair<std::uint32_t, int>>& s,
                                const std::vector<std::pair<std::uint32_t, int>>& a) {
  std::vector<Out> all;
  int s_first = 0;
  for (const auto& [tick, size] : s) {
    for (int i = 0; i < size; ++i) {
      const std::uint32_t time = tick + 1000 * i;
      std::optional<std::pair<std::uint32_t, int>> newest;  // time, number
      int a_first = 0;
      for (const auto& [a_tick, a_size] : a) {
        for (int k = 0; a_tick < tick && k < a_size && a_tick + 1000 * k <= time; ++k)
          if (!newest || a_tick + 1000 * k >= newest->first) newest = {a_tick + 1000 * k, a_first + k};
        a_first += a_size;
      }
      if (newest) all.push_back({time, {(s_first + i) * 0.5 + 1, newest->second * 0.5 + 1}});
    }
    s_first += size;
  }
  return all;
}

TEST_F(PipelineTest, SamplesAreJoinedByTheirTimesWhereBlocksOverlapByDrift) {
  const std::vector<double> s_rates{1010.0, 990.0, 1000.0};
  const std::vector<double> a_rates{1010.0, 990.0, 1050.0, 970.0};
  for (std::size_t rates = 0; rates < s_rates.size() * a_rates.size(); rates += test::step_of_search(5)) {
    const double s_rate = s_rates[rates / a_rates.size()];
    const double a_rate = a_rates[rates % a_rates.size()];
    const auto blocks = [](double rate, int size, int count, std::uint32_t begin) {
      std::vector<std::pair<std::uint32_t, int>> all;
      for (int k = 0; k < count; ++k)
        all.emplace_back(begin + static_cast<std::uint32_t>(std::lround(k * size * 1e6 / rate)), size);
      return all;
    };
    const auto s = blocks(s_rate, 200, 30, 700);
    const auto a = blocks(a_rate, 170, 35, 300);
    write_stream("S", s);
    write_stream("A", a);
    EXPECT_EQ(run("    - window: {length: 1}\n", {"S", "A"}, "[S, A]"), joined_by_hand(s, a));
    EXPECT_TRUE(failures_.empty()) << s_rate << " " << a_rate;
  }
}

TEST_F(PipelineTest, AStreamThatIsFarAheadLosesNothing) {
  constexpr int kMany = (1 << 20) + 1000;
  std::string data;
  for (int i = 0; i < kMany; ++i) data.push_back(static_cast<char>(i % 251));
  test::write_file(dir_ / "A.0.sds", test::plain({{0, data}}));
  test::write_file(dir_ / "A.sds.yml",
                   "sds:\n  name: t\n  tick-frequency: 1000000\n  sample-frequency: 1000000\n  content:\n"
                   "    - {value: b, type: uint8_t}\n");
  write_stream("S", {{1000, 2}, {1048000, 2}});
  const auto out = run("    - window: {length: 1}\n", {"A", "S"}, "[S, A]");
  ASSERT_EQ(out.size(), 4u);
  EXPECT_EQ(out[0], (Out{1000, {1, 1000 % 251}}));
  EXPECT_EQ(out[1], (Out{2000, {1.5, 2000 % 251}}));
  EXPECT_EQ(out[2], (Out{1048000, {2, 1048000 % 251}}));
  EXPECT_EQ(out[3], (Out{1049000, {2.5, 1049000 % 251}}));
}

TEST_F(PipelineTest, JoinedValuesKeepAllTheirBits) {
  const auto write = [&](const std::string& name, const std::string& content, const std::string& data,
                         std::uint32_t tick) {
    test::write_file(dir_ / (name + ".0.sds"), test::plain({{tick, data}}));
    test::write_file(dir_ / (name + ".sds.yml"), "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n" + content);
  };
  const std::string odd = test::le32(16777217) + test::le32(0x80000001u);
  write("S", "    - {value: a, type: int32_t}\n", odd, 1);
  write("A", "    - {value: b, type: int32_t}\n", test::le32(7) + test::le32(2147483647), 0);
  const auto joined = run("    - window: {length: 1}\n", {"A", "S"}, "[S, A]");
  ASSERT_EQ(joined.size(), 2u);
  EXPECT_EQ(joined[0].values, (std::vector<double>{16777217, 2147483647}));
  EXPECT_EQ(joined[1].values, (std::vector<double>{-2147483647, 2147483647}));
  write("A", "    - {value: b, type: int16_t}\n", std::string("\x01\0\x02\0", 4), 0);
  const auto mixed = run("    - window: {length: 1}\n", {"A", "S"}, "[S, A]");
  ASSERT_EQ(mixed.size(), 2u);
  EXPECT_EQ(mixed[0].values, (std::vector<double>{16777217, 2}));
  EXPECT_EQ(mixed[1].values, (std::vector<double>{-2147483647, 2}));
  write("S", "    - {value: a, type: int32_t}\n    - {value: b, type: int16_t}\n",
        test::le32(16777217) + std::string("\x05\0", 2), 1);
  const auto alone = run("    - window: {length: 1}\n");
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].values, (std::vector<double>{16777217, 5})) << "channels of different types";
}

TEST_F(PipelineTest, AWindowOfWindowsCarriesTheTimeOfItsOwnLastSample) {
  write_stream("S", {{1000, 3}, {4400, 9}});  // 1, 2, 3, 4.4, 5.4, ... 12.4 ms
  // Rows of the inner windows: 0 1 2 3, 4 5 6 7, 8 9 10 11; the outer ones take three of them at a time.
  const auto out = run("    - window: {length: 4}\n    - window: {length: 3}\n");
  EXPECT_EQ(
      out, (std::vector<Out>{{3000, {1, 1.5, 2}}, {6400, {2.5, 3, 3.5}}, {9400, {4, 4.5, 5}}, {12400, {5.5, 6, 6.5}}}));
  const auto overlapping = run("    - window: {length: 4, stride: 2}\n    - window: {length: 3}\n");
  EXPECT_EQ(overlapping.size(), 6u);
  EXPECT_EQ(overlapping[1], (Out{4400, {2.5, 2, 2.5}})) << "rows 3, 2, 3";
}

// Two float scores a sample.
class ScoreTest : public PipelineTest {
 protected:
  void write_scores(const std::vector<std::pair<float, float>>& scores) {
    std::string data;
    for (const auto& [a, b] : scores)
      data += test::le32(std::bit_cast<std::uint32_t>(a)) + test::le32(std::bit_cast<std::uint32_t>(b));
    test::write_file(dir_ / "S.0.sds", test::plain({{0, data}}));
    test::write_file(dir_ / "S.sds.yml",
                     "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n"
                     "    - {value: a, type: float}\n    - {value: b, type: float}\n");
  }
};

TEST_F(ScoreTest, TheFloatOfAThresholdReachesIt) {
  write_scores({{0.1f, 0.69f}, {0.1f, 0.7f}});
  EXPECT_EQ(run("    - window: {length: 1}\n    - debounce: {threshold: 0.7}\n"), (std::vector<Out>{{1, {1}}}));
}

TEST_F(ScoreTest, LargeIntegersAreToldFromTheirNeighbours) {
  const auto write = [&](const std::string& type, const std::string& data) {
    test::write_file(dir_ / "S.0.sds", test::plain({{0, data}}));
    test::write_file(dir_ / "S.sds.yml",
                     "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n    - {value: a, type: " + type +
                         "}\n    - {value: b, type: " + type + "}\n");
  };
  const std::string high = test::le32(1u << 29);  // upper half of 2^61
  const std::string big = test::le32(0) + high;
  const std::string one_more = test::le32(1) + high;
  for (const std::string type : {"int64_t", "uint64_t"}) {
    write(type, big + one_more + one_more + big);
    EXPECT_EQ(run("    - window: {length: 1}\n    - argmax: true\n"), (std::vector<Out>{{0, {1}}, {1, {0}}}));
    // 2^61 + 512, the next double, is not reached by 2^61 + 1.
    EXPECT_EQ(run("    - window: {length: 1}\n    - debounce: {threshold: 2305843009213694464}\n"), std::vector<Out>{});
    // Thresholds have all their digits: 2^61 + 1 is reached, and 2^61 + 2 is not.
    EXPECT_EQ(run("    - window: {length: 1}\n    - debounce: {threshold: 2305843009213693953}\n"),
              (std::vector<Out>{{0, {1}}, {1, {0}}}));
    EXPECT_EQ(run("    - window: {length: 1}\n    - debounce: {threshold: 2305843009213693954}\n"), std::vector<Out>{});
  }
  const std::string low = test::le32(7);
  // Small ones, too, though the float next to the threshold is the count.
  write("uint32_t", test::le32(1000) + low + test::le32(1001) + low);
  EXPECT_EQ(run("    - window: {length: 1}\n    - debounce: {threshold: 1000.00001}\n"), (std::vector<Out>{{1, {0}}}));
  write("uint32_t", test::le32(16777216) + low + test::le32(16777217) + low + low + test::le32(16777218));
  EXPECT_EQ(run("    - window: {length: 1}\n    - debounce: {threshold: 16777217}\n"),
            (std::vector<Out>{{1, {0}}, {2, {1}}}));
}

TEST_F(ScoreTest, WhatIsNoNumberNeverLeadsWhereverItStands) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  write_scores({{nan, 0.2f}, {0.2f, nan}, {nan, nan}, {0.1f, 0.2f}});
  EXPECT_EQ(run("    - window: {length: 1}\n    - argmax: true\n"), (std::vector<Out>{{0, {1}}, {1, {0}}, {3, {1}}}))
      << "one window without an answer does not take those of its block along";
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_NE(failures_[0].reason.find("none of the scores is a number"), std::string::npos);
  const auto outputs = Recording::open(dir_ / "out.sdsz");
  const auto& gaps = outputs->sdsz()->streams()[0].gaps;
  ASSERT_EQ(gaps.size(), 1u) << "the failure is recorded in front of what its block gave";
  EXPECT_EQ(gaps[0].before_block, 0u);
}

TEST_F(PipelineTest, AGapBeginsWindowsAnew) {
  const std::string yaml = "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n    - {value: a, type: uint8_t}\n";
  auto writer = SdszWriter::create(dir_ / "gap.sdsz", {}, {});
  auto id = writer->add_stream({"S", "0", false, "", "S.sds.yml", yaml});
  ASSERT_TRUE(writer->append(*id, 0, as_bytes("abc")));
  ASSERT_TRUE(writer->add_gap(*id, "lost"));
  ASSERT_TRUE(writer->append(*id, 10, as_bytes("defgh")));
  ASSERT_TRUE(writer->close());
  ReplayJob job;
  job.algorithm = parse_algorithm(write_pipeline("    - window: {length: 2}\n").string());
  job.output = dir_ / "out.sdsz";
  auto result = run_job(*Recording::open(dir_ / "gap.sdsz"), job);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->runs[0].gaps, 1u);
  EXPECT_EQ(read(""), (std::vector<Out>{{1, {'a', 'b'}}, {11, {'d', 'e'}}, {13, {'f', 'g'}}}));
}

TEST_F(PipelineTest, AGapInTimeAndAStepBackBeginWindowsAnew) {
  // Blocks of 4 ms; jitter of 1 ms is none, 3 ms too late is a gap.
  write_stream("S", {{0, 4}, {4000, 4}, {9000, 4}, {16000, 4}, {20000, 4}, {10000, 4}, {14000, 4}});
  std::vector<std::uint64_t> ticks;
  for (const auto& out : run("    - window: {length: 6}\n")) ticks.push_back(out.tick);
  EXPECT_EQ(ticks, (std::vector<std::uint64_t>{5000, 12000, 21000, 15000}));
  EXPECT_EQ(gaps_in_time_, 2u);
  EXPECT_EQ(gaps_, 0u);
  // What a slow stream holds stays in hand across a gap of the other one.
  write_stream("T", {{0, 1}, {8000, 1}}, 100);
  const auto joined = run("    - window: {length: 2}\n", {"S", "T"}, "[S, T]");
  ASSERT_GT(joined.size(), 5u);
  EXPECT_EQ(joined.at(4), (Out{17000, {1 + 12 * 0.5, 1 + 101 * 0.5, 1 + 13 * 0.5, 1 + 101 * 0.5}}));
}

TEST_F(PipelineTest, WhatFollowsAFrameThatFailedBeginsAnew) {
  test::write_file(dir_ / "S.0.sds", test::plain({{0, std::string("\1\2", 2) + "3" + std::string("\4\5\6", 3)}}));
  test::write_file(dir_ / "S.sds.yml",
                   "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n    - {value: a, type: uint8_t}\n");
  // Sums of the bytes so far; that of "3", which is 51, fails.
  const auto out = run("    - window: {length: 1}\n    - algorithm: " SDSKIT_LIB_DIR
                       "/bad_returns_error.so\n      output: {type: uint32, labels: [sum]}\n    - stack: {count: 2}\n");
  EXPECT_EQ(out, (std::vector<Out>{{1, {1, 3}}, {4, {58, 63}}, {5, {63, 69}}}));
  EXPECT_EQ(restarts_, 1u);
  EXPECT_EQ(failures_.size(), 1u);
}

TEST_F(PipelineTest, WhatCameBeforeTheFrameOfACrashIsKeptAsBeforeThatOfAnErrorCode) {
  // The third window of the second block is "3".
  test::write_file(dir_ / "S.0.sds",
                   test::plain({{0, std::string("\1\2\3", 3)}, {3, std::string("\4\5", 2) + "3\6"}, {7, "\7"}}));
  test::write_file(dir_ / "S.sds.yml",
                   "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n    - {value: a, type: uint8_t}\n");
  const std::vector<Out> sums{{0, {1}}, {1, {3}}, {2, {6}}, {3, {10}}, {4, {15}}};
  const std::vector<Out> sums_of_sums{{0, {1}}, {1, {4}}, {2, {10}}, {3, {20}}, {4, {35}}};
  const std::string output = ".so\n      output: {type: uint32, labels: [sum]}\n";
  const std::string another = "    - algorithm: " SDSKIT_LIB_DIR "/bad_keeps_state" + output;
  for (const std::string fault : {"returns_error", "aborts", "exits"})
    for (const bool has_another : {false, true}) {
      auto out = run("    - window: {length: 1}\n    - algorithm: " SDSKIT_LIB_DIR "/bad_" + fault + output +
                     (has_another ? another : ""));
      const auto& before = has_another ? sums_of_sums : sums;
      if (fault == "returns_error") out.resize(std::min(out.size(), before.size()));  // it goes on
      EXPECT_EQ(out, before) << fault;
      ASSERT_EQ(failures_.size(), 1u);
      EXPECT_EQ(failures_[0].ordinal, 1u);
    }
}

TEST_F(PipelineTest, AnErrorCodeInFrontOfACrashInItsBlockIsToldAndLeavesAGap) {
  // Sums of the bytes so far; "3" fails. The last one is 0x133, whose first byte is the "3" that the next stage dies
  // on.
  test::write_file(dir_ / "S.0.sds", test::plain({{0, "\1"},
                                                  {1,
                                                   "\2"
                                                   "3"
                                                   "\1\xFC\1"},
                                                  {6, "\1"}}));
  test::write_file(dir_ / "S.sds.yml",
                   "sds:\n  name: s\n  sample-frequency: 1000\n  content:\n    - {value: a, type: uint8_t}\n");
  const std::string output = ".so\n      output: {type: uint32, labels: [sum]}\n";
  // Behind the failure the sums of sums begin anew.
  EXPECT_EQ(run("    - window: {length: 1}\n    - algorithm: " SDSKIT_LIB_DIR "/bad_returns_error" + output +
                "    - algorithm: " SDSKIT_LIB_DIR "/bad_aborts" + output),
            (std::vector<Out>{{0, {1}}, {1, {4}}, {3, {55}}}));
  ASSERT_EQ(failures_.size(), 2u);
  EXPECT_EQ(failures_[0].ordinal, 1u);
  EXPECT_NE(failures_[0].reason.find("returned -1"), std::string::npos) << failures_[0].reason;
  EXPECT_EQ(failures_[1].ordinal, 1u);
  EXPECT_NE(failures_[1].reason.find("crashed"), std::string::npos) << failures_[1].reason;
  const auto outputs = Recording::open(dir_ / "out.sdsz");
  const auto& gaps = outputs->sdsz()->streams()[0].gaps;
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_EQ(gaps[0].before_block, 1u) << "in front of what its block gave";
  EXPECT_EQ(gaps[1].before_block, 3u);
}

TEST_F(PipelineTest, ABlockOfOddBytesFailsAloneAndIsNamed) {
  write_stream("S", {{0, 4}});
  test::write_file(dir_ / "S.0.sds", test::plain({{0, "abcd"}, {4000, "xyz"}, {6000, "efgh"}}));
  EXPECT_EQ(run("    - window: {length: 2}\n").size(), 2u);
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_EQ(failures_[0].ordinal, 1u);
  EXPECT_EQ(failures_[0].reason, "a block of 3 bytes is no whole number of samples of 2 bytes");
}

TEST_F(PipelineTest, ProblemsNameTheirLine) {
  write_stream("S", {{0, 4}});
  EXPECT_EQ(error_of("    - window: {length: 2}\n"), "fine");
  EXPECT_EQ(error_of("    - window: {length: 0}\n"), "line 5: 'length: 0' must be a whole number from 1 to 16777216");
  EXPECT_EQ(error_of("    - window: {size: 2}\n"), "line 5: stage 'window' needs 'length:'");
  EXPECT_EQ(error_of("    - window: {length: 2, size: 1}\n"),
            "line 5: stage 'window' has no key 'size'; it has: length, stride");
  EXPECT_EQ(error_of("    - argmax: true\n"), "line 5: it takes one row of scores, and gets int16_t [any x 1]");
  EXPECT_EQ(error_of("    - select: [b]\n"), "line 5: there is no column 'b'; there is: a");
  EXPECT_EQ(
      error_of("    - {}\n"),
      "line 5: a stage needs one of: window, stack, select, convert, fft, mfe, mfcc, filter, features, model, argmax, "
      "smooth, debounce, algorithm, "
      "worker");
  EXPECT_EQ(error_of("    - {argmax: true, window: {length: 2}}\n"),
            "line 5: one stage does one thing: this one has two");
  EXPECT_EQ(error_of("    - convert: {to: complex}\n"),
            "line 5: no type 'complex'; there is: int8, uint8, int16, uint16, int32, uint32, float, double");
  EXPECT_EQ(error_of("    - {window: {length: 2}, record: a/b}\n").find("line 5: "), 0u);
  EXPECT_EQ(error_of("    - model: m.tflite\n      engine: fast\n"),
            "line 5: no engine 'fast'; there is: tflm, litert, litert-ref, onnx");
  EXPECT_EQ(error_of("    - window: {length: 16777216}\n    - stack: {count: 3}\n").find("line 6: a window of 3 rows"),
            0u);
  EXPECT_EQ(error_of("    - window: [\n").find("line "), 0u);
  EXPECT_EQ(error_of("  not: [a list]\n").find("line "), 0u);
  test::write_file(dir_ / "p.yml", "pipelines: {}\n");
  EXPECT_EQ(pipeline_inputs(dir_ / "p.yml").error().message, "line 1: the file needs 'pipeline:'");
  EXPECT_EQ(pipeline_inputs(dir_ / "none.yml").error().code, ErrorCode::io);
}

}  // namespace
}  // namespace sds
