// Coding of one column of one section. Every codec is lossless and deterministic: the same values and level give the
// same bytes on every machine, with one version of zstd (another may compress the same values to other bytes). Decoders
// take hostile input: each length is checked before it is used.
#pragma once

#include <cstdint>
#include <memory>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

enum class ColumnCodec : std::uint8_t {
  raw = 0,         ///< the values as they are
  constant = 1,    ///< one value, repeated
  zstd = 2,        ///< byte shuffle by element size, then zstd
  delta_zstd = 3,  ///< difference to the previous value, zigzag, byte shuffle, zstd
  residuals = 4,   ///< 16-bit integer form, predictor, classes of residuals, Huffman and bit packing
  ramp = 5,        ///< first value and step, in arithmetic that wraps around
};

/// The predictor of ColumnCodec::residuals.
enum class Predictor : std::uint8_t {
  none = 0,
  delta = 1,   ///< the value before
  slope = 2,   ///< the straight line through the two values before
  linear = 3,  ///< linear prediction from up to 16 values before, with coefficients for every block
};

/// How hard to try: 0 stores, 1 is fast, 2 is dense.
enum class Level : std::uint8_t { store = 0, fast = 1, dense = 2 };

/// What the section says about a coded column, 8 bytes stored.
struct ColumnHeader {
  ColumnCodec codec = ColumnCodec::raw;
  Predictor predictor = Predictor::none;  ///< residuals only
  bool quantised = false;                 ///< residuals of floats that are integers times a quantum
  std::uint32_t stored_bytes = 0;

  static constexpr std::size_t bytes = 8;
  bool operator==(const ColumnHeader&) const = default;
};

namespace kernels {
struct Table;
}

/// Encodes and decodes columns; keeps its buffers and compression contexts between calls.
/// Not thread-safe: one for each thread.
class ColumnCoder {
 public:
  /// With the fastest kernels of this machine, or with given ones: the bytes are the same.
  ColumnCoder();
  explicit ColumnCoder(const kernels::Table& kernels);
  ~ColumnCoder();
  ColumnCoder(ColumnCoder&&) noexcept;
  ColumnCoder& operator=(ColumnCoder&&) noexcept;

  /// Appends the coded form of `values` (packed elements of `type`) to `out`.
  ColumnHeader encode(ScalarType type, ByteView values, Level level, Bytes& out);

  /// Fills `values` from what encode() wrote. Fails on anything that encode() cannot have written.
  [[nodiscard]] Expected<void> decode(const ColumnHeader& header, ScalarType type, ByteView stored,
                                      std::span<std::byte> values);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "delta, shuffle, zstd": what `sds info` prints for a pipeline.
std::string describe(const ColumnHeader& header);

}  // namespace sds
