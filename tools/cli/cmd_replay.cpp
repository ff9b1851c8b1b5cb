#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "command.hpp"
#include "damage_text.hpp"
#include "labels_beside.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "report.hpp"
#include "report_output.hpp"
#include "scratch_folder.hpp"
#include "sds/bridge/replay_job.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/worker_pool.hpp"
#include "shell_text.hpp"

namespace sds::cli {

namespace {

struct ReplayArguments {
  InputOptions input;
  std::string algorithm;
  std::string model;
  std::string pipeline;
  std::string worker;
  std::string engine;
  std::string a;
  std::string b;
  std::string configuration;
  std::vector<std::string> in_streams;
  std::string out_stream;
  std::filesystem::path out_metadata;
  std::filesystem::path output;
  std::string speed = "max";
  unsigned repeat = 1;
  bool require_identical = false;
  bool check_reset = false;
  bool stage_times = false;
  unsigned timeout_ms = 10000;
  std::uint64_t memory_mib = 2048;
  std::uint64_t input_buffer = 0;
  unsigned threads = 0;
  bool in_process = false;
  std::vector<std::string> channels;
  std::vector<std::string> tolerances;
  std::vector<std::string> relatives;
  bool force = false;
  bool json = false;
};

constexpr std::string ReplayArguments::*kWhat[] = {&ReplayArguments::algorithm, &ReplayArguments::model,
                                                   &ReplayArguments::pipeline, &ReplayArguments::worker};

Expected<double> parse_speed(const std::string& text) {
  double speed = 0;
  if (text == "max") return speed;
  if (std::from_chars(text.data(), text.data() + text.size(), speed).ptr != text.data() + text.size() || !(speed > 0) ||
      !std::isfinite(speed))
    return fail(ErrorCode::usage, fmt::format("--speed '{}' is neither 'max' nor a number above 0", text));
  return speed;
}

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    if (c != ' ') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  return words;
}

// "@file" is the text of a file.
Expected<std::string> read_configuration(const std::string& text) {
  if (!text.starts_with('@')) return text;
  reads(text.substr(1));
  return read_small_file(text.substr(1), limits::max_metadata_bytes);
}

bool is_library(const std::string& text) {
  return !text.empty() && parse_algorithm(text).kind == AlgorithmSpec::Kind::library;
}

Expected<AlgorithmSpec> make_spec(const ReplayArguments& o, const std::string& text) {
  AlgorithmSpec spec = parse_algorithm(text);
  if (!o.model.empty() && text == o.model) spec.kind = AlgorithmSpec::Kind::model;
  if (!o.pipeline.empty() && text == o.pipeline) spec.kind = AlgorithmSpec::Kind::pipeline;
  if (!o.worker.empty() && text == o.worker) {
    spec = {};
    spec.kind = AlgorithmSpec::Kind::worker;
    spec.command = split_words(text);
  }
  if (!spec.path.empty()) reads(spec.path);
  if (spec.engine.empty() && spec.kind != AlgorithmSpec::Kind::library && spec.kind != AlgorithmSpec::Kind::worker)
    spec.engine = o.engine;
  spec.timeout = std::chrono::milliseconds(o.timeout_ms);
  spec.memory_limit = o.memory_mib << 20;
  spec.in_process = o.in_process;
  // Of --a and --b it is for those that are libraries; it is an error where none is.
  if (is_library(text) || !(is_library(o.a) || is_library(o.b))) spec.input_buffer_bytes = o.input_buffer;
  auto configuration = read_configuration(o.configuration);
  if (!configuration) return fail(configuration);
  spec.configuration = std::move(*configuration);
  if (o.a.empty()) {
    const bool runs_library = spec.kind == AlgorithmSpec::Kind::library;
    const bool has_stages = !runs_library && spec.kind != AlgorithmSpec::Kind::worker;
    const char* idle = has_stages && !o.configuration.empty()         ? "--config"
                       : spec.engine != o.engine && !o.engine.empty() ? "--engine"
                       : !runs_library && !o.out_stream.empty()       ? "--out"
                       : !runs_library && o.in_process                ? "--in-process"
                                                                      : nullptr;
    if (idle != nullptr)
      return fail(ErrorCode::usage, fmt::format("{} has no effect on what runs here", idle), spec.path);
  }
  if (o.out_stream.empty()) return spec;
  auto output = parse_output_port(o.out_stream);
  if (!output) return fail(ErrorCode::usage, fmt::format("--out '{}' {}", o.out_stream, output.error().message));
  spec.arm_output = std::move(*output);
  return spec;
}

Expected<ReplayJob> make_job(const ReplayArguments& o, const std::string& algorithm) {
  ReplayJob job;
  auto spec = make_spec(o, algorithm);
  if (!spec) return fail(spec);
  job.algorithm = std::move(*spec);
  auto speed = parse_speed(o.speed);
  if (!speed) return fail(speed);
  job.speed = *speed;
  job.inputs = o.in_streams;
  job.out_metadata = o.out_metadata;
  job.if_exists = o.force ? IfExists::overwrite : IfExists::fail;
  job.repeat = std::max(o.repeat, o.require_identical ? 2u : 1u);
  job.check_reset = o.check_reset;
  // As with input buffers: of --a and --b for those that have stages, and an error where none has.
  const auto has_stages = [](const AlgorithmSpec& s) {
    return s.kind == AlgorithmSpec::Kind::model || s.kind == AlgorithmSpec::Kind::pipeline;
  };
  const bool one_has = !o.a.empty() && (has_stages(parse_algorithm(o.a)) || has_stages(parse_algorithm(o.b)));
  job.stage_times = o.stage_times && (has_stages(job.algorithm) || !one_has);
  return job;
}

// Labels that stand beside an output are those of what was there before.
Expected<ReplayJobResult> run_beside_labels(const Recording& recording, ReplayJob job) {
  const bool force = job.if_exists == IfExists::overwrite;
  std::vector<std::string> notes;
  std::vector<std::filesystem::path> kept;  // which an error behind them has to tell
  job.naming.may_be_made = [force](const std::filesystem::path& file) { return LabelsBeside(file, force).refuse(); };
  job.naming.keep = [force, &notes, &kept](PartialFile& file) {
    auto done = LabelsBeside(file.final_path(), force).keep(file, std::nullopt, notes);
    if (done) kept.push_back(file.final_path());
    return done;
  };
  auto result = run_job(recording, job);
  if (result) {
    result->notes.insert(result->notes.end(), notes.begin(), notes.end());
  } else {
    tell_what_is_there(result.error(), kept, notes);
  }
  return result;
}

std::string where(const RunsCompared& compared) {
  return compared.first_different ? fmt::format(", first at output {}", *compared.first_different) : std::string();
}

std::string repeated_text(const RunsCompared& repeated) {
  switch (repeated.verdict) {
    case RunsCompared::Verdict::equal:
      return "fingerprints are equal: the replay is deterministic";
    case RunsCompared::Verdict::differs:
      return "FINGERPRINTS DIFFER: the algorithm is not deterministic" + where(repeated);
    case RunsCompared::Verdict::fails:
      break;
  }
  return "RUNS DIFFER: the algorithm fails in one of them" + where(repeated);
}

std::string reset_text(const ReplayJobResult& result) {
  const RunReport& run = *result.after_reset;
  if (!run.failures.empty() && !run.failures.front().ordinal) return run.failures.front().reason;
  return fmt::format("the run after a reset {}{}", run.ok() ? "differs" : "fails", where(*result.reset));
}

void print_job(const ReplayJobResult& result, unsigned repeat, const std::string& name, const Recording& recording) {
  fmt::print("{} of {} into {}\n", fmt::join(result.inputs, ", "), recording.path().string(), name);
  for (std::size_t i = 0; i < result.runs.size(); ++i) {
    if (repeat > 1) fmt::print("run {} of {}\n", i + 1, repeat);
    print_run(result.runs[i]);
  }
  if (result.after_reset) {
    fmt::print("after a reset\n");
    print_run(*result.after_reset);
  }
  for (const auto& file : result.files) fmt::print("outputs recorded in {}\n", file.string());
  if (!result.not_run.empty()) fmt::print("{}\n", result.not_run_text());
  if (result.repeated) fmt::print("{}\n", repeated_text(*result.repeated));
  if (result.reset && !result.reset->equal()) fmt::print("RESET IS NOT CLEAN: {}\n", visible_text(reset_text(result)));
}

nlohmann::json job_json(const ReplayJobResult& result, const std::string& name, const Recording& recording) {
  nlohmann::json json{{"recording", recording.path().string()},
                      {"streams", result.inputs},
                      {"algorithm", name},
                      {"ok", result.ok() && nothing_is_lost(recording.damages())},
                      {"outputs", nlohmann::json::array()},
                      {"files", nlohmann::json::array()},
                      {"notes", result.notes},
                      {"runs", nlohmann::json::array()}};
  for (const auto& port : result.outputs) json["outputs"].push_back({{"name", port.name}, {"bytes", port.max_bytes}});
  for (const auto& file : result.files) json["files"].push_back(file.string());
  for (const auto& run : result.runs) json["runs"].push_back(run_json(run));
  if (result.after_reset) json["run_after_reset"] = run_json(*result.after_reset);
  if (!result.not_run.empty()) json["not_run"] = result.not_run;
  const auto tell = [&json](const std::optional<RunsCompared>& compared, const char* is_equal, const char* first) {
    if (!compared) return;
    json[is_equal] = compared->equal();
    if (compared->first_different) json[first] = *compared->first_different;
  };
  tell(result.repeated, "identical", "first_different_output");
  tell(result.reset, "reset_is_clean", "first_different_output_after_reset");
  return json;
}

int replay_one(const ReplayArguments& o, const std::string& algorithm, const Recording& recording) {
  if (!o.out_metadata.empty() && o.output.empty())
    return fail_with({ErrorCode::usage, "--out-yaml has no effect without -o: no output is recorded", {}, {}});
  auto job = make_job(o, algorithm);
  if (!job) return fail_with(job.error());
  const auto pool = make_worker_pool(o.threads);
  job->executor = pool.get();
  job->output = o.output;
  Progress progress("replaying", total_bytes(recording) * (job->repeat + (job->check_reset ? 1 : 0)));
  job->on_progress = progress.callback();
  auto result = run_beside_labels(recording, *job);
  if (!result) return fail_with(result.error());
  for (const auto& note : result->notes) warn(note);
  const std::string name = job->algorithm.path.empty() ? job->algorithm.name() : job->algorithm.path.string();
  const ReportOutput report;
  if (o.json) {
    auto json = job_json(*result, name, recording);
    json["damages"] = damages_json();
    print_json(json);
  } else {
    print_job(*result, job->repeat, name, recording);
  }
  return result->ok() ? 0 : 1;
}

// `there`: the files that it has made by then, which an error behind them has to tell.
Expected<int> replay_both(const ReplayArguments& o, const Recording& recording,
                          std::vector<std::filesystem::path>& there) {
  const auto takes_engine = [](const std::string& text) {
    return parse_algorithm(text).engine.empty() && !is_library(text);
  };
  if (!o.engine.empty() && !takes_engine(o.a) && !takes_engine(o.b))
    return fail(ErrorCode::usage, "--engine has no effect on what runs here");
  if (o.in_process && !is_library(o.a) && !is_library(o.b))
    return fail(ErrorCode::usage, "--in-process has no effect on what runs here");
  const auto scratch = ScratchFolder::create();
  if (!scratch) return fail(scratch);
  CompareOptions options;
  options.argmax = true;
  options.channels = name_pairs(o.channels);
  if (auto parsed = parse_tolerances(o.tolerances, o.relatives, options); !parsed) return fail(parsed);
  const auto pool = make_worker_pool(o.threads);
  nlohmann::json json;
  std::vector<Recording> outputs;
  bool ok = true;
  bool is_whole = true;  // all that the two put out is compared
  std::string unknown;   // why it says nothing that the two are equal
  std::set<JobPart> may_be_idle{JobPart::configuration, JobPart::arm_output};
  for (const auto* side : {"a", "b"}) {
    const std::string& algorithm = *side == 'a' ? o.a : o.b;
    auto job = make_job(o, algorithm);
    if (!job) return fail(job);
    job->may_be_idle = may_be_idle;
    job->executor = pool.get();
    job->output = (o.output.empty() ? scratch->path() : o.output) / (std::string(side) + ".sdsz");
    if (!o.output.empty()) {
      if (auto made = make_directories(o.output); !made) return fail(made);
    }
    auto progress = std::make_unique<Progress>(fmt::format("replaying {}", side), total_bytes(recording) * job->repeat);
    job->on_progress = progress->callback();
    auto result = run_beside_labels(recording, *job);
    if (!result) return fail(result);
    progress.reset();
    for (const auto& note : result->notes) warn(fmt::format("{}: {}", side, note));
    for (const auto part : result->idle) may_be_idle.erase(part);  // it must have an effect on one of the two
    ok = ok && result->ok();
    is_whole = is_whole && result->runs.front().ok();
    if (result->has_old_variables) unknown = "one of them did not begin anew";
    if (const auto& first = result->runs.front(); first.is_void()) unknown = void_text(first);
    if (o.output.empty()) result->files.clear();  // they are gone when this ends
    there.insert(there.end(), result->files.begin(), result->files.end());
    if (o.json) {
      json[side] = job_json(*result, algorithm, recording);
    } else {
      const ReportOutput report;
      fmt::print("{}: ", *side == 'a' ? "A" : "B");
      print_job(*result, job->repeat, algorithm, recording);
    }
    auto output = Recording::open(job->output);
    if (!output) return fail(output);
    outputs.push_back(std::move(*output));
  }
  // What an algorithm's only output is called says nothing of it.
  if (outputs[0].streams().size() == 1 && outputs[1].streams().size() == 1)
    options.streams.emplace_back(outputs[0].streams()[0].id, outputs[1].streams()[0].id);
  auto comparison = compare_recordings(outputs[0], outputs[1], options, {});
  if (!comparison) return fail(comparison);
  // That they are equal would say nothing of them.
  const bool is_known = unknown.empty() || !comparison->equal();
  const ReportOutput report;
  if (o.json) {
    if (is_known) {
      json["comparison"] = comparison_json(*comparison);
      json["comparison"]["whole"] = is_whole;
    }
    json["damages"] = damages_json();
    print_json(json);
  } else if (!is_known) {
    fmt::print("not compared: {}\n", unknown);
  } else {
    print_comparison(*comparison, is_whole ? "" : ", as far as they did not fail");
  }
  return ok && is_known && comparison->equal() ? 0 : 1;
}

int run_both(const ReplayArguments& o, const Recording& recording) {
  std::vector<std::filesystem::path> there;
  auto code = replay_both(o, recording, there);
  if (code) return *code;
  tell_what_is_there(code.error(), there, {});
  return fail_with(code.error());
}

int run_replay_command(const ReplayArguments& o) {
  const auto given = std::count_if(std::begin(kWhat), std::end(kWhat), [&](auto what) { return !(o.*what).empty(); });
  if (given > 1 || (given == 1 && !o.a.empty()) || o.a.empty() != o.b.empty())
    return fail_with(
        {ErrorCode::usage, "give one of --algorithm, --model, --pipeline and --worker, or --a and --b", {}, {}});
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  if (o.in_process) keep_stdout_for_reports();
  if (!o.a.empty()) return run_both(o, *recording);
  for (const auto what : kWhat)
    if (!(o.*what).empty()) return replay_one(o, o.*what, *recording);
  return fail_with({ErrorCode::usage,
                    "nothing to replay into: give --algorithm, --model, --pipeline, --worker, or --a and --b",
                    {},
                    {}});
}

void add_what(Command& command, ReplayArguments& o) {
  const std::string group = "What runs (one of these, or --a and --b)";
  command
      .add_option(
          "-a,--algorithm", o.algorithm,
          "Shared library with Arm's three functions (algorithm.h) or with sds_algorithm(); a .tflite, .onnx or "
          ".yml is taken for a model or a pipeline")
      ->type_name("FILE")
      ->group(group);
  command.add_option("-m,--model", o.model, "Model for an inference engine")->type_name("FILE")->group(group);
  command.add_option("-p,--pipeline", o.pipeline, "Pipeline of windows, models and algorithms (docs/pipelines.md)")
      ->type_name("FILE")
      ->group(group);
  command.add_option("--worker", o.worker, "Command that speaks the worker protocol (docs/worker-protocol.md)")
      ->type_name("COMMAND")
      ->group(group);
  command
      .add_option("--a", o.a,
                  "Replay into A and B and compare their outputs, only ones whatever they are called; FILE is as for "
                  "--algorithm, MODEL@ENGINE names an engine")
      ->type_name("FILE")
      ->group(group);
  command.add_option("--b", o.b, "See --a")->type_name("FILE")->group(group);
  command
      .add_option("--engine", o.engine, "For models: tflm (default), litert, litert-ref (reference kernels) or onnx")
      ->type_name("ENGINE");
  command.add_option("--config", o.configuration, "Configuration text for the algorithm; @FILE reads it from a file")
      ->type_name("TEXT");
}

}  // namespace

