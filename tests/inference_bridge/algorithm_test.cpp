// Algorithms that misbehave are contained, and named with what they did.
#include "sds/bridge/algorithm.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

LibraryOptions options_for(const std::string& name) {
  LibraryOptions options;
  options.library = std::filesystem::path(SDSKIT_LIB_DIR) / (name + ".so");
  options.arm_output = {"Out", 5, ""};
  options.timeout = std::chrono::milliseconds(5000);
  return options;
}

Expected<AlgorithmResult> execute(Algorithm& algorithm, std::string_view input) {
  AlgorithmInput block;
  block.data = as_bytes(input);
  return algorithm.execute(block);
}

// Runs on blocks "1..", "2..", "3..": the bad ones misbehave on the third.
std::string run_three(const LibraryOptions& options) {
  auto algorithm = start_process_algorithm(options);
  if (!algorithm) return algorithm.error().message;
  if (auto reset = (*algorithm)->reset(); !reset) return reset.error().message;
  for (const char* input : {"1 first", "2 second", "3 third"}) {
    auto result = execute(**algorithm, input);
    if (!result) {
      EXPECT_EQ(input[0], '3');
      // It is over: further calls say so instead of doing harm.
      EXPECT_EQ(execute(**algorithm, input).error().message, "the algorithm has ended");
      return result.error().message;
    }
    if (result->status != 0) return result->describe_failure();
  }
  return "fine";
}

TEST(ProcessAlgorithm, OverReadsAreCaughtWithTheirDistance) {
  const std::string message = run_three(options_for("bad_over_read"));
#if defined(__x86_64__)
  EXPECT_EQ(message, "ExecuteAlgorithm read past the end of its input block (byte 1 behind it)");
#else
  EXPECT_NE(message.find("past the end of its input block"), std::string::npos);
#endif
}

TEST(ProcessAlgorithm, OverWritesAreCaughtWithTheirDistance) {
  const std::string message = run_three(options_for("bad_over_write"));
#if defined(__x86_64__)
  EXPECT_EQ(message, "ExecuteAlgorithm wrote past the end of its output buffer (byte 1 behind it)");
#else
  EXPECT_NE(message.find("past the end of its output buffer"), std::string::npos);
#endif
}

TEST(ProcessAlgorithm, AnErrorThatItReturnsIsPassedOn) {
  EXPECT_EQ(run_three(options_for("bad_returns_error")), "the algorithm returned -1");
}

TEST(ProcessAlgorithm, AnAbortIsNamed) {
  EXPECT_EQ(run_three(options_for("bad_aborts")), "ExecuteAlgorithm crashed: Aborted (signal 6)");
}

TEST(ProcessAlgorithm, AnExitIsNamed) {
  EXPECT_EQ(run_three(options_for("bad_exits")), "ExecuteAlgorithm ended the process with exit code 5");
}

TEST(ProcessAlgorithm, AHangIsStoppedAtTheTimeOut) {
  auto options = options_for("bad_hangs");
  options.timeout = std::chrono::milliseconds(300);
  EXPECT_EQ(run_three(options), "ExecuteAlgorithm did not return within 300 ms");
}

TEST(ProcessAlgorithm, WhatItPrintsDoesNotDisturb) { EXPECT_EQ(run_three(options_for("bad_prints")), "fine"); }

TEST(ProcessAlgorithm, AnInitThatFailsIsAnError) {
  EXPECT_EQ(run_three(options_for("bad_init_fails")), "InitAlgorithm returned -7");
}

TEST(ProcessAlgorithm, AnInitMayTakeLongerThanACall) {
  auto options = options_for("torture_algorithm");
  options.timeout = std::chrono::milliseconds(1000);
  options.configuration = "slow-start@1500";
  EXPECT_EQ(run_three(options), "fine");
}

TEST(ProcessAlgorithm, LibrariesThatCannotBeUsedAreExplained) {
  const test::TempDir dir;
  EXPECT_EQ(run_three(options_for("bad_no_function")),
            "cannot be loaded: it has no function ResetAlgorithm (see algorithm.h; or export sds_algorithm, see "
            "sds_algorithm.h)");
  EXPECT_EQ(run_three(options_for("none")), "no such algorithm library");
  test::write_file(dir / "text.so", "this is no library");
  auto text = options_for("none");
  text.library = dir / "text.so";
  EXPECT_EQ(run_three(text).find("cannot be loaded: "), 0u);
}

TEST(ProcessAlgorithm, OneThatAllocatesWithoutEndMeetsItsLimit) {
#ifdef SDSKIT_SANITIZED
  GTEST_SKIP() << "sanitizers' own mappings would count against the limit";
#else
  auto options = options_for("bad_allocates");
  options.memory_limit = std::uint64_t{256} << 20;
  EXPECT_EQ(run_three(options), "the algorithm returned -12");
  auto algorithm = start_process_algorithm(options);
  ASSERT_TRUE((*algorithm)->reset());
  ASSERT_TRUE(execute(**algorithm, "3 third"));
  EXPECT_GT((*algorithm)->peak_memory(), std::uint64_t{100} << 20);
  EXPECT_LT((*algorithm)->peak_memory(), std::uint64_t{400} << 20);
#endif
}

