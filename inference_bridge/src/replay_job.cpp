#include "sds/bridge/replay_job.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "job_outputs.hpp"
#include "sds/bridge/pipeline.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"

namespace sds {

namespace {

struct Started {
  std::unique_ptr<Algorithm> algorithm;
  std::vector<std::size_t> streams;
  std::set<JobPart> idle;
};

Expected<std::vector<std::size_t>> find_streams(const Recording& recording, const std::vector<std::string>& ids) {
  std::vector<std::size_t> streams;
  for (const auto& id : ids) {
    auto found = recording.find_stream(id);
    if (!found) return fail(found);
    streams.push_back(*found);
  }
  return streams;
}

// Inputs that are for others where the algorithm names its own.
bool inputs_are_idle(const ReplayJob& job, const std::vector<std::string>& names) {
  return !job.inputs.empty() && job.may_be_idle.contains(JobPart::inputs) &&
         std::find(names.begin(), names.end(), "") == names.end();
}

Expected<std::vector<std::size_t>> find_inputs(const Recording& recording, const std::vector<std::string>& given,
                                               const ReplayJob& job, const std::vector<std::string>& names) {
  if (!given.empty()) {
    if (given.size() != names.size())
      return fail(ErrorCode::usage,
                  fmt::format("the algorithm has {} input{}, and {} stream{} given with --in", names.size(),
                              names.size() == 1 ? "" : "s", given.size(), given.size() == 1 ? " is" : "s are"),
                  job.algorithm.path);
    return find_streams(recording, given);
  }
  // One input and one stream: no name is needed.
  if (names.size() == 1 && recording.streams().size() == 1) return std::vector<std::size_t>{0};
  if (std::find(names.begin(), names.end(), "") != names.end())
    return fail(ErrorCode::usage, "the recording has several streams: choose the algorithm's input with --in",
                recording.path());
  return find_streams(recording, names);
}

// Takes the streams for inputs of these names (empty: the algorithm does not name it). Metadata that cannot be read are
// no reason to take bytes for something else than they are.
Expected<void> take_streams(const Recording& recording, const ReplayJob& job, const std::vector<std::string>& names,
                            Started& started) {
  const bool is_idle = inputs_are_idle(job, names);
  if (is_idle) started.idle.insert(JobPart::inputs);
  auto streams = find_inputs(recording, is_idle ? std::vector<std::string>() : job.inputs, job, names);
  if (!streams) return fail(streams);
  for (const std::size_t stream : *streams)
    if (const auto& error = recording.streams()[stream].metadata_error) return tl::unexpected<Error>(*error);
  started.streams = std::move(*streams);
  return {};
}

// What of the job what runs has no use for. Of a library only the library itself can tell.
Expected<void> note_idle(const ReplayJob& job, bool has_arms_functions, Started& started) {
  using Kind = AlgorithmSpec::Kind;
  const AlgorithmSpec& spec = job.algorithm;
  const bool is_library = spec.kind == Kind::library;
  const auto note = [&](JobPart part, const char* why) -> Expected<void> {
    started.idle.insert(part);
    if (job.may_be_idle.contains(part)) return {};
    return fail(ErrorCode::usage, why, spec.path);
  };
  if (!spec.configuration.empty() && (has_arms_functions || (!is_library && spec.kind != Kind::worker)))
    if (auto noted =
            note(JobPart::configuration, is_library ? "a library with Arm's three functions takes no configuration"
                                                    : "models and pipelines take no configuration");
        !noted)
      return noted;
  if (spec.arm_output.max_bytes > 0 && !has_arms_functions)
    return note(JobPart::arm_output, is_library ? "the library says itself what it puts out: STREAM:BYTES has no effect"
                                                : "STREAM:BYTES is for libraries with Arm's three functions");
  return {};
}

// Whether the job is to go on, for what takes time without any progress.
std::function<Expected<void>()> asker(const ReplayJob& job) {
  return [on_progress = job.on_progress] { return report(on_progress, 0); };
}

Expected<Started> start_library(const Recording& recording, const ReplayJob& job, std::uint8_t fill_memory) {
  const AlgorithmSpec& spec = job.algorithm;
  LibraryOptions options;
  options.library = spec.path;
  options.configuration = spec.configuration;
  options.arm_output = spec.arm_output;
  options.timeout = spec.timeout;
  options.memory_limit = spec.memory_limit;
  options.fill_memory = fill_memory;
  options.input_buffer_bytes = spec.input_buffer_bytes;
  options.ask = asker(job);
  auto algorithm = spec.in_process ? load_in_process_algorithm(options) : start_process_algorithm(options);
  if (!algorithm) return fail(algorithm);
  const auto& outputs = (*algorithm)->outputs();
  if (outputs.size() == 1 && outputs[0].name == spec.arm_output.name && outputs[0].max_bytes == 0)
    return fail(ErrorCode::usage,
                "a library with Arm's three functions does not say what it puts out: give --out STREAM:BYTES",
                spec.path);
  Started started;
  started.algorithm = std::move(*algorithm);
  if (auto noted = note_idle(job, started.algorithm->has_arms_functions(), started); !noted) return fail(noted);
  if (auto taken = take_streams(recording, job, started.algorithm->inputs(), started); !taken) return fail(taken);
  return started;
}

Expected<Started> start_worker(const Recording& recording, const ReplayJob& job) {
  WorkerOptions options;
  options.command = job.algorithm.command;
  options.configuration = job.algorithm.configuration;
  options.timeout = job.algorithm.timeout;
  options.ask = asker(job);
  auto algorithm = start_worker_algorithm(options);
  if (!algorithm) return fail(algorithm);
  // A worker's names for its inputs are its own where the recording does not have them.
  std::vector<std::string> names = (*algorithm)->inputs();
  if (names.size() == 1 && !recording.find_stream(names[0])) names[0] = "";
  Started started;
  if (auto noted = note_idle(job, false, started); !noted) return fail(noted);
  if (auto taken = take_streams(recording, job, names, started); !taken) return fail(taken);
  started.algorithm = std::move(*algorithm);
  return started;
}

Expected<Started> start_model_or_pipeline(const Recording& recording, const ReplayJob& job, std::uint8_t fill_memory) {
  const AlgorithmSpec& spec = job.algorithm;
  std::vector<std::string> names{""};
  if (spec.kind == AlgorithmSpec::Kind::pipeline) {
    auto inputs = pipeline_inputs(spec.path);
    if (!inputs) return fail(inputs);
    names = std::move(*inputs);
  }
  Started started;
  if (auto noted = note_idle(job, false, started); !noted) return fail(noted);
  if (auto taken = take_streams(recording, job, names, started); !taken) return fail(taken);
  std::vector<const StreamInfo*> layouts;
  for (const std::size_t stream : started.streams) layouts.push_back(&recording.streams()[stream]);
  if (spec.kind == AlgorithmSpec::Kind::pipeline) {
    auto made =
        make_pipeline(spec.path, layouts, {spec.engine, spec.timeout, spec.memory_limit, fill_memory, asker(job)});
    if (!made) return fail(made);
    started.algorithm = std::move(*made);
    return started;
  }
  ModelOptions options;
  options.model = spec.path;
  options.engine = spec.engine.empty() ? default_engine(spec.path) : spec.engine;
  options.timeout = spec.timeout;
  options.ask = asker(job);
  ModelInfo info;
  auto made = make_model_pipeline(options, *layouts[0], info);
  if (!made) return fail(made);
  started.algorithm = std::move(*made);
  return started;
}

Expected<Started> start(const Recording& recording, const ReplayJob& job, std::uint8_t fill_memory) {
  switch (job.algorithm.kind) {
    case AlgorithmSpec::Kind::library:
      return start_library(recording, job, fill_memory);
    case AlgorithmSpec::Kind::worker:
      return start_worker(recording, job);
    case AlgorithmSpec::Kind::model:
    case AlgorithmSpec::Kind::pipeline:
      break;
  }
  return start_model_or_pipeline(recording, job, fill_memory);
}

// When the input was received is when the output was, by the same ticks.
Expected<void> take_clocks(const Recording& recording, const Started& started, OutputRecorder& outputs) {
  if (!recording.sdsz()) return {};
  const auto& streams = recording.sdsz()->streams();
  std::size_t from = started.streams[0];
  for (std::size_t i = 0; i < streams.size() && streams[from].clocks.empty(); ++i) from = i;
  return outputs.add_clocks(streams[from].clocks, recording.streams()[from].tick_frequency());
}

// Where pipelines begin anew. A library gets blocks as on a device, where nobody tells it.
Expected<std::vector<BreakFinder>> find_breaks(const Recording& recording, const ReplayJob& job,
                                               const std::vector<std::size_t>& streams) {
  std::vector<BreakFinder> breaks;
  if (job.algorithm.kind != AlgorithmSpec::Kind::model && job.algorithm.kind != AlgorithmSpec::Kind::pipeline)
    return breaks;
  const auto ask = [go_on = asker(job)](std::uint64_t) { return go_on(); };
  for (const std::size_t stream : streams) {
    auto found = BreakFinder::of(recording, stream, ask, job.executor);
    if (!found) return fail(found);
    breaks.push_back(std::move(*found));
  }
  return breaks;
}

// What output buffers hold before each call in run `number`; different in 256 runs, and 0 in the one that is recorded.
std::uint8_t poison_of(unsigned number) { return static_cast<std::uint8_t>(number * 0x5Bu); }

RunsCompared compare_runs(const RunReport& run, const RunReport& first) {
  using Verdict = RunsCompared::Verdict;
  const bool same =
      run.input_fingerprint == first.input_fingerprint && run.output_fingerprint == first.output_fingerprint;
  // A block that fails and puts nothing out is in no fingerprint.
  const Verdict verdict = !run.ok() ? Verdict::fails : same ? Verdict::equal : Verdict::differs;
  return {verdict, same ? std::nullopt : first_difference(run, first)};
}

// A run that ended before its first block. Errors that are not the algorithm's are none of the run.
Expected<RunReport> failed_at_once(const Error& error) {
  if (error.code != ErrorCode::algorithm) return tl::unexpected<Error>(error);
  RunReport run;
  run.failure_count = 1;
  run.failures.push_back({"", std::nullopt, 0, error.message});
  return run;
}

// The runs of one job, one after the other.
class JobRuns {
 public:
  JobRuns(const Recording& recording, const ReplayJob& job) : recording_(recording), job_(job) {
    options_.speed = job.speed;
    options_.executor = job.executor;
    options_.on_progress = job.on_progress;
  }

