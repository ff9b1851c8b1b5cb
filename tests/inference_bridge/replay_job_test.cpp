// What the report says of algorithms that are not deterministic, and of those that fit no stream.
#include "sds/bridge/replay_job.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sds/format/worker_pool.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

class ReplayJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (std::uint32_t i = 0; i < 400; ++i) blocks_.push_back({i * 3, "block " + std::to_string(i)});
    test::write_file(dir_ / "In.0.sds", test::plain(blocks_));
    test::write_file(dir_ / "In.sds.yml", kYaml);
  }
  static ReplayJob job_of(const std::string& library) {
    ReplayJob job;
    job.algorithm = parse_algorithm(std::string(SDSKIT_LIB_DIR) + "/" + library + ".so");
    job.algorithm.arm_output = {"Out", 4, ""};
    return job;
  }
  // The torture library with this configuration, by itself or as a stage.
  ReplayJob torture(const std::string& configuration, bool in_pipeline = false) const {
    const std::string library = std::string(SDSKIT_LIB_DIR) + "/torture_algorithm.so";
    ReplayJob job;
    job.algorithm = parse_algorithm(library);
    job.algorithm.configuration = configuration;
    if (!in_pipeline) return job;
    test::write_file(dir_ / "p.yml",
                     "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 9}\n    - algorithm: " +
                         library + "\n      config: " + configuration + "\n      output: {type: uint32, count: 2}\n");
    job.algorithm = parse_algorithm((dir_ / "p.yml").string());
    return job;
  }
  Expected<ReplayJobResult> run(const ReplayJob& job) { return run_job(*Recording::open(dir_ / "In.0.sds"), job); }

  static constexpr const char* kYaml = "sds:\n  name: In\n  content:\n    - {value: v, type: uint8_t}\n";
  std::vector<test::TestBlock> blocks_;
  test::TempDir dir_;
};

TEST_F(ReplayJobTest, ADeterministicAlgorithmIsFoundToBeOne) {
  auto job = job_of("bad_prints");
  job.repeat = 3;
  job.check_reset = true;
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->ok());
  EXPECT_EQ(result->runs.size(), 3u);
  EXPECT_EQ(result->inputs, std::vector<std::string>{"In"});
}

TEST_F(ReplayJobTest, StateThatOutlivesAResetIsFound) {
  auto job = job_of("bad_keeps_state");
  job.check_reset = true;
  const auto result = run(job);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->ok());
  EXPECT_FALSE(result->repeated);
  EXPECT_FALSE(result->reset->equal());
  EXPECT_EQ(result->reset->first_different, 0u);
}

TEST_F(ReplayJobTest, UninitialisedMemoryIsFoundByRepeating) {
#ifdef SDSKIT_SANITIZED
  GTEST_SKIP() << "sanitizers have an allocator of their own";
#endif
  auto job = job_of("bad_uninitialised");
  job.repeat = 2;
  const auto result = run(job);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->repeated->equal());
  EXPECT_EQ(result->repeated->first_different, 0u);
}

TEST_F(ReplayJobTest, OutputsThatWereNeverWrittenAreFoundByRepeatingOrAfterAReset) {
  for (const bool in_pipeline : {false, true})
    for (const bool repeat : {false, true}) {
      SCOPED_TRACE(in_pipeline ? "in a pipeline" : "alone");
      auto job = torture("unwritten@123", in_pipeline);
      job.repeat = repeat ? 2 : 1;
      job.check_reset = !repeat;
      const auto result = run(job);
      ASSERT_TRUE(result) << result.error().to_string();
      EXPECT_FALSE(result->ok());
      const auto& compared = repeat ? result->repeated : result->reset;
      EXPECT_FALSE(repeat ? result->reset : result->repeated);
      EXPECT_EQ(compared->verdict, RunsCompared::Verdict::differs);
      EXPECT_EQ(compared->first_different, 123u);
    }
  auto here = torture("unwritten@123");
  here.algorithm.in_process = true;
  here.repeat = 2;
  EXPECT_EQ(run(here)->repeated->first_different, 123u);
}

