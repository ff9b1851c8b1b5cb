#include "csv_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace sds {

namespace {

// Takes what a date is made of from the front of a text.
class Front {
 public:
  explicit Front(std::string_view text) : text_(text) {}
  [[nodiscard]] bool done() const { return text_.empty(); }
  bool take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  /// Between `least` and `most` digits.
  std::optional<int> digits(std::size_t least, std::size_t most) {
    std::size_t n = 0;
    while (n < text_.size() && n < most && text_[n] >= '0' && text_[n] <= '9') ++n;
    if (n < least) return std::nullopt;
    int value = 0;
    std::from_chars(text_.data(), text_.data() + n, value);
    text_.remove_prefix(n);
    return value;
  }
  /// "56", "56.789" or "56,789"
  std::optional<double> seconds() {
    const std::size_t n = std::min(text_.find_first_not_of("0123456789.,"), text_.size());
    std::string number(text_.substr(0, n));
    std::replace(number.begin(), number.end(), ',', '.');
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc{} || end != number.data() + number.size() || number.size() < 2 || value >= 60)
      return std::nullopt;
    text_.remove_prefix(n);
    return value;
  }
  [[nodiscard]] std::string_view rest() const { return text_; }

 private:
  std::string_view text_;
};

struct TakenDate {
  std::chrono::sys_days day;
  bool by_order = false;
};

std::optional<TakenDate> take_date(Front& text, DateOrder order) {
  Front rest = text;
  std::array<int, 3> parts{};
  bool by_order = false;
  if (const auto compact = rest.digits(8, 8)) {
    parts = {*compact / 10000, *compact / 100 % 100, *compact % 100};
    order = DateOrder::ymd;
  } else {
    const auto year_in_front = rest.digits(4, 4);
    const auto first = year_in_front ? year_in_front : rest.digits(1, 2);
    const char between = rest.take('-') ? '-' : rest.take('/') ? '/' : rest.take('.') ? '.' : '\0';
    const auto second = first && between != '\0' ? rest.digits(1, 2) : std::nullopt;
    if (!second || !rest.take(between)) return std::nullopt;
    const auto year_behind = year_in_front ? std::nullopt : rest.digits(4, 4);
    const auto third = year_behind ? year_behind : rest.digits(1, 2);
    if (!third) return std::nullopt;
    by_order = !year_in_front;
    if (!by_order) order = DateOrder::ymd;
    if (order == DateOrder::told && between == '.') order = DateOrder::dmy;
    if (order == DateOrder::told || (year_behind && order == DateOrder::ymd)) return std::nullopt;
    parts = {*first, *second, *third};
    if (by_order && !year_behind) parts[order == DateOrder::ymd ? 0 : 2] += 2000;
  }
  const int year = parts[order == DateOrder::ymd ? 0 : 2];
  const int month = parts[order == DateOrder::mdy ? 0 : 1];
  const int day = parts[order == DateOrder::ymd ? 2 : order == DateOrder::dmy ? 0 : 1];
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  text = rest;
  return TakenDate{std::chrono::sys_days(date), by_order};
}

// "am", "PM" or "p.m.", with blanks in front or not: whether it is the latter half of the day.
std::optional<bool> take_half_day(Front& text) {
  Front rest = text;
  while (rest.take(' ')) {
  }
  const bool pm = rest.take('p') || rest.take('P');
  if (!pm && !rest.take('a') && !rest.take('A')) return std::nullopt;
  const bool dots = rest.take('.');
  if (!rest.take('m') && !rest.take('M')) return std::nullopt;
  if (dots && !rest.take('.')) return std::nullopt;
  text = rest;
  return pm;
}

struct TimeOfDay {
  double seconds = 0;
  bool half_days = false;
};

