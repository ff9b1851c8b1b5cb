// What this process reads at the moment: no command may replace its own input, whatever name, link or hard link leads
// to it. Who reads holds a FileInUse for each of its files; PartialFile asks before it replaces one.
#pragma once

#include <filesystem>
#include <memory>

#include "sds/format/error.hpp"

namespace sds {

/// Marks a file as in use for as long as this object or a copy of it lives. Thread-safe.
class FileInUse {
 public:
  FileInUse() = default;
  /// Where there is no such file, nothing is marked.
  explicit FileInUse(const std::filesystem::path& path);

 private:
  struct Mark;
  std::shared_ptr<const Mark> mark_;
};

/// An error (ErrorCode::usage) if `path` leads to a file that is in use.
Expected<void> refuse_in_use(const std::filesystem::path& path);

}  // namespace sds