  Expected<ReplayJobResult> run() {
    if (auto first = run_first(); !first) return fail(first);
    for (unsigned i = 1; i < job_.repeat && result_.runs.back().ok(); ++i)
      if (auto repeated = run_repeated(i); !repeated) return fail(repeated);
    if (!result_.runs.back().ok()) {
      note_not_run();
    } else if (job_.check_reset) {
      if (auto again = run_after_reset(); !again) return fail(again);
    }
    note_void_runs();
    withdraw_equality_of_old_variables();
    return std::move(result_);
  }

 private:
  // Runs that have executed nothing are equal, whatever the algorithm is. Those that differ do so, by what is recorded
  // in front of where they ended.
  void note_void_runs() {
    const auto runs = result_.all_runs();
    if (!std::all_of(runs.begin(), runs.end(), [](const RunReport* run) { return run->is_void(); })) return;
    const bool differ = (result_.repeated && !result_.repeated->equal()) || (result_.reset && !result_.reset->equal());
    withhold_if_equal(result_.repeated);
    withhold_if_equal(result_.reset);
    result_.notes.push_back(void_text(*runs.front()) +
                            (runs.size() > 1 && !differ ? ", and whether its runs are equal is not known" : ""));
  }

  bool withhold_if_equal(std::optional<RunsCompared>& compared) {
    if (!compared || !compared->equal()) return false;
    compared.reset();
    result_.is_withheld = true;
    return true;
  }

