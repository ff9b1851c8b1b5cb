// The label file beside a recording, when the recording is copied whole: it goes along, as it is.
#pragma once

#include <filesystem>

#include "sds/format/file_in_use.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/tools/label_file.hpp"

namespace sds {

class LabelsAlong {
 public:
  /// From the file beside the recording `from` to the one beside its copy `to`. A file that stands there is refused
  /// without `force`; with it, it is replaced, also by nothing.
  static Expected<LabelsAlong> plan(const std::filesystem::path& from, const std::filesystem::path& to, bool force) {
    LabelsAlong labels;
    labels.from_ = label_path(from);
    labels.to_ = label_path(to);
    labels.force_ = force;
    std::error_code ignored;
    if (!can_have_labels(to)) return labels;
    if (std::filesystem::equivalent(labels.from_, labels.to_, ignored)) return labels;  // they are there
    if (auto ok = refuse_existing(labels.to_, force); !ok) return fail(ok);
    labels.any_ = std::filesystem::exists(labels.from_, ignored);
    labels.stale_ = !labels.any_ && std::filesystem::exists(labels.to_, ignored);
    labels.in_use_ = FileInUse(labels.from_);
    return labels;
  }

  /// When the copy is made. Returns the label file that was written; empty if there is none.
  Expected<std::filesystem::path> copy() const {
    if (stale_)
      if (auto removed = remove_file(to_); !removed) return fail(removed);
    if (!any_) return std::filesystem::path();
    auto text = read_small_file(from_, LabelFile::max_bytes);
    if (!text) return fail(text);
    if (auto done = write_text_file(to_, *text, if_exists(force_)); !done) return fail(done);
    return to_;
  }

 private:
  std::filesystem::path from_;
  std::filesystem::path to_;
  FileInUse in_use_;
  bool force_ = false;
  bool any_ = false;
  bool stale_ = false;  // labels of what the copy replaces
};

}  // namespace sds
