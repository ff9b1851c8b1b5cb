// Labels: what happened when in a recording, said by whom. They live in a text file beside the recording,
// `<recording>.labels.yml` (docs/labels.md), that people and version control can read.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sds/format/recording.hpp"
#include "time_ranges.hpp"

namespace sds {

/// A class for a half-open interval of ticks, [begin, end).
struct Label {
  std::string name;  ///< the class
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string stream;  ///< id of the stream that it is about; empty: the whole recording
  std::string author;
  std::string note;
  std::optional<double> confidence;  ///< 0 to 1
  int line = 0;                      ///< in the file it was read from; 0: in none

  bool operator==(const Label& other) const;  ///< all but the line
};

/// The labels of one recording. Ticks are of the file's own frequency, on the recording's clock: tick 0 is the device's
/// timeslot 0, not the first block.
struct LabelFile {
  static constexpr std::size_t max_bytes = std::size_t{16} << 20;
  static constexpr std::size_t max_labels = 200'000;

  Frequency tick_frequency;
  std::vector<std::string> classes;  ///< the classes that are known; empty: any
  std::vector<Label> labels;
  std::size_t rounded = 0;  ///< by labels_of(): no ticks hold them and those of the other files

  [[nodiscard]] double seconds_of(std::uint64_t tick) const { return seconds(tick, tick_frequency); }
  /// The tick nearest to a time; fails on negative times and ones beyond 2^53 ticks.
  [[nodiscard]] Expected<std::uint64_t> tick_of(double time_s) const;

  /// By begin, end, class, stream, author: the order of the file.
  void sort();
  [[nodiscard]] std::string to_yaml() const;
  /// to_yaml(), if parse() gives these labels back: what no label file can hold (check_label()) is an error
  /// (ErrorCode::usage), more than fit in one ErrorCode::limit. Everything that writes label files takes it from here.
  [[nodiscard]] Expected<std::string> checked_yaml() const;
  /// Reads what to_yaml() writes, and what a person makes of it: `begin`/`end` in ticks, or `from`/`to` in seconds, or
  /// both where they agree. Errors name the line. Intervals that end before they begin are errors.
  static Expected<LabelFile> parse(const std::string& yaml, const std::filesystem::path& path);
  static Expected<LabelFile> load(const std::filesystem::path& path);
  [[nodiscard]] Expected<void> save(const std::filesystem::path& path) const;
};

/// Appends a Label, or what holds one; more than a file holds is an error (ErrorCode::limit).
template <class OneLabel>
Expected<void> append_label(std::vector<OneLabel>& labels, OneLabel label) {
  if (labels.size() >= LabelFile::max_labels)
    return fail(ErrorCode::limit, "more than " + std::to_string(LabelFile::max_labels) + " labels");
  labels.push_back(std::move(label));
  return {};
}

/// What makes a label one that no label file can hold, as an error (ErrorCode::usage): an empty class, text that is not
/// UTF-8, an end before the begin, a tick beyond 2^53, a confidence that is not in 0..1.
Expected<void> check_label(const Label& label);

/// "no label has the class 'wlk'; there are: rest, walk"
std::string no_such_class(const LabelFile& file, const std::string& name);

/// Where the labels of a recording are: `walk.sdsz` -> `walk.labels.yml`, `Imu.0.sds` -> `Imu.0.labels.yml`. Of a
/// symbolic link without labels beside it those beside what it leads to.
std::filesystem::path label_path(const std::filesystem::path& recording);
/// The place beside just this name, whatever it leads to.
std::filesystem::path label_path_beside(std::filesystem::path name);
/// False only of what is known not to exist: what cannot be looked at may.
bool may_exist(const std::filesystem::path& path);
/// False of what exists and is no plain file (/dev/null, a pipe): there is no place beside it.
bool can_have_labels(const std::filesystem::path& recording);

/// The label file beside a recording; without one no labels, with the ticks of the first stream. Who changes labels
/// begins with these: what a file's name says is no label that anybody made.
Expected<LabelFile> labels_beside(const Recording& recording);

/// The labels of a recording: those of the file beside it, whatever its name says. Without a file there: labels from
/// the streams' file names, as Arm's tools name them (`<stream>.<label>.sds`, class_in_label()), over the whole stream.
/// Several plain files have those of each of them; what says no stream is about that of the file beside which it is
/// said, beside the first file about the whole recording.
Expected<LabelFile> labels_of(const Recording& recording);
/// The label files beside a recording, or beside any of its plain files, those that there are.
std::vector<std::filesystem::path> label_files(const Recording& recording);
/// "2 labels are rounded to ticks of 66673000 Hz: no ticks hold those of all files"; nothing where none is.
std::optional<std::string> note_of_rounded(const LabelFile& labels);
/// What a message about the labels names: the one label file, else the recording.
std::filesystem::path place_of_labels(const Recording& recording);

/// The frequency of the clock that a label goes by: that of its stream, or, without one, of its file.
Frequency ticks_of_label(const Recording& recording, const LabelFile& labels, const Label& label);

}  // namespace sds
