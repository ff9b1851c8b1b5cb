#include "sds/format/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <utility>

#include "quotient.hpp"

namespace sds {

namespace {

constexpr std::uint64_t kTwo53 = std::uint64_t{1} << 53;
constexpr std::uint64_t kTwo31 = std::uint64_t{1} << 31;

}  // namespace

namespace {

constexpr int kMaxDigits = 20;

// A positive decimal number: digits * 10^-scale.
struct Decimal {
  Wide digits = 0;
  int count = 0;  // of digits, without leading zeros
  int scale = 0;
};

Wide power_of_ten(int exponent) {
  Wide power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

// Reads "12.5e-3"; says what is wrong with anything else.
tl::expected<Decimal, std::string_view> parse_decimal(std::string_view text) {
  const auto bad = [](std::string_view why) { return tl::unexpected<std::string_view>(why); };
  Decimal number;
  bool any = false;
  bool point = false;
  std::size_t i = !text.empty() && text[0] == '+' ? 1 : 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    if (point && ++number.scale > 1000) return bad("too many digits");
    number.digits = number.digits * 10 + static_cast<unsigned>(c - '0');
    if (number.digits > 0 && ++number.count > 36) return bad("too many digits");
  }
  if (!any) return bad("a number is expected");
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    int sign = 1;
    int value = 0;
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) sign = text[i++] == '-' ? -1 : 1;
    if (i == text.size()) return bad("the exponent is missing");
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9' && value < 1000; ++i)
      value = value * 10 + (text[i] - '0');
    number.scale -= sign * value;
  }
  if (i != text.size()) return bad("a number is expected");
  if (number.digits == 0) return bad("it must be above zero");
  // Zeros at the end count as digits, as far as there is room for them: they say how exact the others are.
  while (number.digits % 10 == 0 && (number.count > kMaxDigits || number.scale > 30 || number.scale <= 0)) {
    number.digits /= 10;
    --number.scale;
    --number.count;
  }
  if (number.count > kMaxDigits || number.scale > 30) return bad("too many digits");
  if (number.scale < -10 || (number.scale < 0 && number.digits > kTwo31)) return bad("too large");
  return number;
}

struct Fraction {
  Wide above = 0;
  Wide below = 1;
};

// The fraction with the smallest denominator in [low, high], by their continued fractions; 0 < low <= high.
Fraction simplest_between(Fraction low, Fraction high) {
  std::array<Wide, 192> terms;  // Euclid's algorithm on 128-bit numbers takes fewer steps
  std::size_t count = 0;
  for (;;) {
    const Wide whole = low.above / low.below;
    if (whole * low.below == low.above) {
      terms[count++] = whole;
      break;
    }
    if (whole != high.above / high.below) {
      terms[count++] = whole + 1;
      break;
    }
    terms[count++] = whole;
    const Fraction next_low{high.below, high.above - whole * high.below};
    const Fraction next_high{low.below, low.above - whole * low.below};
    if (next_low.below == 0) break;  // high is whole itself
    low = next_low;
    high = next_high;
  }
  Fraction result{terms[count - 1], 1};
  for (std::size_t i = count - 1; i-- > 0;) result = {terms[i] * result.above + result.below, result.above};
  return result;
}

bool fits(const Fraction& f) { return f.above > 0 && f.above < kTwo31 && f.below < kTwo31; }

Frequency to_frequency(const Fraction& f) {
  const std::uint64_t above = static_cast<std::uint64_t>(f.above);
  const std::uint64_t below = static_cast<std::uint64_t>(f.below);
  const std::uint64_t divisor = std::gcd(above, below);
  return {static_cast<std::uint32_t>(above / divisor), static_cast<std::uint32_t>(below / divisor)};
}

Wide gcd(Wide a, Wide b) {
  while (b != 0) a = std::exchange(b, a % b);
  return a;
}

}  // namespace

