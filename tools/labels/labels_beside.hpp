// The label file beside a recording that is being made. One that stands there is somebody's work, or of another
// recording: it is refused, or with --force kept as a backup, and never lost.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "folder_lock.hpp"
#include "label_file.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

class LabelsBeside {
 public:
  LabelsBeside() = default;
  LabelsBeside(const std::filesystem::path& recording, bool force)
      : recording_(recording), path_(label_path(recording)), possible_(can_have_labels(recording)), force_(force) {}

  /// An error (ErrorCode::exists) if a label file is there, unless `force`: before any work is done, and again before
  /// the recording gets its name, for one may have appeared meanwhile. With `force`, too, where they are those of a
  /// recording that stays: of W.sdsz, when W.sds is new.
  [[nodiscard]] Expected<void> refuse() const {
    if (!possible_) return {};
    if (auto ok = refuse_existing(path_, force_); !ok) return ok;
    if (!may_exist(path_) || may_exist(recording_)) return {};
    for (const char* other : {".sdsz", ".sds"}) {
      auto twin = recording_;
      twin.replace_extension(other);
      if (twin != recording_ && may_exist(twin))
        return fail(ErrorCode::exists,
                    fmt::format("are the labels of {}, which is not replaced", twin.filename().string()), path_);
    }
    return {};
  }

  /// Gives `recording` its name, and `text`, if there is any, that of its labels. What is there becomes a backup first,
  /// unless it is `text` already, and a note says so. Whatever fails, no recording is left with labels of another:
  /// there is what was there, or the new recording, with its labels or, if they failed behind it, without any; then the
  /// error says so, and where the old ones are.
  [[nodiscard]] Expected<void> keep(PartialFile& recording, const std::optional<std::string>& text,
                                    std::vector<std::string>& notes) const {
    if (!possible_) return recording.keep();
    // Of two that replace the same recording one comes first, with its labels.
    const FolderLock one_at_a_time(directory_of(path_));
    if (auto ok = refuse(); !ok) return ok;
    std::error_code ignored;
    const auto there = std::filesystem::symlink_status(path_, ignored);
    std::filesystem::path backup;
    if (std::filesystem::is_regular_file(there) || std::filesystem::is_symlink(there)) {
      const auto old = read_small_file(path_, LabelFile::max_bytes);
      if (old && text && *old == *text) return recording.keep();
      auto moved = move_to_backup();
      if (!moved) return fail(moved);
      backup = std::move(*moved);
    }
    std::optional<PartialFile> labels;
    if (auto named = keep_before_labels(recording, text, labels); !named) {
      if (!backup.empty() && !rename_file_new(backup, path_)) tell_of_backup(named.error(), backup);
      return named;
    }
    if (!backup.empty())
      notes.push_back(fmt::format("{}: these labels were of what is replaced; they are kept as {}", path_.string(),
                                  backup.filename().string()));
    if (labels) {
      if (auto kept = labels->keep(false); !kept) {
        kept.error().message += "; the new recording is there, without its labels";
        tell_of_backup(kept.error(), backup);
        return kept;
      }
    }
    const auto target = std::filesystem::weakly_canonical(recording.final_path(), ignored);
    const auto folder = directory_of(target.empty() ? recording.final_path() : target);
    auto done = sync_directory(folder);
    if (const auto own = directory_of(path_); done && !std::filesystem::equivalent(own, folder, ignored))
      done = sync_directory(own);
    if (!done) {
      done.error().message += "; the new recording is there";
      tell_of_backup(done.error(), backup);
    }
    return done;
  }

  [[nodiscard]] bool possible() const { return possible_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  static void tell_of_backup(Error& error, const std::filesystem::path& backup) {
    if (!backup.empty()) error.message += fmt::format("; labels that were there are in {}", backup.string());
  }

  // Everything that needs room on the disk comes before the recording has its name.
  Expected<void> keep_before_labels(PartialFile& recording, const std::optional<std::string>& text,
                                    std::optional<PartialFile>& labels) const {
    if (text) {
      auto made = PartialFile::create(path_, IfExists::fail);
      if (!made) return fail(made);
      labels.emplace(std::move(*made));
      if (auto done = labels->sink().append(as_bytes(*text)); !done) return done;
    }
    return recording.keep(false);
  }

  // Named as `sds serve` names what is in its way; the first name that is free. Empty: somebody else moved it.
  Expected<std::filesystem::path> move_to_backup() const {
    for (std::uint32_t number = 0;; ++number) {
      auto backup = path_;
      backup += number == 0 ? std::string(".bak") : fmt::format(".bak.{}", number);
      auto renamed = rename_file_new(path_, backup);
      if (renamed) return backup;
      if (renamed.error().system_error == ENOENT) return std::filesystem::path();
      if (renamed.error().code != ErrorCode::exists) return fail(renamed);
    }
  }

  std::filesystem::path recording_;
  std::filesystem::path path_;  // of its labels
  bool possible_ = false;
  bool force_ = false;
};

}  // namespace sds