  // Runs that differ do so, whatever they began with.
  void withdraw_equality_of_old_variables() {
    if (!result_.has_old_variables || !withhold_if_equal(result_.repeated)) return;
    result_.notes.emplace_back(
        "whether runs from a fresh start are equal is not known: without --in-process each is one");
  }

  // From a fresh start each time, over memory with other contents: what was never initialised shows.
  Expected<void> start_run(unsigned number) {
    // The one before is gone first: it may hold what this one wants (a board, a port, a file), or be this process's
    // own.
    started_ = {};
    if (auto go_on = report(job_.on_progress, 0); !go_on) return go_on;
    auto started = start(recording_, job_, static_cast<std::uint8_t>(job_.repeat > 1 ? 1 + number % 255 : 0));
    if (!started) return fail(started);
    started_ = std::move(*started);
    note_old_variables();
    started_.algorithm->poison_outputs(poison_of(number));
    if (job_.stage_times) started_.algorithm->time_stages();
    options_.input_streams = started_.streams;
    return {};
  }

  // Once, for however many runs.
  void note_old_variables() {
    if (started_.algorithm->is_fresh() || std::exchange(result_.has_old_variables, true)) return;
    result_.notes.emplace_back(
        "the library, or one that it is linked with or shares variables with, was still loaded (threads of it go on, "
        "or "
        "it is never unloaded): its variables begin as an earlier run left them");
  }

