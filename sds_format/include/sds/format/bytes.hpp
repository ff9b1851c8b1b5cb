// Little-endian loads and stores, and a cursor that reads untrusted bytes with every length checked.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sds {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

/// Loads a little-endian number from `p`, which need not be aligned.
template <class T>
T load_le(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  if constexpr (std::endian::native == std::endian::big && sizeof(T) > 1) {
    auto raw = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
    for (std::size_t i = 0; i < sizeof(T) / 2; ++i) std::swap(raw[i], raw[sizeof(T) - 1 - i]);
    value = std::bit_cast<T>(raw);
  }
  return value;
}

/// Stores `value` little-endian at `p`, which need not be aligned.
template <class T>
void store_le(void* p, T value) {
  value = load_le<T>(&value);  // swaps on a big-endian machine, else nothing
  std::memcpy(p, &value, sizeof value);
}

template <class T>
void append_le(Bytes& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  store_le(out.data() + at, value);
}

inline void append_bytes(Bytes& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Reads numbers and byte runs from the front of a buffer; every read says whether it fitted.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  template <class T>
  std::optional<T> number() {
    if (bytes_.size() < sizeof(T)) return std::nullopt;
    T value = load_le<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }

  std::optional<ByteView> take(std::size_t count) {
    if (bytes_.size() < count) return std::nullopt;
    ByteView head = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return head;
  }

  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

 private:
  ByteView bytes_;
};

}  // namespace sds
