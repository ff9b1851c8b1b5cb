// Follows UTC, which somebody may set, against the monotonic clock, by which rates are told.
#pragma once

#include <cstdint>
#include <optional>

namespace sds {

class UtcFollower {
 public:
  /// By how much UTC went against the monotonic clock since that was told last, in ns, if by more than 0.5 s, at once
  /// or little by little: somebody set it, or the machine slept.
  std::optional<std::int64_t> step(std::uint64_t utc_ns, std::uint64_t monotonic_ns) {
    constexpr std::int64_t told_from_ns = 500'000'000;
    constexpr std::int64_t steady_ns = told_from_ns / 10;
    const std::uint64_t ahead_ns = utc_ns - monotonic_ns;  // as two's complement
    if (!told_ns_) told_ns_ = ahead_ns;
    const auto step_ns = static_cast<std::int64_t>(ahead_ns - *told_ns_);
    steady_ = step_ns >= -steady_ns && step_ns <= steady_ns;
    if (step_ns >= -told_from_ns && step_ns <= told_from_ns) return std::nullopt;
    told_ns_ = ahead_ns;
    steady_ = true;
    return step_ns;
  }

  /// True if UTC stood then where it was told last.
  [[nodiscard]] bool is_steady() const { return steady_; }

 private:
  std::optional<std::uint64_t> told_ns_;  // UTC of the monotonic clock
  bool steady_ = true;
};

}  // namespace sds
