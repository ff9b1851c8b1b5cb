// Whether a file that is being recorded still stands under its name: whoever deletes it, or puts another in its place,
// makes the recording go nowhere, and the system says nothing about it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "sds/format/error.hpp"

namespace sds {

/// `.bak`, `.bak.1`, `.bak.2`, ...: what a file is kept as that is in the way of another.
std::filesystem::path backup_name(const std::filesystem::path& path, std::uint32_t number);

/// True if somebody holds the lock of who records on the file at `path`.
bool is_being_recorded(const std::filesystem::path& path);

/// Says in the log that commands cannot tell of a file that it is being recorded; OutputFile::not_marked() says why.
void warn_if_not_marked(const std::string& device, const std::optional<Error>& not_marked);

/// Remembers the file that has a name at its construction; it must stay open while it is watched.
class WatchedFile {
 public:
  explicit WatchedFile(std::filesystem::path path);

  /// The name that the file has: its own, or a backup_name(). None: the file was deleted, moved, or replaced. Where the
  /// names cannot be looked at, its own.
  [[nodiscard]] std::optional<std::filesystem::path> where() const;
  /// The error to report if it is not there; only the first time.
  [[nodiscard]] std::optional<Error> missing();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const Identity&) const = default;
  };
  // None: there is no such file.
  static Expected<std::optional<Identity>> identity_of(const std::filesystem::path& path);

  std::filesystem::path path_;
  std::optional<Identity> identity_;
  bool told_ = false;
};

}  // namespace sds
