// Keeps what happens again and again from filling the log: one line a second, with the number of those left out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace sds {

class LogLimiter {
 public:
  /// How many lines were left out since the last one, if one may be written again.
  std::optional<std::uint64_t> due(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now()) {
    if (last_ && now - *last_ < std::chrono::seconds(1)) {
      ++hidden_;
      return std::nullopt;
    }
    last_ = now;
    const std::uint64_t hidden = hidden_;
    hidden_ = 0;
    return hidden;
  }

 private:
  std::optional<std::chrono::steady_clock::time_point> last_;
  std::uint64_t hidden_ = 0;
};

}  // namespace sds