TEST_F(ReplayJobTest, ALibraryInAPipelineIsUnderTheSameLimitAndFillAsAlone) {
#ifdef SDSKIT_SANITIZED
  GTEST_SKIP() << "sanitizers have an allocator of their own";
#endif
  for (const bool in_pipeline : {false, true}) {
    SCOPED_TRACE(in_pipeline ? "in a pipeline" : "alone");
    auto job = torture("allocate@5", in_pipeline);
    EXPECT_TRUE(run(job)->ok());
    job.algorithm.memory_limit = std::uint64_t{64} << 20;
    const auto limited = run(job);
    ASSERT_EQ(limited->runs.at(0).failure_count, 1u);
    EXPECT_NE(limited->runs[0].failures[0].reason.find("returned -12"), std::string::npos);
  }
  auto job = torture("", true);
  test::write_file(dir_ / "p.yml",
                   "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 9}\n"
                   "    - algorithm: " SDSKIT_LIB_DIR "/bad_uninitialised.so\n      output: {type: uint32}\n");
  job.repeat = 2;
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_FALSE(result->repeated->equal());
}

TEST_F(ReplayJobTest, TimesOfAPipelineAreThoseOfItsStagesAndCountNothingTwice) {
  blocks_.resize(5);
  // Four windows in each block; the algorithm sleeps 10 ms for each.
  for (auto& block : blocks_) block.data.assign(36, 'x');
  test::write_file(dir_ / "In.0.sds", test::plain(blocks_));
  auto job = torture("sleep@10", true);
  const auto without = run(job);
  ASSERT_TRUE(without) << without.error().to_string();
  EXPECT_TRUE(without->runs.at(0).stages.empty()) << "nobody asked for them";
  EXPECT_EQ(without->runs[0].durations.count(), 5u);
  EXPECT_GE(without->runs[0].durations.total(), std::chrono::milliseconds(200));
  job.stage_times = true;
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().to_string();
  const RunReport& report = result->runs.at(0);
  EXPECT_EQ(report.outputs, 20u);
  EXPECT_EQ(report.durations.count(), 5u);
  ASSERT_EQ(report.stages.size(), 4u);
  EXPECT_EQ(report.stages[1].name, "window");
  EXPECT_EQ(report.stages[2].name, "algorithm torture_algorithm.so");
  EXPECT_EQ(report.stages[2].durations.count(), 20u);
  std::chrono::nanoseconds sum{0};
  for (std::size_t i = 0; i < 3; ++i) sum += report.stages[i].total;
  EXPECT_EQ(report.durations.total(), sum) << "a block's time is that of its work in all stages";
  // What the wall clock says: the algorithm is all that takes time, and the rest waits for it.
  EXPECT_GE(report.durations.total(), std::chrono::milliseconds(200));
  const double worked = std::chrono::duration<double>(sum).count();
  EXPECT_LT(worked, report.wall_seconds * 1.05);
  const double waited = std::chrono::duration<double>(report.stages[3].total).count();
  EXPECT_EQ(report.stages[3].name, "waiting");
  job = torture("sleep@10");
  job.stage_times = true;
  EXPECT_EQ(run(job).error().message, "only pipelines and models have stages");
  EXPECT_LT(waited, report.wall_seconds);
}

// What an algorithm that sums 20 bytes reads in a static buffer of 32 bytes.
TEST_F(ReplayJobTest, BehindABlockLiesWhatADevicesInputBufferStillHolds) {
  test::Random random(3);
  blocks_.clear();
  std::string buffer(32, '\0');
  std::string expected;
  std::size_t passing = 0;
  std::size_t farthest = 0;
  for (std::uint32_t i = 0; i < 300; ++i) {
    std::string data(random.below(32) + 1, '\0');
    for (auto& c : data) c = static_cast<char>(random.below(256));
    blocks_.push_back({i, data});
    std::copy(data.begin(), data.end(), buffer.begin());
    std::uint32_t sum = 0;
    for (std::size_t k = 0; k < 20; ++k) sum += static_cast<unsigned char>(buffer[k]);
    expected += test::le32(i) + test::le32(sum);
    if (data.size() < 20) {
      ++passing;
      farthest = std::max(farthest, 20 - data.size());
    }
  }
  test::write_file(dir_ / "In.0.sds", test::plain(blocks_));
  auto job = torture("sum@20");
  EXPECT_FALSE(run(job)->ok()) << "without such a buffer the block is all there is";
  job.algorithm.input_buffer_bytes = 32;
  job.output = dir_ / "out.sdsz";
  job.check_reset = true;
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->ok()) << "at a reset the buffer is 0 again";
  std::string outputs;
  for (const auto& block : test::read_blocks(dir_ / "out.sdsz")) outputs += block.data;
  EXPECT_TRUE(outputs == expected);
  const RunReport& report = result->runs.at(0);
  EXPECT_EQ(report.passed_blocks, passing);
#if defined(__x86_64__)
  EXPECT_EQ(report.passed_bytes, farthest);
