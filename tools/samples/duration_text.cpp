#include "duration_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

namespace sds {

namespace {

double value_of(const std::string& text) { return std::strtod(text.c_str(), nullptr); }

// The whole of `text`, as a number.
template <typename Number>
std::optional<Number> all_of(std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

// The whole of `text`, as a finite number times 10^`exponent`: the double nearest to the decimal number.
std::optional<double> number_of(std::string_view text, int exponent = 0) {
  const auto value = all_of<double>(text);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  if (exponent == 0) return value;
  const std::size_t e = text.find_first_of("eE");
  if (e != std::string_view::npos) {
    std::string_view own = text.substr(e + 1);
    if (own.starts_with('+')) own.remove_prefix(1);
    const auto number = all_of<int>(own);
    if (!number || std::abs(*number) > 10'000) return std::nullopt;
    exponent += *number;
  }
  return all_of<double>(fmt::format("{}e{}", text.substr(0, e), exponent));
}

// The number, with more digits than a double has, so that what is made of it is rounded once.
std::optional<long double> long_number_of(std::string_view text) {
  if (!number_of(text)) return std::nullopt;
  return std::strtold(std::string(text).c_str(), nullptr);
}

// "1:02.5", "1:00:02": minutes, or hours and minutes, before the seconds.
std::optional<double> clock_time(std::string_view text) {
  long double total = 0;
  for (std::size_t fields = 1;; ++fields) {
    const std::size_t colon = text.find(':');
    const std::string_view field = text.substr(0, colon);
    const auto value = long_number_of(field);
    const bool is_last = colon == std::string_view::npos;
    const bool is_whole = field.find_first_not_of("0123456789") == std::string_view::npos;
    if (!value || *value < 0 || (fields > 1 && *value >= 60) || (!is_last && !is_whole)) return std::nullopt;
    total = total * 60 + *value;
    if (is_last) return fields > 1 && fields <= 3 ? std::optional(static_cast<double>(total)) : std::nullopt;
    text.remove_prefix(colon + 1);
  }
}

tl::unexpected<Error> not_understood(const std::string& text, const std::string& kind, const char* examples) {
  const std::string point = with_decimal_point(text);
  if (!point.empty()) return fail(ErrorCode::usage, fmt::format("'{}': numbers have a decimal point: {}", text, point));
  return fail(ErrorCode::usage, fmt::format("'{}' is no {}: write {}", text, kind, examples));
}

}  // namespace

std::string with_decimal_point(const std::string& text) {
  const std::size_t comma = text.find(',');
  if (comma == std::string::npos || comma == 0 || comma + 1 == text.size()) return "";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::size_t first = text[0] == '-' || text[0] == '+' ? 1 : 0;
  if (first == comma ||
      !std::all_of(text.begin() + static_cast<std::ptrdiff_t>(first), text.begin() + static_cast<std::ptrdiff_t>(comma),
                   is_digit) ||
      !is_digit(text[comma + 1]) || text.find(',', comma + 1) != std::string::npos)
    return "";
  std::string point = text;
  point[comma] = '.';
  return point;
}

std::string seconds_text(double seconds) {
  if (std::abs(seconds) >= 1e15) return fmt::format("{}", seconds);
  std::string text = fmt::format("{:.6f}", seconds);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

Expected<double> parse_time(const std::string& text, int bare_exponent) {
  std::string_view rest = text;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  const double sign = is_negative ? -1 : 1;
  if (rest.empty() || rest.front() == '-') return not_understood(text, "time", "12.5, 500ms, 2min or 1:02.5");
  struct Unit {
    std::string_view name;
    int exponent;
    int factor;
  };
  static constexpr std::array<Unit, 7> units{
      {{"ns", -9, 1}, {"us", -6, 1}, {"ms", -3, 1}, {"min", 0, 60}, {"sec", 0, 1}, {"s", 0, 1}, {"h", 0, 3600}}};
  std::optional<double> seconds;
  if (rest.find(':') != std::string_view::npos) {
    seconds = clock_time(rest);
  } else if (number_of(rest)) {
    seconds = number_of(rest, bare_exponent);
  } else {
    for (const Unit& unit : units) {
      if (!rest.ends_with(unit.name)) continue;
      const std::string_view number = rest.substr(0, rest.size() - unit.name.size());
      if (unit.factor == 1) {
        seconds = number_of(number, unit.exponent);
      } else if (const auto value = long_number_of(number)) {
        seconds = static_cast<double>(*value * unit.factor);
      }
      break;
    }
  }
  if (!seconds || !std::isfinite(*seconds)) return not_understood(text, "time", "12.5, 500ms, 2min or 1:02.5");
  return sign * *seconds;
}

Expected<std::string> in_hertz(const std::string& text) {
  for (const auto& [unit, exponent] : {std::pair{std::string_view("kHz"), 3}, {"MHz", 6}, {"Hz", 0}}) {
    if (!text.ends_with(unit)) continue;
    const std::string number = text.substr(0, text.size() - unit.size());
    if (exponent == 0 && !number.empty()) return number;
    const auto value = number_of(number, exponent);
    if (!value) return not_understood(text, "frequency", "100, 100Hz or 16kHz");
    return fmt::format("{}", *value);
  }
  if (!with_decimal_point(text).empty()) return not_understood(text, "frequency", "");
  return text;
}

Expected<double> parse_share(const std::string& text) {
  const bool is_percent = text.ends_with('%');
  const std::string_view number = std::string_view(text).substr(0, text.size() - (is_percent ? 1 : 0));
  const auto value = number_of(number, is_percent ? -2 : 0);
  if (!value) return not_understood(text, "share", "0.5 or 50%");
  return *value;
}

std::string human_seconds(double seconds) {
  if (seconds < 0) return "-" + human_seconds(-seconds);
  if (seconds >= 1e15) return fmt::format("{:.3g} h", seconds / 3600);
  // What a sum or a product has in its last digits is no reason to round another way.
  seconds = value_of(fmt::format("{:.13g}", seconds));
  if (seconds == 0) return "0 ms";
  // Rounded first, and given the unit that the rounded number has: of that it is at least one.
  if (const std::string text = fmt::format("{:.3g}", seconds * 1e6); value_of(text) < 1000) return text + " us";
  if (const std::string text = fmt::format("{:.3g}", std::max(1.0, seconds * 1e3)); value_of(text) < 1000)
    return text + " ms";
  if (const std::string text = fmt::format("{:.3f}", std::max(1.0, seconds)); value_of(text) < 120) return text + " s";
  if (const auto tenths = std::llround(seconds * 10); tenths < 36'000)
    return fmt::format("{} min {}.{} s", tenths / 600, tenths / 10 % 60, tenths % 10);
  const auto whole = std::llround(seconds);
  return fmt::format("{} h {:02} min {:02} s", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace sds
