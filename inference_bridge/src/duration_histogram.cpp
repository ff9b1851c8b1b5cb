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
  if (first_.size() < kept) first_.push_back(static_cast<std::int64_t>(ns));
  ++count_;
  max_ = std::max(max_, duration);
  total_ += std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
}

double DurationHistogram::at_rank(std::uint64_t rank) const {
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen <= rank) continue;
    const std::size_t exponent = i < (2u << sub_bits) ? 0 : (i >> sub_bits) - 1;
    const std::uint64_t mantissa = i - (exponent << sub_bits);
    return static_cast<double>(((mantissa + 1) << exponent) - 1);
  }
  return static_cast<double>(max_.count());
}

std::chrono::nanoseconds DurationHistogram::percentile(double fraction) const {
  if (count_ == 0) return {};
  const double place = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_ - 1);
  const auto below = static_cast<std::uint64_t>(place);
  const std::uint64_t above = std::min(below + 1, count_ - 1);
  double low = 0;
  double high = 0;
  if (count_ <= kept) {
    auto sorted = first_;
    std::sort(sorted.begin(), sorted.end());
    low = static_cast<double>(sorted[below]);
    high = static_cast<double>(sorted[above]);
  } else {
    low = at_rank(below);
    high = at_rank(above);
  }
  const double value = low + (high - low) * (place - static_cast<double>(below));
  return std::min(max_, std::chrono::nanoseconds(std::llround(value)));
}

}  // namespace sds