#endif
  EXPECT_EQ(blocks_[report.first_passed].data.size() < 20, true);
}

TEST_F(ReplayJobTest, BehindADevicesInputBufferAnAlgorithmIsStopped) {
  auto job = torture("sum@101");
  job.algorithm.input_buffer_bytes = 100;
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().to_string();
  ASSERT_EQ(result->runs[0].failures.size(), 1u);
  EXPECT_EQ(result->runs[0].failures[0].ordinal, 0u);
  EXPECT_NE(result->runs[0].failures[0].reason.find("past the end of its input buffer of 100 bytes (byte 1 behind it)"),
            std::string::npos)
      << result->runs[0].failures[0].reason;
  job = torture("sum@1");
  job.algorithm.input_buffer_bytes = 8;
  EXPECT_EQ(run(job).error().message, "a block of 9 bytes does not fit an input buffer of 8 bytes");
  job.algorithm.in_process = true;
  EXPECT_EQ(run(job).error().code, ErrorCode::usage);
  job = torture("sum@1", true);
  job.algorithm.input_buffer_bytes = 100;
  EXPECT_EQ(run(job).error().code, ErrorCode::usage);
}

TEST_F(ReplayJobTest, AWriteInFrontOfADevicesInputBufferIsFound) {
  // In front of blocks of these sizes there is room in their page, little room, and none.
  for (const auto& [size, reason] : {std::pair{16u, "wrote before the start of a buffer"},
                                     {4094u, "wrote before the start of a buffer"},
                                     {4096u, "before the start of its input buffer (byte 1 before it)"}}) {
    blocks_.clear();
    for (std::uint32_t i = 0; i < 300; ++i) blocks_.push_back({i, std::string(size, 'x')});
    test::write_file(dir_ / "In.0.sds", test::plain(blocks_));
    auto job = torture("under-write-input@200");
    job.algorithm.input_buffer_bytes = 5000;
    const auto result = run(job);
    ASSERT_TRUE(result) << result.error().to_string();
    ASSERT_EQ(result->runs[0].failures.size(), 1u);
    EXPECT_EQ(result->runs[0].failures[0].ordinal, 200u);
    EXPECT_NE(result->runs[0].failures[0].reason.find(reason), std::string::npos) << result->runs[0].failures[0].reason;
  }
}

TEST_F(ReplayJobTest, AClockIsFoundByRepeating) {
  auto job = job_of("bad_reads_clock");
  job.repeat = 2;
  const auto result = run(job);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->repeated->equal());
  EXPECT_TRUE(result->repeated->first_different.has_value());
}

TEST_F(ReplayJobTest, ContainerSectionsThreadsAndSpeedDoNotMatter) {
  const auto expected = run(job_of("bad_prints"));
  ASSERT_TRUE(expected);
  SdszWriterOptions options;
  options.section_bytes = 700;
  test::write_packed(dir_ / "in.sdsz", blocks_, kYaml, options);
  auto packed = Recording::open(dir_ / "in.sdsz");
  for (const unsigned threads : {1u, 2u, 4u})
    for (const double speed : {0.0, 100.0})
      for (const bool in_process : {false, true}) {
        const auto pool = make_worker_pool(threads);
        auto job = job_of("bad_prints");
        job.executor = pool.get();
        job.speed = speed;
        job.algorithm.in_process = in_process;
        const auto result = run_job(*packed, job);
        ASSERT_TRUE(result) << result.error().to_string();
        EXPECT_EQ(result->runs[0].input_fingerprint, expected->runs[0].input_fingerprint);
        EXPECT_EQ(result->runs[0].output_fingerprint, expected->runs[0].output_fingerprint);
      }
}

TEST_F(ReplayJobTest, OutputsOfAHostileRecordingStayInTheirFolder) {
  const std::string victim = "sds: {name: mine}";
  const auto folder = dir_ / "home";
  std::filesystem::create_directory(folder);
  test::write_file(folder / "victim.yml", victim);
  auto writer = SdszWriter::create(folder / "gift.sdsz", {}, {});
  ASSERT_TRUE(writer);
  // The stream that the output takes its metadata from names the victim; so does the label of the input.
  const auto input = writer->add_stream({"In", "/../../victim", false, "", "In.sds.yml", kYaml});
  ASSERT_TRUE(input);
  ASSERT_TRUE(writer->add_stream({"Out", "0", false, "", "../victim.yml", kYaml}));
  for (const auto& block : blocks_) ASSERT_TRUE(writer->append(*input, block.timeslot, as_bytes(block.data)));
  ASSERT_TRUE(writer->close());
  auto job = job_of("bad_prints");
  job.inputs = {"In"};
  job.output = folder / "outputs";
  const auto result = run_job(*Recording::open(folder / "gift.sdsz"), job);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(test::read_file(folder / "victim.yml"), victim);
  EXPECT_EQ(test::read_file(folder / "outputs" / "Out.sds.yml"), kYaml);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path()))
    if (entry.is_regular_file()) files.push_back(std::filesystem::relative(entry.path(), folder).string());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (std::vector<std::string>{"../In.0.sds", "../In.sds.yml", "gift.sdsz",
                                             "outputs/Out._.._.._victim.p.sds", "outputs/Out.sds.yml", "victim.yml"}));
}

