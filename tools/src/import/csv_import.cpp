#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "import/table_import.hpp"
#include "sds/bridge/yaml_map.hpp"
#include "sds/tools/csv_reader.hpp"

namespace sds {

namespace {

double seconds_per(const std::string& unit) {
  return unit == "ns" ? 1e-9 : unit == "us" ? 1e-6 : unit == "ms" ? 1e-3 : 1;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

// The unit that a header names: "t_ms", "time (us)", "timestamp[ns]".
std::string unit_in(const std::string& header) {
  const std::string text = lower(header);
  for (const char* unit : {"ms", "us", "ns"})
    for (const auto& form : {std::string("_") + unit, fmt::format("({})", unit), fmt::format("[{}]", unit)})
      if (text.ends_with(form)) return unit;
  return "s";
}

bool is_time_name(const std::string& header) {
  std::string text = lower(header);
  text = text.substr(0, text.find_first_of(" ([_"));
  return text == "time" || text == "timeslot" || text == "timestamp" || text == "t";
}

tl::unexpected<Error> at_line(std::uint64_t line, const std::string& message, const std::filesystem::path& path) {
  return fail(ErrorCode::bad_input, fmt::format("line {}: {}", line, message), path);
}

Expected<char> find_delimiter(const std::filesystem::path& path) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  std::string head(65536, '\0');
  auto got = (*file)->read(0, std::as_writable_bytes(std::span(head)));
  if (!got) return fail(got);
  head.resize(*got);
  head.resize(std::min(head.find('\n'), head.size()));
  char best = ',';
  for (const char c : {';', '\t'})
    if (std::count(head.begin(), head.end(), c) > std::count(head.begin(), head.end(), best)) best = c;
  return best;
}

// What the header says of each column.
struct Columns {
  std::vector<std::string> header;
  std::optional<std::size_t> time;
  double time_scale = 1;
  std::vector<std::size_t> taken;  // indices in the header
  ImportTable table;
};

Expected<Columns> read_header(const CsvRow& row, const ImportOptions& options, const std::filesystem::path& path) {
  Columns columns;
  for (const auto field : row.fields) {
    std::string name(field);
    while (name.starts_with(' ')) name.erase(0, 1);
    while (name.ends_with(' ')) name.pop_back();
    if (find_invalid_utf8(name)) return at_line(row.line, "a column's name is not valid UTF-8", path);
    columns.header.push_back(name);
  }
  const auto number = [](const std::string& text) { return !text.empty() && parse_csv_number(text).has_value(); };
  if (std::all_of(columns.header.begin(), columns.header.end(), number))
    return at_line(row.line, "numbers only: a header with the columns' names was expected", path);
  for (std::size_t c = 0; c < columns.header.size(); ++c)
    if (options.time_column.empty() ? !columns.time && !options.rate && is_time_name(columns.header[c])
                                    : columns.header[c] == options.time_column)
      columns.time = c;
  if (!options.time_column.empty() && !columns.time)
    return at_line(row.line, fmt::format("no column '{}'", options.time_column), path);
  if (!columns.time && !options.rate)
    return at_line(
        row.line,
        "no column is called time, timeslot, timestamp or t: name it (--time), or say the sample rate (--rate)", path);
  if (columns.time)
    columns.time_scale =
        seconds_per(options.time_unit.empty() ? unit_in(columns.header[*columns.time]) : options.time_unit);
  columns.table.name = options.stream.empty() ? path.stem().string() : options.stream;
  columns.table.description = "Imported from " + path.filename().string();
  columns.table.rate = options.rate;
  for (const auto& [name, column] : options.columns)
    if (std::find(columns.header.begin(), columns.header.end(), name) == columns.header.end())
      return at_line(row.line, fmt::format("no column '{}'", name), path);
  for (std::size_t c = 0; c < columns.header.size(); ++c) {
    if (c == columns.time) continue;
    const auto wanted = options.columns.find(columns.header[c]);
    if (!options.columns.empty() && wanted == options.columns.end()) continue;
    columns.taken.push_back(c);
    columns.table.columns.push_back(wanted == options.columns.end() ? ImportColumn{columns.header[c], ""}
                                                                    : wanted->second);
    if (columns.table.columns.back().name.empty()) columns.table.columns.back().name = columns.header[c];
  }
  if (columns.taken.empty()) return at_line(row.line, "there is no column of values", path);
  if (columns.taken.size() > 4096) return at_line(row.line, "more than 4096 columns of values", path);
  return columns;
}

}  // namespace

Expected<ImportReport> import_csv(const std::filesystem::path& input, const std::filesystem::path& output,
                                  const ImportOptions& options, const OnProgress& on_progress) {
  char delimiter = options.delimiter;
  if (delimiter == 0) {
    auto found = find_delimiter(input);
    if (!found) return fail(found);
    delimiter = *found;
  }
  const ForEachRow rows = [&](std::vector<ImportTable>& tables, const OnImportRow& on_row) -> Expected<void> {
    std::optional<Columns> columns;
    std::vector<double> values;
    std::uint64_t count = 0;
    auto done = read_csv_file(
        input, delimiter,
        [&](const CsvRow& row) -> Expected<bool> {
          if (!columns) {
            auto header = read_header(row, options, input);
            if (!header) return fail(header);
            columns = std::move(*header);
            tables.push_back(columns->table);
            values.resize(columns->taken.size());
            return true;
          }
          if (row.fields.size() != columns->header.size())
            return at_line(row.line,
                           fmt::format("{} columns, but the header has {}", row.fields.size(), columns->header.size()),
                           input);
          double time = options.rate ? static_cast<double>(count) / options.rate->hz() : 0;
          ++count;
          const auto number = [&](std::size_t c) -> Expected<double> {
            if (row.fields[c].empty()) return std::nan("");
            auto value = parse_csv_number(row.fields[c]);
            if (!value)
              return at_line(row.line, fmt::format("column {}: {}", columns->header[c], value.error().message), input);
            return value;
          };
          if (columns->time) {
            auto value = number(*columns->time);
            if (!value) return fail(value);
            if (!std::isfinite(*value)) return at_line(row.line, "the time is no number", input);
            time = *value * columns->time_scale;
          }
          for (std::size_t v = 0; v < values.size(); ++v) {
            auto value = number(columns->taken[v]);
            if (!value) return fail(value);
            values[v] = *value;
          }
          if (auto taken = on_row(0, time, values); !taken) return at_line(row.line, taken.error().message, input);
          return true;
        },
        on_progress);
    if (done && !columns) return fail(ErrorCode::bad_input, "the file is empty: a header was expected", input);
    return done;
  };
  auto report = import_tables(input, output, options, "sdskit import csv", rows, nullptr);
  if (!report && report.error().path.empty()) report.error().path = input;
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
      static const std::array<std::string, 5> units{"", "s", "ms", "us", "ns"};
      if (std::find(units.begin(), units.end(), options.time_unit) == units.end())
        yaml_problem(one.find("unit"), "'unit:' must be s, ms, us or ns");
      one.finish();
    }
    const YAML::Node columns = map.find("columns");
    if (columns.IsDefined()) {
      if (!columns.IsSequence()) yaml_problem(columns, "'columns:' must be a list");
      for (const auto& item : columns) {
        YamlMap one(item, "a column");
        const std::string name = yaml_string(one.need("column"), "column");
        options.columns[name] = {one.string("name", name), one.string("unit", "")};
        one.finish();
      }
    }
    map.finish();
    top.finish();
  });
}

}  // namespace sds
