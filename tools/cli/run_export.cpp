// What sds export FORMAT does: streams and recordings in other tools' formats, and datasets made of many recordings.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "class_cover.hpp"
#include "command.hpp"
#include "csv_export.hpp"
#include "dataset.hpp"
#include "dataset_folder.hpp"
#include "export_options.hpp"
#include "export_plan.hpp"
#include "opened.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "report.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/worker_pool.hpp"

namespace sds::cli {

namespace {

namespace fs = std::filesystem;
using Format = ExportFormat;
using Options = ExportCommand;

bool is_per_stream(Format format) {
  return format == Format::csv || format == Format::audio || format == Format::edge_impulse;
}

Expected<double> parse_duration(const char* option, const std::string& text) {
  auto time = parse_time(text);
  if (!time) return fail(ErrorCode::usage, fmt::format("{}: {}", option, time.error().message));
  if (!(*time > 0) || *time > 1e6)
    return fail(ErrorCode::usage,
                fmt::format("{} '{}' is no duration of a window: write 2s, 500ms or 1.5", option, text));
  return time;
}

// "80/10/10" or "80/20".
Expected<std::array<double, 3>> parse_split(const std::string& text) {
  std::array<double, 3> shares{};
  std::size_t count = 0;
  double sum = 0;
  for (std::size_t at = 0; at <= text.size() && count < 4; ++count) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    const std::string number = text.substr(at, end - at);
    char* stop = nullptr;
    const double value = std::strtod(number.c_str(), &stop);
    if (count == 3 || number.empty() || *stop != '\0' || !(value >= 0))
      return fail(ErrorCode::usage, fmt::format("--split {}: write train/validation/test, such as 80/10/10", text));
    shares[count] = value;
    sum += value;
    at = end + 1;
  }
  if (count < 2 || std::abs(sum - 100) > 1e-6)
    return fail(ErrorCode::usage,
                fmt::format("--split {}: write the per cent of train/validation/test, such as 80/10/10", text));
  if (count == 2) shares = {shares[0], 0, shares[1]};
  return shares;
}

// The recordings: each `.sdsz` is one; `.sds` files are the streams of one recording unless --each.
struct Inputs {
  std::vector<std::vector<fs::path>> groups;
  bool all_packed = true;
};
Expected<Inputs> group_inputs(const Options& o) {
  Inputs inputs;
  std::optional<std::size_t> plain;  // the group of the plain files
  for (const auto& path : o.input.paths) {
    const auto packed = is_sdsz(path);
    if (!packed) return fail(packed);
    inputs.all_packed = inputs.all_packed && *packed;
    const bool joins = !o.each && !*packed;
    if (joins && plain) {
      inputs.groups[*plain].push_back(path);
      continue;
    }
    if (joins) plain = inputs.groups.size();
    inputs.groups.push_back({path});
  }
  return inputs;
}

// An option that changes nothing would be taken for one that does.
Expected<void> refuse_options_without_effect(const Options& o, const Inputs& inputs) {
  const auto refuse = [&](std::initializer_list<const char*> names, const char* why) -> Expected<void> {
    for (const char* name : names)
      if (o.given.count(name) > 0) return fail(ErrorCode::usage, fmt::format("{} {}", name, why));
    return {};
  };
  if (inputs.all_packed)
    if (auto ok = refuse({"--each"}, "is for plain .sds files: each .sdsz is a recording anyway"); !ok) return ok;
  if (!o.exports.multi_label)
    if (auto ok = refuse({"--rest-class", "--label-index"}, "needs --multi-label: info.labels has it"); !ok) return ok;
  if (o.exports.multi_label)
    if (auto ok = refuse({"--class"}, "has no effect with --multi-label: info.labels has the classes of the labels");
        !ok)
      return ok;
  if (o.split.empty())
    if (auto ok = refuse({"--split-by", "--seed"}, "needs --split"); !ok) return ok;
  if (o.window_text.empty())
    return refuse({"--channel", "--stride", "--label-share", "--unlabelled"}, "needs --window: only windows have it");
  return refuse(
      {"--normalize", "--times"},
      "has no effect with --window: the begin of a window is on the recording's clock, by its sample-frequency");
}

Expected<ExportReport> csv_file(const Recording& recording, std::size_t stream, const std::string& output,
                                const ExportOptions& options, const OnProgress& on_progress) {
  ExportReport result;
  const auto finish = [&](const Expected<CsvReport>& report) -> Expected<ExportReport> {
    if (!report) return fail(report);
    result.samples = report->rows;
    result.streams = 1;
    result.notes = report->notes;
    return result;
  };
  if (output == "-") {
    auto sink = OutputFile::standard_output();
    return finish(export_csv(recording, stream, *sink, options.samples, on_progress));
  }
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  auto report = export_csv(recording, stream, file->sink(), options.samples, on_progress);
  if (report)
    if (auto kept = file->keep(); !kept) return fail(kept);
  result.files.push_back(output);
  return finish(report);
}

void add_report(ExportReport& all, const ExportReport& report) {
  all.samples += report.samples;
  all.streams += report.streams;
  all.files.insert(all.files.end(), report.files.begin(), report.files.end());
  all.notes.insert(all.notes.end(), report.notes.begin(), report.notes.end());
  all.values_not_written += report.values_not_written;
  all.labelled.insert(all.labelled.end(), report.labelled.begin(), report.labelled.end());
}

// Everything of one recording that goes into files of its own. `folder` is empty for a single recording.
Expected<ExportReport> export_one(const Recording& recording, const PlannedExport& plan, const fs::path& folder,
                                  const Options& o, const OnProgress& on_progress) {
  ExportOptions options = o.exports;
  options.within = plan.within;
  options.label_classes = o.part.labels;
  tell_only_within(recording, plan.within);
  const bool to_folder = !folder.empty();
  std::error_code ignored;
  ExportReport all;
  all.notes = plan.notes;
  const auto add = [&](Expected<ExportReport> report) -> Expected<ExportReport> {
    if (!report) return report;
    add_report(all, *report);
    return all;
  };
  if (!is_per_stream(o.format)) {
    const auto streams = plan.stream_indices();
    fs::path output = o.output;
    if (to_folder) {
      output = folder / (plan.stem + "." + o.extension);
    } else if (names_folder(output)) {
      if (auto made = make_directories(output); !made) return fail(made);
      output /= plan.stem + "." + o.extension;
    }
    if (o.format == Format::npz) return add(export_npz(recording, streams, output, options, on_progress));
    if (o.format == Format::mcap) return add(export_mcap(recording, streams, output, options, on_progress));
    if (o.format == Format::qeexo) return add(export_qeexo(recording, streams, output, options, on_progress));
    for (const std::size_t stream : streams) {
      options.samples.within = plan.within.of(stream);
      auto report = add(
          export_images(recording, stream, to_folder ? folder / plan.stem : fs::path(o.output), options, on_progress));
      if (!report) return report;
    }
    return all;
  }
  std::size_t last = recording.streams().size();
  const auto one = [&](const PlannedStream& planned, const std::string& output) -> Expected<ExportReport> {
    if (std::exchange(last, planned.index) != planned.index)
      options.gap_rule = std::make_shared<std::optional<GapRule>>();
    options.samples.within = planned.within;
    switch (o.format) {
      case Format::csv:
        return csv_file(recording, planned.index, output, options, on_progress);
      case Format::audio:
        return export_audio(recording, planned.index, output, options, on_progress);
      default:
        return export_edge_impulse(recording, planned.index, output, o.cbor, options, on_progress);
    }
  };
  if (plan.streams.front().wanted.empty()) {
    if (o.format == Format::edge_impulse && !o.exports.label.empty())
      return fail(ErrorCode::usage,
                  "--class is for the names of files in a directory: Edge Impulse takes the class from the name, and "
                  "this file's is given",
                  o.output);
    return add(one(plan.streams.front(), o.output.empty() ? "-" : o.output));
  }
  if (!to_folder && (o.output.empty() || o.output == "-" || !names_file(o.output).empty()))
    return fail(ErrorCode::usage, "several streams: choose one with -s, or a directory with -o");
  const fs::path directory = to_folder ? folder : fs::path(o.output);
  if (auto made = make_directories(directory); !made) return fail(made);
  for (const auto& stream : plan.streams) {
    auto report = add(one(stream, (directory / stream.name).string()));
    if (!report) return report;
  }
  return all;
}

// The names that files of a dataset are going to have; others have theirs.
fs::path shown(const Options& o, const fs::path& file) {
  if (!o.folder) return file;
  const auto inside = file.lexically_relative(o.output);
  return inside.empty() || *inside.begin() == ".." ? file : fs::path(o.output_named) / inside;
}

// The same for texts that may hold such names, and errors.
std::string shown(const Options& o, std::string text) {
  if (!o.folder) return text;
  const std::string& staged = o.output;
  for (auto at = text.find(staged); at != std::string::npos; at = text.find(staged, at + o.output_named.size()))
    text.replace(at, staged.size(), o.output_named);
  return text;
}

int fail_shown(const Options& o, Error error) {
  error.path = shown(o, error.path);
  error.message = shown(o, std::move(error.message));
  return fail_with(error);
}

void print_files(const ExportReport& report, const Options& o, nlohmann::json& all) {
  std::set<std::string> told;
  std::vector<std::string> notes;
  for (const auto& note : report.notes)
    if (told.insert(note).second) notes.push_back(note);
  for (const auto& note : notes) warn(note);
  std::uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& file : report.files) {
    const auto size = fs::file_size(file, ignored);
    if (!ignored) bytes += size;
  }
  if (o.json) {
    nlohmann::json files = nlohmann::json::array();
    for (const auto& file : report.files) files.push_back(shown(o, file).string());
    all.push_back({{"files", files},
                   {"samples", report.samples},
                   {"bytes", bytes},
                   {"values_not_written", report.values_not_written},
                   {"notes", notes}});
  } else if (report.files.size() == 1 && report.streams == 0) {
    fmt::print("{}: {}\n", shown(o, report.files.front()).string(), human_bytes(bytes));
  } else if (report.files.size() == 1) {
    fmt::print("{}: {}, {}\n", shown(o, report.files.front()).string(), counted(report.samples, "sample"),
               human_bytes(bytes));
  } else if (!report.files.empty()) {
    fmt::print("{} to {}: {}, {}, {}\n", shown(o, report.files.front()).string(),
               report.files.back().filename().string(), counted(report.files.size(), "file"),
               counted(report.samples, "sample"), human_bytes(bytes));
  }
}

