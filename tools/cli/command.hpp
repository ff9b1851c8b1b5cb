// What the subcommands share: how they are registered, how they open recordings and report errors.
#pragma once

#include <fmt/format.h>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "duration_text.hpp"
#include "options.hpp"
#include "sds/format/recording.hpp"
#include "time_ranges.hpp"

namespace sds {
struct Label;
struct LabelFile;
}  // namespace sds

namespace sds::cli {

/// A parsed command line, ready to run; the value is the exit code.
using Run = std::function<int()>;

void add_bench(Command& app, Run& run);
void add_check(Command& app, Run& run);
void add_compare(Command& app, Run& run);
void add_completion(Command& app, Run& run);
void add_edit(Command& app, Run& run);
void add_export(Command& app, Run& run);
void add_import(Command& app, Run& run);
void add_info(Command& app, Run& run);
void add_label(Command& app, Run& run);
void add_man(Command& app, Run& run);
void add_model(Command& app, Run& run);
void add_pack(Command& app, Run& run);
void add_plot(Command& app, Run& run);
void add_query(Command& app, Run& run);
void add_recover(Command& app, Run& run);
void add_replay(Command& app, Run& run);
void add_test(Command& app, Run& run);
void add_serve(Command& app, Run& run);
void add_unpack(Command& app, Run& run);

/// Says something on stderr. That nobody can hear it is no error: what a command does, and its exit code, stay the
/// same.
template <class... Values>
void tell(fmt::format_string<Values...> text, Values&&... values) {
  (void)std::fputs(fmt::format(text, std::forward<Values>(values)...).c_str(), stderr);
}
/// "sds: error: ..." on stderr; returns the error's exit code. JSON reports have it under `errors`.
int fail_with(const Error& error);
/// The same of an error that is on stderr already.
void also_told(const Error& error);
/// What fail_with() has told so far.
std::vector<Error> errors_told();
/// "sds: warning: ..." on stderr.
void warn(const std::string& message);
/// "sds: note: ..." on stderr: what is as it should be, and good to know.
void note(const std::string& message);

/// From now on no output of this command replaces `path` (file_in_use.hpp), --force or not.
void reads(const std::filesystem::path& path);
/// The same for every file that an option will name.
void names_inputs(Option& option);

/// The options of every command that reads a recording.
struct InputOptions {
  std::vector<std::filesystem::path> paths;
  std::filesystem::path metadata;
  void add_to(Command& command, const std::string& description, bool many);
  [[nodiscard]] Expected<Recording> open() const;
  /// Each path as a recording of its own.
  [[nodiscard]] Expected<Recording> open_one(const std::filesystem::path& path) const;
  [[nodiscard]] Recording::Options options() const;
};

/// --from, --to and --label of commands that take a part of a recording.
struct PartOptions {
  std::optional<double> from;
  std::optional<double> to;
  std::vector<std::string> labels;
  void add_to(Command& command);
  /// Seconds of the recording's clock; labels come from the file beside the recording.
  [[nodiscard]] Expected<TimeRanges> ranges(const Recording& recording) const;
  /// The same of these streams: labels about other ones choose nothing.
  [[nodiscard]] Expected<TimeRanges> ranges(const Recording& recording, const std::vector<std::size_t>& streams) const;
  /// The same of each of these streams by itself: where labels about it, or about the whole recording, are. Nothing of
  /// a stream without any.
  [[nodiscard]] Expected<StreamTimes> ranges_of_each(const Recording& recording,
                                                     const std::vector<std::size_t>& streams) const;
};

/// Of each stream where labels of these classes are that are about it, or about the whole recording, as far as they
/// lie `within`.
StreamTimes labelled_times(const Recording& recording, const LabelFile& file, const std::vector<std::string>& classes,
                           const std::vector<std::size_t>& streams, const TimeRanges& within);
/// "stream B is left out: no label of the class 'sit' that is about it lies in the time that was asked for"
std::string left_out_by_label(const std::string& stream, const std::vector<std::string>& classes);

/// Whether a label says anything of one of these streams: it is about one, or about the whole recording.
bool is_about(const Label& label, const Recording& recording, const std::vector<std::size_t>& streams);
/// "no label of the class 'sit' is about a stream that is chosen"
std::string only_about_others(const std::string& name);

/// Says that so many labels were put on ticks of the file that may not choose their samples (add_labels()).
void warn_of_rounded(std::size_t labels, const LabelFile& file);
/// Of a part that is chosen by labels: that those of several files are rounded (note_of_rounded()), where they are.
void warn_of_rounded(const Recording& recording, const PartOptions& part);

/// "12.3 MB"
std::string human_bytes(std::uint64_t bytes);
/// 1234567 as "1,234,567"
std::string grouped(std::uint64_t number);
/// "1 block", "1,234 blocks", "2 losses"
std::string counted(std::uint64_t number, const std::string& what);

/// Total size of a recording's streams as plain `.sds`, for progress.
std::uint64_t total_bytes(const Recording& recording);

}  // namespace sds::cli