TEST_F(ReplayJobTest, AUsersOwnMetadataIsNotReplacedUnlessToldTo) {
  test::write_file(dir_ / "out.yml", kYaml);
  std::filesystem::create_directory(dir_ / "outputs");
  test::write_file(dir_ / "outputs" / "Out.sds.yml", "mine");
  auto job = job_of("bad_prints");
  job.out_metadata = dir_ / "out.yml";
  job.output = dir_ / "outputs";
  const auto refused = run(job);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "exists already, with other metadata (--force replaces it)");
  EXPECT_EQ(refused.error().path, dir_ / "outputs" / "Out.sds.yml");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "outputs" / "Out.0.p.sds"));
  EXPECT_EQ(test::read_file(dir_ / "outputs" / "Out.sds.yml"), "mine");
  job.if_exists = IfExists::overwrite;
  ASSERT_TRUE(run(job));
  EXPECT_EQ(test::read_file(dir_ / "outputs" / "Out.sds.yml"), kYaml);
  // What says the same already is no obstacle.
  std::filesystem::remove(dir_ / "outputs" / "Out.0.p.sds");
  job.if_exists = IfExists::fail;
  EXPECT_TRUE(run(job));
}

// A recording in microseconds, of a device that was received at kUtc + its time.
class ReplayTimesTest : public ReplayJobTest {
 protected:
  static constexpr std::uint64_t kUtc = 1'700'000'000'000'000'000;
  static constexpr std::uint64_t kFirst = (std::uint64_t{5} << 32) + 7000;

