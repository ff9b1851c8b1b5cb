// One at a time for everybody who reads a file, changes it and replaces it, over all processes of a machine.
#pragma once

#include <filesystem>
#include <functional>

#include "sds/format/error.hpp"

namespace sds {

/// An advisory lock (flock) on the folder in which a file stands: nothing is left behind, and it holds for a file that
/// is replaced or not there yet. It ends with this object, or with the process.
class FolderLock {
 public:
  /// Waits until it is free; `stop` true ends the wait (ErrorCode::interrupted). A file system without locks gives a
  /// lock that holds nobody off.
  static Expected<FolderLock> of(const std::filesystem::path& file, const std::function<bool()>& stop);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  /// False where the file system has no locks.
  [[nodiscard]] bool holds() const { return holds_; }

 private:
  FolderLock(int descriptor, bool holds) : descriptor_(descriptor), holds_(holds) {}
  int descriptor_;
  bool holds_;
};

}  // namespace sds
