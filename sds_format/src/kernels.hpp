// The inner loops of the column codecs, in one version for every x86-64 or AArch64 machine and one for AVX2, chosen at
// run time. Both come from kernels_impl.hpp, do the same integer operations in the same order, and are tested to give
// the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sds::kernels {

inline constexpr std::size_t miniblock = 128;  ///< residuals that share a class
inline constexpr std::size_t lanes = 8;        ///< time lanes of the linear predictor
inline constexpr int max_order = 16;           ///< of the linear predictor

/// All pointers are to arrays that may be read and written up to the next multiple of 128 elements.
struct Table {
  const char* name;

  /// z[i] = zigzag of the `order`-th difference (0, 1 or 2) of x, in 16-bit arithmetic that wraps around.
  void (*difference)(const std::int16_t* x, std::size_t n, int order, std::uint16_t* z);
  /// Undoes difference().
  void (*integrate)(const std::uint16_t* z, std::size_t n, int order, std::int16_t* x);

  /// sums[b] = sum of the 128 residuals of miniblock b.
  void (*sum_miniblocks)(const std::uint16_t* z, std::size_t blocks, std::uint32_t* sums);
  /// high[i] = min(z[i] >> k, 255) of one miniblock; true if any is 255.
  bool (*take_high)(const std::uint16_t* z, int k, std::uint8_t* high);
  /// The k lowest bits of the 128 residuals as 16 * k bytes: value 8 r + l is bits k r to k r + k - 1 of lane l.
  void (*pack_low)(const std::uint16_t* z, int k, std::uint8_t* packed);
  /// z[i] = high[i] << k | low bits; true if any high[i] is 255.
  bool (*join)(const std::uint8_t* high, const std::uint8_t* packed, int k, std::uint16_t* z);

  /// Takes `columns` (1 to 8) neighbouring 16-bit columns out of `n` samples that are `stride` bytes apart:
  /// column c, value i is at samples + i * stride + 2 c, and goes to out + c * distance + 2 i. Nothing behind the last
  /// sample's last column is read. And back; nothing but these columns is written.
  void (*gather_16)(const std::uint8_t* samples, std::size_t stride, std::size_t n, std::size_t columns,
                    std::uint8_t* out, std::size_t distance);
  void (*scatter_16)(const std::uint8_t* in, std::size_t distance, std::size_t n, std::size_t columns,
                     std::uint8_t* samples, std::size_t stride);

  /// y[8 t + l] = x[l * distance + t]: eight contiguous stretches of time side by side.
  void (*interleave)(const std::int16_t* x, std::size_t distance, std::size_t frames, std::int16_t* y);
  /// x[l * frames + t] = y[8 t + l].
  void (*deinterleave)(const std::int16_t* y, std::size_t frames, std::int16_t* x);

  /// k[i] = the integer nearest to x[i] / quantum; `smallest` and `largest` are over all k. Returns how many x[i] are
  /// not exactly k[i] * quantum, as a product in double rounded to the type of x (NaNs and -0.0 never are).
  std::size_t (*quantise_f32)(const float* x, std::size_t n, double quantum, std::int32_t* k, std::int32_t* smallest,
                              std::int32_t* largest);
  std::size_t (*quantise_f64)(const double* x, std::size_t n, double quantum, std::int32_t* k, std::int32_t* smallest,
                              std::int32_t* largest);
  /// Smallest, largest, sum and number of NaNs of every eighth value, beginning with the lane's own number; n is a
  /// multiple of 8. Results are added to what the arrays hold.
  void (*statistics_f32)(const float* x, std::size_t n, float* low, float* high, double* sum, std::uint32_t* nans);
  /// y[i] = low 16 bits of k[i] - base; and x[i] = (y[i] + base) * quantum.
  void (*narrow)(const std::int32_t* k, std::size_t n, std::int32_t base, std::int16_t* y);
  void (*scale_f32)(const std::int16_t* y, std::size_t n, std::int32_t base, double quantum, float* x);
  void (*scale_f64)(const std::int16_t* y, std::size_t n, std::int32_t base, double quantum, double* x);

  /// r[8 i + l] = sum over t of w[t] y[8 t + l] * w[t - i] y[8 (t - i) + l] for i = 0 to `order`, single precision in a
  /// fixed order; values before the first are 0. `scratch` has (frames + 16) * 8 floats.
  void (*autocorrelate)(const std::int16_t* y, const float* w, std::size_t frames, int order, float* scratch,
                        double* r);
  /// Residuals of a linear predictor: z = zigzag(y - ((sum of c[8 (i - 1) + l] * y[t - i] + 2^(shift-1)) >> shift)) for
  /// i = 1 to `order`, 32-bit arithmetic that wraps around; the 16 frames before y must be there.
  void (*predict)(const std::int16_t* y, std::size_t frames, const std::int16_t* c, int order, int shift,
                  std::uint16_t* z);
  /// Undoes predict(): y from z and the 16 frames before y.
  void (*reconstruct)(const std::uint16_t* z, std::size_t frames, const std::int16_t* c, int order, int shift,
                      std::int16_t* y);
};

/// The plain version, and the AVX2 one (null where the compiler or the machine has none).
const Table& plain();
const Table* avx2();
/// The fastest that this machine can run; the plain version if the environment says SDSKIT_KERNELS=plain.
const Table& best();

}  // namespace sds::kernels
