// Count, smallest, largest and sum of a column's raw values in one section: what lets queries skip sections and
// viewers draw hours of data without reading them.
#pragma once

#include <cstdint>

#include "sds/format/bytes.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

/// Of raw values, before scale and offset. NaNs are counted apart and take no part in min, max and sum.
/// 64-bit integers are rounded to double.
struct ColumnStatistics {
  std::uint64_t count = 0;  ///< values that are not NaN
  std::uint64_t nan_count = 0;
  double min = 0;
  double max = 0;
  double sum = 0;

  static constexpr std::size_t stored_bytes = 40;
  void encode(Bytes& out) const;
  static ColumnStatistics decode(const std::byte* p);
};

/// Statistics of `values`, packed elements of `type`. The order of additions is fixed, so the sum is the same on
/// every machine.
ColumnStatistics statistics_of(ScalarType type, ByteView values);

}  // namespace sds
