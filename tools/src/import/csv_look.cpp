#include "import/csv_look.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "import/csv_text.hpp"

namespace sds {

namespace {

constexpr std::size_t kHeadBytes = std::size_t{1} << 18;

// The lines of a text, one after the other.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Whether it is written as a number is, be there a type that holds it or not.
bool is_number(std::string_view field, char decimal) {
  double value = 0;
  const auto plain = std::from_chars(field.data(), field.data() + field.size(), value);
  if (plain.ec == std::errc{} && plain.ptr == field.data() + field.size()) return true;
  std::string text(trimmed(field));
  if (text.starts_with('+')) text.erase(0, 1);
  const std::size_t comma = text.find(',');
  if (comma != std::string::npos && (decimal == '.' || text.find('.') != std::string::npos)) return false;
  if (comma != std::string::npos) text[comma] = '.';
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && error != std::errc::invalid_argument && end == text.data() + text.size();
}

bool is_whole(std::string_view number) { return number.find_first_not_of("0123456789") == std::string_view::npos; }

// 20240501, with hhmm, hhmmss or milliseconds behind it or not: a day between 1970 and 2100.
bool is_compact_date(std::string_view number) {
  if (!is_whole(number) || (number.size() != 8 && number.size() != 12 && number.size() != 14 && number.size() != 17))
    return false;
  std::string text = fmt::format("{}-{}-{}", number.substr(0, 4), number.substr(4, 2), number.substr(6, 2));
  if (number.size() > 8) text += fmt::format(" {}:{}", number.substr(8, 2), number.substr(10, 2));
  if (number.size() > 12) text += fmt::format(":{}", number.substr(12, 2));
  return number >= "1970" && number < "2100" && parse_date_time(text).has_value();
}

// Days between 1970 and 2100, counted from 1900, that are whole seconds: 45413.5, and to its last digit
// 45413.500011574.
bool may_be_serial_day(std::string_view number) {
  const std::size_t point = std::min(number.find_first_of(".,"), number.size());
  if (point != 5 || !is_whole(number.substr(0, point))) return false;
  if (number < "25569" || number >= "73051") return false;
  if (point == number.size()) return true;
  const std::string_view digits = number.substr(point + 1);
  if (!is_whole(digits)) return false;
  const double seconds = 86400 * std::strtod(("0." + std::string(digits)).c_str(), nullptr);
  const double rounding = digits.size() < 7 ? 0 : 0.51 * 86400 * std::pow(10.0, -static_cast<double>(digits.size()));
  return std::abs(seconds - std::round(seconds)) <= rounding + 1e-6;
}

std::size_t count(std::string_view line, char c) {
  return static_cast<std::size_t>(std::count(line.begin(), line.end(), c));
}

// What most separates the names of a header. A row of numbers may have decimal commas.
char delimiter_of(std::string_view line, bool numbers) {
  char best = ',';
  for (const char c : {';', '\t', '|'})
    if (count(line, c) > (numbers && best == ',' ? 0 : count(line, best))) best = c;
  return best;
}

std::size_t fields_in(std::string_view line, char delimiter) { return count(line, delimiter) + 1; }

}  // namespace

Expected<CsvLook> look_at_csv(const std::filesystem::path& path, const ImportOptions& options) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  std::string head(kHeadBytes, '\0');
  auto got = (*file)->read(0, std::as_writable_bytes(std::span(head)));
  if (!got) return fail(got);
  head.resize(*got);
  if (*got == kHeadBytes) head.resize(std::max<std::size_t>(head.rfind('\n') + 1, 1));
  std::string_view text = head;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);

  CsvLook look;
  look.format.comments = true;
  look.format.skip_lines = options.skip_lines;
  char delimiter = options.delimiter;
  // What Excel tells itself: "sep=;".
  if (options.skip_lines == 0 && text.starts_with("sep=") && text.size() > 5 && (text[5] == '\r' || text[5] == '\n')) {
    look.format.skip_lines = 1;
    if (delimiter == 0) delimiter = text[4];
  }
  std::string_view first;
  std::string_view comment;
  std::string_view rest = text;
  for (std::uint64_t line = 1; !rest.empty(); ++line) {
    const std::string_view one = take_line(rest);
    if (line <= look.format.skip_lines || trimmed(one).empty()) continue;
    first = trimmed(one);
    if (one.front() != '#' && one.front() != '%') break;
    comment = trimmed(first.substr(1));
    if (look.first_comment == 0) look.first_comment = line;
    first = {};
  }
  const bool letters = std::any_of(first.begin(), first.end(), [](char c) {
    return (c >= 'A' && c <= 'Z' && c != 'E') || (c >= 'a' && c <= 'z' && c != 'e') ||
           static_cast<unsigned char>(c) >= 0x80;
  });
  look.format.delimiter = delimiter != 0 ? delimiter : delimiter_of(first, !letters);

  bool is_first = true;
  const auto row = [&](const CsvRow& fields) -> Expected<bool> {
    look.columns.resize(std::max(look.columns.size(), fields.fields.size()));
    bool names = false;
    if (is_first) {
      look.first_row_is_numbers = std::all_of(fields.fields.begin(), fields.fields.end(), [&](std::string_view field) {
        return says_nothing(field) || is_number(field, options.decimal) || parse_date_time(field).has_value();
      });
      names = options.header && !look.first_row_is_numbers;
    }
    is_first = false;
    for (std::size_t c = 0; c < fields.fields.size() && !names; ++c) {
      const std::string_view field = fields.fields[c];
      CsvColumnLook& column = look.columns[c];
      if (is_number(field, options.decimal)) {
        if (column.numbers++ == 0) column.first_number = field;
        const std::string_view number = trimmed(field);
        if (is_compact_date(number)) ++column.compact_dates;
        if (may_be_serial_day(number)) ++column.serial_days;
        column.long_fractions =
            column.long_fractions || number.size() - std::min(number.find_first_of(".,"), number.size()) > 7;
      } else if (!says_nothing(field) && column.texts++ == 0) {
        column.first_text = field.substr(0, 60);
        column.first_text_line = fields.line;
      }
    }
    return true;
  };
  // What is wrong with the file is told when it is read.
  (void)read_csv(head, look.format, path, row);
  if (look.first_row_is_numbers && options.header && !comment.empty() &&
      fields_in(comment, look.format.delimiter) == look.columns.size())
    look.commented_header = comment;
  return look;
}

}  // namespace sds
