// Mean and standard deviation of values of any size: the one way in which commands compute them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "sds/format/exact_value.hpp"

namespace sds {

/// Of finite values: doubles, or ExactNumber. Sums are about the first one, so that an offset does not cost precision;
/// what a double has no room for when it is squared is added up in a unit of its own, as in J. L. Blue, "A portable
/// Fortran program to find the Euclidean norm of a vector", 1978.
template <class Number = double>
class Moments {
 public:
  void add(const Number& value) {
    if (count_++ == 0) first_ = value;
    const double d = rounded(value - first_);
    const double size = std::abs(d);
    if (d == 0 || (size > 1e-120 && size < 1e120)) {
      usual_.add(d);
    } else if (size < 1) {
      small_.add(d / kSmall);
    } else {
      large_.add(rounded(value) / kLarge - rounded(first_) / kLarge);
    }
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // Of at least one value.
  [[nodiscard]] double mean() const {
    const Sums all = in_one_unit();
    const double about_first = all.sum / static_cast<double>(count_);
    if (all.unit == kLarge) return (rounded(first_) / kLarge + about_first) * kLarge;
    return rounded(first_ + Number(about_first * all.unit));
  }
  [[nodiscard]] double deviation() const {
    const Sums all = in_one_unit();
    return std::sqrt(variance(all)) * all.unit;
  }
  /// False where all values are equal, or differ by less than the sums resolve.
  [[nodiscard]] bool varies() const {
    const Sums all = in_one_unit();
    return variance(all) > 1e-14 * (all.squares / static_cast<double>(count_));
  }

 private:
  static constexpr double kLarge = 0x1p600;
  static constexpr double kSmall = 0x1p-600;
  struct Sums {
    double unit = 1;
    double sum = 0;
    double squares = 0;
    void add(double value) {
      sum += value;
      squares += value * value;
    }
    // Of a smaller unit.
    void take(const Sums& smaller) {
      const double ratio = smaller.unit / unit;
      sum += smaller.sum * ratio;
      squares += smaller.squares * ratio * ratio;
    }
  };

  [[nodiscard]] Sums in_one_unit() const {
    if (large_.squares > 0) {
      Sums all = large_;
      all.take(usual_);
      return all;
    }
    Sums all = usual_.squares > 0 ? usual_ : small_;
    if (usual_.squares > 0) all.take(small_);
    return all;
  }
  [[nodiscard]] double variance(const Sums& all) const {
    const double mean = all.sum / static_cast<double>(count_);
    return std::max(0.0, all.squares / static_cast<double>(count_) - mean * mean);
  }

  std::uint64_t count_ = 0;
  Number first_ = 0.0;
  Sums usual_;
  Sums small_{.unit = kSmall};
  Sums large_{.unit = kLarge};
};

}  // namespace sds
