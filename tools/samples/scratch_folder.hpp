// A folder for files that nobody keeps.
#pragma once

#include <filesystem>
#include <string_view>

#include "sds/format/error.hpp"

namespace sds {

/// A new folder under the system's temporary one, or another; it goes away, with all that is in it, when this object
/// does.
class ScratchFolder {
 public:
  static Expected<ScratchFolder> create();
  static Expected<ScratchFolder> create_in(const std::filesystem::path& parent);
  ~ScratchFolder();
  ScratchFolder(ScratchFolder&& other) noexcept;
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

/// Makes a file in such a folder; it need not survive anything.
Expected<void> write_scratch_file(const std::filesystem::path& path, std::string_view text);

}  // namespace sds
