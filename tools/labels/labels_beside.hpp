// The label file beside a recording that is being made. One that stands there is somebody's work, or of another
// recording: it is refused, or with --force kept as a backup, and never lost.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "label_file.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

class LabelsBeside {
 public:
  LabelsBeside() = default;
  LabelsBeside(const std::filesystem::path& recording, bool force)
      : path_(label_path(recording)), possible_(can_have_labels(recording)), force_(force) {}

  /// An error (ErrorCode::exists) if a label file is there, unless `force`: before any work is done, and again before
  /// the recording gets its name, for one may have appeared meanwhile.
  [[nodiscard]] Expected<void> refuse() const { return possible_ ? refuse_existing(path_, force_) : Expected<void>(); }

  /// When the recording has its name: what is there becomes a backup, unless it is `text` already, and a note says so;
  /// then `text` is written, if there is any.
  [[nodiscard]] Expected<void> replace(const std::optional<std::string>& text, std::vector<std::string>& notes) const {
    if (!possible_) return {};
    if (auto ok = refuse(); !ok) return ok;
    std::error_code ignored;
    const auto there = std::filesystem::symlink_status(path_, ignored);
    if (std::filesystem::is_regular_file(there) || std::filesystem::is_symlink(there)) {
      const auto old = read_small_file(path_, LabelFile::max_bytes);
      if (old && text && *old == *text) return {};
      if (auto kept = keep_as_backup(notes); !kept) return kept;
    }
    return text ? write_text_file(path_, *text, IfExists::fail) : Expected<void>();
  }

  [[nodiscard]] bool possible() const { return possible_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  // Named as `sds serve` names what is in its way; the first name that is free.
  Expected<void> keep_as_backup(std::vector<std::string>& notes) const {
    for (std::uint32_t number = 0;; ++number) {
      auto backup = path_;
      backup += number == 0 ? std::string(".bak") : fmt::format(".bak.{}", number);
      auto renamed = rename_file_new(path_, backup);
      if (renamed) {
        notes.push_back(fmt::format("{}: these labels were of what is replaced; they are kept as {}", path_.string(),
                                    backup.filename().string()));
        return sync_directory(directory_of(path_));
      }
      if (renamed.error().system_error == ENOENT) return {};  // gone: somebody else moved it
      if (renamed.error().code != ErrorCode::exists) return renamed;
    }
  }

  std::filesystem::path path_;
  bool possible_ = false;
  bool force_ = false;
};

}  // namespace sds
