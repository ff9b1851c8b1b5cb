#include "sds/format/file_system.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "retry.hpp"
#include "sds/format/new_file.hpp"

namespace sds {

namespace {

std::atomic<FileSystem*> replaced{nullptr};

int result(int returned) { return returned < 0 ? -errno : returned; }

// A file must not take the place of standard input, output or error where the program was started without them.
int above_standard(int descriptor) {
  if (descriptor > STDERR_FILENO || descriptor < 0) return result(descriptor);
  const int moved = result(::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  ::close(descriptor);
  return moved;
}

}  // namespace

int FileSystem::open(const std::filesystem::path& path, int flags, mode_t mode) {
  const int opened = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  const int descriptor = above_standard(opened);
  if (descriptor < 0 && opened >= 0 && (flags & O_EXCL) != 0) (void)::unlink(path.c_str());  // it was made just now
  return descriptor;
}

ssize_t FileSystem::write(int descriptor, ByteView bytes) {
  const ssize_t put = ::write(descriptor, bytes.data(), bytes.size());
  return put < 0 ? -errno : put;
}

int FileSystem::truncate(int descriptor, std::uint64_t size) {
  if (::ftruncate(descriptor, static_cast<off_t>(size)) != 0) return -errno;
  return ::lseek(descriptor, static_cast<off_t>(size), SEEK_SET) < 0 ? -errno : 0;
}

int FileSystem::reserve(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
#ifdef FALLOC_FL_KEEP_SIZE
  // Not all file systems look at that as long as the file keeps its size.
  struct rlimit most {};
  if (::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY && offset + bytes > most.rlim_cur)
    return -EFBIG;
  return result(::fallocate(descriptor, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes)));
#else
  (void)descriptor, (void)offset, (void)bytes;
  return -ENOSYS;
#endif
}

int FileSystem::sync(int descriptor) { return result(::fdatasync(descriptor)); }

int FileSystem::lock(int descriptor) {
#ifdef F_OFD_SETLK
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return result(::fcntl(descriptor, F_OFD_SETLK, &lock));
#else
  (void)descriptor;
  return -ENOSYS;
#endif
}

int FileSystem::close(int descriptor) { return result(::close(descriptor)); }

int FileSystem::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  return result(::rename(from.c_str(), to.c_str()));
}

int FileSystem::rename_new(const std::filesystem::path& from, const std::filesystem::path& to) {
  const int done = result(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE));
  if (done != -EINVAL && done != -ENOSYS) return done;
  // A file system without this flag (NFS). A folder replaces an empty one that was made, and thus is nobody else's;
  // what somebody puts into it meanwhile makes it fail.
  struct stat info {};
  if (::lstat(from.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    if (::mkdir(to.c_str(), 0777) != 0) return -errno;
    const int renamed = result(::rename(from.c_str(), to.c_str()));
    if (renamed < 0) ::rmdir(to.c_str());
    return renamed == -ENOTEMPTY ? -EEXIST : renamed;
  }
  // A file gets a second name, then one less. Between the two it has both.
  if (::link(from.c_str(), to.c_str()) == 0) return result(::unlink(from.c_str()));
  if (errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP) return -errno;
  // One without second names either (FAT): an empty file takes the name first, so that nobody else can.
  const int descriptor = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return -errno;
  ::close(descriptor);
  const int renamed = result(::rename(from.c_str(), to.c_str()));
  if (renamed < 0) ::unlink(to.c_str());
  return renamed;
}

int FileSystem::exchange(const std::filesystem::path& a, const std::filesystem::path& b) {
  return result(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE));
}

int FileSystem::unlink(const std::filesystem::path& path) { return result(::unlink(path.c_str())); }

int FileSystem::mkdir(const std::filesystem::path& directory) { return result(::mkdir(directory.c_str(), 0777)); }

int FileSystem::sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  const int done = result(::fsync(descriptor));
  ::close(descriptor);
  return done;
}

FileSystem& file_system() {
  static FileSystem system;
  FileSystem* const other = replaced.load(std::memory_order_acquire);
  return other != nullptr ? *other : system;
}

FileSystem* replace_file_system(FileSystem* replacement) {
  return replaced.exchange(replacement, std::memory_order_acq_rel);
}

Expected<void> rename_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  const int done = retry([&] { return file_system().rename(from, to); });
  if (done < 0) return fail_errno(-done, "cannot rename to " + to.string(), from);
  return {};
}

Expected<void> rename_file_new(const std::filesystem::path& from, const std::filesystem::path& to) {
  const int done = retry([&] { return file_system().rename_new(from, to); });
  if (done == -EEXIST) return fail(ErrorCode::exists, "exists already", to);
  if (done < 0) return fail_errno(-done, "cannot rename to " + to.string(), from);
  return {};
}

Expected<bool> exchange_names(const std::filesystem::path& a, const std::filesystem::path& b) {
  const int done = retry([&] { return file_system().exchange(a, b); });
  if (done == -EINVAL || done == -ENOSYS || done == -EOPNOTSUPP) return false;
  if (done < 0) return fail_errno(-done, "cannot exchange names with " + b.string(), a);
  return true;
}

Expected<void> remove_file(const std::filesystem::path& path) {
  const int done = retry([&] { return file_system().unlink(path); });
  if (done < 0 && done != -ENOENT) return fail_errno(-done, "cannot delete", path);
  return {};
}

NewFile::NewFile(std::filesystem::path path) : path_(std::move(path)) {}

NewFile::~NewFile() {
  if (made_) (void)retry([&] { return file_system().unlink(path_); });
}

Expected<void> sync_directory(const std::filesystem::path& directory) {
  // No copy: that a sync was done is not to hang on memory for it.
  const std::filesystem::path here(".");
  const std::filesystem::path& named = directory.empty() ? here : directory;
  const int done = retry([&] { return file_system().sync_directory(named); });
  if (done < 0 && done != -EINVAL) return fail_errno(-done, "cannot sync the directory", named);
  return {};
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  auto parent = path.parent_path();
  return parent.empty() ? std::filesystem::path(".") : parent;
}

Expected<void> make_directories(const std::filesystem::path& directory) {
  std::error_code ignored;
  std::vector<std::filesystem::path> missing;
  for (auto at = directory; !at.empty(); at = at.parent_path()) {
    // Asked once: another thread may be making it.
    const auto there = std::filesystem::status(at, ignored);
    if (std::filesystem::is_directory(there)) break;
    if (!at.filename().empty() && std::filesystem::exists(there))
      return fail(ErrorCode::usage, "is a file, and a directory is to be made of that name", at);
    missing.push_back(at);
    if (at == at.parent_path()) break;
  }
  for (; !missing.empty(); missing.pop_back()) {
    const auto& at = missing.back();
    if (at.filename().empty()) continue;  // "a/b/"
    const int done = retry([&] { return file_system().mkdir(at); });
    // Another process may have been quicker.
    if (done < 0 && !(done == -EEXIST && std::filesystem::is_directory(at, ignored)))
      return fail_errno(-done, "cannot make the directory", at);
    if (auto synced = sync_directory(directory_of(at)); !synced) return synced;
  }
  return {};
}

}  // namespace sds