// Where --multi-label writes what the samples of the files are: in their folder.
fs::path info_labels_path(const Options& o, const std::vector<PlannedExport>& plans) {
  const bool to_folder = std::any_of(plans.begin(), plans.end(), [](const PlannedExport& plan) {
    return !plan.streams.empty() && !plan.streams.front().wanted.empty();
  });
  return (to_folder ? fs::path(o.output) : fs::path(o.output).parent_path()) / "info.labels";
}

// Writes that file, and says so.
int write_info_labels(const Options& o, const fs::path& path, std::vector<LabelledFile> files, nlohmann::json& all) {
  ExportReport report;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path();
  const std::string text =
      info_labels(std::move(files), folder, o.info_labels, o.given.count("--rest-class") > 0, report.notes);
  if (auto done = write_text_file(path, text, if_exists(o.exports.force)); !done) return fail_shown(o, done.error());
  report.files.push_back(path);
  print_files(report, o, all);
  return 0;
}

// What is said of an export as a whole.
std::vector<std::string> notes_of_all(const Options& o, const std::vector<DatasetItem>& items) {
  auto notes = o.notes;
  if (!items.empty())
    for (auto& note : empty_parts(items, o.split_options)) notes.push_back(std::move(note));
  return notes;
}

// A callback that several threads may call.
class SharedProgress {
 public:
  SharedProgress(const std::string& what, std::uint64_t total) : progress_(what, total) {}
  OnProgress callback() {
    return [this](std::uint64_t bytes) {
      const std::lock_guard lock(mutex_);
      return progress_.add(bytes);
    };
  }

