#include "sds/format/layout.hpp"

#include "sds/format/limits.hpp"

namespace sds {

Layout Layout::from(const Metadata& metadata) {
  Layout layout;
  for (const auto& channel : metadata.channels) {
    // Bit-fields that share a storage unit share its column.
    if (channel.byte_offset < layout.sample_bytes) continue;
    const auto offset = static_cast<std::uint32_t>(channel.byte_offset);
    const auto count = static_cast<std::uint32_t>(channel.count());
    const auto width = static_cast<std::uint32_t>(size_of(channel.type));
    if (count <= max_split_elements && layout.columns.size() + count <= limits::max_channels) {
      for (std::uint32_t i = 0; i < count; ++i) layout.columns.push_back({channel.type, offset + i * width, 1});
    } else {
      layout.columns.push_back({channel.type, offset, count});
    }
    layout.sample_bytes = offset + count * width;
  }
  return layout;
}

std::string Layout::encode() const {
  Bytes out;
  for (const auto& column : columns) {
    append_le(out, static_cast<std::uint8_t>(column.type));
    append_le(out, column.byte_offset);
    append_le(out, column.elements);
  }
  return std::string(as_text(out));
}

Expected<Layout> Layout::decode(ByteView bytes) {
  Layout layout;
  ByteReader reader(bytes);
  while (reader.left() > 0) {
    const auto type = reader.number<std::uint8_t>();
    const auto offset = reader.number<std::uint32_t>();
    const auto elements = reader.number<std::uint32_t>();
    if (!elements || *type > static_cast<std::uint8_t>(ScalarType::f64) || *elements == 0 ||
        *elements > limits::max_sample_bytes || *offset != layout.sample_bytes ||
        layout.columns.size() >= 2 * limits::max_channels)
      return fail(ErrorCode::bad_input, "a column layout that does not tile the sample");
    const ColumnSpec column{static_cast<ScalarType>(*type), *offset, *elements};
    if (column.bytes() > limits::max_sample_bytes - layout.sample_bytes)
      return fail(ErrorCode::limit, "a column layout larger than a sample may be");
    layout.sample_bytes += static_cast<std::uint32_t>(column.bytes());
    layout.columns.push_back(column);
  }
  return layout;
}

}  // namespace sds
