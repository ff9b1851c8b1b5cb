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

// The whole of `text`, as a finite number.
std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "1:02.5", "1:00:02": minutes, or hours and minutes, before the seconds.
std::optional<double> clock_time(std::string_view text) {
  double total = 0;
  for (std::size_t fields = 1;; ++fields) {
    const std::size_t colon = text.find(':');
    const std::string_view field = text.substr(0, colon);
    const auto value = number_of(field);
    const bool is_last = colon == std::string_view::npos;
    const bool is_whole = field.find_first_not_of("0123456789") == std::string_view::npos;
    if (!value || *value < 0 || (fields > 1 && *value >= 60) || (!is_last && !is_whole)) return std::nullopt;
    total = total * 60 + *value;
    if (is_last) return fields > 1 && fields <= 3 ? std::optional(total) : std::nullopt;
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

Expected<double> parse_time(const std::string& text, double bare_s) {
  std::string_view rest = text;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  const double sign = is_negative ? -1 : 1;
  if (rest.empty() || rest.front() == '-') return not_understood(text, "time", "12.5, 500ms, 2min or 1:02.5");
  // Divisors are exact where factors are not: 0.1ms is 1e-4 s.
  struct Unit {
    std::string_view name;
    double factor;
    double divisor;
  };
  static constexpr std::array<Unit, 7> units{
      {{"ns", 1, 1e9}, {"us", 1, 1e6}, {"ms", 1, 1e3}, {"min", 60, 1}, {"sec", 1, 1}, {"s", 1, 1}, {"h", 3600, 1}}};
  std::optional<double> seconds;
  if (rest.find(':') != std::string_view::npos) {
    seconds = clock_time(rest);
  } else if (const auto bare = number_of(rest)) {
    seconds = *bare * bare_s;
  } else {
    for (const Unit& unit : units) {
      if (!rest.ends_with(unit.name)) continue;
      if (const auto value = number_of(rest.substr(0, rest.size() - unit.name.size())))
        seconds = *value * unit.factor / unit.divisor;
      break;
    }
  }
  if (!seconds || !std::isfinite(*seconds)) return not_understood(text, "time", "12.5, 500ms, 2min or 1:02.5");
  return sign * *seconds;
}

Expected<std::string> in_hertz(const std::string& text) {
  for (const auto& [unit, factor] : {std::pair{std::string_view("kHz"), 1e3}, {"MHz", 1e6}, {"Hz", 1.0}}) {
    if (!text.ends_with(unit)) continue;
    const std::string number = text.substr(0, text.size() - unit.size());
    if (factor == 1.0 && !number.empty()) return number;
    const auto value = number_of(number);
    if (!value) return not_understood(text, "frequency", "100, 100Hz or 16kHz");
    return fmt::format("{}", *value * factor);
  }
  if (!with_decimal_point(text).empty()) return not_understood(text, "frequency", "");
  return text;
}

Expected<double> parse_share(const std::string& text) {
  const bool is_percent = text.ends_with('%');
  const auto value = number_of(std::string_view(text).substr(0, text.size() - (is_percent ? 1 : 0)));
  if (!value) return not_understood(text, "share", "0.5 or 50%");
  return is_percent ? *value / 100 : *value;
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
