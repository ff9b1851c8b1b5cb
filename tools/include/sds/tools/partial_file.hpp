// Outputs that appear under their names only when they are complete.
#pragma once

#include <filesystem>
#include <string_view>

#include "sds/format/error.hpp"
#include "sds/format/file_system.hpp"

namespace sds {

/// A file under a temporary name beside its final one; keep() gives it that name, otherwise it is removed again.
class PartialFile {
 public:
  explicit PartialFile(std::filesystem::path final_path);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return partial_; }
  [[nodiscard]] const std::filesystem::path& final_path() const { return final_; }
  [[nodiscard]] Expected<void> keep();

 private:
  std::filesystem::path final_;
  std::filesystem::path partial_;
  bool kept_ = false;
};

/// An error if `path` exists and `force` is not set.
Expected<void> refuse_existing(const std::filesystem::path& path, bool force);

/// Replaces the file at `path` by `text`, all at once.
Expected<void> write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace sds
