// Values that are no finite numbers (NaN, infinities): not every format or use can stand them. Who cannot refuses them,
// who can hand them on says how many there are, in these words.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>

namespace sds {

class NotFinite {
 public:
  template <class Float>
  void see(std::span<const Float> values) {
    for (const Float value : values)
      if (!std::isfinite(value)) ++count_;
  }
  void add(std::uint64_t count) { count_ += count; }
  [[nodiscard]] bool any() const { return count_ > 0; }
  /// "Imu: 450 values are no finite numbers"
  [[nodiscard]] std::string text(const std::string& stream) const {
    return count_ == 1 ? stream + ": 1 value is no finite number"
                       : fmt::format("{}: {} values are no finite numbers", stream, count_);
  }

 private:
  std::uint64_t count_ = 0;
};

}  // namespace sds
