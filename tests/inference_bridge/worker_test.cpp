// Workers: the protocol, and those that do not keep to it.
#include <gtest/gtest.h>

#include "sds/bridge/algorithm.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

class WorkerTest : public ::testing::Test {
 protected:
  // A worker of the module, with this text as its body.
  Expected<std::unique_ptr<Algorithm>> start(const std::string& script, const std::string& configuration = "") {
    test::write_file(dir_ / "worker.py", "import sys\nsys.path.insert(0, '" SDSKIT_SOURCE_DIR
                                         "/inference_bridge/python')\nimport sds_worker\n" +
                                             script);
    WorkerOptions options;
    options.command = {"python3", "-B", (dir_ / "worker.py").string()};
    options.configuration = configuration;
    options.timeout = std::chrono::milliseconds(2000);
    options.start_timeout = std::chrono::milliseconds(10000);
    return start_worker_algorithm(options);
  }

  // What becomes of a block that a worker answers as `answer` (statements) says.
  std::string answer_of(const std::string& answer) {
    auto worker = start(
        "import struct, os, time\nc, _ = sds_worker.connect()\n"
        "c.write('H', struct.pack('<I', 1), "
        "b'{\"inputs\":[{\"name\":\"a\"}],\"outputs\":[{\"name\":\"b\",\"bytes\":4}]}')\n"
        "while True:\n  kind, payload = c.read()\n  if kind == 'R': c.write('R'); continue\n" +
        answer);
    if (!worker) return worker.error().message;
    if (auto reset = (*worker)->reset(); !reset) return reset.error().message;
    AlgorithmInput input;
    input.data = as_bytes("data");
    auto result = (*worker)->execute(input);
    if (!result) {
      EXPECT_EQ((*worker)->execute(input).error().message, "the algorithm has ended");
      return result.error().message;
    }
    return result->status != 0 ? result->describe_failure() : "fine";
  }

  test::TempDir dir_;
};

TEST_F(WorkerTest, BlocksAndTimesArriveExactlyAndOutputsComeBack) {
  auto worker = start(R"(
print("what is printed goes elsewhere")
seen = []
def execute(block):
    seen.append(len(block.data))
    return [b"%d %d %s " % (block.input, block.tick, str(block.frequency).encode()) + bytes(block.data), b"", bytes([len(seen)])]
sds_worker.run(["a", "b"], [{"name": "x"}, {"name": "y"}, {"name": "z", "bytes": 1}], execute, seen.clear)
)");
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ((*worker)->inputs(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ((*worker)->outputs().at(2).max_bytes, 1u);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE((*worker)->reset());
    AlgorithmInput input;
    input.port = 1;
    input.tick = (std::uint64_t{1} << 50) + 1;
    input.frequency = {48000, 7};
    input.data = as_bytes("payload");
    auto result = (*worker)->execute(input);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->outputs.size(), 2u) << "an empty output is none";
    EXPECT_EQ(as_text(result->outputs[0].data), "1 1125899906842625 48000/7 payload");
    EXPECT_EQ(result->outputs[1].port, 2u);
    EXPECT_EQ(result->outputs[1].data[0], std::byte{1}) << "state is forgotten at reset";
    EXPECT_GT(result->duration.count(), 0);
  }
  EXPECT_GT((*worker)->peak_memory(), 1000000u);
}

TEST_F(WorkerTest, ManyBlocksMayBeOnTheirWayAndNeitherSideBlocksTheOther) {
  auto worker = start("sds_worker.run(['a'], [{'name': 'x'}], lambda block: [bytes(block.data) * 3])\n");
  ASSERT_TRUE(worker) << worker.error().message;
  ASSERT_TRUE((*worker)->reset());
  test::Random random(2);
  std::vector<std::string> blocks;
  for (int i = 0; i < 300; ++i)
    blocks.emplace_back(random.below(i % 20 == 3 ? 700000 : 3000) + 1, static_cast<char>(i));
  std::size_t taken = 0;
  std::size_t submitted = 0;
  while (taken < blocks.size()) {
    if (submitted < blocks.size() && (*worker)->can_submit(blocks[submitted].size())) {
      AlgorithmInput input;
      input.data = as_bytes(blocks[submitted++]);
      ASSERT_TRUE((*worker)->submit(input));
      continue;
    }
    auto result = (*worker)->take();
    ASSERT_TRUE(result) << result.error().message;
    const auto& block = blocks[taken++];
    ASSERT_EQ(as_text(result->outputs.at(0).data), block + block + block);
  }
}

TEST_F(WorkerTest, AnAnswerTooManyIsSeenAtTheEndOfARun) {
  auto worker = start(
      "import struct\nc, _ = sds_worker.connect()\nn = 0\n"
      "c.write('H', struct.pack('<I', 1), b'{\"inputs\":[{\"name\":\"a\"}],\"outputs\":[{\"name\":\"b\"}]}')\n"
      "while True:\n  kind, payload = c.read()\n  if kind == 'R': c.write('R'); continue\n  n += 1\n"
      "  for i in range(2 if n == 3 else 1): c.write('X', struct.pack('<QI', 1, 1), struct.pack('<I', 1), b'x')\n");
  ASSERT_TRUE(worker) << worker.error().message;
  AlgorithmInput input;
  input.data = as_bytes("data");
  ASSERT_TRUE((*worker)->reset());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE((*worker)->execute(input));
  EXPECT_TRUE((*worker)->finish());
  ASSERT_TRUE((*worker)->reset());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE((*worker)->execute(input));
  const auto finished = (*worker)->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code, ErrorCode::algorithm);
  EXPECT_NE(finished.error().message.find("it has answered more often than it was asked"), std::string::npos);
}