// The sum of bytes so far, for each of the ways to run one.
std::vector<std::uint32_t> sums_of(Algorithm& algorithm, const std::vector<Bytes>& blocks) {
  std::vector<std::uint32_t> sums;
  EXPECT_TRUE(algorithm.reset());
  const auto take = [&] {
    auto result = algorithm.take();
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->outputs.size(), 1u);
    sums.push_back(load_le<std::uint32_t>(result->outputs[0].data.data()));
  };
  std::size_t on_the_way = 0;
  for (const auto& block : blocks) {
    for (; !algorithm.can_submit(block.size()); --on_the_way) take();
    AlgorithmInput input;
    input.data = block;
    EXPECT_TRUE(algorithm.submit(input));
    ++on_the_way;
  }
  for (; on_the_way > 0; --on_the_way) take();
  return sums;
}

TEST(Algorithm, EveryWayOfRunningGivesTheSameOutputsWhateverTheSizes) {
  auto child = start_process_algorithm(options_for("bad_prints"));
  auto here = load_in_process_algorithm(options_for("bad_prints"));
  ASSERT_TRUE(child);
  ASSERT_TRUE(here);
  test::Random random(5);
  std::vector<Bytes> blocks;
  std::vector<std::uint32_t> expected;
  std::uint32_t sum = 0;
  for (int i = 0; i < 1500; ++i) {
    // Mostly small, some that need the large buffers, some just at the border.
    const std::size_t size = i % 97 == 5   ? 100000 + random.below(3000000)
                             : i % 53 == 7 ? 65535 + random.below(3)
                                           : random.below(600) + 1;
    blocks.emplace_back(size, static_cast<std::byte>(i % 7));
    sum += static_cast<std::uint32_t>(size * static_cast<std::size_t>(i % 7));
    expected.push_back(sum);
  }
  EXPECT_EQ(sums_of(**child, blocks), expected);
  EXPECT_EQ(sums_of(**here, blocks), expected);
  EXPECT_EQ(sums_of(**child, blocks), expected) << "after a reset";
}

TEST(Algorithm, ALibrarysOwnNamesGoBeforeThoseOfTheCLibrary) {
#ifdef SDSKIT_SANITIZED
  GTEST_SKIP() << "the run-time libraries of sanitizers do not let a library's own names go first";
#endif
  for (auto* make : {&start_process_algorithm, &load_in_process_algorithm}) {
    auto options = options_for("named_like_others");
    options.arm_output.max_bytes = 9;
    auto algorithm = (*make)(options);
    ASSERT_TRUE(algorithm.has_value()) << algorithm.error().to_string();
    ASSERT_TRUE((*algorithm)->reset().has_value());
    auto result = execute(**algorithm, "1");
    ASSERT_TRUE(result.has_value()) << result.error().message;
    ASSERT_EQ(result->status, 0);
    const std::vector<int> expected{42 + 77, 2, '1' + 1, '1', 3, 66, 55, 44, 33};
    std::vector<int> came;
    for (const auto byte : result->outputs.at(0).data) came.push_back(std::to_integer<int>(byte));
    EXPECT_EQ(came, expected);
  }
}

TEST(ProcessAlgorithm, ACrashFarAheadStillNamesItsBlockAndKeepsTheResultsBefore) {
  auto algorithm = start_process_algorithm(options_for("bad_aborts"));
  ASSERT_TRUE((*algorithm)->reset());
  std::vector<std::string> blocks(100, "1");
  blocks[70] = "3";
  AlgorithmInput input;
  for (const auto& block : blocks) {
    input.data = as_bytes(block);
    if (!(*algorithm)->submit(input)) break;
  }
  std::size_t results = 0;
  Expected<AlgorithmResult> result;
  while ((result = (*algorithm)->take())) ++results;
  EXPECT_EQ(results, 70u);
  EXPECT_EQ(result.error().message, "ExecuteAlgorithm crashed: Aborted (signal 6)");
}

TEST(ProcessAlgorithm, AHangFarAheadIsStoppedAtItsOwnTimeOut) {
  auto options = options_for("bad_hangs");
  options.timeout = std::chrono::milliseconds(300);
  auto algorithm = start_process_algorithm(options);
  ASSERT_TRUE((*algorithm)->reset());
  AlgorithmInput input;
  for (int i = 0; i < 60; ++i) {
    input.data = as_bytes(i == 40 ? "3" : "1");
    ASSERT_TRUE((*algorithm)->submit(input));
  }
  std::size_t results = 0;
  Expected<AlgorithmResult> result;
  while ((result = (*algorithm)->take())) ++results;
  EXPECT_EQ(results, 40u);
  EXPECT_EQ(result.error().message, "ExecuteAlgorithm did not return within 300 ms");
}

