// Division of whole numbers of up to 128 bits to the nearest double.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sds {

__extension__ typedef unsigned __int128 Wide;

inline int bits_in(Wide number) {
  const auto high = static_cast<std::uint64_t>(number >> 64);
  return high != 0 ? 128 - std::countl_zero(high) : 64 - std::countl_zero(static_cast<std::uint64_t>(number));
}

/// numerator / denominator, rounded once: equal fractions are equal doubles however they are expanded, and a smaller
/// one is never the larger double. The denominator is below 2^63 and not 0.
inline double quotient(Wide numerator, Wide denominator) {
  constexpr std::uint64_t exact = std::uint64_t{1} << 53;
  if (numerator < exact && denominator < exact)
    return static_cast<double>(static_cast<std::uint64_t>(numerator)) /
           static_cast<double>(static_cast<std::uint64_t>(denominator));
  // 53 bits, one that decides how to round, and one that stands for all behind it.
  int shift = std::max(0, 55 + bits_in(denominator) - bits_in(numerator));
  Wide whole = (numerator << shift) / denominator;
  bool more = whole * denominator != numerator << shift;
  if (const int excess = bits_in(whole) - 63; excess > 0) {
    more = more || (whole & ((Wide{1} << excess) - 1)) != 0;
    whole >>= excess;
    shift -= excess;
  }
  return std::ldexp(static_cast<double>(static_cast<std::uint64_t>(whole) | (more ? 1 : 0)), -shift);
}

}  // namespace sds
