// Which of two values is the larger one, also where doubles cannot tell: integers of 64 bits.
#pragma once

#include <limits>

namespace sds {

/// A value as it is stored, and what makes it a physical one.
struct StoredValue {
  static_assert(std::numeric_limits<long double>::digits >= 64, "it holds all integers of 64 bits");
  long double raw = 0;
  double scale = 1;
  double offset = 0;

  [[nodiscard]] double physical() const { return static_cast<double>(raw) * scale + offset; }
};

/// Whether the physical value of `a` is above that of `b`: exactly, where both have one scale and offset.
inline bool is_above(const StoredValue& a, const StoredValue& b) {
  if (a.scale == b.scale && a.offset == b.offset && a.scale != 0) return a.scale > 0 ? a.raw > b.raw : a.raw < b.raw;
  return a.physical() > b.physical();
}

}  // namespace sds
