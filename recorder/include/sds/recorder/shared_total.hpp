// A total that many share: bytes in memory, or descriptors of the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace sds {

/// The total of a server. Thread-safe.
class SharedTotal {
 public:
  explicit SharedTotal(std::uint64_t limit) : limit_(limit) {}
  [[nodiscard]] std::uint64_t used() const { return used_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }

 private:
  friend class TotalShare;
  std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

/// One user's part of it, given back by the destructor. Used by one thread at a time.
class TotalShare {
 public:
  /// `total` may be null: then only `limit` counts. It must outlive the share. Up to `own` may be held whatever the
  /// others hold.
  explicit TotalShare(SharedTotal* total, std::uint64_t limit = std::numeric_limits<std::uint64_t>::max(),
                      std::uint64_t own = 0)
      : total_(total), limit_(limit), own_(own) {}
  ~TotalShare() { (void)set(0); }
  TotalShare(const TotalShare&) = delete;
  TotalShare& operator=(const TotalShare&) = delete;

  /// Says how much is held. False if that is more than the share's limit, or than the total's; it counts even so, until
  /// less is said.
  [[nodiscard]] bool set(std::uint64_t held) {
    const std::uint64_t before = held_;
    held_ = held;
    if (total_ == nullptr) return held <= limit_;
    const std::uint64_t all = total_->used_ += held - before;
    return held <= before || (held <= limit_ && (held <= own_ || all <= total_->limit_));
  }
  /// Holds `more`, if that is within the limits; else nothing changes.
  [[nodiscard]] bool take(std::uint64_t more) {
    if (set(held_ + more)) return true;
    (void)set(held_ - more);
    return false;
  }
  [[nodiscard]] std::uint64_t held() const { return held_; }
  void give(std::uint64_t back) { (void)set(held_ - back); }

 private:
  SharedTotal* total_;
  std::uint64_t limit_;
  std::uint64_t own_;
  std::uint64_t held_ = 0;
};

}  // namespace sds
