// An algorithm that misbehaves in each of many ways, at any of a thousand blocks, alone and inside a pipeline: the
// block that was being executed is the one that is named, every output before it is kept, and nothing is left running.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "sds/bridge/replay_job.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

constexpr std::uint32_t kBlocks = 1000;

enum class End { dies, block_fails, goes_on };

struct Way {
  const char* name;
  End end;
  const char* reason;  // part of what the report says
};

const Way kWays[] = {
    {"crash", End::dies, "crashed: Segmentation fault"},
    {"abort", End::dies, "crashed: Aborted"},
    {"divide", End::dies, "crashed: Floating point exception"},
    {"illegal", End::dies, "crashed: "},
    {"raise-segv", End::dies, "crashed: Segmentation fault"},
    {"raise-kill", End::dies, "crashed: Killed"},
    {"raise-term", End::dies, "crashed: Terminated"},
    {"kill-group", End::dies, "crashed: Killed"},
    {"kill-parent", End::dies, "crashed: Killed"},
    {"stop", End::dies, "did not return within 1000 ms"},
    {"hang", End::dies, "did not return within 1000 ms"},
    {"spin", End::dies, "did not return within 1000 ms"},
    {"ignore-and-hang", End::dies, "did not return within 1000 ms"},
    {"close-and-hang", End::dies, "did not return within 1000 ms"},
    {"close-and-crash", End::dies, "crashed: Segmentation fault"},
    {"close", End::goes_on, ""},
    {"fork-and-crash", End::dies, "crashed: Segmentation fault"},
    {"fork-and-hang", End::dies, "did not return within 1000 ms"},
    {"fork-both", End::dies, "called fork()"},
    {"fork-other-hangs", End::dies, "called fork()"},
    {"raw-fork", End::goes_on, ""},
    {"system", End::goes_on, ""},
    {"thread-crashes", End::dies, "crashed: Segmentation fault"},
    {"thread-goes-on", End::goes_on, ""},
    {"chdir", End::goes_on, ""},
    {"overflow-stack", End::dies, "overflowed its stack"},
    {"exit", End::dies, "ended the process with exit code 0"},
    {"_exit", End::dies, "ended the process with exit code 7"},
    {"longjmp", End::dies, ""},  // where to is undefined: it may crash, or be seen to have gone astray
    {"over-read", End::dies, "past the end of its input block (byte 1 behind it)"},
    {"over-write", End::dies, "past the end of its output buffer (byte 1 behind it)"},
    {"under-write", End::dies, "wrote before the start of a buffer"},
    {"under-write-input", End::dies, "wrote before the start of a buffer"},
    {"own-handler", End::dies, "set a signal handler of its own"},
    {"own-handler-in-passing", End::dies, "set a signal handler of its own"},
    {"own-handler-by-an-old-name", End::dies, "set a signal handler of its own"},
    {"write-over-records", End::dies, "wrote over memory that is not its own"},
    {"write-over-records-and-crash", End::dies, "crashed: Segmentation fault"},
    {"clear-records-and-crash", End::dies, "crashed: Segmentation fault"},
    {"print", End::goes_on, ""},
    {"leak", End::goes_on, ""},
    {"huge-output", End::block_fails, "claims to have written more"},
    {"one-too-many", End::block_fails, "claims to have written more"},
    {"fail", End::block_fails, "returned -1"},
    {"fail-far", End::block_fails, "returned -2147483648"},
};

void PrintTo(const Way& way, std::ostream* stream) { *stream << way.name; }

// Processes whose command line has this text.
std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    if (pid <= 0) continue;
    // A process may end while it is looked at: formatted reading takes that for the end of the file.
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::string command;
    std::getline(file, command, '\xFF');
    if (command.find(text) != std::string::npos) found.push_back(pid);
  }
  return found;
}

// What has been killed may take a moment to be gone.
template <class Condition>
bool until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return condition();
}