  void SetUp() override {
    auto writer = SdszWriter::create(dir_ / "in.sdsz", {}, {});
    const auto id = writer->add_stream({"In", "0", false, "", "In.sds.yml",
                                        "sds:\n  name: In\n  tick-frequency: 1000000\n  content:\n    - {value: v, "
                                        "type: uint8_t}\n"});
    for (std::uint64_t i = 0; i < 50; ++i) {
      if (i == 20) ASSERT_TRUE(writer->add_gap(*id, "a hole"));
      ASSERT_TRUE(writer->append_at(*id, kFirst + 20'000 * i, as_bytes("block " + std::to_string(i))));
    }
    for (std::uint64_t i = 0; i < 2; ++i)
      ASSERT_TRUE(writer->add_clock(*id, {kFirst + 980'000 * i, kUtc + 980'000'000 * i, 7 + 980'000'000 * i}));
    ASSERT_TRUE(writer->close());
  }
  Expected<ReplayJobResult> replay(const std::string& metadata, const std::string& output = "out.sdsz") {
    auto job = job_of("bad_prints");
    if (!metadata.empty()) {
      test::write_file(dir_ / "out.yml", metadata);
      job.out_metadata = dir_ / "out.yml";
    }
    job.output = dir_ / output;
    job.if_exists = IfExists::overwrite;
    return run_job(*Recording::open(dir_ / "in.sdsz"), job);
  }
  // Seconds of the first and the last block.
  std::pair<double, double> times(const std::string& output = "out.sdsz") {
    const auto recording = Recording::open(dir_ / output);
    EXPECT_TRUE(recording) << recording.error().to_string();
    auto cursor = recording->cursor(0);
    std::vector<std::uint64_t> ticks;
    for (auto block = (*cursor)->next(); block && *block; block = (*cursor)->next()) ticks.push_back((*block)->tick);
    EXPECT_EQ(ticks.size(), 50u);
    const Frequency frequency = recording->streams()[0].tick_frequency();
    return {seconds(ticks.front(), frequency), seconds(ticks.back(), frequency)};
  }
};

TEST_F(ReplayTimesTest, OutputsStandAtTheTimesOfTheirInputsWhateverTheirMetadataSay) {
  constexpr double kBegin = 1e-6 * kFirst;
  constexpr double kEnd = 1e-6 * (kFirst + 49 * 20'000);
  for (const auto& metadata : std::vector<std::string>{
           "sds:\n  # of a worker\n  name: Out\n  content:\n    - {value: s, type: uint32_t}\n",
           "sds: {name: Out, content: [{value: s, type: uint32_t}]}\n",
           "---\r\nsds:\r\n    name: 'Ä'\r\n    content:\r\n    - {value: s, type: uint32_t}\r\n",
           "sds:\n  name: Out\n  tick-frequency: 50\n  content:\n    - {value: s, type: uint32_t}\n"}) {
    const auto result = replay(metadata);
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_TRUE(result->notes.empty()) << result->notes.front();
    EXPECT_NEAR(times().first, kBegin, 0.010001) << metadata;  // ticks of 50 Hz are 20 ms
    EXPECT_NEAR(times().second, kEnd, 0.010001) << metadata;
    const auto recording = Recording::open(dir_ / "out.sdsz");
    if (metadata.find("50") == std::string::npos) {
      EXPECT_EQ(times(), std::pair(kBegin, kEnd)) << metadata;
      EXPECT_EQ(recording->streams()[0].tick_frequency(), (Frequency{1'000'000, 1})) << metadata;
    }
    const auto& clocks = recording->sdsz()->streams()[0].clocks;
    ASSERT_EQ(clocks.size(), 2u);
    EXPECT_NEAR(seconds(clocks[1].tick, recording->streams()[0].tick_frequency()), kEnd, 0.010001);
    EXPECT_EQ(clocks[1].utc_ns, kUtc + 980'000'000);
    EXPECT_EQ(clocks[1].monotonic_ns, 980'000'007u);
  }
}

TEST_F(ReplayTimesTest, WithoutMetadataTheTimesAreSaidToBeWrong) {
  const auto result = replay("");
  ASSERT_TRUE(result) << result.error().to_string();
  ASSERT_EQ(result->notes.size(), 1u);
  EXPECT_EQ(result->notes[0],
            "the times of Out are wrong: its ticks are those of the input, 1000000 a second, and it has no metadata to "
            "say so (--out-yaml names a file with 'tick-frequency: 1000000')");
}

TEST_F(ReplayTimesTest, PlainOutputsSayWhatTheyCannotHold) {
  const auto result = replay("sds:\n  name: Out\n  content:\n    - {value: s, type: uint32_t}\n", "plain");
  ASSERT_TRUE(result) << result.error().to_string();
  ASSERT_EQ(result->notes.size(), 2u);
  EXPECT_EQ(result->notes[0],
            "Out.0.p.sds: its first block is at tick 21474843480; a plain file holds the lowest 32 bits only, and read "
            "again it begins at tick 7000");
  EXPECT_EQ(result->notes[1], "the input has 1 loss: plain files cannot hold where");
}

TEST_F(ReplayJobTest, WhatDoesNotFitIsExplained) {
  auto job = job_of("bad_prints");
  job.inputs = {"In", "In"};
  EXPECT_EQ(run(job).error().message, "the algorithm has 1 input, and 2 streams are given with --in");
  job.inputs = {"Other"};
  EXPECT_EQ(run(job).error().message, "no stream 'Other'; there is: In");
  job = job_of("table_algorithm");
  EXPECT_EQ(run(job).error().message, "the library says itself what it puts out: STREAM:BYTES has no effect");
  job.algorithm.arm_output = {};
  EXPECT_EQ(run(job).error().message, "no stream 'A'; there is: In");
  job = job_of("bad_prints");
  job.algorithm.arm_output = {};
  EXPECT_EQ(run(job).error().message,
            "a library with Arm's three functions does not say what it puts out: give --out STREAM:BYTES");
}

TEST_F(ReplayJobTest, AlgorithmsAreToldByTheirEnding) {
  EXPECT_EQ(parse_algorithm("a/b.so").kind, AlgorithmSpec::Kind::library);
  EXPECT_EQ(parse_algorithm("b.yml").kind, AlgorithmSpec::Kind::pipeline);
  EXPECT_EQ(parse_algorithm("m.tflite").kind, AlgorithmSpec::Kind::model);
  const auto spec = parse_algorithm("dir@home/m.tflite@litert-ref");
  EXPECT_EQ(spec.path, "dir@home/m.tflite");
  EXPECT_EQ(spec.engine, "litert-ref");
  EXPECT_EQ(spec.name(), "m.tflite@litert-ref");
  EXPECT_EQ(parse_algorithm("m.tflite@nonsense").path, "m.tflite@nonsense");
}

}  // namespace
}  // namespace sds
