#include "sds/format/metadata.hpp"

#include "sds/format/bytes.hpp"
#include "sds/format/exact_value.hpp"

namespace sds {

std::size_t size_of(ScalarType type) {
  switch (type) {
    case ScalarType::u8:
    case ScalarType::i8:
      return 1;
    case ScalarType::u16:
    case ScalarType::i16:
      return 2;
    case ScalarType::u24:
    case ScalarType::i24:
      return 3;
    case ScalarType::u32:
    case ScalarType::i32:
    case ScalarType::f32:
      return 4;
    case ScalarType::u64:
    case ScalarType::i64:
    case ScalarType::f64:
      return 8;
  }
  return 1;
}

std::string_view name_of(ScalarType type) {
  switch (type) {
    case ScalarType::u8:
      return "uint8_t";
    case ScalarType::i8:
      return "int8_t";
    case ScalarType::u16:
      return "uint16_t";
    case ScalarType::i16:
      return "int16_t";
    case ScalarType::u24:
      return "uint24";
    case ScalarType::i24:
      return "int24";
    case ScalarType::u32:
      return "uint32_t";
    case ScalarType::i32:
      return "int32_t";
    case ScalarType::u64:
      return "uint64_t";
    case ScalarType::i64:
      return "int64_t";
    case ScalarType::f32:
      return "float";
    case ScalarType::f64:
      return "double";
  }
  return "?";
}

bool is_float(ScalarType type) { return type == ScalarType::f32 || type == ScalarType::f64; }

bool is_signed(ScalarType type) {
  switch (type) {
    case ScalarType::i8:
    case ScalarType::i16:
    case ScalarType::i24:
    case ScalarType::i32:
    case ScalarType::i64:
    case ScalarType::f32:
    case ScalarType::f64:
      return true;
    default:
      return false;
  }
}

namespace {

std::uint64_t load_unsigned(const std::byte* p, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= std::uint64_t{static_cast<std::uint8_t>(p[i])} << (8 * i);
  return value;
}

// A double, or an ExactNumber.
template <class Number>
Number bit_field_value(const Channel& channel, const std::byte* p) {
  const std::uint64_t unit = load_unsigned(p, size_of(channel.type));
  const std::uint64_t mask = channel.bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << channel.bits) - 1;
  const std::uint64_t value = (unit >> channel.bit_offset) & mask;
  if (is_signed(channel.type) && channel.bits > 0 && (value >> (channel.bits - 1)) != 0)
    return static_cast<Number>(static_cast<std::int64_t>(value | ~mask));
  return static_cast<Number>(value);
}

}  // namespace

double raw_value(const Channel& channel, const std::byte* sample, std::size_t index) {
  const std::byte* p = sample + channel.byte_offset + index * size_of(channel.type);
  if (channel.bits != 0) return bit_field_value<double>(channel, p);
  switch (channel.type) {
    case ScalarType::u8:
      return static_cast<double>(load_le<std::uint8_t>(p));
    case ScalarType::i8:
      return static_cast<double>(load_le<std::int8_t>(p));
    case ScalarType::u16:
      return static_cast<double>(load_le<std::uint16_t>(p));
    case ScalarType::i16:
      return static_cast<double>(load_le<std::int16_t>(p));
    case ScalarType::u24:
      return static_cast<double>(load_unsigned(p, 3));
    case ScalarType::i24:
      return static_cast<double>(static_cast<std::int32_t>(load_unsigned(p, 3) << 8) >> 8);
    case ScalarType::u32:
      return static_cast<double>(load_le<std::uint32_t>(p));
    case ScalarType::i32:
      return static_cast<double>(load_le<std::int32_t>(p));
    case ScalarType::u64:
      return static_cast<double>(load_le<std::uint64_t>(p));
    case ScalarType::i64:
      return static_cast<double>(load_le<std::int64_t>(p));
    case ScalarType::f32:
      return static_cast<double>(load_le<float>(p));
    case ScalarType::f64:
      return load_le<double>(p);
  }
  return 0.0;
}

bool is_wide(const Channel& channel) {
  return !is_float(channel.type) && (channel.bits != 0 ? channel.bits : 8 * size_of(channel.type)) > 53;
}

ExactNumber exact_value(const Channel& channel, const std::byte* sample, std::size_t index) {
  if (!is_wide(channel)) return raw_value(channel, sample, index);
  const std::byte* p = sample + channel.byte_offset + index * size_of(channel.type);
  if (channel.bits != 0) return bit_field_value<ExactNumber>(channel, p);
  return channel.type == ScalarType::u64 ? ExactNumber(load_le<std::uint64_t>(p))
                                         : ExactNumber(load_le<std::int64_t>(p));
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned b = byte(i);
    if (b < 0x80) {
      i += 1;
    } else if (b >= 0xC2 && b <= 0xDF && continues(i + 1)) {
      i += 2;
    } else if (b >= 0xE0 && b <= 0xEF && continues(i + 1) && continues(i + 2) && !(b == 0xE0 && byte(i + 1) < 0xA0) &&
               !(b == 0xED && byte(i + 1) > 0x9F)) {
      i += 3;
    } else if (b >= 0xF0 && b <= 0xF4 && continues(i + 1) && continues(i + 2) && continues(i + 3) &&
               !(b == 0xF0 && byte(i + 1) < 0x90) && !(b == 0xF4 && byte(i + 1) > 0x8F)) {
      i += 4;
    } else {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace sds