 private:
  std::mutex mutex_;
  Progress progress_;
};

// What of a recording goes into a dataset.
struct DatasetInput {
  NamedInput recording;
  StreamTimes within;
};

// The items of a dataset, with their parts; sorted by name, so that the order of the command line does not matter.
Expected<std::vector<DatasetItem>> plan_dataset(const Options& o, const std::vector<DatasetInput>& inputs,
                                                Executor* executor) {
  for (const auto& input : inputs)
    if (input.recording.paths.size() > 1)
      return fail(ErrorCode::usage, "plain .sds files would be the streams of one recording: pack them, or say --each",
                  input.recording.paths.front());
  std::vector<DatasetItem> items(inputs.size());
  std::vector<std::optional<Error>> errors(inputs.size());
  SharedProgress progress("reading", 0);
  for_each_parallel(executor, inputs.size(), [&](std::size_t i) {
    const auto& [paths, name] = inputs[i].recording;
    auto recording = open_recording(paths, o.input.options());
    if (recording) tell_only_within(*recording, inputs[i].within);
    auto streams =
        recording ? choose_streams(*recording, o.streams) : Expected<std::vector<std::size_t>>(fail(recording));
    auto item = streams ? describe_item(paths.front(), *recording, o.split_options, progress.callback(), *streams,
                                        inputs[i].within, name)
                        : Expected<DatasetItem>(fail(streams));
    if (item) {
      items[i] = std::move(*item);
    } else {
      errors[i] = item.error();
    }
  });
  for (const auto& error : errors)
    if (error) return tl::unexpected<Error>(*error);
  std::sort(items.begin(), items.end(), [](const DatasetItem& a, const DatasetItem& b) { return a.name < b.name; });
  assign_parts(items, o.split_options);
  return items;
}

