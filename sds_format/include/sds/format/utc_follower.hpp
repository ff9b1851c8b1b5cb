// Follows UTC, which somebody may set, against the monotonic clock, by which rates are told.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

namespace sds {

class UtcFollower {
 public:
  /// By how much UTC went against the monotonic clock since the call before, in ns, if by more than 0.5 s: somebody set
  /// it, or the machine slept.
  std::optional<std::int64_t> step(std::uint64_t utc_ns, std::uint64_t monotonic_ns) {
    constexpr std::int64_t told_from_ns = 500'000'000;
    const std::uint64_t ahead_ns = utc_ns - monotonic_ns;  // as two's complement
    const auto step_ns = static_cast<std::int64_t>(ahead_ns - std::exchange(ahead_ns_, ahead_ns).value_or(ahead_ns));
    if (step_ns >= -told_from_ns && step_ns <= told_from_ns) return std::nullopt;
    return step_ns;
  }

 private:
  std::optional<std::uint64_t> ahead_ns_;  // UTC of the monotonic clock
};

}  // namespace sds