void add_replay(Command& app, Run& run) {
  auto* command = app.add_subcommand("replay", "Replay a recording into an algorithm and record its outputs");
  auto o = std::make_shared<ReplayArguments>();
  o->input.add_to(*command, "The recording (.sds files or one .sdsz)", true);
  add_what(*command, *o);
  command
      ->add_option("-i,--in", o->in_streams,
                   "Streams that are the algorithm's inputs, in its order; may be left out where their names say it")
      ->type_name("STREAM");
  command
      ->add_option(
          "--out", o->out_stream,
          "Name of the output stream and bytes of one output: what a library with Arm's functions does not say")
      ->type_name("STREAM:BYTES");
  names_inputs(*command
                    ->add_option("--out-yaml", o->out_metadata,
                                 "Metadata of the output, of several that of its name (default: the algorithm's, or "
                                 "that of a stream of its "
                                 "name)")
                    ->type_name("FILE"));
  command
      ->add_option(
          "-o,--output", o->output,
          "Where the outputs go: a .sdsz, or a directory for <stream>.<label>.p.sds; with --a and --b a directory "
          "for a.sdsz and b.sdsz")
      ->check(named_like({".sdsz"}))
      ->type_name("OUT");
  command->add_option("--repeat", o->repeat, "Run this often and demand equal fingerprints")
      ->check(in_range(1, 1000))
      ->capture_default_str();
  command->add_flag("--require-identical", o->require_identical, "Same as --repeat 2, if there is no --repeat");
  command->add_flag("--check-reset", o->check_reset, "Also demand that a run after a reset gives the same");
  command->add_option("--speed", o->speed, "`max`, or a multiple of real time: 1 as recorded")->capture_default_str();
  command
      ->add_option("--timeout", o->timeout_ms,
                   "Longest time for one call of the algorithm: 500ms, 10s; a number alone: ms")
      ->transform(takes_milliseconds())
      ->check(in_range(1, 86400000))
      ->type_name("TIME")
      ->capture_default_str();
  command->add_option("--memory", o->memory_mib, "Most memory that each library may allocate, in MiB; 0: any")
      ->check(in_range(0, 1 << 20))
      ->capture_default_str();
  command
      ->add_option(
          "--input-buffer", o->input_buffer,
          "Give a library one input buffer of this size, as it has on a device: behind a block lies what earlier "
          "blocks left there, and reading it is reported, not stopped")
      ->check(in_range(1, 1 << 25))
      ->type_name("BYTES");
  command->add_flag("--stage-times", o->stage_times,
                    "Also tell what each stage of a pipeline took; a little slower where frames are tiny");
  command->add_option("--threads", o->threads, "Threads that decompress the recording; 0: one for each core")
      ->check(in_range(0, 256))
      ->capture_default_str();
  command->add_flag("--in-process", o->in_process, "Run a library in this process: no guard, no time-out");
  command->add_option("--channel", o->channels, "With --a and --b, as in `sds compare`")
      ->needs("--a")
      ->type_name("NAME");
  command->add_option("--tolerance", o->tolerances, "With --a and --b, as in `sds compare`")
      ->needs("--a")
      ->type_name("[CHANNEL=]ABS");
  command->add_option("--relative", o->relatives, "With --a and --b, as in `sds compare`")
      ->needs("--a")
      ->type_name("[CHANNEL=]R");
  command->add_flag("-f,--force", o->force, "Replace existing outputs");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "Libraries run in a child process, models and workers in one of their own; a crash, a hang or an access past "
      "the\n"
      "end of a block is reported with the block it happened on, and what came out before is kept. Exit code 1 if it\n"
      "failed, the runs differ, or A and B do.\n\n"
      "Examples:\n"
      "  sds replay walk.sdsz -a build/release/lib/motion.so --in Imu --out ML_Out:9 -o out.sdsz --repeat 2\n"
      "  sds replay talk.sdsz -p data/keyword.yml -o out.sdsz\n"
      "  sds replay talk.sdsz --in Features --a model.tflite@tflm --b model.tflite@litert");
  command->callback([o, &run] { run = [o] { return run_replay_command(*o); }; });
}

}  // namespace sds::cli