  Expected<void> run_first() {
    if (auto begun = start_run(0); !begun) return begun;
    for (const std::size_t stream : started_.streams) result_.inputs.push_back(recording_.streams()[stream].id);
    result_.outputs = started_.algorithm->outputs();
    auto breaks = find_breaks(recording_, job_, started_.streams);
    if (!breaks) return fail(breaks);
    options_.breaks = std::move(*breaks);
    std::optional<OutputRecorder> outputs;
    if (!job_.output.empty()) {
      auto created =
          record_outputs(recording_, job_, started_.streams[0], result_.outputs, started_.idle, result_.notes);
      if (!created) return fail(created);
      outputs.emplace(std::move(*created));
      result_.files = outputs->files();
    }
    result_.idle = started_.idle;
    auto run = run_replay(recording_, *started_.algorithm, outputs ? &*outputs : nullptr, options_);
    if (!run) return fail(run);
    result_.runs.push_back(std::move(*run));
    return outputs ? close(*outputs) : Expected<void>{};
  }

  Expected<void> close(OutputRecorder& outputs) {
    if (auto done = take_clocks(recording_, started_, outputs); !done) return done;
    if (auto closed = outputs.close(); !closed) return closed;
    for (auto& note : outputs.notes()) result_.notes.push_back(std::move(note));
    return {};
  }

  Expected<void> run_repeated(unsigned number) {
    auto begun = start_run(number);
    // It did start once, with the same configuration.
    if (!begun && begun.error().code == ErrorCode::bad_input) begun.error().code = ErrorCode::algorithm;
    auto run = begun ? run_replay(recording_, *started_.algorithm, nullptr, options_) : fail(begun);
    if (!run) run = failed_at_once(run.error());
    if (!run) return fail(run);
    result_.runs.push_back(std::move(*run));
    if (!result_.repeated || result_.repeated->equal())
      result_.repeated = compare_runs(result_.runs.back(), result_.runs.front());
    return {};
  }

  Expected<void> run_after_reset() {
    started_.algorithm->poison_outputs(poison_of(job_.repeat));
    auto again = run_replay(recording_, *started_.algorithm, nullptr, options_);
    if (!again) again = failed_at_once(again.error());
    if (!again) return fail(again);
    result_.after_reset = std::move(*again);
    result_.reset = compare_runs(*result_.after_reset, result_.runs.back());
    return {};
  }

