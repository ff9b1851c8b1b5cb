#include "csv_look.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "csv_text.hpp"

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

// Without brackets around it; empty if there is none.
std::string unit_in(std::string_view field) {
  field = trimmed(field);
  if (says_nothing(field)) return "";
  const std::size_t open = std::string_view("([{").find(field.front());
  if (field.size() > 2 && open != std::string_view::npos && field.back() == ")]}"[open])
    field = trimmed(field.substr(1, field.size() - 2));
  return std::string(field);
}

class FieldLook {
 public:
  FieldLook(CsvLook& look, const ImportOptions& options) : look_(look), options_(options) {}

  void row(const CsvRow& fields) {
    const std::uint64_t n = rows_++;
    if (n == 0) {
      look_.first_row_is_numbers = std::all_of(fields.fields.begin(), fields.fields.end(), [&](std::string_view field) {
        return says_nothing(field) || is_number(field, options_.decimal) || is_date(field);
      });
      names_ = options_.header && !look_.first_row_is_numbers;
      look_.columns.resize(fields.fields.size());
      if (names_) return;
    }
    if (n == 1 && names_) {
      for (const auto field : fields.fields) below_.emplace_back(field.substr(0, 60));
      below_line_ = fields.line;
      above_ = look_.columns;
      count(fields, above_);
      return;
    }
    count(fields, look_.columns);
    if (!above_.empty()) count(fields, above_);
  }

  // What the row below the header is is known when others were seen.
  void finish() {
    if (below_line_ == 0) return;
    const SecondRow said = options_.second_row;
    const bool units = said == SecondRow::units || (said == SecondRow::found && below_has_units());
    if (!units && said != SecondRow::skipped) {
      look_.columns = std::move(above_);
      return;
    }
    look_.row_below = below_line_;
    if (units)
      for (const auto& field : below_) look_.units.push_back(unit_in(field));
  }

 private:
  [[nodiscard]] static bool is_date(std::string_view field) {
    return parse_date_time(field) || parse_date_time(field, DateOrder::dmy) || parse_date_time(field, DateOrder::mdy) ||
           parse_date_time(field, DateOrder::ymd);
  }

  // Texts where there are numbers otherwise, and nothing that is a value.
  [[nodiscard]] bool below_has_units() const {
    bool found = false;
    for (std::size_t c = 0; c < std::min(below_.size(), look_.columns.size()); ++c) {
      if (says_nothing(below_[c])) continue;
      if (is_number(below_[c], options_.decimal) || is_date(below_[c])) return false;
      found = found || (look_.columns[c].numbers > 0 && look_.columns[c].texts == 0);
    }
    return found;
  }

  void count(const CsvRow& fields, std::vector<CsvColumnLook>& columns) const {
    columns.resize(std::max(columns.size(), fields.fields.size()));
    for (std::size_t c = 0; c < fields.fields.size(); ++c) {
      const std::string_view field = fields.fields[c];
      CsvColumnLook& column = columns[c];
      if (is_number(field, options_.decimal)) {
        if (column.numbers++ == 0) column.first_number = field;
        const std::string_view number = trimmed(field);
        if (is_compact_date(number)) ++column.compact_dates;
        if (may_be_serial_day(number)) ++column.serial_days;
        column.long_fractions =
            column.long_fractions || number.size() - std::min(number.find_first_of(".,"), number.size()) > 7;
      } else if (!says_nothing(field)) {
        if (column.texts++ == 0) {
          column.first_text = field.substr(0, 60);
          column.first_text_line = fields.line;
        }
        count_date(field, column);
      }
    }
  }

  static void count_date(std::string_view field, CsvColumnLook& column) {
    bool has_time = false;
    bool any = false;
    const bool first = !column.is_date();
    for (std::size_t i = 0; i < column.dates.size(); ++i) {
      const auto date = parse_date_time(field, std::array{DateOrder::dmy, DateOrder::mdy, DateOrder::ymd}[i]);
      if (!date || !date->form.has_date) continue;
      ++column.dates[i];
      any = true;
      has_time = has_time || date->has_time;
    }
    if (any && first) column.has_times_of_day = has_time;
  }

  CsvLook& look_;
  const ImportOptions& options_;
  std::uint64_t rows_ = 0;
  bool names_ = false;
  std::vector<std::string> below_;  // the row below the header
  std::uint64_t below_line_ = 0;
  std::vector<CsvColumnLook> above_;  // of the rows from that one on
};

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

  FieldLook fields(look, options);
  // What is wrong with the file is told when it is read.
  (void)read_csv(head, look.format, path, [&](const CsvRow& row) {
    fields.row(row);
    return Expected<bool>(true);
  });
  fields.finish();
  if (look.first_row_is_numbers && options.header && !comment.empty() &&
      fields_in(comment, look.format.delimiter) == look.columns.size())
    look.commented_header = comment;
  return look;
}

}  // namespace sds