// From here on the output is a folder that becomes the dataset's when it is complete.
Expected<void> begin_dataset(Options& o) {
  auto folder = DatasetFolder::create(o.output, o.exports.force);
  if (!folder) return fail(folder);
  o.folder = std::make_shared<DatasetFolder>(std::move(*folder));
  o.output_named = o.output;
  o.output = o.folder->path().string();
  return {};
}

int finish_dataset(const Options& o, const std::vector<DatasetItem>& items, const WindowOptions* windows) {
  const std::string text = manifest(items, o.split_options, o.format_name, windows, o.folder->files());
  if (auto done = write_text_file(o.folder->path() / "manifest.yml", text); !done) return fail_shown(o, done.error());
  auto kept = o.folder->keep();
  if (!kept) return fail_shown(o, kept.error());
  if (*kept) warn(**kept);
  for (const auto& note : empty_parts(items, o.split_options)) warn(note);
  if (o.json) return 0;
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    std::size_t count = 0;
    double time = 0;
    std::uint64_t cut = 0;
    for (const auto& item : items) {
      if (item.part != p) continue;
      ++count;
      time += item.seconds;
      cut += item.windows;
    }
    if (count > 0)
      fmt::print("{}: {}, {}{}\n", part_names[p], counted(count, "recording"), human_seconds(time),
                 windows != nullptr ? ", " + counted(cut, "window") : "");
  }
  fmt::print("{}\n", (fs::path(o.output_named) / "manifest.yml").string());
  return 0;
}

std::string why_no_window(double window_s, const std::vector<DatasetItem>& items) {
  double longest = 0;
  for (const auto& item : items) longest = std::max(longest, item.seconds);
  std::string text = "no window is left";
  if (longest < window_s)
    text += fmt::format(": it has {}, and the longest recording {}", human_seconds(window_s), human_seconds(longest));
  return text;
}

