#include "sds/bridge/replay_run.hpp"

#include <gtest/gtest.h>

#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::TestBlock;

class ReplayRun : public ::testing::Test {
 protected:
  void SetUp() override {
    test::write_file(dir_ / "In.0.sds", test::plain({{10, "1 a"}, {20, "2 b"}, {30, ""}, {40, "3 c"}, {50, "4 d"}}));
    test::write_file(dir_ / "In.sds.yml", "sds:\n  name: In\n  content:\n    - {value: v, type: uint8_t}\n");
  }

  Expected<RunReport> run(const std::string& library, OutputRecorder* outputs = nullptr) {
    auto recording = Recording::open(dir_ / "In.0.sds");
    LibraryOptions library_options;
    library_options.library = std::filesystem::path(SDSKIT_LIB_DIR) / (library + ".so");
    library_options.arm_output = {"Out", 4, ""};
    library_options.timeout = std::chrono::milliseconds(1000);
    auto algorithm = start_process_algorithm(library_options);
    if (!algorithm) return fail(algorithm);
    return run_replay(*recording, **algorithm, outputs, {});
  }

  test::TempDir dir_;
};

TEST_F(ReplayRun, OutputsCarryTheTimeslotsOfTheirInputs) {
  StreamDescription stream{"Out", "0",           true,
                           "",    "Out.sds.yml", "sds:\n  name: Out\n  content:\n    - {value: s, type: uint32_t}\n"};
  auto outputs = OutputRecorder::create(dir_ / "out", {stream}, {}, IfExists::fail);
  ASSERT_TRUE(outputs) << outputs.error().to_string();
  const auto report = run("bad_prints", &*outputs);
  ASSERT_TRUE(report) << report.error().to_string();
  ASSERT_TRUE(outputs->close());
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->blocks, 5u);
  EXPECT_EQ(report->outputs, 4u);  // the empty block has nothing to execute on
  const auto blocks = test::read_blocks(dir_ / "out" / "Out.0.p.sds");
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_EQ(blocks[0].timeslot, 10u);
  EXPECT_EQ(blocks[2].timeslot, 40u);
  EXPECT_EQ(blocks[0].data, test::le32('1' + ' ' + 'a'));
  EXPECT_TRUE(std::filesystem::exists(dir_ / "out" / "Out.sds.yml"));
  EXPECT_EQ(report->durations.count(), 4u);
}

TEST_F(ReplayRun, TwoRunsHaveEqualFingerprintsAndACrashHasAnother) {
  const auto first = run("bad_prints");
  const auto second = run("bad_prints");
  EXPECT_EQ(first->input_fingerprint, second->input_fingerprint);
  EXPECT_EQ(first->output_fingerprint, second->output_fingerprint);
  EXPECT_NE(first->output_fingerprint, run("bad_aborts")->output_fingerprint);
}

TEST_F(ReplayRun, ACrashIsReportedWithItsBlockAndKeepsWhatCameBefore) {
  const auto report = run("bad_over_read");
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->ok());
  EXPECT_FALSE(report->finished);
  EXPECT_EQ(report->outputs, 2u);
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures[0].ordinal, 3u);
  EXPECT_EQ(report->failures[0].timeslot, 40u);
}

// A recording of outputs does not look whole where the algorithm failed: after two outputs, or before the third of
// four.
TEST_F(ReplayRun, WhereOutputsAreMissingThereIsAGap) {
  for (const auto& [library, reason, blocks, before] :
       {std::tuple{"bad_over_read", "block 3 of the input (timeslot 40) failed: ", 2u, 2u},
        std::tuple{"bad_returns_error", "block 3 of the input (timeslot 40) failed: the algorithm returned -1", 3u,
                   2u}}) {
    const auto path = dir_ / (std::string(library) + ".sdsz");
    auto outputs = OutputRecorder::create(path, {{"Out", "0", true, "", "", ""}}, {}, IfExists::fail);
    ASSERT_TRUE(outputs);
    const auto report = run(library, &*outputs);
    ASSERT_TRUE(report);
    ASSERT_TRUE(outputs->close());
    const auto recording = Recording::open(path);
    ASSERT_TRUE(recording);
    EXPECT_EQ(test::read_blocks(path).size(), blocks) << library;
    const auto& gaps = recording->sdsz()->streams()[0].gaps;
    ASSERT_EQ(gaps.size(), 1u) << library;
    EXPECT_EQ(gaps[0].before_block, before) << library;
    EXPECT_EQ(gaps[0].reason.find(reason), 0u) << gaps[0].reason;
    if (report->finished) continue;
    EXPECT_EQ(report->blocks, 4u);
    EXPECT_EQ(report->input_bytes, 9u);
    EXPECT_NEAR(report->recorded_seconds, 0.030, 1e-9);
  }
}

TEST_F(ReplayRun, AReturnedErrorSkipsThatOutputAndGoesOn) {
  const auto report = run("bad_returns_error");
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->finished);
  EXPECT_FALSE(report->ok());
  EXPECT_EQ(report->outputs, 3u);
  EXPECT_EQ(report->failures.at(0).reason, "the algorithm returned -1");
}

TEST_F(ReplayRun, AHangFailsTheRun) {
  const auto report = run("bad_hangs");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->failures.at(0).reason, "ExecuteAlgorithm did not return within 1000 ms");
}

TEST_F(ReplayRun, TheRecordedTimeEndsWithTheLastBlock) {
  test::write_file(dir_ / "In.sds.yml",
                   "sds:\n  name: In\n  sample-frequency: 100\n  content:\n    - {value: v, type: uint8_t}\n");
  // Ticks are milliseconds; the last block begins at 50 ms and has 3 samples of 10 ms; the first begins at 10 ms.
  EXPECT_DOUBLE_EQ(run("bad_prints")->recorded_seconds, 0.07);
}

TEST(DurationHistogram, InterpolatesBetweenNeighbours) {
  using std::chrono::milliseconds;
  DurationHistogram histogram;
  histogram.add(milliseconds(9));
  histogram.add(milliseconds(1));
  EXPECT_EQ(histogram.percentile(0.5), milliseconds(5));
  EXPECT_EQ(histogram.percentile(0.0), milliseconds(1));
  EXPECT_EQ(histogram.percentile(1.0), milliseconds(9));
  histogram.add(milliseconds(2));
  EXPECT_EQ(histogram.percentile(0.5), milliseconds(2));
  EXPECT_EQ(histogram.percentile(0.75).count(), 5500000);  // numpy.percentile([1, 2, 9], 75) is 5.5
  EXPECT_EQ(histogram.total(), milliseconds(12));
}

TEST(DurationHistogram, GivesPercentilesWithinItsBuckets) {
  DurationHistogram histogram;
  EXPECT_EQ(histogram.percentile(0.5).count(), 0);
  for (int i = 1; i <= 10000; ++i) histogram.add(std::chrono::nanoseconds(i * 1000));
  EXPECT_NEAR(static_cast<double>(histogram.percentile(0.5).count()), 5e6, 5e6 * 0.016);
  EXPECT_NEAR(static_cast<double>(histogram.percentile(0.99).count()), 9.9e6, 9.9e6 * 0.016);
  EXPECT_EQ(histogram.percentile(1.0).count(), 10'000'000);
  EXPECT_EQ(histogram.max().count(), 10'000'000);
  histogram.add(std::chrono::hours(1000000));
  EXPECT_EQ(histogram.percentile(1.0), std::chrono::hours(1000000));
}

}  // namespace
}  // namespace sds