TEST(InProcessAlgorithm, WhatItPrintsStaysOutOfStandardOutput) {
  testing::internal::CaptureStdout();
  {
    auto here = load_in_process_algorithm(options_for("bad_prints"));
    ASSERT_TRUE(here);
  }
  std::printf("behind it\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "behind it\n");
}

TEST(TableAlgorithm, HasSeveralInputsAndOutputsAConfigurationAndExactTime) {
  for (const bool in_process : {false, true}) {
    auto options = options_for("table_algorithm");
    options.configuration = "7";
    auto algorithm = in_process ? load_in_process_algorithm(options) : start_process_algorithm(options);
    ASSERT_TRUE(algorithm) << algorithm.error().message;
    EXPECT_EQ((*algorithm)->inputs(), (std::vector<std::string>{"A", "B"}));
    ASSERT_EQ((*algorithm)->outputs().size(), 2u);
    EXPECT_EQ((*algorithm)->outputs()[1].name, "Times");
    EXPECT_EQ((*algorithm)->outputs()[1].max_bytes, 16u);
    ASSERT_TRUE((*algorithm)->reset());
    AlgorithmInput input;
    input.port = 1;
    input.tick = (std::uint64_t{1} << 40) + 3;
    input.frequency = {32768, 3};
    input.data = as_bytes("xyz");
    auto result = (*algorithm)->execute(input);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->outputs.size(), 2u);
    EXPECT_EQ(as_text(result->outputs[0].data), "7:1:xyz");  // configuration, input, data
    EXPECT_EQ(load_le<std::uint64_t>(result->outputs[1].data.data()), input.tick);
    EXPECT_EQ(load_le<std::uint32_t>(result->outputs[1].data.data() + 8), 32768u);
    EXPECT_EQ(load_le<std::uint32_t>(result->outputs[1].data.data() + 12), 3u);
    // No output is an answer, too; an error number is passed on; a lie about sizes is seen.
    input.data = as_bytes("none");
    EXPECT_TRUE((*algorithm)->execute(input)->outputs.empty());
    input.data = as_bytes("fail");
    EXPECT_EQ((*algorithm)->execute(input)->describe_failure(), "the algorithm returned 42");
    input.data = as_bytes("lie");
    EXPECT_EQ((*algorithm)->execute(input)->describe_failure(),
              "it claims to have written more than there was room for");
    input.data = as_bytes("room");
    EXPECT_EQ((*algorithm)->execute(input)->describe_failure(),
              "it claims to have written more than there was room for");
    input.data = as_bytes("own");
    EXPECT_EQ((*algorithm)->execute(input)->describe_failure(),
              "it has changed where `data` of an output points to: outputs are written to the place that they are "
              "given");
    // The least of all numbers is one, too.
    input.data = as_bytes("least");
    EXPECT_EQ((*algorithm)->execute(input)->describe_failure(), "the algorithm returned -2147483648");
  }
}

TEST(TableAlgorithm, OverWritesOfEachOutputAreNamed) {
  auto algorithm = start_process_algorithm(options_for("table_algorithm"));
  ASSERT_TRUE(algorithm);
  ASSERT_TRUE((*algorithm)->reset());
  const std::string message = execute(**algorithm, "overwrite").error().message;
  EXPECT_NE(message.find("past the end of its output buffer Text (byte 1 behind it)"), std::string::npos) << message;
}

TEST(TableAlgorithm, ItsOwnFunctionsAreNamed) {
  auto options = options_for("table_algorithm");
  EXPECT_EQ(execute(**start_process_algorithm(options), "abort").error().message,
            "execute() crashed: Aborted (signal 6)");
  options.configuration = "abort in reset";
  EXPECT_EQ((*start_process_algorithm(options))->reset().error().message, "reset() crashed: Aborted (signal 6)");
  options.configuration = "abort in create";
  EXPECT_EQ(start_process_algorithm(options).error().message, "create() crashed: Aborted (signal 6)");
}

TEST(ProcessAlgorithm, OneThatCrashesWhileItIsLoadedIsToldSo) {
  EXPECT_EQ(run_three(options_for("bad_crashes_loading")), "loading the library crashed: Aborted (signal 6)");
}

TEST(TableAlgorithm, ThoseThatCannotBeUsedAreExplained) {
  auto options = options_for("table_algorithm");
  options.configuration = "refuse";
  EXPECT_EQ(start_process_algorithm(options).error().message, "create() failed: told to refuse");
  EXPECT_EQ(start_process_algorithm(options_for("table_of_other_version")).error().message,
            "it is made for version 99 of sds_algorithm.h; this sdskit has version 1");
}

}  // namespace
}  // namespace sds
