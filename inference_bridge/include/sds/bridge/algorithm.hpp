// The algorithm under test, as a replay sees it, whatever it is made of: a shared library in a child process or in this
// one, a worker process in any language, a pipeline of these. A target on the wire will be one more.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sds/bridge/duration_histogram.hpp"
#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/time.hpp"

namespace sds {

/// A block on its way into an algorithm.
struct AlgorithmInput {
  std::uint32_t port = 0;  ///< which of the algorithm's inputs
  std::uint64_t tick = 0;
  Frequency frequency;  ///< of the ticks
  ByteView data;
};

struct AlgorithmOutput {
  std::uint32_t port = 0;  ///< which of the algorithm's outputs
  ByteView data;
  /// Than the block: what came of a sample inside of it, where samples have times; negative where the sample came with
  /// an earlier block.
  std::int64_t ticks_later = 0;
};

/// What an algorithm made of one block.
struct AlgorithmResult {
  /// 0, or the algorithm's own error number: then there are no outputs, but for those of other windows of the block.
  std::int32_t status = 0;
  bool has_number = true;                ///< false: `status` is not 0, and `message` says it all
  std::string message;                   ///< what it says about its error; may be empty
  std::vector<AlgorithmOutput> outputs;  ///< in the order in which they came about
  /// So many bytes behind the block's end the algorithm went, see LibraryOptions::input_buffer_bytes.
  std::uint64_t passed_bytes = 0;
  /// Of the work alone, measured where it ran; in a pipeline of all its stages, without waiting for one another.
  std::chrono::nanoseconds duration{0};
  /// Makes it that of a failure for which the algorithm has no number.
  void fails_with(std::string why);
  [[nodiscard]] std::string describe_failure() const;  ///< of a status that is not 0
};

struct OutputPort {
  std::string name;             ///< of the output stream
  std::uint32_t max_bytes = 0;  ///< of one output block; 0: not known beforehand
  std::string metadata;         ///< YAML of the stream, where the algorithm knows it; else empty
};

/// What one stage of a pipeline has taken.
struct StageTimes {
  std::string name;
  std::chrono::nanoseconds total{0};
  DurationHistogram durations;  ///< for each frame; none of "input" and "waiting"
};

/// Called by one thread. Blocks go in with submit() and their results come out of take() in the same order; several may
/// be on their way at once, which is what makes a child process cheap. An algorithm that crashed or hung is told by
/// take() in the place of the block that was being executed, behind the results of all before it
/// (ErrorCode::algorithm); it cannot be called again. Other errors mean that the machine refused, or that the user
/// interrupts.
class Algorithm {
 public:
  virtual ~Algorithm() = default;

  /// Names of the inputs; empty names where the algorithm does not name them.
  [[nodiscard]] virtual const std::vector<std::string>& inputs() const = 0;
  [[nodiscard]] virtual const std::vector<OutputPort>& outputs() const = 0;
  /// A library with Arm's three functions, which takes no configuration and does not say what it puts out.
  [[nodiscard]] virtual bool has_arms_functions() const { return false; }
  /// False where the variables of a library in this process, or of one that it is linked with, begin as an earlier run
  /// left them.
  [[nodiscard]] virtual bool is_fresh() const { return true; }
  /// Forgets everything that earlier blocks left behind. Nothing may be on its way.
  [[nodiscard]] virtual Expected<void> reset() = 0;
  /// True if a block of `bytes` may be submitted now; always true if none is on its way.
  [[nodiscard]] virtual bool can_submit(std::size_t bytes) const = 0;
  /// Hands over a block; its data is copied. Blocks behind one that the algorithm has not survived are not executed.
  [[nodiscard]] virtual Expected<void> submit(const AlgorithmInput& input) = 0;
  /// The result of the oldest block on its way; its data stays valid until the next call. An error belongs to that
  /// block.
  [[nodiscard]] virtual Expected<AlgorithmResult> take() = 0;
  /// Behind an error of take() (ErrorCode::algorithm): what had become of the block that the algorithm has not survived
  /// before that, until the next call. A status of 0 says only that it had not failed yet.
  [[nodiscard]] virtual AlgorithmResult result_before_end() const { return {}; }
  /// `ask` is called now and then while a call lasts; an error of it ends the algorithm and is passed on.
  virtual void ask_while_waiting(const std::function<Expected<void>()>& /*ask*/) {}
  /// From now on output buffers hold this byte before each call (0 at first): outputs that the algorithm reports and
  /// has not written differ between runs with different bytes. Nothing may be on its way.
  virtual void poison_outputs(std::uint8_t /*byte*/) {}
  /// Of blocks that have been submitted since the last reset(): false in a pipeline in which nothing has come as far as
  /// the last stage that runs a model or an algorithm, or, without such a stage, nothing has come out.
  [[nodiscard]] virtual bool has_executed() const { return true; }
  /// Behind the last result of a run: an error if the algorithm has more to say than it was asked.
  [[nodiscard]] virtual Expected<void> finish() { return {}; }
  /// Tells of a loss, or a gap in time, in the input: what the algorithm remembers from before it must not be mixed
  /// with what follows. Compiled algorithms cannot know; pipelines begin their windows anew. Nothing may be on its way.
  [[nodiscard]] virtual Expected<void> note_gap() { return {}; }
  /// Since the last reset(): how often what stands behind a stage of a pipeline began anew because frames had failed.
  [[nodiscard]] virtual std::uint64_t restarts() const { return 0; }
  /// Largest resident memory of the algorithm's process so far, in bytes; 0 where it has none of its own.
  [[nodiscard]] virtual std::uint64_t peak_memory() const { return 0; }

