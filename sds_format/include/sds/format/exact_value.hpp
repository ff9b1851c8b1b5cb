// Numbers of which no digit is lost, where doubles cannot tell: integers of 64 bits, and sums of them. They are made of
// doubles, and so the same on every machine; a `long double` has 53, 64 or 113 bits.
#pragma once

#include <charconv>
#include <cmath>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace sds {

/// A double, an integer of 64 bits, or a sum of up to 2^20 of these integers. It is the nearest double and what that is
/// off by, as in T. J. Dekker, "A floating-point technique for extending the available precision", 1971.
class ExactNumber {
 public:
  constexpr ExactNumber(double value = 0) : high_(value) {}  // NOLINT(google-explicit-constructor): as a double does
  template <std::integral Integer>
  constexpr ExactNumber(Integer value)  // NOLINT(google-explicit-constructor)
      : ExactNumber(sum(static_cast<double>(wide(value) >> 32) * 0x1p32, static_cast<double>(wide(value) & kLow))) {}

  /// The nearest double.
  [[nodiscard]] constexpr double rounded() const { return high_; }
  /// Whether it is an integer of 64 bits, which has digits().
  [[nodiscard]] bool is_whole() const {
    return std::trunc(high_) == high_ && std::trunc(low_) == low_ && *this >= -0x1p63 && *this < 0x1p64;
  }
  /// The decimal digits of an integer of 64 bits.
  [[nodiscard]] std::string digits() const {
    // A double of 2^53 and more is even; half of it fits where it is itself 2^64.
    const double size = std::abs(high_);
    const auto half = static_cast<std::uint64_t>(size / 2);
    const double odd = size - 2 * static_cast<double>(half);
    const auto rest = static_cast<std::int64_t>(odd + (high_ < 0 ? -low_ : low_));
    const std::string text = std::to_string(2 * half + static_cast<std::uint64_t>(rest));
    return high_ < 0 ? "-" + text : text;
  }

  friend constexpr ExactNumber operator-(const ExactNumber& a) { return {-a.high_, -a.low_}; }
  friend constexpr ExactNumber operator+(const ExactNumber& a, const ExactNumber& b) {
    const ExactNumber high = sum(a.high_, b.high_);
    const ExactNumber low = sum(a.low_, b.low_);
    const ExactNumber both = sum(high.high_, high.low_ + low.high_);
    return sum(both.high_, both.low_ + low.low_);
  }
  friend constexpr ExactNumber operator-(const ExactNumber& a, const ExactNumber& b) { return a + -b; }
  // Nearest doubles ascend as their numbers do.
  friend constexpr std::partial_ordering operator<=>(const ExactNumber& a, const ExactNumber& b) {
    const auto order = a.high_ <=> b.high_;
    return std::is_neq(order) ? order : a.low_ <=> b.low_;
  }
  friend constexpr bool operator==(const ExactNumber&, const ExactNumber&) = default;

 private:
  static constexpr unsigned kLow = 0xFFFFFFFF;

  constexpr ExactNumber(double high, double low) : high_(high), low_(low) {}
  template <std::integral Integer>
  static constexpr auto wide(Integer value) {
    return static_cast<std::conditional_t<std::is_signed_v<Integer>, std::int64_t, std::uint64_t>>(value);
  }
  static constexpr ExactNumber sum(double a, double b) {
    const double high = a + b;
    if (!(high - high == 0)) return high;  // infinite, or no number
    const double of_b = high - a;
    return {high, (a - (high - of_b)) + (b - of_b)};
  }

  double high_ = 0;
  double low_ = 0;
};

inline double rounded(double value) { return value; }
inline double rounded(const ExactNumber& value) { return value.rounded(); }

/// `text` without its exponent, of a number that is finite: its point is moved.
inline std::string without_exponent(std::string_view text) {
  const std::size_t e = text.find_first_of("eE");
  if (e == std::string_view::npos) return std::string(text);
  std::string_view exponent_text = text.substr(e + 1);
  if (exponent_text.starts_with('+')) exponent_text.remove_prefix(1);
  std::int64_t exponent = 0;
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  std::string digits(text.substr(text.starts_with('-') ? 1 : 0, e - (text.starts_with('-') ? 1 : 0)));
  std::size_t point = digits.find('.');
  if (point == std::string::npos) {
    point = digits.size();
  } else {
    digits.erase(point, 1);
  }
  const std::int64_t moved = static_cast<std::int64_t>(point) + exponent;
  if (moved < 0) return "0";
  if (static_cast<std::size_t>(moved) > digits.size()) digits.resize(static_cast<std::size_t>(moved), '0');
  digits.insert(static_cast<std::size_t>(moved), 1, '.');
  return text.starts_with('-') ? "-" + digits : digits;
}

/// The number that a text is. From 2^52 up to 2^100, where doubles have no fractions, with all digits and what is
/// behind the point, for sums of integers of 64 bits are compared with such; others as a double, which 0.7 is for
/// everybody.
inline std::optional<ExactNumber> exact_number(std::string_view text) {
  const auto read = [](std::string_view digits, auto& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size();
  };
  double value = 0;
  if (!read(text, value)) return std::nullopt;
  if (!(std::abs(value) >= 0x1p52 && std::abs(value) <= 0x1p100)) return value;
  const std::string plain = without_exponent(text);
  const std::string_view number = plain;
  const std::size_t point = number.find('.');
  const std::string_view before = number.substr(0, point);
  double fraction = 0;
  if (point != std::string_view::npos && point + 1 < number.size() && !read(number.substr(point), fraction))
    return value;
  __extension__ typedef unsigned __int128 Digits;
  Digits whole = 0;
  for (const char digit : before.substr(before.starts_with('-') ? 1 : 0)) {
    if (digit < '0' || digit > '9') return value;
    whole = 10 * whole + static_cast<Digits>(digit - '0');
  }
  const ExactNumber size = ExactNumber(static_cast<double>(static_cast<std::uint64_t>(whole >> 64)) * 0x1p64) +
                           static_cast<std::uint64_t>(whole) + fraction;
  return before.starts_with('-') ? -size : size;
}

struct Channel;

/// Whether a double does not hold all of the channel's values: integers and bit-fields of more than 53 bits.
bool is_wide(const Channel& channel);
/// The same as raw_value(), with all digits.
ExactNumber exact_value(const Channel& channel, const std::byte* sample, std::size_t index);

/// A value as it is stored, and what makes it a physical one.
struct StoredValue {
  ExactNumber raw;
  double scale = 1;
  double offset = 0;

  [[nodiscard]] double physical() const { return raw.rounded() * scale + offset; }
};

/// Whether the physical value of `a` is above that of `b`: exactly, where both have one scale and offset.
inline bool is_above(const StoredValue& a, const StoredValue& b) {
  if (a.scale == b.scale && a.offset == b.offset && a.scale != 0) return a.scale > 0 ? a.raw > b.raw : a.raw < b.raw;
  return a.physical() > b.physical();
}

}  // namespace sds
