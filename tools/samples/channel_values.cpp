#include "channel_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sds/format/bytes.hpp"

namespace sds {

namespace {

template <class T>
void scaled(const std::byte* p, std::size_t count, std::size_t stride, double scale, double offset, double* out) {
  if (scale == 1.0 && offset == 0.0) {
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<double>(load_le<T>(p + i * stride));
  } else {
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<double>(load_le<T>(p + i * stride)) * scale + offset;
  }
}

template <class T>
void store_as(std::byte*& out, WholeNumber value) {
  store_le(out, static_cast<T>(value));
  out += sizeof(T);
}

}  // namespace

std::string ChannelRef::name(const Metadata& metadata) const {
  const Channel& c = metadata.channels[channel];
  if (c.count() == 1) return c.name;
  if (c.dim_y == 1) return fmt::format("{}[{}]", c.name, element);
  return fmt::format("{}[{}][{}]", c.name, element / c.dim_x, element % c.dim_x);
}

std::optional<WholeNumber> whole_value(const Channel& channel, const std::byte* sample, std::size_t element) {
  const ExactNumber exact = exact_value(channel, sample, element);
  const double nearest = exact.rounded();
  if (std::trunc(nearest) != nearest || std::abs(nearest) >= 0x1p100) return std::nullopt;
  return static_cast<WholeNumber>(nearest) + static_cast<WholeNumber>((exact - nearest).rounded());
}

std::vector<ChannelRef> all_values(const Metadata& metadata) {
  std::vector<ChannelRef> values;
  for (std::size_t c = 0; c < metadata.channels.size(); ++c)
    for (std::size_t e = 0; e < metadata.channels[c].count(); ++e) values.push_back({c, e});
  return values;
}

std::vector<ChannelRef> find_values(const Metadata& metadata, const std::string& name) {
  std::vector<ChannelRef> values;
  for (std::size_t c = 0; c < metadata.channels.size(); ++c) {
    const Channel& channel = metadata.channels[c];
    if (!name.starts_with(channel.name)) continue;
    for (std::size_t e = 0; e < channel.count(); ++e)
      if (name == channel.name || ChannelRef{c, e}.name(metadata) == name) values.push_back({c, e});
    if (!values.empty()) return values;
  }
  return values;
}

Expected<std::vector<ChannelRef>> choose_values(const Metadata& metadata, const std::vector<std::string>& names) {
  if (names.empty()) return all_values(metadata);
  std::vector<ChannelRef> values;
  for (const auto& name : names) {
    const auto found = find_values(metadata, name);
    if (found.empty()) {
      std::string there;
      for (const auto& channel : metadata.channels) there += (there.empty() ? "" : ", ") + channel.name;
      return fail(ErrorCode::usage, fmt::format("no channel '{}' in {}; there is: {}", name, metadata.name, there));
    }
    values.insert(values.end(), found.begin(), found.end());
  }
  return values;
}

void physical_values(const Channel& c, std::size_t element, const std::byte* samples, std::size_t count,
                     std::size_t stride, double* out) {
  if (c.bits == 0) {
    const std::byte* p = samples + c.byte_offset + element * size_of(c.type);
    switch (c.type) {
      case ScalarType::u8:
        return scaled<std::uint8_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::i8:
        return scaled<std::int8_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::u16:
        return scaled<std::uint16_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::i16:
        return scaled<std::int16_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::u32:
        return scaled<std::uint32_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::i32:
        return scaled<std::int32_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::u64:
        return scaled<std::uint64_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::i64:
        return scaled<std::int64_t>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::f32:
        return scaled<float>(p, count, stride, c.scale, c.offset, out);
      case ScalarType::f64:
        return scaled<double>(p, count, stride, c.scale, c.offset, out);
      default:
        break;
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const double raw = raw_value(c, samples + i * stride, element);
    out[i] = c.is_raw() ? raw : raw * c.scale + c.offset;
  }
}

bool need_all_digits(const Channel& channel) { return is_wide(channel) && channel.is_raw(); }

bool is_whole(const Channel& channel) { return !is_float(channel.type) && channel.is_raw(); }

void physical_values(const Channel& channel, std::size_t element, const std::byte* samples, std::size_t count,
                     std::size_t stride, ExactNumber* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = exact_value(channel, samples + i * stride, element);
}

ScalarType packed_type(const Channel& channel) {
  switch (channel.type) {
    case ScalarType::u24:
      return ScalarType::u32;
    case ScalarType::i24:
      return ScalarType::i32;
    default:
      return channel.type;
  }
}

void raw_values(const Channel& channel, const std::byte* samples, std::size_t count, std::size_t stride,
                std::byte* out) {
  const std::size_t elements = channel.count();
  if (channel.bits == 0 && packed_type(channel) == channel.type) {
    const std::size_t bytes = elements * size_of(channel.type);
    const std::byte* p = samples + channel.byte_offset;
    const auto copy = [&]<std::size_t N>() {
      for (std::size_t i = 0; i < count; ++i) std::memcpy(out + i * N, p + i * stride, N);
    };
    switch (bytes) {
      case 1:
        return copy.operator()<1>();
      case 2:
        return copy.operator()<2>();
      case 4:
        return copy.operator()<4>();
      case 8:
        return copy.operator()<8>();
      default:
        for (std::size_t i = 0; i < count; ++i) std::memcpy(out + i * bytes, p + i * stride, bytes);
        return;
    }
  }
  // 24-bit numbers and bit-fields: whole numbers.
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t e = 0; e < elements; ++e) {
      const WholeNumber value = *whole_value(channel, samples + i * stride, e);
      switch (packed_type(channel)) {
        case ScalarType::u8:
          store_as<std::uint8_t>(out, value);
          break;
        case ScalarType::i8:
          store_as<std::int8_t>(out, value);
          break;
        case ScalarType::u16:
          store_as<std::uint16_t>(out, value);
          break;
        case ScalarType::i16:
          store_as<std::int16_t>(out, value);
          break;
        case ScalarType::u32:
          store_as<std::uint32_t>(out, value);
          break;
        case ScalarType::u64:
          store_as<std::uint64_t>(out, value);
          break;
        case ScalarType::i64:
          store_as<std::int64_t>(out, value);
          break;
        default:
          store_as<std::int32_t>(out, value);
          break;
      }
    }
}

}  // namespace sds