TEST_F(WorkerTest, OneThatClosesItsOutputIsStopped) {
  EXPECT_EQ(answer_of("  c._out.close(); os.closerange(0, 20); time.sleep(60)\n"),
            "the worker closed its standard output (at 'execute')");
}

TEST_F(WorkerTest, AFailureOfOneBlockIsReportedAndTheNextGoesOn) {
  auto worker = start(R"(
def execute(block):
    if bytes(block.data) == b"bad": raise sds_worker.Failure(7, "no such thing")
    if bytes(block.data) == b"least": raise sds_worker.Failure(-2**31, "no such thing")
    return [b"ok"]
sds_worker.run(["a"], [{"name": "x"}], execute)
)");
  ASSERT_TRUE((*worker)->reset());
  AlgorithmInput input;
  input.data = as_bytes("bad");
  EXPECT_EQ((*worker)->execute(input)->describe_failure(), "the algorithm returned 7: no such thing");
  input.data = as_bytes("least");
  EXPECT_EQ((*worker)->execute(input)->describe_failure(), "the algorithm returned -2147483648: no such thing");
  input.data = as_bytes("good");
  EXPECT_EQ((*worker)->execute(input)->outputs.size(), 1u);
}

TEST_F(WorkerTest, ThoseThatDoNotStartSayWhy) {
  WorkerOptions options;
  options.command = {"no-such-program-anywhere"};
  EXPECT_NE(start_worker_algorithm(options).error().message.find("cannot be started"), std::string::npos);
  options.command = {"/bin/true"};
  EXPECT_EQ(start_worker_algorithm(options).error().message,
            "the worker ended the process with exit code 0 (at 'start')");
  options.command = {"/bin/echo", "hello, I am no worker"};
  EXPECT_EQ(start_worker_algorithm(options).error().message.find("the worker does not keep to the protocol: "), 0u);
  EXPECT_EQ(start("def no(text): raise sds_worker.Refusal('not with ' + text)\n"
                  "sds_worker.run(['a'], [], lambda b: [], configure=no)\n",
                  "this")
                .error()
                .message,
            "not with this");
  EXPECT_EQ(
      start("import struct\nc, _ = sds_worker.connect()\nc.write('H', struct.pack('<I', 2), b'{}')\n").error().message,
      "the worker speaks version 2, not 1");
  EXPECT_EQ(
      start("import struct\nc, _ = sds_worker.connect()\nc.write('H', struct.pack('<I', 1), b'[]')\n").error().message,
      "the worker does not keep to the protocol: its greeting is not a JSON object");
  EXPECT_EQ(
      start("import struct\nc, _ = sds_worker.connect()\nc.write('H', struct.pack('<I', 1), b'{\"inputs\": []}')\n")
          .error()
          .message,
      "the worker does not keep to the protocol: its greeting lists no inputs");
}

TEST_F(WorkerTest, OneThatDiesHalfWayIsNamed) {
  EXPECT_EQ(answer_of("  os._exit(3)\n"), "the worker ended the process with exit code 3 (at 'execute')");
  EXPECT_EQ(answer_of("  os.kill(os.getpid(), 9)\n"), "the worker crashed: Killed (signal 9) (at 'execute')");
  EXPECT_EQ(answer_of("  c._out.write(b'\\x20\\0'); c._out.flush(); os._exit(0)\n"),
            "the worker ended the process with exit code 0 (at 'execute')");
}

TEST_F(WorkerTest, OneThatHangsIsStopped) {
  EXPECT_EQ(answer_of("  time.sleep(60)\n"), "the worker did not answer 'execute' within 2000 ms");
}

TEST_F(WorkerTest, AnswersOfTooMuchTooLittleOrNonsenseAreRefused) {
  const std::string prefix = "the worker does not keep to the protocol: ";
  EXPECT_EQ(answer_of("  c.write('X', struct.pack('<QI', 1, 1), struct.pack('<I', 4), b'good')\n"), "fine");
  EXPECT_EQ(
      answer_of("  c.write('X', struct.pack('<QI', 1, 2), struct.pack('<I', 4), b'good', struct.pack('<I', 0))\n"),
      prefix + "it answers with 2 outputs and has 1");
  EXPECT_EQ(answer_of("  c.write('X', struct.pack('<QI', 1, 1), struct.pack('<I', 5), b'large')\n"),
            prefix + "its output b has 5 bytes and was announced with 4");
  EXPECT_EQ(answer_of("  c.write('X', struct.pack('<QI', 1, 1), struct.pack('<I', 9), b'cut')\n"),
            prefix + "its output b is cut short");
  EXPECT_EQ(answer_of("  c.write('X', struct.pack('<QI', 1, 1), struct.pack('<I', 2), b'more')\n"),
            prefix + "2 bytes are left behind its outputs");
  EXPECT_EQ(answer_of("  c.write('X', struct.pack('<QI', 2**64 - 1, 1), struct.pack('<I', 4), b'good')\n")
                .find(prefix + "it claims 18446744073709551615 ns of work"),
            0u);
  EXPECT_EQ(answer_of("  c.write('Z')\n"), prefix + "it answers a block with a frame 'Z' of 0 bytes");
  EXPECT_EQ(answer_of("  c._out.write(b'\\xff\\xff\\xff\\xffX'); c._out.flush()\n"),
            prefix + "it announces a frame of 4294967295 bytes");
  EXPECT_EQ(answer_of("  c.write('F', struct.pack('<i', 0))\n"), prefix + "it reports a failure with status 0");
  EXPECT_EQ(answer_of("  c.write('X')\n").find(prefix + "it answers with 0 outputs"), 0u);
}

}  // namespace
}  // namespace sds
