#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "import/csv_look.hpp"
#include "import/csv_text.hpp"
#include "import/csv_time.hpp"
#include "import/table_import.hpp"
#include "sds/bridge/yaml_map.hpp"
#include "sds/tools/csv_reader.hpp"

namespace sds {

namespace {

constexpr const char* kTool = "sdskit import csv";

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

bool is_label_name(const std::string& header) {
  const std::string text = lower(header);
  return text == "label" || text == "class" || text == "activity";
}

tl::unexpected<Error> at_line(std::uint64_t line, const std::string& message, const std::filesystem::path& path) {
  return fail(ErrorCode::bad_input, fmt::format("line {}: {}", line, message), path);
}

// What becomes of each column.
struct Columns {
  std::vector<std::string> header;
  std::optional<std::size_t> time;
  bool dates = false;
  double unit_s = 1;  // a unit of the times
  std::optional<std::size_t> label;
  std::vector<std::size_t> taken;  // indices in the header
  ImportTable table;
  std::vector<std::string> found;
  std::vector<std::string> notes;
};

// One pass over a file: its rows as numbers and labels.
class CsvPass {
 public:
  CsvPass(const std::filesystem::path& path, const ImportOptions& options, const CsvLook& look,
          std::vector<ImportTable>& tables, const OnImportRow& on_row, std::vector<ImportedLabel>& labels)
      : path_(path),
        options_(options),
        look_(look),
        tables_(tables),
        on_row_(on_row),
        labels_(labels),
        numbers_(options.decimal, look.format.delimiter == ',') {}

  Expected<bool> row(const CsvRow& row) {
    if (columns_) return sample(row);
    const bool own = options_.header && look_.commented_header.empty();
    std::vector<std::string> header;
    if (own) {
      for (const auto field : row.fields) header.emplace_back(trimmed(field));
    } else if (options_.header) {
      auto split = read_csv(look_.commented_header, look_.format.delimiter, path_, [&](const CsvRow& names) {
        for (const auto field : names.fields) header.emplace_back(trimmed(field));
        return Expected<bool>(true);
      });
      if (!split) return fail(split);
    } else {
      for (std::size_t c = 0; c < row.fields.size(); ++c) header.push_back(fmt::format("column_{}", c + 1));
    }
    if (auto good = choose(row, std::move(header)); !good) return fail(good);
    return own ? Expected<bool>(true) : sample(row);
  }

  Expected<void> finish() {
    if (!columns_) return fail(ErrorCode::bad_input, "the file is empty: a header was expected", path_);
    end_label();
    if (options_.utc_offset_s && !offset_used_)
      return fail(ErrorCode::usage, "an offset to UTC was given, but no time in it is a date without one", path_);
    return {};
  }

  /// How it was read.
  [[nodiscard]] std::vector<std::string> found() const {
    std::vector<std::string> all;
    const char c = look_.format.delimiter;
    if (c != ',') all.push_back(fmt::format("fields are separated by {}", c == '\t' ? "tabs" : fmt::format("'{}'", c)));
    if (numbers_.decimal() == ',') all.emplace_back("numbers have decimal commas");
    if (look_.first_comment > 0)
      all.push_back(fmt::format("lines that begin with # or % are comments (the first: line {}){}", look_.first_comment,
                                look_.commented_header.empty() ? "" : "; the last one in front is the header"));
    all.insert(all.end(), columns_->found.begin(), columns_->found.end());
    if (columns_->dates && date_without_zone_)
      all.push_back(options_.utc_offset_s ? "times are dates; those without a zone are of the given offset"
                                          : "times are dates without a zone: they are taken for UTC (--utc-offset)");
    return all;
  }
  [[nodiscard]] const std::vector<std::string>& notes() const { return columns_->notes; }

