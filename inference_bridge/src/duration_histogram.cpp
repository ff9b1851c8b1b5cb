#include "sds/bridge/duration_histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sds {

void DurationHistogram::add(std::chrono::nanoseconds duration) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  // Below 2^sub_bits a bucket a value; above, 2^sub_bits buckets a power of two.
  const int exponent = std::max(0, static_cast<int>(std::bit_width(ns)) - 1 - sub_bits);
  const std::size_t index = (static_cast<std::size_t>(exponent) << sub_bits) + static_cast<std::size_t>(ns >> exponent);
  ++buckets_[std::min(index, buckets_.size() - 1)];
  ++count_;
  max_ = std::max(max_, duration);
}

std::chrono::nanoseconds DurationHistogram::percentile(double fraction) const {
  if (count_ == 0) return {};
  const auto wanted = static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen < wanted || seen == 0) continue;
    const std::size_t exponent = i < (2u << sub_bits) ? 0 : (i >> sub_bits) - 1;
    const std::uint64_t mantissa = i - (exponent << sub_bits);
    return std::min(max_, std::chrono::nanoseconds(static_cast<std::int64_t>(((mantissa + 1) << exponent) - 1)));
  }
  return max_;
}

}  // namespace sds
