// A disk that fails once, at one chosen operation, or is full from there on.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <string>

#include "sds/format/file_system.hpp"
#include "support/replaced_file_system.hpp"

namespace sds::test {

enum class Fault {
  short_write,  ///< half of the bytes, as a success
  interrupted,  ///< EINTR, nothing done
  io_error,     ///< EIO; of a write the first half is there
  disk_full,    ///< ENOSPC once; of a write the first half is there
  stays_full,   ///< the same from there on, for all that needs space
};

inline const char* name_of(Fault fault) {
  static constexpr const char* names[] = {"short write", "EINTR", "EIO", "ENOSPC", "ENOSPC from there on"};
  return names[static_cast<int>(fault)];
}

/// In use for as long as it lives. Counts every operation, and makes operation number `at` (from 1 on) fail. Files are
/// not really synced: that only takes time.
class FaultyFileSystem final : public ReplacedFileSystem {
 public:
  FaultyFileSystem(std::size_t at, Fault fault) : at_(at), fault_(fault) {}
  explicit FaultyFileSystem() : FaultyFileSystem(0, Fault::io_error) {}

  [[nodiscard]] std::size_t operations() const { return operations_; }
  /// "write walk.sdsz": the operation that failed first; empty if none did, or if the fault is none of its kind.
  [[nodiscard]] const std::string& failed() const { return failed_; }

  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    if (const int error = next("open", path, true)) return error;
    const int descriptor = FileSystem::open(path, flags, mode);
    names_[descriptor] = path;
    return descriptor;
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    const int error = next("write", names_[descriptor], true, bytes.size() > 1);
    if (error == -EINTR) return error;
    if (error == 0) return FileSystem::write(descriptor, bytes);
    const ssize_t half = bytes.size() > 1 ? FileSystem::write(descriptor, bytes.first(bytes.size() / 2)) : 0;
    return error == kShort ? half : error;
  }
  int truncate(int descriptor, std::uint64_t size) override {
    const int error = next("truncate", names_[descriptor], false);
    return error != 0 ? error : FileSystem::truncate(descriptor, size);
  }
  int reserve(int descriptor, std::uint64_t offset, std::uint64_t bytes) override {
    const int error = next("reserve", names_[descriptor], true);
    return error != 0 ? error : FileSystem::reserve(descriptor, offset, bytes);
  }
  int sync(int descriptor) override { return next("sync", names_[descriptor], false); }
  int close(int descriptor) override {
    const int error = next("close", names_[descriptor], false);
    const int done = FileSystem::close(descriptor);
    return error != 0 ? error : done;
  }
  int rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    const int error = next("rename", from, true);
    return error != 0 ? error : FileSystem::rename(from, to);
  }
  int rename_new(const std::filesystem::path& from, const std::filesystem::path& to) override {
    const int error = next("rename_new", from, true);
    return error != 0 ? error : FileSystem::rename_new(from, to);
  }
  int unlink(const std::filesystem::path& path) override {
    const int error = next("unlink", path, false);
    return error != 0 ? error : FileSystem::unlink(path);
  }
  int mkdir(const std::filesystem::path& directory) override {
    const int error = next("mkdir", directory, true);
    return error != 0 ? error : FileSystem::mkdir(directory);
  }
  int sync_directory(const std::filesystem::path& directory) override {
    return next("sync_directory", directory, false);
  }

 private:
  static constexpr int kShort = -100000;

  // 0, or the error of this operation.
  int next(const char* operation, const std::filesystem::path& path, bool needs_space, bool can_be_short = false) {
    const std::size_t n = ++operations_;
    const bool from_there_on = fault_ == Fault::stays_full && at_ != 0 && n > at_ && needs_space;
    if (n != at_ && !from_there_on) return 0;
    if (fault_ == Fault::short_write && !can_be_short) return 0;
    if ((fault_ == Fault::disk_full || fault_ == Fault::stays_full) && !needs_space) return 0;
    if (failed_.empty()) failed_ = std::string(operation) + " " + path.filename().string();
    switch (fault_) {
      case Fault::short_write:
        return kShort;
      case Fault::interrupted:
        return -EINTR;
      case Fault::io_error:
        return -EIO;
      default:
        return -ENOSPC;
    }
  }

  std::size_t at_;
  Fault fault_;
  std::size_t operations_ = 0;
  std::string failed_;
  std::map<int, std::filesystem::path> names_;
};

}  // namespace sds::test