int run_windows(Options o, Inputs grouped) {
  auto window = parse_duration("--window", o.window_text);
  if (!window) return fail_with(window.error());
  o.window.window_s = o.window.stride_s = *window;
  if (!o.stride_text.empty()) {
    auto stride = parse_duration("--stride", o.stride_text);
    if (!stride) return fail_with(stride.error());
    o.window.stride_s = *stride;
  }
  if (o.part.from || o.part.to || !o.part.labels.empty())
    return fail_with({ErrorCode::usage, "windows are cut from whole recordings: sds cut makes parts of them", {}, {}});
  if (o.output.empty()) return fail_with({ErrorCode::usage, "say where to with -o DIR", {}, {}});
  auto named = name_inputs(std::move(grouped.groups), o.notes);
  if (!named) return fail_with(named.error());
  if (auto begun = begin_dataset(o); !begun) return fail_with(begun.error());
  for (const auto& text : o.notes) note(text);
  o.window.streams = o.streams;
  o.window.channels = o.channels;
  o.window.force = o.exports.force;
  o.window.deflate = o.exports.deflate;
  o.window.compress = o.exports.compress;
  o.window.open = [&o](const fs::path& path) { return open_recording(path, o.input.options()); };
  const auto pool = make_worker_pool(o.jobs);
  std::vector<DatasetInput> inputs;
  for (auto& input : *named) inputs.push_back({std::move(input), {}});
  auto items = plan_dataset(o, inputs, pool.get());
  if (!items) return fail_with(items.error());
  SharedProgress progress("cutting windows", 0);
  auto report = export_windows(*items, o.window, o.format == Format::npz ? TensorFormat::npz : TensorFormat::hdf5,
                               o.output, pool.get(), progress.callback());
  if (!report) return fail_shown(o, report.error());
  for (const auto& note : report->notes) warn(note);
  if (report->unlabelled > 0 && !o.window.keep_unlabelled)
    warn(fmt::format(
        "{} (--unlabelled keeps {})",
        report->unlabelled == 1
            ? "1 window has no label that covers enough of it, and is left out"
            : fmt::format("{} windows have no label that covers enough of them, and are left out", report->unlabelled),
        report->unlabelled == 1 ? "it" : "them"));
  int exit_code = 0;
  if (report->windows == 0) {
    exit_code = fail_with({ErrorCode::bad_input, why_no_window(o.window.window_s, *items), {}, {}});
  } else if (const int failure = finish_dataset(o, *items, &o.window); failure != 0) {
    return failure;
  }
  if (o.json) {
    nlohmann::json files = nlohmann::json::array();
    for (const auto& file : report->files) files.push_back(shown(o, file).string());
    for (const auto& note : notes_of_all(o, *items)) report->notes.push_back(note);
    nlohmann::json streams = nlohmann::json::array();
    for (const auto& counts : report->counts)
      streams.push_back({{"stream", counts.stream},
                         {"samples", counts.samples},
                         {"most_samples", counts.largest},
                         {"windows_with_fewer", counts.fewer},
                         {"windows_with_more", counts.more}});
    print_json(nlohmann::json{{"files", files},
                              {"windows", report->windows},
                              {"streams", streams},
                              {"unlabelled", report->unlabelled},
                              {"damages", damages_json()},
                              {"notes", report->notes}});
  }
  return exit_code;
}

int run_hdf5(const Options& o, const std::vector<PlannedExport>& plans, const std::vector<DatasetItem>& items,
             Executor* executor) {
  // One file, or one for each part.
  nlohmann::json all = nlohmann::json::array();
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    std::vector<NamedRecording> recordings;
    std::vector<std::string> notes;
    const ExportOptions& options = o.exports;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (!items.empty() && items[i].part != p) continue;
      const PlannedExport& plan = plans[i];
      if (plan.error) return fail_with(*plan.error);
      auto recording = open_recording(plan.paths, o.input.options());
      if (!recording) return fail_with(recording.error());
      tell_only_within(*recording, plan.within);
      bytes += total_bytes(*recording);
      notes.insert(notes.end(), plan.notes.begin(), plan.notes.end());
      recordings.push_back({plan.stem, std::move(*recording), plan.stream_indices(), plan.within});
    }
    if (recordings.empty()) continue;
    fs::path output = o.output;
    std::error_code ignored;
    if (!items.empty()) {
      if (auto made = make_directories(output); !made) return fail_shown(o, made.error());
      output /= std::string(part_names[p]) + ".h5";
    } else if (names_folder(output)) {
      if (auto made = make_directories(output); !made) return fail_with(made.error());
      output /= recordings.front().name + ".h5";
    }
    auto report = [&] {
      Progress progress("exporting", bytes);
      return export_hdf5(recordings, output, options, executor, progress.callback());
    }();
    if (!report) return fail_shown(o, report.error());
    report->notes.insert(report->notes.begin(), notes.begin(), notes.end());
    print_files(*report, o, all);
    if (items.empty()) break;
  }
  if (!items.empty())
    if (const int failure = finish_dataset(o, items, nullptr); failure != 0) return failure;
  if (o.json) print_json({{"outputs", all}, {"damages", damages_json()}, {"notes", notes_of_all(o, items)}});
  return 0;
}

