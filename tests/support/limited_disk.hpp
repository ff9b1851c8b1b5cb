// A disk of a stated size under the whole process: the system's files, until the room is used up.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "support/replaced_file_system.hpp"

namespace sds::test {

/// In use while it exists. A write that does not fit is cut short, the next one fails. What a file has reserved behind
/// its end is its own.
class LimitedDisk : public ReplacedFileSystem {
 public:
  explicit LimitedDisk(std::int64_t bytes_free = std::numeric_limits<std::int64_t>::max()) : room(bytes_free) {}

  ssize_t write(int descriptor, ByteView bytes) override {
    const std::lock_guard lock(mutex_);
    std::int64_t& own = reserved_[descriptor];
    const std::int64_t all = own + room;
    if (all <= 0) {
      ++refused;
      return -error;
    }
    const auto fits = std::min<std::uint64_t>(bytes.size(), static_cast<std::uint64_t>(all));
    const ssize_t done = FileSystem::write(descriptor, bytes.first(static_cast<std::size_t>(fits)));
    const std::int64_t of_own = std::min(own, std::max<std::int64_t>(done, 0));
    own -= of_own;
    if (done > 0) room -= done - of_own;
    return done;
  }
  int reserve(int descriptor, std::uint64_t, std::uint64_t bytes) override {
    const std::lock_guard lock(mutex_);
    std::int64_t& own = reserved_[descriptor];
    const std::int64_t more = static_cast<std::int64_t>(bytes) - own;
    if (more > room) return -error;
    own += more;
    room -= more;
    return 0;
  }
  int truncate(int descriptor, std::uint64_t size) override {
    const int done = FileSystem::truncate(descriptor, size);
    const std::lock_guard lock(mutex_);
    if (done == 0) room += std::exchange(reserved_[descriptor], 0);
    return done;
  }
  int close(int descriptor) override {
    {
      const std::lock_guard lock(mutex_);
      reserved_.erase(descriptor);
    }
    return FileSystem::close(descriptor);
  }

  std::atomic<std::int64_t> room;
  std::atomic<int> error{ENOSPC};
  std::atomic<int> refused{0};  // writes

 private:
  std::mutex mutex_;
  std::map<int, std::int64_t> reserved_;  // bytes behind the end
};

}  // namespace sds::test
