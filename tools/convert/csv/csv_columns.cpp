#include "csv_columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "csv_text.hpp"
#include "csv_time.hpp"

namespace sds {

namespace {

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

bool is_label_name(const std::string& header) {
  const std::string text = lower(header);
  return text == "label" || text == "class" || text == "activity";
}

// "Date", "date (UTC)"
bool is_date_name(const std::string& header) {
  const std::string text = lower(header.substr(0, std::min(header.find_first_of("([{"), header.size())));
  return trimmed(text) == "date";
}

struct OrderName {
  DateOrder order;
  const char* option;
  const char* words;
};
constexpr std::array kOrders{OrderName{DateOrder::dmy, "dmy", "day, month, year"},
                             OrderName{DateOrder::mdy, "mdy", "month, day, year"},
                             OrderName{DateOrder::ymd, "ymd", "year, month, day"}};

class Chooser {
 public:
  Chooser(std::vector<std::string> header, std::uint64_t line, const CsvLook& look, const ImportOptions& options,
          const std::filesystem::path& path)
      : line_(line), look_(look), options_(options), path_(path) {
    columns_.header = std::move(header);
  }

  Expected<CsvColumns> choose() {
    for (const auto& name : columns_.header)
      if (find_invalid_utf8(name)) return at_line(std::string("a column's name ") + kNotUtf8);
    if (options_.header && look_.commented_header.empty() && look_.first_row_is_numbers)
      return at_line("numbers only: a header with the columns' names was expected (--no-header: there is none)");
    if (auto good = choose_units(); !good) return fail(good);
    if (auto good = choose_time(); !good) return fail(good);
    std::map<std::size_t, ImportColumn> wanted;
    for (const auto& [name, column] : options_.columns) {
      const auto c = index_of(name);
      if (!c) return fail(c);
      if (!wanted.emplace(*c, column).second)
        return usage(fmt::format("column '{}' is to be taken twice", columns_.header[*c]));
    }
    if (auto good = choose_labels(); !good) return fail(good);
    if (auto good = choose_values(wanted); !good) return fail(good);
    return std::move(columns_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> at_line(const std::string& message) const {
    return fail(ErrorCode::bad_input, fmt::format("line {}: {}", line_, message), path_);
  }
  [[nodiscard]] tl::unexpected<Error> usage(const std::string& message) const {
    return fail(ErrorCode::usage, message, path_);
  }
  [[nodiscard]] const std::string& name_of(std::size_t c) const { return columns_.header[c]; }
  [[nodiscard]] const CsvColumnLook& look_at(std::size_t c) const {
    static const CsvColumnLook nothing;
    return c < look_.columns.size() ? look_.columns[c] : nothing;
  }
  [[nodiscard]] std::string unit_below(std::size_t c) const { return c < look_.units.size() ? look_.units[c] : ""; }

  // "; there are a, b", of the first columns; nothing where the names are no text.
  [[nodiscard]] std::string those_there() const {
    constexpr std::size_t told = 20;
    std::string names;
    for (std::size_t c = 0; c < std::min(columns_.header.size(), told); ++c) names += (c > 0 ? ", " : "") + name_of(c);
    const auto is_control = [](char letter) { return static_cast<unsigned char>(letter) < 0x20; };
    if (names.size() > 1000 || std::any_of(names.begin(), names.end(), is_control)) return "";
    return (columns_.header.size() == 1 ? "; there is " : "; there are ") + names +
           (columns_.header.size() > told ? ", ..." : "");
  }

  // Whether a name stands for column `c`: as it is in the header, or without the unit behind it.
  [[nodiscard]] bool is_called(std::size_t c, const std::string& name) const {
    return name_of(c) == name || (column_of(name_of(c)).name == name && !find(name));
  }
  [[nodiscard]] bool find(const std::string& name) const {
    return std::find(columns_.header.begin(), columns_.header.end(), name) != columns_.header.end();
  }
  // The column that a name stands for: an error if it is none, or several.
  [[nodiscard]] Expected<std::size_t> index_of(const std::string& name) const {
    std::vector<std::size_t> called;
    for (std::size_t c = 0; c < columns_.header.size(); ++c)
      if (is_called(c, name)) called.push_back(c);
    if (called.empty()) return at_line(fmt::format("no column '{}'", name));
    if (called.size() == 1) return called.front();
    const bool alike = name_of(called[0]) == name_of(called[1]);
    return usage(fmt::format("{} columns are called '{}'{}", called.size(), name,
                             alike ? ""
                                   : fmt::format(": '{}', '{}'{}", name_of(called[0]), name_of(called[1]),
                                                 called.size() > 2 ? ", ..." : "")));
  }

  // Units may be in a row of their own.
  Expected<void> choose_units() {
    if (options_.second_row != SecondRow::found && (!options_.header || !look_.commented_header.empty()))
      return usage("it was said what the row below the header is, but no row is the header");
    if (look_.row_below == 0) return {};
    for (const auto& unit : look_.units)
      if (find_invalid_utf8(unit))
        return fail(ErrorCode::bad_input, fmt::format("line {}: a unit {}", look_.row_below, kNotUtf8), path_);
    if (options_.second_row != SecondRow::skipped)
      columns_.found.push_back(fmt::format("line {} has the units ({}) (--second-row)", look_.row_below,
                                           fmt::join(look_.units, look_.format.delimiter == ',' ? "," : ", ")));
    return {};
  }

  // What the header says of times, with the unit below it.
  [[nodiscard]] TimeHeader time_header_of(std::size_t c) const {
    const std::string unit = unit_below(c);
    return time_header(unit.empty() || is_text(c) ? name_of(c) : fmt::format("{} [{}]", name_of(c), unit));
  }
  [[nodiscard]] bool is_text(std::size_t c) const { return look_at(c).texts > 0 && look_at(c).numbers == 0; }

  Expected<void> choose_time() {
    if (!options_.time_column.empty()) {
      const auto c = index_of(options_.time_column);
      if (!c) return fail(c);
      columns_.time = *c;
    }
    if (!columns_.time) columns_.time = surest_time();
    if (!columns_.time) {
      if (!options_.time_unit.empty()) return usage("a unit of times was given, but there is no column of times");
      if (auto good = choose_date(); !good || options_.rate) return good;
      return at_line(
          "no column is called time, timeslot, timestamp or t: name it (--time), or say the sample rate (--rate)" +
          those_there());
    }
    const CsvColumnLook& look = look_at(*columns_.time);
    // A time of day may have a zone, beside a day.
    columns_.dates = look.texts > 0 && (look.is_date() || parse_date_time("2000-01-01 " + look.first_text));
    if (auto good = choose_date(); !good) return good;
    return columns_.dates ? choose_form(look) : choose_unit(look);
  }

  // A T beside a sample rate is no time. What is called date has the times only if nothing else has them.
  [[nodiscard]] std::optional<std::size_t> surest_time() const {
    std::optional<std::size_t> best;
    std::pair<bool, TimeName> surest;
    for (std::size_t c = 0; c < columns_.header.size(); ++c) {
      const TimeHeader header = time_header_of(c);
      const std::pair sure{!header.unknown.empty(), header.name};
      if (header.name == TimeName::none || (best ? sure >= surest : options_.rate && header.name == TimeName::letter))
        continue;
      best = c;
      surest = sure;
    }
    if (best || !options_.date_column.empty()) return best;
    for (std::size_t c = 0; c < columns_.header.size(); ++c)
      if (is_date_name(name_of(c)) && look_at(c).is_date() && look_at(c).has_times_of_day) return c;
    return std::nullopt;
  }

  // The column with the days of times of day.
  Expected<void> choose_date() {
    if (!options_.date_column.empty()) {
      const auto c = index_of(options_.date_column);
      if (!c) return fail(c);
      if (columns_.time == *c) return usage(fmt::format("column '{}' has the times, and is named twice", name_of(*c)));
      if (!columns_.time || !columns_.dates || look_at(*columns_.time).is_date())
        return usage("a column of dates was given, but no column has times of day");
      columns_.date = *c;
      return {};
    }
    if (columns_.time && columns_.dates && !look_at(*columns_.time).is_date())
      for (std::size_t c = 0; c < columns_.header.size() && !columns_.date; ++c)
        if (c != columns_.time && is_date_name(name_of(c)) &&
            (look_at(c).is_date() ? !look_at(c).has_times_of_day
                                  : look_at(c).numbers > 0 && look_at(c).compact_dates == look_at(c).numbers))
          columns_.date = c;
    if (!options_.dates && !columns_.date)
      return usage("no dates were asked for, but no column has those of the times");
    if (!options_.dates) columns_.date.reset();
    return {};
  }

  // Times that are dates or times of day.
  Expected<void> choose_form(const CsvColumnLook& look) {
    const std::string& name = name_of(*columns_.time);
    if (!options_.time_unit.empty())
      return usage(fmt::format("a unit was given, but the times of column {} are dates", name));
    if (auto good = choose_order(columns_.date.value_or(*columns_.time)); !good) return good;
    const auto first = parse_date_time(look.first_text, columns_.date_order);
    const bool two_parts = first && !first->form.has_date && !first->form.half_days &&
                           std::count(look.first_text.begin(), look.first_text.end(), ':') == 1;
    const std::string form = lower(name);
    if (two_parts && form.find("mm:ss") != std::string::npos && form.find("h:mm") == std::string::npos)
      return at_line(
          fmt::format("column {} says minutes and seconds, and {} would be taken for hours and minutes: "
                      "write times like 00:{}",
                      name, look.first_text, look.first_text));
    const char* taken = two_parts ? ", which is taken for hours and minutes (not minutes and seconds)" : "";
    if (columns_.date) {
      const CsvColumnLook& days = look_at(*columns_.date);
      columns_.found.push_back(
          fmt::format("columns {} and {} have the times, such as {} {}{} (--date, --no-date)", name_of(*columns_.date),
                      name, days.first_text.empty() ? days.first_number : days.first_text, look.first_text, taken));
    } else {
      columns_.found.push_back(
          fmt::format("column {} has the times: dates or times of day, such as {}{}", name, look.first_text, taken));
    }
    if (!order_found_.empty()) columns_.found.push_back(order_found_);
    return {};
  }

  // 01/05/2024 may be two days, but perhaps others of the column are only one.
  Expected<void> choose_order(std::size_t c) {
    columns_.date_order = options_.date_order;
    const CsvColumnLook& look = look_at(c);
    if (options_.date_order != DateOrder::told || !look.is_date() || parse_date_time(look.first_text)) return {};
    const std::uint64_t most = *std::max_element(look.dates.begin(), look.dates.end());
    std::vector<std::string> words;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < kOrders.size(); ++i) {
      if (look.dates[i] < most) continue;
      columns_.date_order = kOrders[i].order;
      words.emplace_back(kOrders[i].words);
      names.emplace_back(kOrders[i].option);
    }
    if (words.size() > 1)
      return at_line(fmt::format("column {}: dates like {} may be {}: --date-order {} says which", name_of(c),
                                 look.first_text, fmt::join(words, " or "), fmt::join(names, " or ")));
    order_found_ = fmt::format("dates are {}, as no other order fits all of them (--date-order)", words.front());
    return {};
  }

  // Times that are numbers.
  Expected<void> choose_unit(const CsvColumnLook& look) {
    const std::string& name = name_of(*columns_.time);
    const TimeHeader header = time_header_of(*columns_.time);
    const std::string above = time_header(name_of(*columns_.time)).unit;
    const std::string below = time_header("[" + unit_below(*columns_.time) + "]").unit;
    if (options_.time_unit.empty() && !above.empty() && !below.empty() && above != below)
      return contradicting(*columns_.time, above, below, "--time-unit says which it is");
    if (options_.time_unit.empty() && !header.unknown.empty())
      return at_line(
          fmt::format("column {} has the times, but '{}' is no unit of time known here: --time-unit says which it is",
                      name, header.unknown));
    std::string unit = options_.time_unit.empty() ? header.unit : options_.time_unit;
    std::string why;
    if (unit.empty()) {
      if (look.compact_dates == look.numbers && look.numbers > 0)
        return at_line(
            fmt::format("the times of column {} look like dates without separators ({}): write them like "
                        "2024-05-01T12:34:56, or say the unit of the numbers (--time-unit)",
                        name, look.first_number));
      if (look.long_fractions && look.serial_days == look.numbers)
        return at_line(
            fmt::format("the times of column {} look like a spreadsheet's days since 1900 ({}): write them "
                        "like 2024-05-01T12:34:56, or say the unit of the numbers (--time-unit)",
                        name, look.first_number));
      // Nobody's clock counts 10^11 s, and UTC in milliseconds, microseconds and nanoseconds is far beyond.
      const auto first = CsvNumbers(options_.decimal, look_.format.delimiter == ',').parse(look.first_number);
      const double value = first ? std::abs(first->nearest()) : 0;
      unit = value >= 1e17 && value < 1e19   ? "ns"
             : value >= 1e14 && value < 1e17 ? "us"
             : value >= 1e11 && value < 1e14 ? "ms"
                                             : "s";
      why = unit == "s" ? ", as its header has no unit (--time-unit)"
                        : ", for in seconds they would be no UTC (--time-unit)";
    }
    columns_.found.push_back(
        fmt::format("column {} has the times, in {}{}", name, unit == "s" ? "seconds" : unit, why));
    columns_.unit_s = seconds_per(unit);
    return {};
  }

  Expected<void> choose_labels() {
    auto& labels = columns_.labels;
    for (const auto& name : options_.label_columns) {
      const auto c = index_of(name);
      if (!c) return fail(c);
      if (columns_.time == *c || columns_.date == *c) return at_line(fmt::format("column {} has the times", name));
      if (std::find(labels.begin(), labels.end(), *c) != labels.end())
        return usage(fmt::format("column '{}' is to become labels twice", name_of(*c)));
      labels.push_back(*c);
    }
    const bool named = !labels.empty();
    for (std::size_t c = 0; c < columns_.header.size() && !named; ++c)
      if (c != columns_.time && is_label_name(name_of(c)) && look_at(c).texts > 0) labels.push_back(c);
    if (!options_.labels && labels.empty())
      return usage("no labels were asked for, but no column of texts would become labels");
    if (!options_.labels) labels.clear();
    for (const std::size_t c : labels)
      if (!named || labels.size() > 1)
        columns_.found.push_back(fmt::format("the texts of column {} become labels{} (--no-labels: they do not)",
                                             name_of(c),
                                             labels.size() > 1 ? fmt::format(" of the author {}", name_of(c)) : ""));
    return {};
  }

  Expected<void> choose_values(const std::map<std::size_t, ImportColumn>& wanted) {
    columns_.table.name = options_.stream.empty() ? path_.stem().string() : options_.stream;
    columns_.table.description = "Imported from " + path_.filename().string();
    columns_.table.rate = options_.rate;
    for (std::size_t c = 0; c < columns_.header.size(); ++c) {
      const auto one = wanted.find(c);
      const bool is_time = c == columns_.time || c == columns_.date;
      const bool is_label = std::find(columns_.labels.begin(), columns_.labels.end(), c) != columns_.labels.end();
      if (one != wanted.end() && (is_time || is_label))
        return usage(fmt::format("column '{}' has the {}, and is none of the values to take", name_of(c),
                                 is_time ? "times" : "labels"));
      if (is_time || is_label || (!options_.columns.empty() && one == wanted.end())) continue;
      if (is_text(c)) {
        const std::string what = fmt::format("column {} is text ('{}' in line {})", name_of(c), look_at(c).first_text,
                                             look_at(c).first_text_line);
        if (one != wanted.end()) return at_line(what + "; --label-column makes labels of one");
        columns_.notes.push_back(what + ", and is left out; --label-column makes labels of one");
        continue;
      }
      const bool as_it_is = one == wanted.end() || one->second.name.empty() ||
                            (one->second.name == name_of(c) && one->second.unit.empty());
      ImportColumn column = as_it_is ? column_of(name_of(c)) : one->second;
      if (const std::string unit = unit_below(c); column.unit.empty())
        column.unit = unit;
      else if (as_it_is && !unit.empty() && unit != column.unit)
        return contradicting(c, column.unit, unit,
                             "name it with --column, or leave the row out with --second-row skipped");
      columns_.taken.push_back(c);
      columns_.table.columns.push_back(std::move(column));
    }
    if (auto good = check_new_names(); !good) return good;
    if (columns_.taken.empty()) return at_line("there is no column of values");
    if (columns_.taken.size() > 4096) return at_line("more than 4096 columns of values");
    return {};
  }

  [[nodiscard]] tl::unexpected<Error> contradicting(std::size_t c, const std::string& above, const std::string& below,
                                                    const char* remedy) const {
    return fail(ErrorCode::bad_input,
                fmt::format("line {}: the unit of column '{}' is '{}' by the header, and '{}' here: {}",
                            look_.row_below, name_of(c), above, below, remedy),
                path_);
  }

  // A new name stands for one column. Where the header has a name twice, the second channel gets a number.
  [[nodiscard]] Expected<void> check_new_names() const {
    for (const auto& [name, column] : options_.columns) {
      if (column.name == name) continue;
      const auto called =
          std::count_if(columns_.table.columns.begin(), columns_.table.columns.end(),
                        [&taken = column.name](const ImportColumn& other) { return other.name == taken; });
      if (called > 1) return usage(fmt::format("{} columns are to be called '{}'", called, column.name));
    }
    return {};
  }

  const std::uint64_t line_;
  const CsvLook& look_;
  const ImportOptions& options_;
  const std::filesystem::path& path_;
  CsvColumns columns_;
  std::string order_found_;
};

}  // namespace

Expected<CsvColumns> choose_csv_columns(std::vector<std::string> header, std::uint64_t line, const CsvLook& look,
                                        const ImportOptions& options, const std::filesystem::path& path) {
  return Chooser(std::move(header), line, look, options, path).choose();
}

}  // namespace sds
