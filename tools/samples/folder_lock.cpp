#include "folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "sds/format/file_system.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {
// As long as nobody wonders.
constexpr std::chrono::milliseconds kMoment{500};
}  // namespace

Expected<FolderLock> FolderLock::of(const std::filesystem::path& file, const std::function<bool()>& stop) {
  // By whatever name the file is reached, it is one lock.
  std::error_code ignored;
  auto real = std::filesystem::weakly_canonical(file, ignored);
  const auto folder = directory_of(ignored ? file : real);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(errno, "cannot lock the folder", folder);
  FolderLock lock(descriptor, true);
  const auto begin = std::chrono::steady_clock::now();
  bool told = false;
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      if (stop && stop()) return fail(ErrorCode::interrupted, "interrupted");
      if (std::chrono::steady_clock::now() - begin >= kMoment && !std::exchange(told, true))
        tell_wait(folder.string() + ": another program changes recordings or labels there; it is waited for");
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
