#include "sds/format/properties.hpp"

namespace sds {

void Properties::set(std::string key, std::string value) {
  for (auto& item : items_) {
    if (item.first == key) {
      item.second = std::move(value);
      return;
    }
  }
  items_.emplace_back(std::move(key), std::move(value));
}

std::optional<std::string> Properties::get(std::string_view key) const {
  for (const auto& [name, value] : items_)
    if (name == key) return value;
  return std::nullopt;
}

Bytes Properties::encode() const {
  Bytes out;
  append_le(out, static_cast<std::uint32_t>(items_.size()));
  for (const auto& [key, value] : items_) {
    append_le(out, static_cast<std::uint16_t>(key.size()));
    append_bytes(out, as_bytes(key));
    append_le(out, static_cast<std::uint32_t>(value.size()));
    append_bytes(out, as_bytes(value));
  }
  return out;
}

Expected<Properties> Properties::decode(ByteView bytes) {
  const auto cut = [] { return fail(ErrorCode::bad_input, "a property list that is cut off"); };
  ByteReader reader(bytes);
  const auto count = reader.number<std::uint32_t>();
  if (!count) return cut();
  Properties properties;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto key_bytes = reader.number<std::uint16_t>();
    if (!key_bytes) return cut();
    const auto key = reader.take(*key_bytes);
    if (!key) return cut();
    const auto value_bytes = reader.number<std::uint32_t>();
    if (!value_bytes) return cut();
    const auto value = reader.take(*value_bytes);
    if (!value) return cut();
    properties.items_.emplace_back(std::string(as_text(*key)), std::string(as_text(*value)));
  }
  return properties;
}

}  // namespace sds