 private:
  // Whether a name stands for column `c`: as it is in the header, or without the unit behind it.
  [[nodiscard]] bool is_called(std::size_t c, const std::string& name) const {
    const std::string& header = columns_->header[c];
    return header == name || (column_of(header).name == name && !find(name));
  }
  [[nodiscard]] bool find(const std::string& name) const {
    return std::find(columns_->header.begin(), columns_->header.end(), name) != columns_->header.end();
  }
  // The column that a name stands for: an error if it is none, or several.
  [[nodiscard]] Expected<std::size_t> index_of(const std::string& name, std::uint64_t line) const {
    std::vector<std::size_t> called;
    for (std::size_t c = 0; c < columns_->header.size(); ++c)
      if (is_called(c, name)) called.push_back(c);
    if (called.empty()) return at_line(line, fmt::format("no column '{}'", name), path_);
    if (called.size() == 1) return called.front();
    const bool alike = columns_->header[called[0]] == columns_->header[called[1]];
    return fail(ErrorCode::usage,
                fmt::format("{} columns are called '{}'{}", called.size(), name,
                            alike ? ""
                                  : fmt::format(": '{}', '{}'{}", columns_->header[called[0]],
                                                columns_->header[called[1]], called.size() > 2 ? ", ..." : "")),
                path_);
  }
  [[nodiscard]] const CsvColumnLook& look_at(std::size_t c) const {
    static const CsvColumnLook nothing;
    return c < look_.columns.size() ? look_.columns[c] : nothing;
  }

  Expected<void> choose(const CsvRow& row, std::vector<std::string> header) {
    columns_.emplace();
    Columns& columns = *columns_;
    columns.header = std::move(header);
    for (const auto& name : columns.header)
      if (find_invalid_utf8(name)) return at_line(row.line, "a column's name is not valid UTF-8", path_);
    if (options_.header && look_.commented_header.empty() && look_.first_row_is_numbers)
      return at_line(row.line,
                     "numbers only: a header with the columns' names was expected (--no-header: there is none)", path_);
    if (auto good = choose_time(row); !good) return good;
    columns.table.name = options_.stream.empty() ? path_.stem().string() : options_.stream;
    columns.table.description = "Imported from " + path_.filename().string();
    columns.table.rate = options_.rate;
    std::map<std::size_t, ImportColumn> wanted;
    for (const auto& [name, column] : options_.columns) {
      const auto c = index_of(name, row.line);
      if (!c) return fail(c);
      if (!wanted.emplace(*c, column).second)
        return fail(ErrorCode::usage, fmt::format("column '{}' is to be taken twice", columns.header[*c]), path_);
    }
    if (auto good = choose_label(row); !good) return good;
    for (const auto& [index, what] : {std::pair{columns.time, "the times"}, {columns.label, "the labels"}})
      if (index && wanted.contains(*index))
        return fail(ErrorCode::usage,
                    fmt::format("column '{}' has {}, and is none of the values to take", columns.header[*index], what),
                    path_);
    for (std::size_t c = 0; c < columns.header.size(); ++c) {
      if (c == columns.time || c == columns.label) continue;
      const auto one = wanted.find(c);
      if (!options_.columns.empty() && one == wanted.end()) continue;
      const CsvColumnLook& look = look_at(c);
      if (look.texts > 0 && look.numbers == 0) {
        const std::string what = fmt::format("column {} is text ('{}' in line {})", columns.header[c], look.first_text,
                                             look.first_text_line);
        if (one != wanted.end()) return at_line(row.line, what + "; --label-column makes labels of one", path_);
        columns.notes.push_back(what + ", and is left out; --label-column makes labels of one");
        continue;
      }
      ImportColumn column = one == wanted.end() ? column_of(columns.header[c]) : one->second;
      if (column.name.empty() || (one != wanted.end() && column.name == columns.header[c] && column.unit.empty()))
        column = column_of(columns.header[c]);
      columns.taken.push_back(c);
      columns.table.columns.push_back(std::move(column));
    }
    if (auto good = check_new_names(); !good) return good;
    if (columns.taken.empty()) return at_line(row.line, "there is no column of values", path_);
    if (columns.taken.size() > 4096) return at_line(row.line, "more than 4096 columns of values", path_);
    values_.resize(columns.taken.size());
    tables_.push_back(columns.table);
    return {};
  }

  // A new name stands for one column. Where the header has a name twice, the second channel gets a number.
  [[nodiscard]] Expected<void> check_new_names() const {
    for (const auto& [name, column] : options_.columns) {
      if (column.name == name) continue;
      const auto called =
          std::count_if(columns_->table.columns.begin(), columns_->table.columns.end(),
                        [&name = column.name](const ImportColumn& other) { return other.name == name; });
      if (called > 1)
        return fail(ErrorCode::usage, fmt::format("{} columns are to be called '{}'", called, column.name), path_);
    }
    return {};
  }

