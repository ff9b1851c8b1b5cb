// Columns as 16-bit integers. Most sensor columns are that, whatever their declared type: wide integers of a small
// range or with small steps, and floats that are an integer times a quantum (the sensor's resolution). The form is
// found by looking, verified for every value, and undone exactly.
#pragma once

#include <vector>

#include "kernels.hpp"
#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

/// How the values of a column are made from 16-bit integers y: v = y + base, summed up if `steps`, times `quantum` if
/// the type is a float; then the exceptions are put back.
struct IntegerForm {
  bool steps = false;  ///< y + base are differences between neighbours; the first value is `first`
  std::int64_t base = 0;
  std::int64_t first = 0;
  double quantum = 0;
  std::vector<std::uint32_t> exception_index;
  Bytes exception_values;  ///< packed, of the column's type

  void encode(Bytes& out) const;
  static Expected<IntegerForm> decode(ByteReader& in, ScalarType type, std::size_t count);
};

class IntegerConverter {
 public:
  explicit IntegerConverter(const kernels::Table& kernels) : kernels_(kernels) {}

  /// Fills `y` (which must have room for n values) and `form`; false if the column has no such form.
  bool to_integers(ScalarType type, ByteView values, IntegerForm& form, std::int16_t* y);

  /// Undoes it. `form` comes from a file: everything but its exceptions' positions is harmless, and those were checked.
  void from_integers(ScalarType type, const IntegerForm& form, const std::int16_t* y, std::span<std::byte> values);

 private:
  bool floats_to_integers(ScalarType type, ByteView values, IntegerForm& form, std::int16_t* y);

  const kernels::Table& kernels_;
  std::vector<std::int32_t> scaled_;
  std::vector<std::int64_t> wide_;
};

/// The largest quantum found such that every value of `sample` is an integer times it; 0 if there is none.
double find_quantum(std::span<const double> sample, bool single_precision);

}  // namespace sds
