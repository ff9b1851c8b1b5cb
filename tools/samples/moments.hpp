// Mean and standard deviation of values of any size: the one way in which commands compute them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace sds {

/// Of finite values. Sums are about the first one, so that an offset does not cost precision; what a double has no room
/// for when it is squared is added up as long double.
class Moments {
 public:
  void add(double value) {
    if (count_++ == 0) first_ = value;
    const double d = value - first_;
    if (d == 0 || (std::abs(d) > 1e-120 && std::abs(d) < 1e120)) {
      sum_ += d;
      squares_ += d * d;
    } else {
      const long double exact = static_cast<long double>(value) - first_;
      sum_of_others_ += exact;
      squares_of_others_ += exact * exact;
    }
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // Of at least one value.
  [[nodiscard]] double mean() const { return static_cast<double>(mean_about_first() + first_); }
  [[nodiscard]] double deviation() const { return static_cast<double>(std::sqrt(variance())); }
  [[nodiscard]] long double variance() const {
    return std::max(0.0L, square_about_first() - mean_about_first() * mean_about_first());
  }
  /// The mean square of what values differ from the first one: what a variance is the difference of.
  [[nodiscard]] long double square_about_first() const {
    return (squares_ + squares_of_others_) / static_cast<long double>(count_);
  }

 private:
  [[nodiscard]] long double mean_about_first() const {
    return (sum_ + sum_of_others_) / static_cast<long double>(count_);
  }
  std::uint64_t count_ = 0;
  double first_ = 0;
  double sum_ = 0;
  double squares_ = 0;
  long double sum_of_others_ = 0;
  long double squares_of_others_ = 0;
};

}  // namespace sds
