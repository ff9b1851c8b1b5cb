// What an export is going to write, decided before anything is: which parts of which recordings, and under which names,
// so that nothing is made where nothing is left, and no two files of one export get one name.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "command.hpp"
#include "exports.hpp"

namespace sds::cli {

/// What is asked for of every recording.
struct ExportRequest {
  PartOptions part;
  std::vector<std::string> streams;  ///< ids; empty: all
  SampleOptions samples;             ///< how they are read
  bool images = false;               ///< only of streams that hold some, where none is named
  bool per_stream = false;           ///< each stream becomes a file
  bool many = false;                 ///< the files of several recordings go into one folder
  bool to_folder = false;            ///< those of one recording do
  bool needs_rate = false;           ///< the format has no place for streams without a sample-frequency,
  bool block_rate_does = false;      ///< where a frequency of the blocks will not do, either
  bool named_by_recording = false;   ///< a file that several streams make is <recording>.<stream>, not <stream>
  bool file_an_event = false;        ///< in a folder each label becomes a file, <class>.<name>, in a file at most one
  std::string file_name;             ///< without its folder, where all goes into one
  std::string class_name;            ///< instead of the labels' classes; without part.labels all is one file of it
};

/// Recordings that become files of one export: their paths, and a name for each that no other has.
struct NamedInput {
  std::vector<std::filesystem::path> paths;
  std::string name;
};

/// Names for the recordings: those of their first files without the extension, and `<name>~2`, ... where several have
/// one, the same in whatever order they come, with a note. A file that is named twice is an error.
Expected<std::vector<NamedInput>> name_inputs(std::vector<std::vector<std::filesystem::path>> groups,
                                              std::vector<std::string>& notes);

/// What becomes a file: a stream, or a part of it; and the name of its file in its folder (where each becomes a file in
/// a folder).
struct PlannedStream {
  std::size_t index = 0;
  TimeRanges within = all_time;
  std::string wanted;  ///< without the extension
  std::string name;
};

/// What is exported of one recording.
struct PlannedExport {
  std::vector<std::filesystem::path> paths;
  std::string stem;    ///< the recording's name in the export
  std::string folder;  ///< the part of a dataset; empty: the output itself
  StreamTimes within;
  std::vector<PlannedStream> streams;
  std::vector<std::string> notes;
  std::optional<Error> error;

  [[nodiscard]] std::vector<std::size_t> stream_indices() const;
};

/// A recording, looked at.
struct LookedAt {
  PlannedExport plan;
  std::optional<Error> nothing;      ///< says that nothing of it lies in the time, or has the class, that was asked for
  std::filesystem::path labels;      ///< where they are, where some were asked for
  std::vector<std::string> classes;  ///< that its labels have
  std::vector<std::string> lacks;    ///< classes that were asked for
  std::set<std::string> of_others;   ///< classes of labels about streams that were not
};
LookedAt look_at(const NamedInput& input, const Recording::Options& options, const ExportRequest& request,
                 const OnProgress& on_progress);

/// What of these is exported: recordings of which nothing is are left out, with a note in `notes`; an error where that
/// is all of them, or where a class that was asked for is in none.
Expected<std::vector<PlannedExport>> choose_exports(std::vector<LookedAt> looked_at, const ExportRequest& request,
                                                    std::vector<std::string>& notes);

/// Gives every planned file a name of its own in its folder, the same in whatever order the recordings come. Names that
/// are not those that were wanted are in the notes.
void name_files(std::vector<PlannedExport>& plans, const std::string& extension);

}  // namespace sds::cli
