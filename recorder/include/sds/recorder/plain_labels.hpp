// The numbers of plain recording sessions, by Arm's rule (theory.md, Filenames): the first session of a server takes
// the first number that is free for the stream it opens first, later sessions count on, and leave out numbers where a
// packed recording has labels, or another server is recording.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

namespace sds {

/// Thread-safe; may wait for the disk.
class PlainLabels {
 public:
  std::uint32_t next(const std::filesystem::path& directory, const std::string& first_stream);

 private:
  std::mutex mutex_;
  std::optional<std::uint32_t> last_;
};

}  // namespace sds
