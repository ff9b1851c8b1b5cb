// Algorithms that misbehave are contained, and named with what they did.
#include "sds/bridge/algorithm.hpp"

#include <gtest/gtest.h>

#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

AlgorithmOptions options_for(const std::string& name) {
  return {std::filesystem::path(SDSKIT_LIB_DIR) / (name + ".so"), std::chrono::milliseconds(5000)};
}

// Runs on blocks "1..", "2..", "3..": the bad ones misbehave on the third.
std::string run_three(const AlgorithmOptions& options) {
  auto algorithm = start_process_algorithm(options);
  if (!algorithm) return algorithm.error().message;
  if (auto reset = (*algorithm)->reset(); !reset) return reset.error().message;
  Bytes output(5);
  for (const char* input : {"1 first", "2 second", "3 third"}) {
    auto result = (*algorithm)->execute(as_bytes(input), output);
    if (!result) {
      EXPECT_EQ(input[0], '3');
      // It is over: further calls say so instead of doing harm.
      EXPECT_EQ((*algorithm)->execute(as_bytes(input), output).error().message, "the algorithm has ended");
      return result.error().message;
    }
    if (*result != 0) return "returned " + std::to_string(*result);
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
  EXPECT_EQ(run_three(options_for("bad_returns_error")), "returned -1");
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

TEST(ProcessAlgorithm, LibrariesThatCannotBeUsedAreExplained) {
  const test::TempDir dir;
  EXPECT_EQ(run_three(options_for("bad_no_function")),
            "cannot be loaded: it has no function ResetAlgorithm (see algorithm.h)");
  EXPECT_EQ(run_three(options_for("none")), "no such algorithm library");
  test::write_file(dir / "text.so", "this is no library");
  EXPECT_EQ(run_three({dir / "text.so", std::chrono::seconds(5)}).find("cannot be loaded: "), 0u);
}

TEST(Algorithm, BothWaysOfRunningGiveTheSameOutputs) {
  auto child = start_process_algorithm(options_for("bad_prints"));
  auto here = load_in_process_algorithm(options_for("bad_prints"));
  ASSERT_TRUE(child);
  ASSERT_TRUE(here);
  for (auto* algorithm : {&*child, &*here}) ASSERT_TRUE((*algorithm)->reset());
  Bytes a(4);
  Bytes b(4);
  for (const std::size_t size : {1u, 4u, 1000u, 100000u, 5000000u}) {
    const Bytes input(size, std::byte{7});
    EXPECT_EQ(*(*child)->execute(input, a), 0);
    EXPECT_EQ(*(*here)->execute(input, b), 0);
    EXPECT_EQ(a, b);
  }
}

}  // namespace
}  // namespace sds
