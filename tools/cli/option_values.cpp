#include "option_values.hpp"

#include <fmt/format.h>

#include <cmath>

#include "duration_text.hpp"

namespace sds::cli {

ValueRule takes_time() {
  return ValueRule([](std::string& text) {
    const auto time = parse_time(text);
    if (!time) return time.error().message;
    // Read again as a long double, and rounded to a double: with these digits that is the same number.
    text = fmt::format("{:.17g}", *time);
    return std::string();
  });
}

namespace {

Expected<double> parse_milliseconds(const std::string& text, int bare_exponent) {
  const auto time = parse_time(text, bare_exponent);
  if (!time) return time;
  const double ms = std::round(*time * 1e3);
  if (!(std::abs(ms) < 1e15) || std::abs(*time * 1e3 - ms) > 1e-9 * std::max(1.0, std::abs(ms)))
    return fail(ErrorCode::usage, fmt::format("'{}' is no whole number of milliseconds", text));
  return ms;
}

}  // namespace

ValueRule takes_milliseconds() {
  return ValueRule([](std::string& text) {
    const auto ms = parse_milliseconds(text, -3);
    if (!ms) return ms.error().message;
    text = fmt::format("{:.0f}", *ms);
    return std::string();
  });
}

ValueRule takes_time_of_milliseconds() {
  return ValueRule([](std::string& text) {
    const auto ms = parse_milliseconds(text, 0);
    if (!ms) return ms.error().message;
    text = fmt::format("{}", *ms / 1e3);
    return std::string();
  });
}

ValueRule takes_frequency() {
  return ValueRule([](std::string& text) {
    const auto hertz = in_hertz(text);
    if (!hertz) return hertz.error().message;
    text = *hertz;
    return std::string();
  });
}

ValueRule takes_share() {
  return ValueRule([](std::string& text) {
    const auto share = parse_share(text);
    if (!share) return share.error().message;
    if (!(*share >= 0 && *share <= 1)) return fmt::format("'{}' is not within 0 and 1 (100%)", text);
    text = fmt::format("{}", *share);
    return std::string();
  });
}

}  // namespace sds::cli
