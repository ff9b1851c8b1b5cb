// Keeps what happens again and again from filling the log: one line a second after the first few, with the number of
// those left out.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include <optional>

namespace sds {

class LogLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  /// `burst`: lines that may come at once, after a time without any.
  explicit LogLimiter(unsigned burst = 1) : burst_(burst), left_(burst) {}

  /// How many lines were left out since the last one, if one may be written again.
  std::optional<std::uint64_t> due(Clock::time_point now = Clock::now()) {
    if (!since_) since_ = now;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - *since_);
    *since_ += seconds;
    left_ = static_cast<unsigned>(std::min<std::int64_t>(burst_, left_ + seconds.count()));
    if (left_ == 0) {
      ++hidden_;
      return std::nullopt;
    }
    --left_;
    return std::exchange(hidden_, 0);
  }
  [[nodiscard]] std::uint64_t hidden() const { return hidden_; }

 private:
  unsigned burst_;
  unsigned left_;
  std::optional<Clock::time_point> since_;
  std::uint64_t hidden_ = 0;
};

}  // namespace sds