std::optional<TimeOfDay> take_time_of_day(Front& text) {
  auto hours = text.digits(1, 2);
  const auto minutes = hours && text.take(':') ? text.digits(2, 2) : std::nullopt;
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  std::optional<double> seconds = 0;
  if (text.take(':')) seconds = text.seconds();
  if (!seconds) return std::nullopt;
  const auto pm = take_half_day(text);
  if (pm && (*hours < 1 || *hours > 12)) return std::nullopt;
  if (pm) hours = *hours % 12 + (*pm ? 12 : 0);
  return TimeOfDay{3600.0 * *hours + 60.0 * *minutes + *seconds, pm.has_value()};
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

bool says_nothing(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return true;
  if (text.size() > 7) return false;
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  static constexpr std::array words{"n/a", "na", "#n/a", "null", "none", "nil", "-", "--", "?", "missing"};
  return std::find(words.begin(), words.end(), lower) != words.end();
}

Expected<ImportValue> CsvNumbers::parse(std::string_view field) {
  if (const auto plain = parse_plain(field)) return ImportValue(*plain);
  const std::string_view text = trimmed(field);
  if (says_nothing(text)) return ImportValue(std::nan(""));
  const std::size_t comma = text.find(',');
  const std::size_t point = text.find('.');
  const auto no_number = [&](const char* why) -> tl::unexpected<Error> {
    return fail(ErrorCode::bad_input, fmt::format("'{}' is no number{}", field.substr(0, 40), why));
  };
  if (comma == std::string_view::npos) {
    auto value = parse_value(text);
    if (!value) return fail(value);
    if (!*value) return no_number("");
    if (point != std::string_view::npos && decimal_ == ',')
      return no_number(": it has a decimal point, and others have decimal commas (--decimal says which)");
    if (point != std::string_view::npos) decimal_ = '.';
    return **value;
  }
  if (decimal_ == '.')
    return no_number(": it has a decimal comma, and others have decimal points (--decimal says which)");
  if (decimal_ == 0 && commas_separate_) return no_number(" (with a decimal comma? --decimal comma)");
  if (point != std::string_view::npos || text.find(',', comma + 1) != std::string_view::npos) return no_number("");
  std::string with_point(text);
  with_point[comma] = '.';
  auto value = parse_value(with_point);
  if (!value) return fail(value);
  if (!*value) return no_number("");
  decimal_ = ',';
  return **value;
}

ImportColumn column_of(const std::string& header) {
  for (const auto& [open, close] : {std::pair{'(', ')'}, {'[', ']'}}) {
    if (header.size() < 3 || header.back() != close) continue;
    const std::size_t at = header.rfind(open);
    if (at == std::string::npos || at == 0) continue;
    const std::string_view unit = trimmed(std::string_view(header).substr(at + 1, header.size() - at - 2));
    const std::string_view name = trimmed(std::string_view(header).substr(0, at));
    const bool index = unit.find_first_not_of("0123456789") == std::string_view::npos;
    if (!index && !name.empty()) return {std::string(name), std::string(unit)};
  }
  return {header, ""};
}

std::optional<int> parse_utc_offset(std::string_view text) {
  if (text == "Z" || text == "z" || text == "UTC" || text == "GMT") return 0;
  Front front(text);
  const int sign = front.take('+') ? 1 : front.take('-') ? -1 : 0;
  const auto hours = front.digits(2, 2);
  if (sign == 0 || !hours || *hours > 18) return std::nullopt;
  int minutes = 0;
  if (!front.done()) {
    front.take(':');
    const auto found = front.digits(2, 2);
    if (!found || *found > 59 || !front.done()) return std::nullopt;
    minutes = *found;
  }
  return sign * (3600 * *hours + 60 * minutes);
}

std::optional<DateTime> parse_date_time(std::string_view field, DateOrder order) {
  Front text(trimmed(field));
  DateTime result;
  if (const auto date = take_date(text, order)) {
    result.form.has_date = true;
    result.form.by_order = date->by_order;
    result.seconds = static_cast<double>(std::chrono::sys_seconds(date->day).time_since_epoch().count());
    if (text.done()) return result;
    const bool comma = text.take(',');
    if (!text.take(' ') && (comma || !text.take('T'))) return std::nullopt;
    while (text.take(' ')) {
    }
  }
  const auto time = take_time_of_day(text);
  if (!time) return std::nullopt;
  result.has_time = true;
  result.form.half_days = time->half_days;
  result.seconds += time->seconds;
  const std::string_view zone = trimmed(text.rest());
  if (zone.empty()) return result;
  const auto offset = result.form.has_date ? parse_utc_offset(zone) : std::nullopt;
  if (!offset) return std::nullopt;
  result.form.has_zone = true;
  result.seconds -= *offset;
  return result;
}

}  // namespace sds
