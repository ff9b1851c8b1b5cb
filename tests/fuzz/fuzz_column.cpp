// Decodes hostile columns: first bytes choose codec, type and length. And: what is encoded must come back.
#include <cstdlib>

#include "sds/format/column.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static sds::ColumnCoder coder;
  if (size < 8) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto type = static_cast<sds::ScalarType>(data[0] % 12);
  sds::ColumnHeader header;
  header.codec = static_cast<sds::ColumnCodec>(data[1] % 16);
  header.predictor = static_cast<sds::Predictor>(data[2]);
  header.stored_bytes = static_cast<std::uint32_t>(size - 8);
  const std::size_t count = sds::load_le<std::uint16_t>(data + 4);
  sds::Bytes values(count * sds::size_of(type));
  (void)coder.decode(header, type, bytes.subspan(8), values);

  const auto level = static_cast<sds::Level>(data[3] % 3);
  const auto input = bytes.subspan(8, (size - 8) / sds::size_of(type) * sds::size_of(type));
  sds::Bytes coded;
  const auto encoded = coder.encode(type, input, level, coded);
  sds::Bytes decoded(input.size());
  if (!coder.decode(encoded, type, coded, decoded)) std::abort();
  if (!std::equal(decoded.begin(), decoded.end(), input.begin())) std::abort();
  return 0;
}