Expected<Frequency> Frequency::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::bad_input, fmt::format("'{}' is not a frequency in Hz: {}", text.substr(0, 40), why));
  };
  const auto number = parse_decimal(text);
  if (!number) return bad(number.error());
  if (number->scale < 0) {
    const Fraction whole{number->digits * power_of_ten(-number->scale), 1};
    if (!fits(whole)) return bad("too large");
    return to_frequency(whole);
  }
  Fraction exact{number->digits, power_of_ten(number->scale)};
  const Wide divisor = gcd(exact.above, exact.below);
  if (const Fraction lowest{exact.above / divisor, exact.below / divisor}; fits(lowest)) return to_frequency(lowest);
  if (number->count < 15) return bad("not a fraction of 31-bit numbers");
  // In halves of a unit of the last digit; a double of 17 digits may be off by its own half unit, 2^-53 of it.
  const Wide off = number->count <= 17 ? std::max<Wide>(1, number->digits * 2 / kTwo53 + 1) : Wide{1};
  const Fraction near =
      simplest_between({2 * exact.above - off, 2 * exact.below}, {2 * exact.above + off, 2 * exact.below});
  if (!fits(near)) return bad("not a fraction of 31-bit numbers");
  return to_frequency(near);
}

std::string Frequency::to_string() const {
  int whole_digits = 1;
  for (Wide power = 10; Wide{numerator} >= power * denominator; power *= 10) ++whole_digits;
  if (numerator < denominator)
    for (whole_digits = 0; Wide{numerator} * power_of_ten(1 - whole_digits) < denominator;) --whole_digits;
  std::string text;
  for (int count = 1; count <= kMaxDigits; ++count) {
    const int scale = std::max(0, count - whole_digits);
    const Wide scaled = Wide{numerator} * power_of_ten(scale);
    const bool exact = scaled % denominator == 0;
    if (!exact && count < 17) continue;
    text = fmt::format("{}", (2 * scaled + denominator) / (Wide{2} * denominator));
    if (static_cast<std::size_t>(scale) >= text.size())
      text.insert(0, static_cast<std::size_t>(scale) + 1 - text.size(), '0');
    if (scale > 0) text.insert(text.size() - static_cast<std::size_t>(scale), ".");
    if (const auto again = parse(text); again && *again == *this) break;
  }
  return text;
}

std::strong_ordering compare(const Instant& a, const Instant& b) {
  if (a.frequency == b.frequency) return a.tick <=> b.tick;
  // 64 + 31 + 31 bits: fits 128.
  const Wide left = Wide{a.tick} * a.frequency.denominator * b.frequency.numerator;
  const Wide right = Wide{b.tick} * b.frequency.denominator * a.frequency.numerator;
  return left < right   ? std::strong_ordering::less
         : left > right ? std::strong_ordering::greater
                        : std::strong_ordering::equal;
}

double seconds(std::uint64_t tick, const Frequency& tick_frequency, std::uint64_t index,
               const Frequency& sample_frequency) {
  if (index == 0) return seconds(tick, tick_frequency);
  const Wide numerator = Wide{tick} * tick_frequency.denominator * sample_frequency.numerator +
                         Wide{index} * sample_frequency.denominator * tick_frequency.numerator;
  return quotient(numerator, Wide{tick_frequency.numerator} * sample_frequency.numerator);
}

double seconds(std::uint64_t tick, const Frequency& tick_frequency) {
  return quotient(Wide{tick} * tick_frequency.denominator, tick_frequency.numerator);
}

std::uint64_t convert_tick(std::uint64_t tick, const Frequency& from, const Frequency& to) {
  if (from == to) return tick;
  const Wide up = Wide{to.numerator} * from.denominator;
  const Wide down = Wide{to.denominator} * from.numerator;
  const Wide result = (tick * up + down / 2) / down;
  return static_cast<std::uint64_t>(std::min<Wide>(result, std::numeric_limits<std::uint64_t>::max()));
}

}  // namespace sds
