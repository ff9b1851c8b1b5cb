// Percentiles of many durations in little memory.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace sds {

/// Counts durations in buckets that are at most 1.6 % wide.
class DurationHistogram {
 public:
  void add(std::chrono::nanoseconds duration);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::chrono::nanoseconds max() const { return max_; }
  /// Upper edge of the bucket in which `fraction` (0 to 1) of the durations are reached; 0 if there are none.
  [[nodiscard]] std::chrono::nanoseconds percentile(double fraction) const;

 private:
  static constexpr int sub_bits = 6;
  std::array<std::uint64_t, 64u << sub_bits> buckets_{};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds max_{0};
};

}  // namespace sds
