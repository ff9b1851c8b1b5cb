#include "sds/format/time.hpp"

#include <fmt/format.h>

#include <numeric>

namespace sds {

namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::uint64_t kTwo53 = std::uint64_t{1} << 53;
constexpr std::uint64_t kTwo31 = std::uint64_t{1} << 31;

double quotient(Wide numerator, Wide denominator) {
  if (numerator < kTwo53 && denominator < kTwo53)
    return static_cast<double>(static_cast<std::uint64_t>(numerator)) /
           static_cast<double>(static_cast<std::uint64_t>(denominator));
  const auto whole = static_cast<std::uint64_t>(numerator / denominator);
  const Wide rest = numerator % denominator;
  // The remainder is below the denominator, which is below 2^62: both fit 64 bits.
  return static_cast<double>(whole) + static_cast<double>(static_cast<std::uint64_t>(rest)) /
                                          static_cast<double>(static_cast<std::uint64_t>(denominator));
}

}  // namespace

Expected<Frequency> Frequency::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::bad_input, fmt::format("'{}' is not a frequency in Hz: {}", text.substr(0, 40), why));
  };
  std::uint64_t digits = 0;
  int exponent = 0;
  bool any = false;
  bool point = false;
  std::size_t i = !text.empty() && text[0] == '+' ? 1 : 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      any = true;
      if (point && digits == 0 && c == '0') {
        --exponent;
        continue;
      }
      if (digits > (UINT64_MAX - 9) / 10) return bad("too many digits");
      digits = digits * 10 + static_cast<unsigned>(c - '0');
      if (point) --exponent;
    } else {
      break;
    }
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
    exponent += sign * value;
  }
  if (i != text.size()) return bad("a number is expected");
  if (digits == 0) return bad("it must be above zero");
  std::uint64_t denominator = 1;
  while (exponent < 0 && digits % 10 == 0) {
    digits /= 10;
    ++exponent;
  }
  for (; exponent > 0; --exponent) {
    if (digits > UINT64_MAX / 10) return bad("too large");
    digits *= 10;
  }
  for (; exponent < 0; ++exponent) {
    if (denominator > UINT64_MAX / 10) return bad("too many digits");
    denominator *= 10;
  }
  const std::uint64_t divisor = std::gcd(digits, denominator);
  digits /= divisor;
  denominator /= divisor;
  if (digits >= kTwo31 || denominator >= kTwo31) return bad("not a fraction of 31-bit numbers");
  return Frequency{static_cast<std::uint32_t>(digits), static_cast<std::uint32_t>(denominator)};
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

}  // namespace sds