class Torture : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    // A library of its own: its processes are known by it.
    std::filesystem::copy_file(std::filesystem::path(SDSKIT_LIB_DIR) / "torture_algorithm.so", library_);
    test::Random random(11);
    for (std::uint32_t i = 0; i < kBlocks; ++i) {
      // 16 bytes a block: one window of the pipeline below.
      std::string data;
      for (int k = 0; k < 16; ++k) data.push_back(static_cast<char>(random.below(256)));
      blocks_.push_back({i, data});
    }
    test::write_file(dir_ / "In.0.sds", test::plain(blocks_));
    test::write_file(dir_ / "In.sds.yml", "sds:\n  name: In\n  content:\n    - {value: v, type: uint8_t}\n");
  }

  ReplayJob alone(const std::string& configuration) const {
    ReplayJob job;
    job.algorithm = parse_algorithm(library_.string());
    job.algorithm.configuration = configuration;
    return job;
  }
  ReplayJob in_pipeline(const std::string& configuration) const {
    test::write_file(dir_ / "p.yml",
                     "pipeline:\n  name: Out\n  input: In\n  stages:\n    - window: {length: 16}\n    - algorithm: " +
                         library_.string() + "\n      config: " + configuration +
                         "\n      output: {type: uint32, count: 2}\n    - window: {length: 1}\n");
    ReplayJob job;
    job.algorithm = parse_algorithm((dir_ / "p.yml").string());
    return job;
  }

  void expect_blame(ReplayJob job, std::uint32_t bad_block) {
    const Way& way = GetParam();
    // Long for what does not hang: a busy machine may let a process wait.
    const bool hangs = std::string_view(GetParam().reason).find("did not return") != std::string_view::npos;
    job.algorithm.timeout = hangs ? std::chrono::milliseconds(1000) : std::chrono::seconds(60);
    job.output = dir_ / "out.sdsz";
    job.if_exists = IfExists::overwrite;
    const auto result = run_job(*Recording::open(dir_ / "In.0.sds"), job);
    ASSERT_TRUE(result) << result.error().to_string();
    const RunReport& report = result->runs.at(0);
    EXPECT_EQ(report.finished, way.end != End::dies);
    ASSERT_EQ(report.failures.size(), way.end == End::goes_on ? 0u : 1u)
        << (report.failures.empty() ? "no failure" : report.failures[0].reason);
    if (way.end != End::goes_on) {
      EXPECT_EQ(report.failures[0].ordinal, bad_block);
      EXPECT_EQ(report.failures[0].timeslot, bad_block);
      EXPECT_NE(report.failures[0].reason.find(way.reason), std::string::npos) << report.failures[0].reason;
    }
    const auto outputs = test::read_blocks(dir_ / "out.sdsz");
    std::size_t taken = 0;
    for (std::uint32_t i = 0; i < (way.end == End::dies ? bad_block : kBlocks); ++i) {
      if (i == bad_block && way.end == End::block_fails) continue;
      std::uint32_t sum = 0;
      for (const char c : blocks_[i].data) sum += static_cast<unsigned char>(c);
      ASSERT_LT(taken, outputs.size());
      ASSERT_EQ(outputs[taken].timeslot, i);
      ASSERT_EQ(outputs[taken++].data, test::le32(i) + test::le32(sum));
    }
    EXPECT_EQ(taken, outputs.size());
    EXPECT_TRUE(until([&] { return processes_with(library_.string()).empty(); }));
  }

  // Blocks at which it happens: a few of all, and the first and the last.
  std::vector<std::uint32_t> bad_blocks() const {
    const char* set = std::getenv("SDSKIT_TORTURE_ROUNDS");
    std::vector<std::uint32_t> chosen{0, kBlocks - 1};
    std::uint64_t seed = 1;
    for (const char* c = GetParam().name; *c != 0; ++c) seed = seed * 31 + static_cast<unsigned char>(*c);
    test::Random random(seed);
    for (long i = set == nullptr ? 3 : std::strtol(set, nullptr, 10); i > 0; --i)
      chosen.push_back(static_cast<std::uint32_t>(random.below(kBlocks)));
    return chosen;
  }

  test::TempDir dir_;
  std::filesystem::path library_ = dir_ / "torture.so";
  std::vector<test::TestBlock> blocks_;
};

TEST_P(Torture, AloneTheBlockIsNamedAndAllBeforeItIsKept) {
  for (const std::uint32_t block : bad_blocks()) {
    SCOPED_TRACE(block);
    expect_blame(alone(fmt::format("{}@{}", GetParam().name, block)), block);
  }
}

TEST_P(Torture, InAPipelineTheBlockIsNamedAndAllBeforeItIsKept) {
  for (const std::uint32_t block : bad_blocks()) {
    SCOPED_TRACE(block);
    expect_blame(in_pipeline(fmt::format("{}@{}", GetParam().name, block)), block);
  }
}

// Also by a system call of its own, though not in which of the blocks that run ahead.
class OwnHandlers : public Torture {};

TEST_P(OwnHandlers, AreFound) {
  const auto result = run_job(*Recording::open(dir_ / "In.0.sds"), alone(fmt::format("{}@37", GetParam().name)));
  ASSERT_TRUE(result);
  ASSERT_EQ(result->runs.at(0).failures.size(), 1u);
  EXPECT_NE(result->runs[0].failures[0].reason.find(GetParam().reason), std::string::npos)
      << result->runs[0].failures[0].reason;
}

std::string name_of(const ::testing::TestParamInfo<Way>& way) {
  std::string name = way.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Ways, Torture, ::testing::ValuesIn(kWays), name_of);

INSTANTIATE_TEST_SUITE_P(Ways, OwnHandlers,
                         ::testing::Values(Way{"own-handler-raw", End::dies, "set a signal handler of its own"}),
                         name_of);

// What is left of an algorithm that has forked into another session, when the replaying process is killed.
class Orphans : public Torture {};

TEST_P(Orphans, NothingIsLeftRunningWhenTheReplayIsKilled) {
  const pid_t replay = ::fork();
  ASSERT_GE(replay, 0);
  if (replay == 0) {
    auto job = alone(fmt::format("{}@500", GetParam().name));
    job.algorithm.timeout = std::chrono::minutes(5);
    (void)run_job(*Recording::open(dir_ / "In.0.sds"), job);
    ::_exit(0);
  }
  const std::size_t most = std::string_view(GetParam().name) == "fork-and-hang" ? 4 : 2;  // the guard is one of them
  EXPECT_TRUE(until([&] { return processes_with(library_.string()).size() >= most; }));
  ::kill(replay, SIGKILL);
  ::waitpid(replay, nullptr, 0);
  EXPECT_TRUE(until([&] { return processes_with(library_.string()).empty(); }));
}

INSTANTIATE_TEST_SUITE_P(Ways, Orphans,
                         ::testing::Values(Way{"hang", End::dies, ""}, Way{"fork-and-hang", End::dies, ""},
                                           Way{"ignore-and-hang", End::dies, ""}, Way{"close-and-hang", End::dies, ""}),
                         name_of);

}  // namespace
}  // namespace sds
