#include "frames.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

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

__extension__ using Wide = unsigned __int128;

// Seconds: `whole` and a fraction below 1.
struct ExactTime {
  Wide whole;
  Wide numerator;
  Wide denominator;
};

ExactTime exact_time(const FrameType& type, const RowTime& time) {
  const Frequency& f = type.tick_frequency;
  const Wide rows = static_cast<Wide>(time.row) * type.ticks_numerator;
  const Wide ticks = time.tick + rows / type.ticks_denominator;
  const Wide part = rows % type.ticks_denominator;  // of a tick, over ticks_denominator
  const Wide scaled = ticks * f.denominator;
  // Everything is below 2^31 but ticks_denominator, which is below 2^62.
  const Wide above = scaled % f.numerator * type.ticks_denominator + part * f.denominator;
  const Wide below = static_cast<Wide>(f.numerator) * type.ticks_denominator;
  return {scaled / f.numerator + above / below, above % below, below};
}

// Of a/b and c/d, by their continued fractions: their products would need more than 128 bits.
std::strong_ordering compare_fractions(Wide a, Wide b, Wide c, Wide d) {
  for (bool upside_down = false;; upside_down = !upside_down) {
    auto order = a / b <=> c / d;
    a %= b;
    c %= d;
    if (order == std::strong_ordering::equal && a != 0 && c != 0) {
      std::swap(a, b);
      std::swap(c, d);
      continue;
    }
    if (order == std::strong_ordering::equal) order = (a != 0) <=> (c != 0);
    if (!upside_down || std::is_eq(order)) return order;
    return std::is_lt(order) ? std::strong_ordering::greater : std::strong_ordering::less;
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

ExactNumber load_exact(ScalarType type, const std::byte* p) {
  ExactNumber value;
  with_type(type, [&](auto t) { value = load_le<decltype(t)>(p); });
  return value;
}

void store_value(ScalarType type, double value, std::byte* p) {
  with_type(type, [&](auto t) { store_le(p, nearest<decltype(t)>(value)); });
}

std::uint64_t FrameType::tick_of(std::uint64_t first, std::size_t row) const {
  if (row == 0 || ticks_denominator == 1) return first + row * ticks_numerator;
  if (row <= UINT32_MAX && ticks_numerator <= UINT32_MAX) return first + row * ticks_numerator / ticks_denominator;
  return first + static_cast<std::uint64_t>(static_cast<Wide>(row) * ticks_numerator / ticks_denominator);
}

std::strong_ordering compare_times(const FrameType& a, const RowTime& row_a, const FrameType& b, const RowTime& row_b) {
  if (a.ticks_denominator == 1 && b.ticks_denominator == 1 && a.tick_frequency == b.tick_frequency)
    return row_a.tick + static_cast<Wide>(row_a.row) * a.ticks_numerator <=>
           row_b.tick + static_cast<Wide>(row_b.row) * b.ticks_numerator;
  const ExactTime x = exact_time(a, row_a);
  const ExactTime y = exact_time(b, row_b);
  if (x.whole != y.whole) return x.whole <=> y.whole;
  return compare_fractions(x.numerator, x.denominator, y.numerator, y.denominator);
}

bool is_wider_than_float(ScalarType type) {
  switch (type) {
    case ScalarType::u32:
    case ScalarType::i32:
    case ScalarType::u64:
    case ScalarType::i64:
    case ScalarType::f64:
      return true;
    default:
      return false;
  }
}

std::string FrameType::to_string() const {
  return fmt::format("{} [{} x {}]", name_of(type), rows == 0 ? "any" : std::to_string(rows), columns);
}

std::optional<Frequency> FrameType::row_frequency() const {
  if (ticks_numerator == 0) return std::nullopt;
  const Wide above = static_cast<Wide>(tick_frequency.numerator) * ticks_denominator;
  const Wide below = static_cast<Wide>(tick_frequency.denominator) * ticks_numerator;
  Wide a = above;
  Wide b = below;
  while (b != 0) a = std::exchange(b, a % b);
  if (above / a > UINT32_MAX || below / a > UINT32_MAX) return std::nullopt;
  return Frequency{static_cast<std::uint32_t>(above / a), static_cast<std::uint32_t>(below / a)};
}

std::string FrameType::to_yaml(const std::string& name) const {
  std::string yaml = fmt::format("sds:\n  name: '{}'\n", name);
  if (tick_frequency != Frequency{}) yaml += fmt::format("  tick-frequency: {}\n", tick_frequency.to_string());
  if (const auto rate = row_frequency(); rows == 0 && rate)
    yaml += fmt::format("  sample-frequency: {}\n", rate->to_string());
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
