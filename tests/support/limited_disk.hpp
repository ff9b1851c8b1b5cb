// A disk of a stated size under the whole process: the system's files, until the room is used up.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <limits>

#include "support/replaced_file_system.hpp"

namespace sds::test {

/// In use while it exists. A write that does not fit is cut short, the next one fails.
class LimitedDisk : public ReplacedFileSystem {
 public:
  explicit LimitedDisk(std::int64_t bytes_free = std::numeric_limits<std::int64_t>::max()) : room(bytes_free) {}

  ssize_t write(int descriptor, ByteView bytes) override {
    if (room <= 0) {
      ++refused;
      return -error;
    }
    const auto fits = std::min<std::uint64_t>(bytes.size(), static_cast<std::uint64_t>(room.load()));
    const ssize_t done = FileSystem::write(descriptor, bytes.first(static_cast<std::size_t>(fits)));
    if (done > 0) room -= done;
    return done;
  }

  std::atomic<std::int64_t> room;
  std::atomic<int> error{ENOSPC};
  std::atomic<int> refused{0};  // writes
};

}  // namespace sds::test
