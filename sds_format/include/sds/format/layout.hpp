// How a stream's samples are cut into columns. The writer derives it from the metadata and stores it in the stream
// section, so that a recording stays readable whatever later versions make of the same metadata.
#pragma once

#include <vector>

#include "sds/format/metadata.hpp"
#include "sds/format/properties.hpp"

namespace sds {

/// One column: `elements` consecutive values of `type` at `byte_offset` of every sample.
struct ColumnSpec {
  ScalarType type = ScalarType::u8;
  std::uint32_t byte_offset = 0;
  std::uint32_t elements = 1;  ///< above 1 only for wide arrays and images

  [[nodiscard]] std::size_t bytes() const { return std::size_t{elements} * size_of(type); }
  bool operator==(const ColumnSpec&) const = default;
};

/// Columns that tile a sample exactly, in the order of their offsets. Empty: blocks are opaque bytes.
struct Layout {
  std::uint32_t sample_bytes = 0;
  std::vector<ColumnSpec> columns;

  /// Arrays of up to `max_split_elements` elements give one column an element; wider ones stay one column.
  static constexpr std::uint32_t max_split_elements = 64;
  static Layout from(const Metadata& metadata);

  /// Per column: u8 type, u32 byte offset, u32 elements.
  [[nodiscard]] std::string encode() const;
  /// Fails unless the columns tile the sample without gap or overlap, within limits.hpp.
  static Expected<Layout> decode(ByteView bytes);
};

}  // namespace sds