// What is written of each recording; recordings of which nothing is are left out.
Expected<std::vector<PlannedExport>> plan_exports(Options& o, const std::vector<NamedInput>& inputs,
                                                  Executor* executor) {
  ExportRequest request;
  request.part = o.part;
  request.streams = o.streams;
  request.samples = o.exports.samples;
  if (o.format == Format::qeexo) request.samples.normalize = false;
  request.images = o.format == Format::images;
  request.per_stream = is_per_stream(o.format);
  request.many = inputs.size() > 1 || !o.split.empty();
  request.to_folder = names_folder(o.output);
  request.needs_rate = o.format == Format::audio || o.format == Format::edge_impulse;
  request.block_rate_does = o.format == Format::edge_impulse;
  request.named_by_recording = o.format == Format::edge_impulse;
  request.file_an_event = o.format == Format::edge_impulse && !o.exports.multi_label;
  request.file_name = fs::path(o.output).filename().string();
  request.class_name = request.file_an_event ? o.exports.label : "";
  std::vector<LookedAt> looked_at(inputs.size());
  {
    SharedProgress progress("looking", 0);
    for_each_parallel(executor, inputs.size(), [&](std::size_t i) {
      looked_at[i] = look_at(inputs[i], o.input.options(), request, progress.callback());
    });
  }
  return choose_exports(std::move(looked_at), request, o.notes);
}

// The parts of a split, as items in the order of their names; the plans get the same order, and their folders.
Expected<std::vector<DatasetItem>> split_exports(Options& o, std::vector<PlannedExport>& plans, Executor* executor) {
  std::vector<DatasetInput> inputs;
  inputs.reserve(plans.size());
  for (const auto& plan : plans) inputs.push_back({{plan.paths, plan.stem}, plan.within});
  if (auto begun = begin_dataset(o); !begun) return fail(begun);
  auto items = plan_dataset(o, inputs, executor);
  if (!items) return items;
  std::sort(plans.begin(), plans.end(), [](const PlannedExport& a, const PlannedExport& b) { return a.stem < b.stem; });
  for (std::size_t i = 0; i < plans.size(); ++i) plans[i].folder = part_names[(*items)[i].part];
  return items;
}

// Names of files end like the format, and names of directories like none.
std::string wrong_output(const Options& o, const Inputs& inputs) {
  if (o.output.empty() || o.output == "-" || names_folder(o.output)) return "";
  const bool folder = o.format == Format::images || !o.split.empty() || !o.window_text.empty() ||
                      (o.format != Format::hdf5 && inputs.groups.size() > 1);
  if (folder) return names_file(o.output);
  if (o.format_name == "audio") return "";  // the format is that of the name
  if (o.format == Format::hdf5) return wrong_ending(o.output, {".h5", ".hdf5"});
  return wrong_ending(o.output, {"." + o.extension});
}

// Edge Impulse takes the class from a file's name: what is not named like a file is a directory for it, for one
// recording as for several.
bool is_folder_of_classes(const Options& o) {
  std::error_code ignored;
  if (o.format != Format::edge_impulse || o.output.empty() || fs::exists(o.output, ignored) || !o.split.empty())
    return false;
  std::string ending = fs::path(o.output).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending != "." + o.extension;
}

}  // namespace

