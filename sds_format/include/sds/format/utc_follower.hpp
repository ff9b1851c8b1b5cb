// Follows UTC, which somebody may set, against the monotonic clock, by which rates are told.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace sds {

class UtcFollower {
 public:
  /// By how much UTC went against the monotonic clock, in ns, if by more than 0.5 s, at once or little by little:
  /// somebody set it, or the machine slept. Two clocks that drift apart by 200 ppm at most go no step, however long.
  std::optional<std::int64_t> step(std::uint64_t utc_ns, std::uint64_t monotonic_ns) {
    constexpr std::int64_t told_from_ns = 500'000'000;
    constexpr std::int64_t steady_ns = told_from_ns / 10;
    constexpr std::uint64_t drift_in_ns = 5'000;           // 1 ns: 200 ppm
    const std::uint64_t ahead_ns = utc_ns - monotonic_ns;  // as two's complement
    if (!expected_ns_) expected_ns_ = steady_at_ns_ = ahead_ns;
    const std::uint64_t passed_ns = monotonic_ns > before_ns_ ? monotonic_ns - before_ns_ : 0;
    before_ns_ = monotonic_ns;
    const auto off_ns = static_cast<std::int64_t>(ahead_ns - *expected_ns_);
    const auto drift_ns = static_cast<std::int64_t>(passed_ns / drift_in_ns);
    const std::int64_t rest_ns = off_ns - std::clamp(off_ns, -drift_ns, drift_ns);
    const bool told = rest_ns < -told_from_ns || rest_ns > told_from_ns;
    const auto step_ns = static_cast<std::int64_t>(ahead_ns - steady_at_ns_);
    expected_ns_ = told ? ahead_ns : ahead_ns - static_cast<std::uint64_t>(rest_ns);
    steady_ = told || (rest_ns >= -steady_ns && rest_ns <= steady_ns);
    if (steady_) steady_at_ns_ = ahead_ns;
    return told ? std::optional(step_ns) : std::nullopt;
  }

  /// True if UTC stood then where it was told last, but for drift.
  [[nodiscard]] bool is_steady() const { return steady_; }

 private:
  // UTC of the monotonic clock: what it would be by its drift, and what it was when it was steady.
  std::optional<std::uint64_t> expected_ns_;
  std::uint64_t steady_at_ns_ = 0;
  std::uint64_t before_ns_ = 0;  // the monotonic clock
  bool steady_ = true;
};

}  // namespace sds
