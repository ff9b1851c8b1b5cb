// The labels of a recording, wherever they are: beside it, beside each of its plain files, or in their names.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "label_file.hpp"
#include "label_ticks.hpp"
#include "label_tools.hpp"
#include "sds/format/names.hpp"
#include "time_span.hpp"

namespace sds {

namespace {

// What the names of the streams' files say of them, those that do; in ticks of the first one where they do.
Expected<LabelFile> classes_in_names(const Recording& recording, std::span<const std::size_t> streams) {
  std::vector<TimedLabel> labels;
  for (const auto index : streams) {
    const auto& stream = recording.streams()[index];
    const std::string name = class_in_label(stream.description.label);
    if (name.empty()) continue;
    auto span = time_span(recording, index);
    if (!span) return fail(span);
    if (!*span) continue;
    Label label;
    label.name = name;
    label.stream = stream.id;
    label.note = "from the file's name";
    labels.push_back({std::move(label), **span});
  }
  LabelFile file;
  if (!streams.empty()) file.tick_frequency = recording.streams()[streams.front()].tick_frequency();
  if (labels.empty()) return file;
  auto placed = place_labels(std::move(labels), file.tick_frequency, sample_frequencies(recording, streams));
  if (!placed) return fail(placed);
  for (auto& label : placed->file.labels) label.end = std::max(label.end, label.begin + 1);
  placed->file.sort();
  return std::move(placed->file);
}

bool has_labels_beside(const std::filesystem::path& file) { return may_exist(label_path(file)); }

// What is said of one plain file, in words of the recording that it is a stream of: what says no stream is about this
// one, but of the first file about all.
Expected<LabelFile> labels_of_file(const Recording& recording, std::size_t index) {
  const StreamInfo& stream = recording.streams()[index];
  if (!has_labels_beside(stream.path)) return classes_in_names(recording, std::array{index});
  auto beside = LabelFile::load(label_path(stream.path));
  if (!beside) return beside;
  const auto is_stream = [&](const std::string& id) {
    const auto& all = recording.streams();
    return std::any_of(all.begin(), all.end(), [&](const StreamInfo& s) { return s.id == id; });
  };
  for (auto& label : beside->labels) {
    const bool by_itself = label.stream == stream.description.name && !is_stream(label.stream);
    if (by_itself || (label.stream.empty() && index > 0)) label.stream = stream.id;
  }
  return beside;
}

// What is said of the whole recording in the first file need not be said of the stream of another.
void leave_out_what_is_said_of_all(LabelFile& file, const std::string& first_stream) {
  using Said = std::tuple<std::string, std::uint64_t, std::uint64_t, std::string, std::string, std::optional<double>>;
  const auto said = [](const Label& l) { return Said{l.name, l.begin, l.end, l.author, l.note, l.confidence}; };
  std::set<Said> of_all;
  for (const auto& label : file.labels)
    if (label.stream.empty()) of_all.insert(said(label));
  std::erase_if(file.labels, [&](const Label& label) {
    return !label.stream.empty() && label.stream != first_stream && of_all.contains(said(label));
  });
}

// A file that knows no classes uses those of its labels.
void know_classes_of(LabelFile& file) {
  std::set<std::string> classes;
  for (const auto& label : file.labels) classes.insert(label.name);
  file.classes.assign(classes.begin(), classes.end());
}

}  // namespace

std::vector<std::filesystem::path> label_files(const Recording& recording) {
  std::vector<std::filesystem::path> files;
  if (has_labels_beside(recording.path())) files.push_back(label_path(recording.path()));
  if (recording.sdsz()) return files;
  for (const auto& stream : recording.streams())
    if (label_path(stream.path) != label_path(recording.path()) && has_labels_beside(stream.path))
      files.push_back(label_path(stream.path));
  return files;
}

std::filesystem::path place_of_labels(const Recording& recording) {
  const auto files = label_files(recording);
  return files.size() == 1 ? files.front() : recording.path();
}

std::optional<std::string> note_of_rounded(const LabelFile& labels) {
  if (labels.rounded == 0) return std::nullopt;
  return fmt::format("{} label{} rounded to ticks of {} Hz: no ticks hold those of all files", labels.rounded,
                     labels.rounded == 1 ? " is" : "s are", labels.tick_frequency.to_string());
}

Expected<LabelFile> labels_of(const Recording& recording) {
  const auto files = label_files(recording);
  if (!files.empty() && (recording.sdsz() || recording.streams().size() == 1)) return LabelFile::load(files.front());
  if (files.empty()) {
    std::vector<std::size_t> all(recording.streams().size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return classes_in_names(recording, all);
  }
  std::vector<LabelFile> some;  // of the files that say something
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto one = labels_of_file(recording, i);
    if (!one) return one;
    if (i == 0 || !one->labels.empty() || !one->classes.empty()) some.push_back(std::move(*one));
  }
  if (some.size() == 1) return std::move(some.front());
  LabelFile all;
  all.tick_frequency = ticks_of_files(some);
  for (auto& one : some) {
    if (one.classes.empty() && !all.classes.empty()) know_classes_of(one);
    const auto rounded = take_labels(all, one);
    if (!rounded) return fail(rounded);
    all.rounded += *rounded;
  }
  leave_out_what_is_said_of_all(all, recording.streams().front().id);
  return all;
}

}  // namespace sds
