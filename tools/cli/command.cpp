#include "command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "label_file.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "sds/format/file_in_use.hpp"

namespace sds::cli {

namespace {

// Names come from recordings and may hold what a terminal obeys.
std::string printable(std::string text) {
  for (char& c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F) c = '?';
  return text;
}

std::mutex g_errors_mutex;
std::vector<Error> g_errors;

}  // namespace

std::vector<Error> errors_told() {
  const std::lock_guard lock(g_errors_mutex);
  return g_errors;
}

void also_told(const Error& error) {
  const std::lock_guard lock(g_errors_mutex);
  g_errors.push_back(error);
}

int fail_with(const Error& error) {
  also_told(error);
  tell("sds: error: {}\n", printable(error.to_string()));
  return error.exit_code();
}

void warn(const std::string& message) { tell("sds: warning: {}\n", printable(message)); }
void note(const std::string& message) { tell("sds: note: {}\n", printable(message)); }

void reads(const std::filesystem::path& path) {
  static std::mutex mutex;
  static std::vector<FileInUse> files;
  const std::lock_guard lock(mutex);
  files.emplace_back(path);
}

void names_inputs(Option& option) {
  option.each([](const std::string& name) { reads(name); });
}

void InputOptions::add_to(Command& command, const std::string& description, bool many) {
  auto* option = command.add_option("recording", paths, description)->required();
  if (!many) option->expected(1);
  names_inputs(*option);
  names_inputs(*command
                    .add_option("-y,--yaml", metadata,
                                "Metadata file: for plain .sds instead of the <stream>.sds.yml beside it, and for\n"
                                "streams of a .sdsz that have none")
                    ->type_name("FILE"));
}

Recording::Options InputOptions::options() const {
  Recording::Options options;
  if (!metadata.empty()) options.metadata = metadata;
  return options;
}

Expected<Recording> InputOptions::open() const { return open_recording(paths, options()); }

Expected<Recording> InputOptions::open_one(const std::filesystem::path& path) const {
  return open_recording(path, options());
}

void PartOptions::add_to(Command& command) {
  command.add_option("--from", from, "Only from this time on, of the recording's clock: 12.5 (seconds), 500ms, 1:02")
      ->transform(takes_time())
      ->type_name("TIME");
  command.add_option("--to", to, "Only before this time")->transform(takes_time())->type_name("TIME");
  command.add_option("--label", labels, "Only where a label of this class is. May be given several times")
      ->type_name("CLASS");
}

Expected<TimeRanges> PartOptions::ranges(const Recording& recording) const {
  std::vector<std::size_t> all(recording.streams().size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return ranges(recording, all);
}

Expected<TimeRanges> PartOptions::ranges(const Recording& recording, const std::vector<std::size_t>& streams) const {
  TimeRanges part = all_time;
  if (from) part.front().begin = *from;
  if (to) part.front().end = *to;
  if (from && to && *from >= *to) return fail(ErrorCode::usage, "--from must lie before --to");
  if (labels.empty()) return part;
  auto file = labels_of(recording);
  if (!file) return fail(file);
  std::vector<TimeSpan> spans;
  for (const auto& name : labels) {
    bool any = false;
    bool of_these = false;
    for (const auto& label : file->labels) {
      if (label.name != name) continue;
      any = true;
      if (!is_about(label, recording, streams)) continue;
      of_these = true;
      spans.push_back({file->seconds_of(label.begin), file->seconds_of(label.end)});
    }
    if (!any) return fail(ErrorCode::usage, no_such_class(*file, name), place_of_labels(recording));
    if (!of_these) return fail(ErrorCode::usage, only_about_others(name), place_of_labels(recording));
  }
  return both(part, normalized(std::move(spans)));
}

Expected<StreamTimes> PartOptions::ranges_of_each(const Recording& recording,
                                                  const std::vector<std::size_t>& streams) const {
  auto of_any = ranges(recording, streams);
  if (!of_any) return fail(of_any);
  if (labels.empty()) return StreamTimes(std::move(*of_any));
  auto file = labels_of(recording);
  if (!file) return fail(file);
  return labelled_times(recording, *file, labels, streams, *of_any);
}

StreamTimes labelled_times(const Recording& recording, const LabelFile& file, const std::vector<std::string>& classes,
                           const std::vector<std::size_t>& streams, const TimeRanges& within) {
  std::map<std::string, std::vector<TimeSpan>> spans;  // by what they are about
  for (const auto& label : file.labels)
    if (std::find(classes.begin(), classes.end(), label.name) != classes.end())
      spans[label.stream].push_back({file.seconds_of(label.begin), file.seconds_of(label.end)});
  const TimeRanges of_all = normalized(spans[""]);
  StreamTimes of_streams{TimeRanges()};
  for (const std::size_t s : streams) {
    const auto about_it = spans.find(recording.streams()[s].id);
    of_streams.set(s, both(within, about_it == spans.end() ? of_all : either(of_all, normalized(about_it->second))));
  }
  return of_streams;
}

std::string left_out_by_label(const std::string& stream, const std::vector<std::string>& classes) {
  return fmt::format(
      "stream {} is left out: no label of the class '{}' that is about it lies in the time that was asked for", stream,
      fmt::join(classes, "' or '"));
}

std::string only_about_others(const std::string& name) {
  return fmt::format("no label of the class '{}' is about a stream that is chosen", name);
}

bool is_about(const Label& label, const Recording& recording, const std::vector<std::size_t>& streams) {
  if (label.stream.empty()) return true;
  const auto& all = recording.streams();
  return std::any_of(streams.begin(), streams.end(), [&](std::size_t i) { return all[i].id == label.stream; });
}

void warn_of_rounded(std::size_t labels, const LabelFile& file) {
  if (labels > 0)
    warn(fmt::format("{} {} rounded to ticks of {} Hz: no ticks hold those of the file and the times of samples",
                     counted(labels, "label"), labels == 1 ? "is" : "are", file.tick_frequency.to_string()));
}

void warn_of_rounded(const Recording& recording, const PartOptions& part) {
  if (part.labels.empty()) return;
  const auto labels = labels_of(recording);
  const auto note = labels ? note_of_rounded(*labels) : std::nullopt;
  if (note) warn(*note);
}

std::string human_bytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value < 1e3) return fmt::format("{} B", bytes);
  // By what it is rounded to: "1.0 MB", not "1000.0 kB".
  if (bytes < 999'950) return fmt::format("{:.1f} kB", value / 1e3);
  if (bytes < 999'950'000) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.2f} GB", value / 1e9);
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string counted(std::uint64_t number, const std::string& what) {
  const char* plural = number == 1 ? "" : what.ends_with('s') ? "es" : "s";
  return grouped(number) + " " + what + plural;
}

std::uint64_t total_bytes(const Recording& recording) {
  std::uint64_t total = 0;
  for (const auto& stream : recording.streams()) total += stream.raw_bytes;
  return total;
}

}  // namespace sds::cli
