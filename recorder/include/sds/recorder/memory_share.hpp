// A total that many share: what the blocks under way of all devices may hold in memory.
#pragma once

#include <atomic>
#include <cstdint>

namespace sds {

/// The total of a server. Thread-safe.
class MemoryTotal {
 public:
  explicit MemoryTotal(std::uint64_t limit) : limit_(limit) {}
  [[nodiscard]] std::uint64_t used() const { return used_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }

 private:
  friend class MemoryShare;
  std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

/// One device's part of it, given back by the destructor. Used by one thread.
class MemoryShare {
 public:
  /// `total` may be null: then only `limit` counts. It must outlive the share.
  MemoryShare(MemoryTotal* total, std::uint64_t limit) : total_(total), limit_(limit) {}
  ~MemoryShare() { (void)set(0); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  /// Says how many bytes are held. False if that is more than the share's limit, or than the total's; it counts even
  /// so, until less is said.
  [[nodiscard]] bool set(std::uint64_t bytes) {
    const std::uint64_t before = held_;
    held_ = bytes;
    if (total_ == nullptr) return bytes <= limit_;
    const std::uint64_t all = total_->used_ += bytes - before;
    return bytes <= before || (bytes <= limit_ && all <= total_->limit_);
  }

 private:
  MemoryTotal* total_;
  std::uint64_t limit_;
  std::uint64_t held_ = 0;
};

}  // namespace sds