int run_export(Options o) {
  if (o.format != Format::csv && o.output == "-")
    return fail_with({ErrorCode::usage, "standard output is not possible here: give a name with -o", {}, {}});
  auto grouped = group_inputs(o);
  if (!grouped) return fail_with(grouped.error());
  if (auto wrong = wrong_output(o, *grouped); !wrong.empty())
    return fail_with({ErrorCode::usage, std::move(wrong), {}, {}});
  if (is_folder_of_classes(o)) o.output = (fs::path(o.output) / "").string();
  const MadeFolder made_folder(o.output);
  if (auto ok = refuse_options_without_effect(o, *grouped); !ok) return fail_with(ok.error());
  if (!o.window_text.empty()) {
    if (!o.split.empty()) {
      auto shares = parse_split(o.split);
      if (!shares) return fail_with(shares.error());
      o.split_options.shares = *shares;
    }
    return run_windows(std::move(o), std::move(*grouped));
  }
  auto inputs = name_inputs(std::move(grouped->groups), o.notes);
  if (!inputs) return fail_with(inputs.error());
  const bool many = inputs->size() > 1 || !o.split.empty();
  if (o.format != Format::csv && o.output.empty()) return fail_with({ErrorCode::usage, "say where to with -o", {}, {}});
  if (many && o.format != Format::hdf5 && (o.output.empty() || o.output == "-"))
    return fail_with({ErrorCode::usage, "several recordings: choose a directory with -o", {}, {}});
  const bool to_stdout = o.format == Format::csv && !many && (o.output.empty() || o.output == "-");
  if (to_stdout && o.json)
    return fail_with({ErrorCode::usage, "--json needs -o: the table goes to standard output", {}, {}});
  if (!o.split.empty()) {
    auto shares = parse_split(o.split);
    if (!shares) return fail_with(shares.error());
    o.split_options.shares = *shares;
  }
  const auto pool = make_worker_pool(o.jobs);
  auto plans = plan_exports(o, *inputs, pool.get());
  if (!plans) return fail_with(plans.error());
  std::vector<DatasetItem> items;
  if (!o.split.empty()) {
    for (const auto& plan : *plans)
      if (plan.error) return fail_with(*plan.error);
    auto split = split_exports(o, *plans, pool.get());
    if (!split) return fail_shown(o, split.error());
    items = std::move(*split);
  }
  for (const auto& text : o.notes) note(text);
  if (o.format == Format::hdf5) return run_hdf5(o, *plans, items, pool.get());
  name_files(*plans, o.extension);
  if (o.exports.multi_label)
    if (auto ok = refuse_existing(info_labels_path(o, *plans), o.exports.force); !ok) return fail_shown(o, ok.error());
  std::vector<Expected<ExportReport>> reports(plans->size(), ExportReport{});
  {
    SharedProgress progress("exporting", 0);
    for_each_parallel(pool.get(), plans->size(), [&](std::size_t i) {
      const PlannedExport& plan = (*plans)[i];
      if (plan.error) {
        reports[i] = tl::unexpected<Error>(*plan.error);
        return;
      }
      auto recording = open_recording(plan.paths, o.input.options());
      if (!recording) {
        reports[i] = fail(recording);
        return;
      }
      const fs::path folder = many ? fs::path(o.output) / plan.folder : fs::path();
      auto made = many ? make_directories(folder) : Expected<void>();
      reports[i] =
          made ? export_one(*recording, plan, folder, o, progress.callback()) : Expected<ExportReport>(fail(made));
    });
  }
  int exit_code = 0;
  nlohmann::json all = nlohmann::json::array();
  std::vector<LabelledFile> labelled;
  for (const auto& report : reports) {
    if (report) {
      print_files(*report, o, all);
      labelled.insert(labelled.end(), report->labelled.begin(), report->labelled.end());
      continue;
    }
    exit_code = std::max(exit_code, fail_shown(o, report.error()));
    if (report.error().code == ErrorCode::interrupted) return exit_code;
  }
  if (!labelled.empty())
    exit_code = std::max(exit_code, write_info_labels(o, info_labels_path(o, *plans), std::move(labelled), all));
  if (!items.empty() && exit_code == 0)
    if (const int failure = finish_dataset(o, items, nullptr); failure != 0) return failure;
  if (o.json) print_json({{"outputs", all}, {"damages", damages_json()}, {"notes", notes_of_all(o, items)}});
  return exit_code;
}

}  // namespace sds::cli