  /// From now on there are stage_times(), which cost two readings of the clock for each frame of a stage.
  virtual void time_stages() {}
  /// Since the last reset(), where there are stages and time_stages() was called: what each has worked, in their order;
  /// the first is "input", the last "waiting": what this process did between the stages (handing over, waiting for the
  /// process of one).
  [[nodiscard]] virtual std::vector<StageTimes> stage_times() const { return {}; }

  /// submit() and take() of one block.
  [[nodiscard]] Expected<AlgorithmResult> execute(const AlgorithmInput& input);
};

struct LibraryOptions {
  std::filesystem::path library;
  std::string configuration;  ///< handed to create() of sds_algorithm.h
  /// Output of a library with Arm's three functions, which does not say how much it writes.
  OutputPort arm_output{"Out", 0, ""};
  /// Longest time that one call may take; only a child process can be stopped.
  std::chrono::milliseconds timeout{10000};
  std::uint64_t memory_limit = std::uint64_t{2} << 30;  ///< bytes of data in a child process; 0: none
  /// Not 0: each block is copied to the start of one buffer of this size, as on a device, which is 0 at a reset and
  /// keeps what earlier blocks left. The algorithm may go behind its block, which is noted, but not behind the buffer.
  /// Child process only; at most 32 MiB.
  std::uint64_t input_buffer_bytes = 0;
  /// Not 0: fresh memory is filled with this byte, so that reading it uninitialised shows (child process only).
  std::uint8_t fill_memory = 0;
  /// Called now and then while it starts or is waited for; an error ends that.
  std::function<Expected<void>()> ask;
};

/// The running program's own file: what belongs to it is found from there. Empty if the system does not tell.
std::filesystem::path program_path();

/// The library that a file in `folder` names: relative to that folder; a bare name that is not there is looked for in
/// the lib folder beside the running program.
std::filesystem::path find_algorithm_library(const std::filesystem::path& name, const std::filesystem::path& folder);

/// Loads the library, with Arm's three functions or sds_algorithm.h, in a child process whose input and output buffers
/// end at guard pages: a crash, a hang, or an access past the end of a block becomes an error that names it. Up to 128
/// blocks run ahead of the child in shared memory. What the algorithm prints goes to stderr.
Expected<std::unique_ptr<Algorithm>> start_process_algorithm(const LibraryOptions& options);

/// Loads the library into this process: fastest, and no protection at all. While it lives, what this process prints to
/// standard output comes out on standard error. One whose threads go on stays loaded behind its end.
Expected<std::unique_ptr<Algorithm>> load_in_process_algorithm(const LibraryOptions& options);

struct WorkerOptions {
  std::vector<std::string> command;      ///< program and arguments
  std::string configuration;             ///< handed over in the greeting
  std::vector<std::string> environment;  ///< "NAME=value", added to ours
  std::chrono::milliseconds timeout{30000};
  std::chrono::milliseconds start_timeout{120000};  ///< for the greeting: interpreters load slowly
  /// Called now and then while it starts or is waited for; an error ends that.
  std::function<Expected<void>()> ask;
};

/// Starts a program that speaks the worker protocol (docs/worker-protocol.md) on its standard input and output. The
/// destructor ends its input and waits up to a second, as long as WorkerOptions::ask lets it, for one that owes no
/// answer to end; then it kills it.
Expected<std::unique_ptr<Algorithm>> start_worker_algorithm(const WorkerOptions& options);
/// Same, and gives the greeting's JSON text: engines describe their models there.
Expected<std::unique_ptr<Algorithm>> start_worker_algorithm(const WorkerOptions& options, std::string& greeting);

}  // namespace sds
