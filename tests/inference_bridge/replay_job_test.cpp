// What the report says of algorithms that are not deterministic, and of those that fit no stream.
#include "sds/bridge/replay_job.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "sds/recorder/worker_pool.hpp"
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
  EXPECT_TRUE(result->identical);
  EXPECT_FALSE(result->reset_is_clean);
  EXPECT_EQ(result->first_different, 0u);
}

TEST_F(ReplayJobTest, UninitialisedMemoryIsFoundByRepeating) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have an allocator of their own";
#endif
  auto job = job_of("bad_uninitialised");
  job.repeat = 2;
  const auto result = run(job);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->identical);
  EXPECT_EQ(result->first_different, 0u);
}

TEST_F(ReplayJobTest, AClockIsFoundByRepeating) {
  auto job = job_of("bad_reads_clock");
  job.repeat = 2;
  const auto result = run(job);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->identical);
  EXPECT_TRUE(result->first_different.has_value());
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

TEST_F(ReplayJobTest, WhatDoesNotFitIsExplained) {
  auto job = job_of("bad_prints");
  job.inputs = {"In", "In"};
  EXPECT_EQ(run(job).error().message, "the algorithm has 1 input, and 2 streams are given with --in");
  job.inputs = {"Other"};
  EXPECT_EQ(run(job).error().message, "no stream 'Other'; there is: In");
  job = job_of("table_algorithm");
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
