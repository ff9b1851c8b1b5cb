// From "this algorithm, that recording" to runs and recorded outputs: what `sds replay` and `sds test` have in common.
#pragma once

#include <optional>
#include <set>

#include "sds/bridge/engine.hpp"
#include "sds/bridge/replay_run.hpp"

namespace sds {

/// What to run, and how to start it.
struct AlgorithmSpec {
  enum class Kind { library, model, pipeline, worker };
  Kind kind = Kind::library;
  std::filesystem::path path;        ///< of the library, model or pipeline file
  std::vector<std::string> command;  ///< of a worker
  std::string engine;                ///< of models; empty: default_engine()
  std::string configuration;
  OutputPort arm_output;  ///< of a library with Arm's three functions
  std::chrono::milliseconds timeout{10000};
  std::uint64_t memory_limit = std::uint64_t{2} << 30;
  std::uint64_t input_buffer_bytes = 0;  ///< see LibraryOptions; libraries in a child process only
  bool in_process = false;               ///< libraries only

  /// What it is called in reports: the file's name, with the engine if there is one.
  [[nodiscard]] std::string name() const;
};

/// By its ending: .tflite and .onnx are models, .yml and .yaml pipelines, everything else libraries.
/// "model.tflite@litert" names an engine.
AlgorithmSpec parse_algorithm(const std::string& text);

/// The output of a library with Arm's functions, as command lines and suites write it: "ML_Out:9", name and bytes.
/// An error's message goes on from the text: "is not STREAM:BYTES".
Expected<OutputPort> parse_output_port(const std::string& text);

/// What not every algorithm has a use for.
enum class JobPart { configuration, inputs, arm_output, out_metadata };

struct ReplayJob {
  AlgorithmSpec algorithm;
  std::vector<std::string> inputs;  ///< ids of streams; empty: those that the algorithm names, or the only one
  std::filesystem::path output;     ///< see OutputRecorder; empty: outputs are not recorded
  /// YAML of the only output, or of that of its name; empty: the algorithm's own, or that of a stream of its name.
  std::filesystem::path out_metadata;
  IfExists if_exists = IfExists::fail;
  OutputNaming naming;
  unsigned repeat = 1;            ///< runs, each from a fresh start
  bool check_reset = false;       ///< one more run on the same instance after a reset: it must be equal
  bool stage_times = false;       ///< RunReport::stages; of models and pipelines only
  std::set<JobPart> may_be_idle;  ///< without effect they are no error, for others may need them: see below
  double speed = 0;
  Executor* executor = nullptr;
  std::function<Expected<void>(std::uint64_t bytes)> on_progress;
};

/// A run beside the one that it has to be equal to.
struct RunsCompared {
  enum class Verdict { equal, differs, fails };
  Verdict verdict = Verdict::equal;              ///< fails: the run does, and the other did not
  std::optional<std::uint64_t> first_different;  ///< see first_difference()

  [[nodiscard]] bool equal() const { return verdict == Verdict::equal; }
};

struct ReplayJobResult {
  std::vector<RunReport> runs;               ///< of ReplayJob::repeat those up to the first that failed
  std::optional<RunReport> after_reset;      ///< with ReplayJob::check_reset, where no run failed before
  std::vector<std::string> inputs;           ///< ids of the streams that were fed
  std::vector<OutputPort> outputs;           ///< of the algorithm
  std::vector<std::filesystem::path> files;  ///< that hold the outputs
  /// Of ReplayJob::may_be_idle: a configuration and arm_output that it does not take; inputs where the algorithm names
  /// its own; metadata that are neither of its name nor of an only output without any.
  std::set<JobPart> idle;
  std::vector<std::string> notes;        ///< what may be wrong with the outputs
  std::optional<RunsCompared> repeated;  ///< the first of `runs` that is not equal to the first one; one run: nothing
  std::optional<RunsCompared> reset;     ///< `after_reset`, if there is one
  bool is_withheld = false;              ///< whether runs are equal was asked, and is not known
  bool has_old_variables = false;        ///< in one of the runs: see Algorithm::is_fresh()
  std::vector<std::string> not_run;      ///< what was asked for behind a run that failed: "run 3"

  [[nodiscard]] bool ok() const;
  /// `not_run` as a line; of some only.
  [[nodiscard]] std::string not_run_text() const;
  /// All of `runs`, and the one after a reset.
  [[nodiscard]] std::vector<const RunReport*> all_runs() const;
};

/// Runs stop at the first that fails. Errors are those of files and of algorithms that do not start or do not fit; one
/// that did and does not a second time fails that run.
Expected<ReplayJobResult> run_job(const Recording& recording, const ReplayJob& job);

}  // namespace sds
