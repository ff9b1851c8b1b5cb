// The label file beside a recording that is being made. One that stands there is somebody's work, or of another
// recording: it is refused, or with --force kept as a backup, and never lost.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/error.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

class LabelsBeside {
 public:
  LabelsBeside() = default;
  /// `own`: a label file that stays what it is, for the new recording is of what it is about.
  LabelsBeside(const std::filesystem::path& recording, bool force, const std::filesystem::path& own = {});

  /// An error (ErrorCode::exists) if a label file is there, unless `force`: before any work is done, and again before
  /// the recording gets its name, for one may have appeared meanwhile. With `force`, too, where they are those of a
  /// recording that stays: of W.sdsz, when W.sds is new.
  [[nodiscard]] Expected<void> refuse() const;

  /// Gives `recording` its name, and `text`, if there is any, that of its labels. What is there becomes a backup first,
  /// unless it is `text` already, and a note says so: through a link labels may stand beside each name. Whatever fails,
  /// no recording is left with labels of another: there is what was there, or the new recording, with its labels or, if
  /// they failed behind it, without any; then the error says so, and where the old ones are. Two that replace the same
  /// recording come one after the other; a signal that ends the program ends the wait.
  [[nodiscard]] Expected<void> keep(PartialFile& recording, const std::optional<std::string>& text,
                                    std::vector<std::string>& notes) const;

  [[nodiscard]] bool possible() const { return possible_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  class Backups;
  Expected<void> move_others(const std::filesystem::path& stays, Backups& old) const;
  static Expected<void> keep_before_labels(PartialFile& recording, const std::filesystem::path& path,
                                           const std::optional<std::string>& text, std::optional<PartialFile>& labels);

  std::vector<std::filesystem::path> names_;  // of the recording, along links
  std::filesystem::path path_;                // of its labels
  std::filesystem::path own_;                 // without links; empty: none
  bool possible_ = false;
  bool force_ = false;
};

/// Of an error behind the first of several files: those that have their names keep them, and labels that were put away
/// for them (the notes of LabelsBeside::keep()) stay where they are.
void tell_what_is_there(Error& error, const std::vector<std::filesystem::path>& named,
                        const std::vector<std::string>& put_away);

}  // namespace sds
