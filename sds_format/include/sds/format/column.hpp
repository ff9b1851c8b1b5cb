// Coding of one column of one section. Every codec is lossless and deterministic: the same values and level give the
// same bytes on every machine. Decoders take hostile input: each length is checked before it is used.
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
  delta_zstd = 3,  ///< difference to the previous value `order` times, zigzag, byte shuffle, zstd
};

/// How hard to try: 0 stores, 1 is fast, 2 is dense.
enum class Level : std::uint8_t { store = 0, fast = 1, dense = 2 };

/// What the section says about a coded column, 8 bytes stored.
struct ColumnHeader {
  ColumnCodec codec = ColumnCodec::raw;
  std::uint8_t order = 0;  ///< delta_zstd: 1 or 2
  std::uint32_t stored_bytes = 0;

  static constexpr std::size_t bytes = 8;
  bool operator==(const ColumnHeader&) const = default;
};

/// Encodes and decodes columns; keeps its buffers and compression contexts between calls.
/// Not thread-safe: one for each thread.
class ColumnCoder {
 public:
  ColumnCoder();
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
