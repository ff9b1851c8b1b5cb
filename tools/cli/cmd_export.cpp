#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "progress.hpp"
#include "sds/format/names.hpp"
#include "sds/tools/csv_export.hpp"

namespace sds::cli {

namespace {

struct Options {
  InputOptions input;
  std::string output;
  std::vector<std::string> streams;
  SampleTimes times = SampleTimes::metadata;
  bool normalize = false;
  std::optional<double> start;
  std::optional<double> stop;
  bool json = false;
};

// One stream into one file or standard output. What was half written is removed again, unless it is standard output.
Expected<CsvReport> export_stream(const Recording& recording, std::size_t stream, const std::string& output,
                                  const Options& o, const OnProgress& on_progress) {
  SampleOptions options;
  options.times = o.times;
  options.normalize = o.normalize;
  if (o.start) options.within.front().begin = *o.start;
  if (o.stop) options.within.front().end = *o.stop;
  if (output == "-") {
    auto sink = OutputFile::standard_output();
    return export_csv(recording, stream, *sink, options, on_progress);
  }
  auto sink = OutputFile::create(output, IfExists::overwrite);
  if (!sink) return fail(sink);
  auto report = export_csv(recording, stream, **sink, options, on_progress);
  if (report)
    if (auto closed = (*sink)->close(); !closed) report = fail(closed);
  std::error_code ignored;
  if (!report && std::filesystem::is_regular_file(output, ignored)) std::filesystem::remove(output, ignored);
  return report;
}

int run_csv(const Options& o) {
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  std::vector<std::size_t> streams;
  for (const auto& id : o.streams) {
    auto found = recording->find_stream(id);
    if (!found) return fail_with(found.error());
    streams.push_back(*found);
  }
  if (o.streams.empty())
    for (std::size_t i = 0; i < recording->streams().size(); ++i) streams.push_back(i);
  if (streams.empty()) return fail_with({ErrorCode::bad_input, "there is no stream to export", recording->path(), {}});
  std::map<std::size_t, std::string> outputs;
  if (streams.size() == 1 && !std::filesystem::is_directory(o.output)) {
    outputs[streams[0]] = o.output.empty() ? "-" : o.output;
  } else {
    if (o.output.empty() || o.output == "-")
      return fail_with({ErrorCode::usage, "several streams: choose one with -s, or a directory with -o", {}, {}});
    std::error_code error;
    std::filesystem::create_directories(o.output, error);
    if (error) return fail_with({ErrorCode::io, "cannot make the directory: " + error.message(), o.output, {}});
    for (const auto i : streams) {
      // The id comes from the recording: it must not lead out of the directory.
      if (auto ok = check_file_name(recording->streams()[i].id + ".csv"); !ok) return fail_with(ok.error());
      outputs[i] = (std::filesystem::path(o.output) / (recording->streams()[i].id + ".csv")).string();
    }
  }
  nlohmann::json all = nlohmann::json::array();
  int exit_code = 0;
  for (const auto& [stream, output] : outputs) {
    const StreamInfo& info = recording->streams()[stream];
    // Exporting everything leaves out what has no table form, and says so; asking for it is an error.
    if (outputs.size() > 1 && o.streams.empty() && (!info.metadata || info.metadata->image)) {
      warn(fmt::format("stream {} is left out: {}", info.id,
                       info.metadata         ? "it holds images"
                       : info.metadata_error ? info.metadata_error->to_string()
                                             : "it has no metadata"));
      continue;
    }
    Progress progress("exporting " + info.id, info.raw_bytes);
    auto report = export_stream(*recording, stream, output, o, progress.callback());
    if (!report) {
      exit_code = std::max(exit_code, fail_with(report.error()));
      if (report.error().code == ErrorCode::interrupted) return exit_code;
      continue;
    }
    for (const auto& note : report->notes) warn(note);
    if (o.json)
      all.push_back({{"stream", info.id}, {"output", output}, {"rows", report->rows}, {"bytes", report->text_bytes}});
    else if (output != "-")
      fmt::print("{}: {} rows, {}\n", output, grouped(report->rows), human_bytes(report->text_bytes));
  }
  if (o.json) fmt::print(outputs.begin()->second == "-" ? stderr : stdout, "{}\n", all.dump(2));
  return exit_code;
}

}  // namespace

void add_export(CLI::App& app, Run& run) {
  auto* exporter = app.add_subcommand("export", "Export streams in formats that other tools read");
  exporter->require_subcommand(1);
  auto* csv = exporter->add_subcommand("csv", "Comma-separated values: a time column, then one column a value");
  auto o = std::make_shared<Options>();
  o->input.add_to(*csv, "The recording (.sds files or one .sdsz)", true);
  csv->add_option("-o,--output", o->output,
                  "File to write (default: standard output); a directory for several streams: <stream>.csv each")
      ->type_name("FILE|DIR");
  csv->add_option("-s,--stream", o->streams, "Export only this stream. May be given several times")->type_name("ID");
  const std::map<std::string, SampleTimes> names{{"metadata", SampleTimes::metadata},
                                                 {"rate", SampleTimes::rate},
                                                 {"block", SampleTimes::block},
                                                 {"interpolate", SampleTimes::interpolate}};
  csv->add_option("--times", o->times,
                  "Times of the samples of a block: by `rate`, sample k at block time + k / sample-frequency; `block`, "
                  "all at the block's time; `metadata`, rate if there is a sample-frequency, else block (default); "
                  "`interpolate`, spread up to the next block as Arm's sds-convert does")
      ->transform(CLI::CheckedTransformer(names))
      ->type_name("metadata|rate|block|interpolate");
  csv->add_flag("--normalize", o->normalize, "Let the first block's time be 0");
  csv->add_option("--start-timeslot", o->start, "Leave out samples before this time, in seconds")->type_name("S");
  csv->add_option("--stop-timeslot", o->stop, "Leave out samples at this time and later, in seconds")->type_name("S");
  csv->add_flag("--json", o->json, "Report as JSON");
  csv->footer(
      "Values are physical: raw * scale + offset. Numbers are the shortest that read back exactly.\n\n"
      "Example: sds export csv walk.sdsz -s Imu -o imu.csv --normalize");
  csv->callback([o, &run] { run = [o] { return run_csv(*o); }; });
}

}  // namespace sds::cli
