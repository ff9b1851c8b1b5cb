#include "value_difference.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "channel_values.hpp"

namespace sds {

namespace {

bool has_whole_scale(const Channel& channel) {
  return std::trunc(channel.scale) == channel.scale && std::trunc(channel.offset) == channel.offset;
}

// A sum of doubles without any rounding: as doubles whose digits do not overlap, the smallest first (Shewchuk, Adaptive
// Precision Floating-Point Arithmetic, 1997, Grow-Expansion).
class ExactSum {
 public:
  void add(double value) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      double part = parts_[i];
      if (std::abs(value) < std::abs(part)) std::swap(value, part);
      const double sum = value + part;
      const double rest = part - (sum - value);
      if (rest != 0) parts_[kept++] = rest;
      value = sum;
    }
    parts_[kept] = value;
    count_ = kept + 1;
  }

  void add_product(double a, double b) {
    const double product = a * b;
    add(product);
    if (std::isfinite(product)) add(std::fma(a, b, -product));
  }

  // The largest part has the sign of all, and less than an ulp is behind it.
  [[nodiscard]] double value() const {
    double sum = 0;
    for (std::size_t i = 0; i < count_; ++i) sum += parts_[i];
    return sum;
  }

 private:
  std::array<double, 16> parts_{};  // one more than terms is the most
  std::size_t count_ = 0;
};

// The stored value times `scale`, exactly.
void add_stored(ExactSum& sum, const Channel& channel, const std::byte* sample, std::size_t element, double scale) {
  const ExactNumber stored = exact_value(channel, sample, element);
  const double nearest = stored.rounded();
  sum.add_product(nearest, scale);
  sum.add_product((stored - nearest).rounded(), scale);
}

}  // namespace

ValueDifference::ValueDifference(const Channel& a, const Channel& b)
    : a_(&a),
      b_(&b),
      wide_(is_wide(a) || is_wide(b)),
      scaled_alike_(a.scale == b.scale && a.offset == b.offset),
      exact_(wide_ && (scaled_alike_ || (has_whole_scale(a) && has_whole_scale(b)))) {}

double ValueDifference::of(const std::byte* a, const std::byte* b, std::size_t i, double physical_a,
                           double physical_b) const {
  if (exact_ && std::isfinite(physical_a) && std::isfinite(physical_b)) {
    ExactSum sum;
    add_stored(sum, *a_, a, i, scaled_alike_ ? 1 : a_->scale);
    add_stored(sum, *b_, b, i, scaled_alike_ ? -1 : -b_->scale);
    if (scaled_alike_) return std::abs(sum.value()) * std::abs(a_->scale);
    sum.add(a_->offset);
    sum.add(-b_->offset);
    return std::abs(sum.value());
  }
  if (physical_a == physical_b || (std::isnan(physical_a) && std::isnan(physical_b))) return 0;
  const double difference = std::abs(physical_a - physical_b);
  return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
}

std::string ValueDifference::digits_of(const Channel& channel, const std::byte* sample, std::size_t element) const {
  if (!wide_ || !has_whole_scale(channel)) return {};
  const auto stored = whole_value(channel, sample, element);
  if (!stored) return {};
  // What a WholeNumber holds for certain, each part and their sum; more digits than these tell nobody anything.
  constexpr double kMost = 0x1p126;
  if (!(std::abs(channel.scale) < kMost) ||
      !(std::abs(static_cast<double>(*stored) * channel.scale) + std::abs(channel.offset) < kMost))
    return {};
  return fmt::format("{}",
                     *stored * static_cast<WholeNumber>(channel.scale) + static_cast<WholeNumber>(channel.offset));
}

}  // namespace sds
