// The label file beside a recording, when the recording is copied whole: it goes along, as it is.
#pragma once

#include <filesystem>

#include "label_file.hpp"
#include "labels_beside.hpp"
#include "sds/format/file_in_use.hpp"

namespace sds {

class LabelsAlong {
 public:
  /// From the file beside the recording `from` to the one beside its copy `to`; what stands there: LabelsBeside.
  static Expected<LabelsAlong> plan(const std::filesystem::path& from, const std::filesystem::path& to, bool force) {
    LabelsAlong labels;
    labels.from_ = label_path(from);
    labels.beside_ = LabelsBeside(to, force);
    std::error_code ignored;
    if (!labels.beside_.possible()) return labels;
    labels.same_ = std::filesystem::equivalent(labels.from_, labels.beside_.path(), ignored) ||
                   std::filesystem::weakly_canonical(labels.from_, ignored) ==
                       std::filesystem::weakly_canonical(labels.beside_.path(), ignored);
    if (labels.same_) labels.beside_ = LabelsBeside(to, force, labels.from_);
    if (auto ok = labels.beside_.refuse(); !ok) return fail(ok);
    labels.in_use_ = FileInUse(labels.from_);
    if (labels.same_ || !may_exist(labels.from_)) return labels;
    auto text = read_small_file(labels.from_, LabelFile::max_bytes);
    if (!text) return fail(text);  // now, while no copy is made yet
    labels.text_ = std::move(*text);
    return labels;
  }

  /// The copy gets these labels instead, but where they are the recording's own: then they stay, and this is false.
  bool write_instead(std::string text) {
    if (same_ || !beside_.possible()) return false;
    text_ = std::move(text);
    return true;
  }

  /// Gives the copy its name, and its labels theirs (LabelsBeside::keep()). Returns the label file that was written;
  /// empty if there is none.
  Expected<std::filesystem::path> keep(PartialFile& copy, std::vector<std::string>& notes) const {
    auto kept = beside_.keep(copy, text_, notes);
    if (!kept) return fail(kept);
    return text_ ? beside_.path() : std::filesystem::path();
  }

  /// What the copy gets; none: nothing, or the labels are there.
  [[nodiscard]] const std::optional<std::string>& text() const { return text_; }

 private:
  std::filesystem::path from_;
  LabelsBeside beside_;
  FileInUse in_use_;
  std::optional<std::string> text_;
  bool same_ = false;  // the copy's labels are the recording's own
};

}  // namespace sds
