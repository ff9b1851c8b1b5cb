// A disk in memory that can be told to fail.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>

#include "sds/format/file.hpp"

namespace sds::test {

struct Disk {
  Bytes bytes;
  std::size_t capacity = std::numeric_limits<std::size_t>::max();  ///< a write beyond it stores what fits, and fails
  bool truncate_fails = false;
};

class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}
  Expected<void> append(ByteView bytes) override {
    const std::size_t room = disk_->capacity - std::min(disk_->capacity, disk_->bytes.size());
    append_bytes(disk_->bytes, bytes.first(std::min(room, bytes.size())));
    if (room < bytes.size()) return fail(ErrorCode::io, "No space left on device", path_);
    return {};
  }
  Expected<void> truncate(std::uint64_t size) override {
    if (disk_->truncate_fails) return fail(ErrorCode::io, "cannot truncate", path_);
    disk_->bytes.resize(size);
    return {};
  }
  Expected<void> sync() override { return {}; }
  Expected<void> close() override { return {}; }
  const std::filesystem::path& path() const override { return path_; }

 private:
  std::shared_ptr<Disk> disk_;
  std::filesystem::path path_ = "disk";
};

}  // namespace sds::test