  void note_not_run() {
    const std::size_t next = result_.runs.size() + 1;
    if (next < job_.repeat) {
      result_.not_run.push_back(fmt::format("runs {} to {}", next, job_.repeat));
    } else if (next == job_.repeat) {
      result_.not_run.push_back(fmt::format("run {}", next));
    }
    if (job_.check_reset) result_.not_run.emplace_back("the run after a reset");
  }

  const Recording& recording_;
  const ReplayJob& job_;
  RunOptions options_;
  Started started_;  // of the newest run
  ReplayJobResult result_;
};

}  // namespace

std::string AlgorithmSpec::name() const {
  if (kind == Kind::worker) return command.empty() ? "worker" : fmt::format("{}", fmt::join(command, " "));
  const std::string file = path.filename().string();
  return engine.empty() || kind == Kind::library ? file : file + "@" + engine;
}

AlgorithmSpec parse_algorithm(const std::string& text) {
  AlgorithmSpec spec;
  std::string file = text;
  if (const auto at = text.rfind('@'); at != std::string::npos && at > 0) {
    const auto& engines = engine_names();
    if (std::find(engines.begin(), engines.end(), text.substr(at + 1)) != engines.end()) {
      spec.engine = text.substr(at + 1);
      file = text.substr(0, at);
    }
  }
  spec.path = file;
  const auto ending = spec.path.extension();
  if (ending == ".tflite" || ending == ".onnx") spec.kind = AlgorithmSpec::Kind::model;
  if (ending == ".yml" || ending == ".yaml") spec.kind = AlgorithmSpec::Kind::pipeline;
  return spec;
}

Expected<OutputPort> parse_output_port(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  OutputPort port;
  const char* end = text.data() + text.size();
  if (colon == std::string::npos || std::from_chars(text.data() + colon + 1, end, port.max_bytes).ptr != end ||
      colon + 1 == text.size() || port.max_bytes == 0 || port.max_bytes > limits::max_block_bytes)
    return fail(ErrorCode::usage, "is not STREAM:BYTES, for example ML_Out:9");
  port.name = text.substr(0, colon);
  if (auto ok = check_stream_name(port.name); !ok)
    return fail(ErrorCode::usage, "names no stream: " + ok.error().message);
  return port;
}

bool ReplayJobResult::ok() const {
  const auto all = all_runs();
  return !is_withheld && (!repeated || repeated->equal()) && (!reset || reset->equal()) &&
         std::all_of(all.begin(), all.end(), [](const auto* run) { return run->ok(); });
}

std::string ReplayJobResult::not_run_text() const {
  return fmt::format("not run, behind the one that failed: {}", fmt::join(not_run, ", "));
}

std::vector<const RunReport*> ReplayJobResult::all_runs() const {
  std::vector<const RunReport*> all;
  for (const auto& run : runs) all.push_back(&run);
  if (after_reset) all.push_back(&*after_reset);
  return all;
}

Expected<ReplayJobResult> run_job(const Recording& recording, const ReplayJob& job) {
  const AlgorithmSpec& spec = job.algorithm;
  if (spec.input_buffer_bytes > 0 && (spec.kind != AlgorithmSpec::Kind::library || spec.in_process))
    return fail(ErrorCode::usage, "an input buffer is for libraries in a process of their own", spec.path);
  if (spec.input_buffer_bytes > limits::max_block_bytes)
    return fail(ErrorCode::usage, "an input buffer has at most 32 MiB", spec.path);
  const bool has_stages = spec.kind == AlgorithmSpec::Kind::model || spec.kind == AlgorithmSpec::Kind::pipeline;
  if (job.stage_times && !has_stages) return fail(ErrorCode::usage, "only pipelines and models have stages", spec.path);
  return JobRuns(recording, job).run();
}

}  // namespace sds
