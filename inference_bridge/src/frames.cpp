#include "frames.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace sds::pipeline {

namespace {

template <class F>
void with_type(ScalarType type, F&& f) {
  switch (type) {
    case ScalarType::u8:
      return f(std::uint8_t{});
    case ScalarType::i8:
      return f(std::int8_t{});
    case ScalarType::u16:
      return f(std::uint16_t{});
    case ScalarType::i16:
      return f(std::int16_t{});
    case ScalarType::u32:
    case ScalarType::u24:
      return f(std::uint32_t{});
    case ScalarType::i32:
    case ScalarType::i24:
      return f(std::int32_t{});
    case ScalarType::u64:
      return f(std::uint64_t{});
    case ScalarType::i64:
      return f(std::int64_t{});
    case ScalarType::f32:
      return f(float{});
    case ScalarType::f64:
      return f(double{});
  }
}

template <class T>
T nearest(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    if (std::isnan(value)) return 0;
    const double rounded = std::round(value);
    // The limits of 64-bit types are not doubles: compare with the power of two above.
    if (rounded >= std::ldexp(1.0, std::numeric_limits<T>::digits)) return std::numeric_limits<T>::max();
    if (rounded <= static_cast<double>(std::numeric_limits<T>::lowest())) return std::numeric_limits<T>::lowest();
    return static_cast<T>(rounded);
  }
}

// The shortest text that reads back as the same number.
std::string number_text(double value) { return fmt::format("{}", value); }

}  // namespace

double load_value(ScalarType type, const std::byte* p) {
  double value = 0;
  with_type(type, [&](auto t) { value = static_cast<double>(load_le<decltype(t)>(p)); });
  return value;
}

void store_value(ScalarType type, double value, std::byte* p) {
  with_type(type, [&](auto t) { store_le(p, nearest<decltype(t)>(value)); });
}

std::uint64_t FrameType::tick_of(std::uint64_t first, std::size_t row) const {
  __extension__ using Wide = unsigned __int128;
  return first + static_cast<std::uint64_t>(static_cast<Wide>(row) * ticks_numerator / ticks_denominator);
}

std::string FrameType::to_string() const {
  return fmt::format("{} [{} x {}]", name_of(type), rows == 0 ? "any" : std::to_string(rows), columns);
}

std::string FrameType::to_yaml(const std::string& name) const {
  std::string yaml = fmt::format("sds:\n  name: '{}'\n", name);
  if (tick_frequency != Frequency{}) yaml += fmt::format("  tick-frequency: {}\n", tick_frequency.to_string());
  yaml += "  content:\n";
  constexpr std::size_t kMaxNamed = 64;
  const auto entry = [&](const std::string& value, std::size_t column, std::size_t x, std::size_t y) {
    std::string quoted;
    for (const char c : value) quoted += c == '\'' ? std::string("''") : std::string(1, c);
    yaml += fmt::format("    - value: '{}'\n      type: {}\n", quoted, name_of(type));
    if (x > 1) yaml += fmt::format("      dim-x: {}\n", x);
    if (y > 1) yaml += fmt::format("      dim-y: {}\n", y);
    if (scale_of(column) != 1.0) yaml += fmt::format("      scale: {}\n", number_text(scale_of(column)));
    if (offset_of(column) != 0.0) yaml += fmt::format("      offset: {}\n", number_text(offset_of(column)));
  };
  if (rows <= 1 && (names.size() == columns || columns <= kMaxNamed)) {
    for (std::size_t c = 0; c < columns; ++c)
      entry(names.size() == columns ? names[c] : columns == 1 ? "value" : fmt::format("v{}", c), c, 1, 1);
  } else {
    entry("values", 0, columns, std::max<std::size_t>(rows, 1));
  }
  return yaml;
}

}  // namespace sds::pipeline