  Expected<void> choose_time(const CsvRow& row) {
    Columns& columns = *columns_;
    if (!options_.time_column.empty()) {
      const auto c = index_of(options_.time_column, row.line);
      if (!c) return fail(c);
      columns.time = *c;
    }
    if (!columns.time) columns.time = surest_time();
    if (!columns.time) {
      if (!options_.time_unit.empty())
        return fail(ErrorCode::usage, "a unit of times was given, but there is no column of times", path_);
      if (options_.rate) return {};
      return at_line(
          row.line,
          "no column is called time, timeslot, timestamp or t: name it (--time), or say the sample rate (--rate)",
          path_);
    }
    const std::string& name = columns.header[*columns.time];
    const CsvColumnLook& look = look_at(*columns.time);
    columns.dates = look.texts > 0 && parse_date_time(look.first_text).has_value();
    if (columns.dates) {
      if (!options_.time_unit.empty())
        return fail(ErrorCode::usage, fmt::format("a unit was given, but the times of column {} are dates", name),
                    path_);
      const bool two_parts = std::count(look.first_text.begin(), look.first_text.end(), ':') == 1 &&
                             !parse_date_time(look.first_text)->has_date;
      const std::string form = lower(name);
      if (two_parts && form.find("mm:ss") != std::string::npos && form.find("h:mm") == std::string::npos)
        return at_line(row.line,
                       fmt::format("column {} says minutes and seconds, and {} would be taken for hours and minutes: "
                                   "write times like 00:{}",
                                   name, look.first_text, look.first_text),
                       path_);
      columns.found.push_back(
          fmt::format("column {} has the times: dates or times of day, such as {}{}", name, look.first_text,
                      two_parts ? ", which is taken for hours and minutes (not minutes and seconds)" : ""));
      return {};
    }
    const TimeHeader header = time_header(name);
    if (options_.time_unit.empty() && !header.unknown.empty())
      return at_line(
          row.line,
          fmt::format("column {} has the times, but '{}' is no unit of time known here: --time-unit says which it is",
                      name, header.unknown),
          path_);
    std::string unit = options_.time_unit.empty() ? header.unit : options_.time_unit;
    std::string why;
    if (unit.empty()) {
      if (look.compact_dates == look.numbers && look.numbers > 0)
        return at_line(row.line,
                       fmt::format("the times of column {} look like dates without separators ({}): write them like "
                                   "2024-05-01T12:34:56, or say the unit of the numbers (--time-unit)",
                                   name, look.first_number),
                       path_);
      if (look.long_fractions && look.serial_days == look.numbers)
        return at_line(row.line,
                       fmt::format("the times of column {} look like a spreadsheet's days since 1900 ({}): write them "
                                   "like 2024-05-01T12:34:56, or say the unit of the numbers (--time-unit)",
                                   name, look.first_number),
                       path_);
      // Nobody's clock counts 10^11 s, and UTC in milliseconds, microseconds and nanoseconds is far beyond.
      const auto first = numbers_.parse(look.first_number);
      const double value = first ? std::abs(first->nearest()) : 0;
      unit = value >= 1e17 && value < 1e19   ? "ns"
             : value >= 1e14 && value < 1e17 ? "us"
             : value >= 1e11 && value < 1e14 ? "ms"
                                             : "s";
      why = unit == "s" ? ", as its header has no unit (--time-unit)"
                        : ", for in seconds they would be no UTC (--time-unit)";
    }
    columns.found.push_back(fmt::format("column {} has the times, in {}{}", name, unit == "s" ? "seconds" : unit, why));
    columns.unit_s = seconds_per(unit);
    return {};
  }

  // A T beside a sample rate is no time.
  [[nodiscard]] std::optional<std::size_t> surest_time() const {
    std::optional<std::size_t> best;
    std::pair<bool, TimeName> surest;
    for (std::size_t c = 0; c < columns_->header.size(); ++c) {
      const TimeHeader header = time_header(columns_->header[c]);
      const std::pair sure{!header.unknown.empty(), header.name};
      if (header.name == TimeName::none || (best ? sure >= surest : options_.rate && header.name == TimeName::letter))
        continue;
      best = c;
      surest = sure;
    }
    return best;
  }

