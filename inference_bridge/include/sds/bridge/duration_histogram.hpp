// Percentiles of durations: exact of a few thousand, and of any number within 1.6 % in little memory.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace sds {

/// Keeps the first 4096 durations as they are; more are counted in buckets that are at most 1.6 % wide.
class DurationHistogram {
 public:
  void add(std::chrono::nanoseconds duration);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::chrono::nanoseconds max() const { return max_; }
  /// The sum of all.
  [[nodiscard]] std::chrono::nanoseconds total() const { return total_; }
  /// The duration below which `fraction` (0 to 1) of them lie, interpolated between the two that stand beside that
  /// place in order, as NumPy's percentile() does: the median of 1 and 9 ms is 5 ms. 0 if there are none.
  [[nodiscard]] std::chrono::nanoseconds percentile(double fraction) const;

 private:
  // The duration of number `rank`, in ascending order from 0.
  [[nodiscard]] double at_rank(std::uint64_t rank) const;

  static constexpr std::size_t kept = 4096;
  static constexpr int sub_bits = 6;
  std::array<std::uint64_t, 64u << sub_bits> buckets_{};
  std::vector<std::int64_t> first_;  // in the order in which they came, nanoseconds
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds max_{0};
  std::chrono::nanoseconds total_{0};
};

}  // namespace sds
