// Entropy coding of 16-bit residuals. Miniblocks of 128 are sorted into classes by their mean; the high bits of each
// class are one Huffman-coded stream (zstd without matches), the k low bits are packed as they are. Residuals of
// similar size thus share a code, however the signal's loudness changes.
#pragma once

#include <memory>
#include <vector>

#include "kernels.hpp"
#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

class ResidualCoder {
 public:
  explicit ResidualCoder(const kernels::Table& kernels);
  ~ResidualCoder();
  ResidualCoder(const ResidualCoder&) = delete;
  ResidualCoder& operator=(const ResidualCoder&) = delete;

  /// Appends the coded residuals. `z` has n values, and zeros up to the next multiple of 128.
  void encode(const std::uint16_t* z, std::size_t n, Bytes& out);

  /// Reads what encode() wrote from the front of `in`, which must hold nothing else. `z` has room for n values up to
  /// the next multiple of 128.
  [[nodiscard]] Expected<void> decode(ByteView in, std::size_t n, std::uint16_t* z);

 private:
  struct Contexts;
  void append_stream(ByteView symbols, Bytes& out);
  [[nodiscard]] bool read_stream(ByteReader& in, std::span<std::byte> symbols);

  const kernels::Table& kernels_;
  std::unique_ptr<Contexts> contexts_;
  std::vector<std::uint32_t> sums_;
  std::vector<std::uint8_t> classes_;
  std::vector<std::uint8_t> symbols_;
  std::vector<std::uint16_t> escaped_;
  Bytes low_;
  Bytes frame_;
};

}  // namespace sds