  Expected<void> choose_label(const CsvRow& row) {
    Columns& columns = *columns_;
    if (!options_.label_column.empty()) {
      const auto c = index_of(options_.label_column, row.line);
      if (!c) return fail(c);
      columns.label = *c;
      if (columns.label == columns.time)
        return at_line(row.line, fmt::format("column {} has the times", options_.label_column), path_);
      if (!options_.labels) columns.label.reset();
      return {};
    }
    for (std::size_t c = 0; c < columns.header.size() && !columns.label; ++c)
      if (c != columns.time && is_label_name(columns.header[c]) && look_at(c).texts > 0) columns.label = c;
    if (!options_.labels && !columns.label)
      return fail(ErrorCode::usage, "no labels were asked for, but no column of texts would become labels", path_);
    if (!options_.labels) columns.label.reset();
    if (columns.label)
      columns.found.push_back(fmt::format("the texts of column {} become labels (--no-labels: they do not)",
                                          columns.header[*columns.label]));
    return {};
  }

  Expected<double> time_of(const CsvRow& row, std::string_view field) {
    const Columns& columns = *columns_;
    if (!columns.dates) {
      auto value = numbers_.parse(field);
      if (!value)
        return at_line(row.line, fmt::format("column {}: {}", columns.header[*columns.time], value.error().message),
                       path_);
      if (!std::isfinite(value->nearest())) return at_line(row.line, "the time is no number", path_);
      if (columns.unit_s >= 1) return value->nearest() * columns.unit_s;
      const double per_second = std::round(1 / columns.unit_s);
      if (value->kind() != ImportValue::Kind::positive) return value->nearest() / per_second;
      const auto units = static_cast<std::uint64_t>(per_second);
      const std::uint64_t whole = value->as_unsigned() / units;
      return static_cast<double>(whole) + static_cast<double>(value->as_unsigned() % units) / per_second;
    }
    const auto date = parse_date_time(field);
    if (!date)
      return at_line(row.line,
                     fmt::format("column {}: '{}' is no date like 2024-05-01T12:34:56.789+02:00",
                                 columns.header[*columns.time], field.substr(0, 40)),
                     path_);
    if (first_date_ && (*first_date_ != date->has_date || first_zone_ != date->has_zone))
      return at_line(row.line,
                     fmt::format("column {}: '{}' is written in another way than the times before",
                                 columns.header[*columns.time], field.substr(0, 40)),
                     path_);
    first_date_ = date->has_date;
    first_zone_ = date->has_zone;
    if (!date->has_date || date->has_zone) return date->seconds;
    date_without_zone_ = true;
    offset_used_ = options_.utc_offset_s.has_value();
    return date->seconds - options_.utc_offset_s.value_or(0);
  }

  Expected<bool> sample(const CsvRow& row) {
    const Columns& columns = *columns_;
    std::size_t width = row.fields.size();
    // Some programs end every row with a separator, but not the header.
    while (width > columns.header.size() && row.fields[width - 1].empty()) --width;
    if (width != columns.header.size())
      return at_line(row.line,
                     fmt::format("{} columns, but the header has {}", row.fields.size(), columns.header.size()), path_);
    double time = 0;
    if (columns.time) {
      auto read = time_of(row, row.fields[*columns.time]);
      if (!read) return fail(read);
      time = *read;
    } else {
      time = seconds(0, Frequency{}, count_, *options_.rate);
    }
    for (std::size_t v = 0; v < values_.size(); ++v) {
      auto value = numbers_.parse(row.fields[columns.taken[v]]);
      if (!value)
        return at_line(row.line, fmt::format("column {}: {}", columns.header[columns.taken[v]], value.error().message),
                       path_);
      values_[v] = *value;
    }
    if (columns.label)
      if (auto done = label(row, time); !done) return fail(done);
    if (auto taken = on_row_(0, time, values_); !taken) return at_line(row.line, taken.error().message, path_);
    last_time_ = time;
    ++count_;
    return true;
  }

  Expected<void> label(const CsvRow& row, double time) {
    std::string_view name = trimmed(row.fields[*columns_->label]);
    if (says_nothing(name)) name = {};
    if (find_invalid_utf8(name)) return at_line(row.line, "the label is not valid UTF-8", path_);
    if (count_ > 0 && name == label_ && time >= last_time_) return {};
    end_label();
    label_ = name;
    label_row_ = count_;
    return {};
  }
  void end_label() {
    if (label_.empty() || count_ == label_row_ || labels_.size() > LabelFile::max_labels) return;
    ImportedLabel made{label_, 0, 0, kTool, "", "", {}, {}};
    made.rows = {label_row_, count_};
    labels_.push_back(std::move(made));
  }

