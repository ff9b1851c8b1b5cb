// Linear prediction of one column in eight time lanes. The column is cut into eight contiguous stretches that are
// predicted side by side, so that one SIMD instruction serves all of them and none waits for another.
#pragma once

#include <array>
#include <vector>

#include "kernels.hpp"
#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

class LinearPredictor {
 public:
  explicit LinearPredictor(const kernels::Table& kernels) : kernels_(kernels) {}

  /// Shorter columns do not pay for their coefficients.
  static constexpr std::size_t min_values = 8 * 512;

  /// What a value is expected to take after prediction, in bits, by a look at three places of the column; also decides
  /// how long encode() will make its blocks. n >= min_values.
  double estimate_bits(const std::int16_t* y, std::size_t n, int max_order);

  /// Writes the residuals of `y` to `z` and appends block length and coefficients to `parameters`. Follows an
  /// estimate_bits() of the same column and order.
  void encode(const std::int16_t* y, std::size_t n, int max_order, std::uint16_t* z, Bytes& parameters);

  /// Undoes it, reading the parameters from `in`.
  [[nodiscard]] Expected<void> decode(ByteReader& in, const std::uint16_t* z, std::size_t n, std::int16_t* y);

 private:
  struct Model;
  struct Solution;
  using Correlation = std::array<double, kernels::lanes*(kernels::max_order + 1)>;
  void correlate(const std::int16_t* frames, std::size_t count, int max_order, Correlation& r);
  static Solution solve(const Correlation& r, std::size_t count, int max_order);
  static Model quantise(const Solution& solution);

  const kernels::Table& kernels_;
  std::size_t block_frames_ = 0;          // as estimate_bits() chose
  std::vector<std::int16_t> frames_;      // interleaved, behind 16 frames of zeros
  std::vector<std::uint16_t> residuals_;  // interleaved
  std::vector<float> window_;
  std::vector<float> scratch_;
};

}  // namespace sds
