#include "sds/format/elapsed.hpp"

#include <fmt/format.h>

#include "quotient.hpp"

namespace sds {

namespace {

// `numerator` / `denominator` seconds, before the origin where `negative`.
struct Elapsed {
  Wide numerator;
  Wide denominator;
  bool negative;
};

// 62 + 31 + 31 bits over 31 + 31; in lowest terms of the frequencies where they are one.
Elapsed elapsed(const Instant& origin, const Instant& at) {
  Wide from = Wide{origin.tick} * origin.frequency.denominator;
  Wide to = Wide{at.tick} * at.frequency.denominator;
  Wide denominator = at.frequency.numerator;
  if (origin.frequency.numerator != at.frequency.numerator) {
    from *= at.frequency.numerator;
    to *= origin.frequency.numerator;
    denominator *= origin.frequency.numerator;
  }
  return {to < from ? from - to : to - from, denominator, to < from};
}

}  // namespace

double seconds_since(const Instant& origin, const Instant& at) {
  const Elapsed time = elapsed(origin, at);
  const double size = quotient(time.numerator, time.denominator);
  return time.negative ? -size : size;
}

std::string decimal_since(const Instant& origin, const Instant& at) {
  constexpr std::uint64_t in_second = 1'000'000'000;
  const Elapsed time = elapsed(origin, at);
  Wide whole = time.numerator / time.denominator;
  const Wide rest = time.numerator % time.denominator * in_second;
  auto nanoseconds = static_cast<std::uint64_t>(rest / time.denominator);
  // Cut towards what is earlier: before the origin that is the larger number.
  if (time.negative && rest % time.denominator != 0 && ++nanoseconds == in_second) {
    nanoseconds = 0;
    ++whole;
  }
  const char* sign = time.negative && (whole != 0 || nanoseconds != 0) ? "-" : "";
  return nanoseconds % 1000 == 0 ? fmt::format("{}{}.{:06}", sign, whole, nanoseconds / 1000)
                                 : fmt::format("{}{}.{:09}", sign, whole, nanoseconds);
}

}  // namespace sds