  const std::filesystem::path& path_;
  const ImportOptions& options_;
  const CsvLook& look_;
  std::vector<ImportTable>& tables_;
  const OnImportRow& on_row_;
  std::vector<ImportedLabel>& labels_;
  CsvNumbers numbers_;
  std::optional<Columns> columns_;
  std::vector<ImportValue> values_;
  std::uint64_t count_ = 0;
  double last_time_ = 0;
  std::string label_;
  std::uint64_t label_row_ = 0;  // where it began
  std::optional<bool> first_date_;
  bool first_zone_ = false;
  bool date_without_zone_ = false;
  bool offset_used_ = false;
};

}  // namespace

Expected<ImportReport> import_csv(const std::filesystem::path& input, const std::filesystem::path& output,
                                  const ImportOptions& options, const OnProgress& on_progress) {
  auto look = look_at_csv(input, options);
  if (!look) return fail(look);
  ImportedLabels labels;
  std::vector<std::string> found;
  std::vector<std::string> notes;
  const ForEachRow rows = [&](std::vector<ImportTable>& tables, const OnImportRow& on_row) -> Expected<void> {
    labels.labels.clear();
    CsvPass pass(input, options, *look, tables, on_row, labels.labels);
    auto done = read_csv_file(
        input, look->format, [&](const CsvRow& row) { return pass.row(row); }, on_progress);
    if (done) done = pass.finish();
    if (!done) return done;
    found = pass.found();
    notes = pass.notes();
    return done;
  };
  auto report = import_tables(input, output, options, kTool, rows, &labels);
  if (!report && report.error().path.empty()) report.error().path = input;
  if (report) report->found = std::move(found);
  if (report) report->notes.insert(report->notes.end(), notes.begin(), notes.end());
  return report;
}

Expected<void> load_import_map(const std::filesystem::path& path, ImportOptions& options) {
  return read_yaml_file(path, [&](const YAML::Node& root) {
    YamlMap top(root, "the file");
    YamlMap map(top.need("import"), "import");
    options.stream = map.string("stream", options.stream);
    const YAML::Node rate = map.find("rate");
    if (rate.IsDefined()) {
      auto parsed = Frequency::parse(yaml_string(rate, "rate"));
      if (!parsed) yaml_problem(rate, "'rate:' " + parsed.error().message);
      options.rate = *parsed;
    }
    const YAML::Node time = map.find("time");
    if (time.IsDefined()) {
      YamlMap one(time, "time");
      options.time_column = one.string("column", "");
      options.time_unit = one.string("unit", "");
      static const std::array<std::string, 7> units{"", "s", "ms", "us", "ns", "min", "h"};
      if (std::find(units.begin(), units.end(), options.time_unit) == units.end())
        yaml_problem(one.find("unit"), "'unit:' must be s, ms, us, ns, min or h");
      one.finish();
    }
    const std::string decimal = map.string("decimal", "");
    if (!decimal.empty() && decimal != "point" && decimal != "comma")
      yaml_problem(map.find("decimal"), "'decimal:' must be point or comma");
    if (!decimal.empty()) options.decimal = decimal == "comma" ? ',' : '.';
    options.skip_lines = map.integer("skip-lines", options.skip_lines, 0, 1'000'000);
    options.header = map.flag("header", options.header);
    options.label_column = map.string("labels", options.label_column);
    const std::string zone = map.string("utc-offset", "");
    if (!zone.empty()) options.utc_offset_s = parse_utc_offset(zone);
    if (!zone.empty() && !options.utc_offset_s)
      yaml_problem(map.find("utc-offset"), "'utc-offset:' must be like +02:00");
    const YAML::Node columns = map.find("columns");
    if (columns.IsDefined()) {
      if (!columns.IsSequence()) yaml_problem(columns, "'columns:' must be a list");
      for (const auto& item : columns) {
        YamlMap one(item, "a column");
        const std::string name = yaml_string(one.need("column"), "column");
        if (!options.columns.emplace(name, ImportColumn{one.string("name", name), one.string("unit", "")}).second)
          yaml_problem(item, "column '" + name + "' is to be taken twice");
        one.finish();
      }
    }
    map.finish();
    top.finish();
  });
}

}  // namespace sds
