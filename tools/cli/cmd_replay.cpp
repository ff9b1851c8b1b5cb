#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "progress.hpp"
#include "sds/bridge/replay_run.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"

namespace sds::cli {

namespace {

struct Options {
  InputOptions input;
  std::filesystem::path algorithm;
  std::string in_stream;
  std::string out_stream;
  std::filesystem::path out_metadata;
  std::filesystem::path output;
  std::string speed = "max";
  unsigned repeat = 1;
  unsigned timeout_ms = 10000;
  bool in_process = false;
  bool force = false;
  bool json = false;
};

struct OutputSpec {
  std::string name;
  std::uint32_t bytes = 0;
};

Expected<OutputSpec> parse_output(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  OutputSpec spec;
  const char* end = text.data() + text.size();
  if (colon == std::string::npos || std::from_chars(text.data() + colon + 1, end, spec.bytes).ptr != end ||
      colon + 1 == text.size() || spec.bytes > limits::max_block_bytes)
    return fail(ErrorCode::usage, fmt::format("--out '{}' is not STREAM:BYTES, for example ML_Out:9", text));
  spec.name = text.substr(0, colon);
  if (auto ok = check_stream_name(spec.name); !ok) return fail(ErrorCode::usage, ok.error().message);
  return spec;
}

Expected<double> parse_speed(const std::string& text) {
  double speed = 0;
  if (text == "max") return speed;
  if (std::from_chars(text.data(), text.data() + text.size(), speed).ptr != text.data() + text.size() || !(speed > 0))
    return fail(ErrorCode::usage, fmt::format("--speed '{}' is neither 'max' nor a number above 0", text));
  return speed;
}

// The outputs' metadata: the file that was named, else that of a stream of the same name in the recording (what the
// device recorded live), else none.
Expected<StreamDescription> describe_output(const Options& o, const OutputSpec& spec, const Recording& recording,
                                            const StreamInfo& input) {
  StreamDescription description;
  description.name = spec.name;
  description.label = input.description.label.empty() ? "0" : input.description.label;
  description.playback = true;
  if (!o.out_metadata.empty()) {
    auto text = read_small_file(o.out_metadata, limits::max_metadata_bytes);
    if (!text) return fail(text);
    if (auto parsed = Metadata::parse(*text, o.out_metadata); !parsed) return fail(parsed);
    description.metadata_text = std::move(*text);
    description.metadata_file_name = spec.name + ".sds.yml";
    return description;
  }
  for (const auto& stream : recording.streams()) {
    if (stream.description.name != spec.name || stream.description.metadata_file_name.empty()) continue;
    description.metadata_text = stream.description.metadata_text;
    description.metadata_file_name = stream.description.metadata_file_name;
    return description;
  }
  // For plain files, the YAML of the output stream usually lies in the same folder.
  SdsFileName name{spec.name, "", false};
  if (const auto found = find_metadata(input.path.parent_path() / (spec.name + ".sds"), name);
      found && !recording.sdsz()) {
    auto text = read_small_file(*found, limits::max_metadata_bytes);
    if (!text) return fail(text);
    description.metadata_text = std::move(*text);
    description.metadata_file_name = found->filename().string();
  }
  return description;
}

void print_run(const RunReport& r, unsigned number, unsigned of) {
  if (of > 1) fmt::print("run {} of {}\n", number, of);
  fmt::print("  blocks    {} delivered ({}), {} outputs\n", grouped(r.blocks), human_bytes(r.input_bytes),
             grouped(r.outputs));
  fmt::print("  input     {}\n  output    {}\n", r.input_fingerprint, r.output_fingerprint);
  const auto us = [&](double fraction) { return static_cast<double>(r.durations.percentile(fraction).count()) / 1e3; };
  if (r.durations.count() > 0)
    fmt::print("  execution p50 {:.1f} us, p90 {:.1f} us, p99 {:.1f} us, max {:.1f} us\n", us(0.5), us(0.9), us(0.99),
               static_cast<double>(r.durations.max().count()) / 1e3);
  if (r.recorded_seconds > 0)
    fmt::print("  time      {} for {} of recording: {:.0f} times real time\n", human_seconds(r.wall_seconds),
               human_seconds(r.recorded_seconds), r.recorded_seconds / r.wall_seconds);
  for (const auto& failure : r.failures)
    fmt::print("  FAILED    block {} (timeslot {}): {}\n", failure.ordinal, failure.timeslot, failure.reason);
  if (r.failure_count > r.failures.size()) fmt::print("  FAILED    ... {} blocks in all\n", grouped(r.failure_count));
  for (const auto& damage : r.damages) fmt::print("  DAMAGE    at byte {}: {}\n", damage.offset, damage.reason);
}

nlohmann::json to_json(const RunReport& r) {
  nlohmann::json failures = nlohmann::json::array();
  for (const auto& failure : r.failures)
    failures.push_back({{"block", failure.ordinal}, {"timeslot", failure.timeslot}, {"reason", failure.reason}});
  nlohmann::json damages = nlohmann::json::array();
  for (const auto& damage : r.damages) damages.push_back({{"offset", damage.offset}, {"reason", damage.reason}});
  const auto ns = [&](double fraction) { return r.durations.percentile(fraction).count(); };
  return {{"ok", r.ok()},
          {"input_fingerprint", r.input_fingerprint},
          {"output_fingerprint", r.output_fingerprint},
          {"blocks", r.blocks},
          {"input_bytes", r.input_bytes},
          {"outputs", r.outputs},
          {"recorded_seconds", r.recorded_seconds},
          {"failure_count", r.failure_count},
          {"failures", failures},
          {"damages", damages},
          {"measured",
           {{"wall_seconds", r.wall_seconds},
            {"p50_ns", ns(0.5)},
            {"p90_ns", ns(0.9)},
            {"p99_ns", ns(0.99)},
            {"max_ns", r.durations.max().count()}}}};
}

Expected<std::vector<RunReport>> run_all(const Options& o, const Recording& recording, const RunOptions& run_options,
                                         const StreamDescription& output, std::filesystem::path& output_file) {
  std::vector<RunReport> reports;
  for (unsigned i = 0; i < o.repeat; ++i) {
    // A fresh process each time: what an algorithm keeps across reset would show as different outputs.
    const AlgorithmOptions algorithm_options{o.algorithm, std::chrono::milliseconds(o.timeout_ms)};
    auto algorithm =
        o.in_process ? load_in_process_algorithm(algorithm_options) : start_process_algorithm(algorithm_options);
    if (!algorithm) return fail(algorithm);
    std::optional<OutputRecorder> outputs;
    if (i == 0 && !o.output.empty()) {
      Properties session;
      session.set("tool", "sdskit replay");
      session.set("input", recording.path().filename().string());
      session.set("algorithm", o.algorithm.filename().string());
      auto created = OutputRecorder::create(o.output, output, session, o.force ? IfExists::overwrite : IfExists::fail);
      if (!created) return fail(created);
      outputs.emplace(std::move(*created));
      output_file = outputs->file();
    }
    auto report = run_replay(recording, **algorithm, outputs ? &*outputs : nullptr, run_options);
    if (outputs)
      if (auto closed = outputs->close(); !closed && report) return fail(closed);
    if (!report) return fail(report);
    reports.push_back(std::move(*report));
    if (!reports.back().ok()) break;
  }
  return reports;
}

int run_replay_command(const Options& o) {
  auto output = parse_output(o.out_stream);
  if (!output) return fail_with(output.error());
  auto speed = parse_speed(o.speed);
  if (!speed) return fail_with(speed.error());
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  RunOptions run_options;
  if (o.in_stream.empty() && recording->streams().size() != 1)
    return fail_with({ErrorCode::usage,
                      "the recording has several streams: choose the algorithm's input with --in",
                      recording->path(),
                      {}});
  if (!o.in_stream.empty()) {
    auto found = recording->find_stream(o.in_stream);
    if (!found) return fail_with(found.error());
    run_options.input_stream = *found;
  }
  const StreamInfo& input = recording->streams()[run_options.input_stream];
  auto description = describe_output(o, *output, *recording, input);
  if (!description) return fail_with(description.error());
  run_options.output_bytes = output->bytes;
  run_options.speed = *speed;
  Progress progress("replaying " + input.id, input.raw_bytes * o.repeat);
  run_options.on_progress = progress.callback();
  std::filesystem::path output_file;
  auto reports = run_all(o, *recording, run_options, *description, output_file);
  if (!reports) return fail_with(reports.error());

  bool ok = true;
  bool identical = true;
  for (const auto& r : *reports) {
    ok = ok && r.ok();
    identical = identical && r.input_fingerprint == reports->front().input_fingerprint &&
                r.output_fingerprint == reports->front().output_fingerprint;
  }
  if (o.json) {
    nlohmann::json json{{"recording", recording->path().string()},
                        {"stream", input.id},
                        {"algorithm", o.algorithm.string()},
                        {"output", output_file.string()},
                        {"runs", nlohmann::json::array()}};
    for (const auto& r : *reports) json["runs"].push_back(to_json(r));
    if (o.repeat > 1) json["identical"] = identical;
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{} of {} into {}\n", input.id, recording->path().string(), o.algorithm.string());
    for (unsigned i = 0; i < reports->size(); ++i) print_run((*reports)[i], i + 1, o.repeat);
    if (!output_file.empty()) fmt::print("outputs recorded in {}\n", output_file.string());
    if (reports->size() > 1)
      fmt::print("{}\n", identical ? "fingerprints are equal: the replay is deterministic"
                                   : "FINGERPRINTS DIFFER: the algorithm is not deterministic");
  }
  return ok && identical ? 0 : 1;
}

}  // namespace

void add_replay(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("replay", "Replay a recording into an algorithm and record its outputs");
  auto o = std::make_shared<Options>();
  o->input.add_to(*command, "The recording (.sds files or one .sdsz)", true);
  command
      ->add_option("-a,--algorithm", o->algorithm,
                   "Shared library with InitAlgorithm, ResetAlgorithm and ExecuteAlgorithm (Arm's algorithm.h)")
      ->required()
      ->type_name("LIB");
  command->add_option("-i,--in", o->in_stream, "Stream that is the algorithm's input; may be left out if there is one")
      ->type_name("STREAM");
  command->add_option("--out", o->out_stream, "Name of the output stream, and bytes of one output")
      ->required()
      ->type_name("STREAM:BYTES");
  command
      ->add_option("--out-yaml", o->out_metadata,
                   "Metadata of the output stream (default: that of a stream of its name in the recording)")
      ->type_name("FILE");
  command
      ->add_option("-o,--output", o->output, "Where the outputs go: a .sdsz, or a directory for <stream>.<label>.p.sds")
      ->type_name("OUT");
  command->add_option("--repeat", o->repeat, "Run this often and demand equal fingerprints")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--speed", o->speed, "`max`, or a multiple of real time: 1 as recorded")->capture_default_str();
  command->add_option("--timeout", o->timeout_ms, "Longest time for one call of the algorithm, in ms")
      ->check(CLI::Range(1, 86400000))
      ->capture_default_str();
  command->add_flag("--in-process", o->in_process, "Run the algorithm in this process: no guard, no time-out");
  command->add_flag("-f,--force", o->force, "Replace existing outputs");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "The algorithm runs in a child process; a crash, a hang or an access past the end of a block is reported with "
      "the\n"
      "block it happened on, and what it put out before is kept. Exit code 1 if it failed or the runs differ.\n\n"
      "Example: sds replay walk.sdsz -a build/release/lib/motion.so --in Imu --out ML_Out:9 -o out.sdsz --repeat 2");
  command->callback([o, &run] { run = [o] { return run_replay_command(*o); }; });
}

}  // namespace sds::cli
