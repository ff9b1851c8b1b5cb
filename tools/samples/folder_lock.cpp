#include "folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sds/format/file_system.hpp"

namespace sds {

Expected<FolderLock> FolderLock::of(const std::filesystem::path& file, const std::function<bool()>& stop) {
  // By whatever name the file is reached, it is one lock.
  std::error_code ignored;
  auto real = std::filesystem::weakly_canonical(file, ignored);
  const auto folder = directory_of(ignored ? file : real);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(errno, "cannot lock the folder", folder);
  FolderLock lock(descriptor, true);
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      if (stop && stop()) return fail(ErrorCode::interrupted, "interrupted");
      ::usleep(2000);
    } else if (errno != EINTR) {
      lock.holds_ = false;  // NFS locks only what is open for writing; others have none
      break;
    }
  }
  return lock;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), holds_(other.holds_) {}

}  // namespace sds
