// Every system call with which sdskit changes files, in one class, so that a test can make any single one of them fail,
// or write all of them down. Reading does not pass through here. Programs use OutputFile and the functions at the end.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

/// The system's own calls; a test derives from it. Each member does what the system call of that name does, once (no
/// repetition after EINTR, no completion of short writes), and returns -errno where that fails. Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// Opens for writing; `flags` as for open(2) (O_CLOEXEC is added). Never returns 0, 1 or 2.
  virtual int open(const std::filesystem::path& path, int flags, mode_t mode);
  /// Writes some of `bytes` at the file's end, or wherever standard output stands.
  virtual ssize_t write(int descriptor, ByteView bytes);
  /// Cuts or extends to `size` bytes; writing goes on there.
  virtual int truncate(int descriptor, std::uint64_t size);
  /// fallocate, which leaves the file's size as it is: its blocks from `offset` on have a place on the disk. EOPNOTSUPP
  /// where the file system cannot do that, ENOSYS where the system cannot, EFBIG where ulimit -f does not let it grow
  /// so far.
  virtual int reserve(int descriptor, std::uint64_t offset, std::uint64_t bytes);
  /// fdatasync.
  virtual int sync(int descriptor);
  /// Takes a lock for writing on the whole file, which goes with its descriptor: an open file description lock of
  /// Linux. EAGAIN or EACCES where another has one; ENOSYS where the system has none.
  virtual int lock(int descriptor);
  /// The descriptor is free afterwards, also after an error.
  virtual int close(int descriptor);
  /// Replaces `to`.
  virtual int rename(const std::filesystem::path& from, const std::filesystem::path& to);
  /// Atomically refuses (EEXIST) where `to` exists. For files and folders.
  virtual int rename_new(const std::filesystem::path& from, const std::filesystem::path& to);
  /// Atomically gives each of two the other's name. EINVAL or ENOSYS where the file system cannot do that.
  virtual int exchange(const std::filesystem::path& a, const std::filesystem::path& b);
  virtual int unlink(const std::filesystem::path& path);
  /// One level; EEXIST where something of that name exists.
  virtual int mkdir(const std::filesystem::path& directory);
  /// fsync of a directory: the names in it survive a power cut.
  virtual int sync_directory(const std::filesystem::path& directory);
};

/// The one in use by the whole process.
FileSystem& file_system();

/// Lets the whole process use another one from now on, null: the system's own. Returns the one used before. For tests;
/// the caller sees to it that nobody is writing meanwhile, and that `replacement` outlives its use.
FileSystem* replace_file_system(FileSystem* replacement);

/// Gives a file or folder another name in the same file system; what has the name `to` is replaced.
Expected<void> rename_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// The same, but what has the name `to` is left alone: ErrorCode::exists.
Expected<void> rename_file_new(const std::filesystem::path& from, const std::filesystem::path& to);

/// Gives each of two files or folders the other's name, with no moment in between. False: the file system cannot.
Expected<bool> exchange_names(const std::filesystem::path& a, const std::filesystem::path& b);

/// Deletes a file. One that does not exist is no error.
Expected<void> remove_file(const std::filesystem::path& path);

/// Makes names that were created, renamed or deleted in `directory` (empty: the current one) survive a power cut.
/// File systems that cannot do that for a directory (EINVAL) are taken at their word that they need not.
Expected<void> sync_directory(const std::filesystem::path& directory);

/// The directory in which `path` stands: never empty.
std::filesystem::path directory_of(const std::filesystem::path& path);

/// Makes `directory` and what is missing above it, and makes their names survive a power cut.
Expected<void> make_directories(const std::filesystem::path& directory);

}  // namespace sds
