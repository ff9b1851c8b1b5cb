// What the unsealed blocks of many writers hold in memory, together: without it a program with many writers needs
// limits::max_open_bytes for each.
#pragma once

#include <atomic>
#include <cstdint>

namespace sds {

/// Shared by writers on any threads. While all together hold more than the limit, a writer that has more than its part
/// of it (the limit divided by their number) seals its largest streams, when it is given a block or trimmed. So writers
/// that are trimmed now and then hold little more than the limit, and others hardly more than twice as
/// much.
class OpenBlocks {
 public:
  explicit OpenBlocks(std::uint64_t limit) : limit_(limit) {}
  OpenBlocks(const OpenBlocks&) = delete;
  OpenBlocks& operator=(const OpenBlocks&) = delete;

  [[nodiscard]] std::uint64_t used() const { return used_; }
  /// True if a writer that holds `bytes` is to seal some.
  [[nodiscard]] bool too_many(std::uint64_t bytes) const { return used_ > limit_ && bytes > limit_ / writers_; }
  /// True if there is no memory to spare.
  [[nodiscard]] bool scarce() const { return used_ > limit_ / 2; }

 private:
  friend class SdszWriter;
  std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> writers_{0};
};

}  // namespace sds
