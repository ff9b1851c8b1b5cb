#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "csv_reader.hpp"
#include "json_values.hpp"
#include "row_rate.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

constexpr const char* kTool = "sdskit import qeexo";

tl::unexpected<Error> at_line(std::uint64_t line, const std::string& message, const std::filesystem::path& path) {
  return fail(ErrorCode::bad_input, fmt::format("line {}: {}", line, message), path);
}

// Columns that hold no sensor (Arm's sds-convert leaves the same ones out).
bool is_sensor(const std::string& name) {
  for (const char* other : {"timeslot", "index", "event", "label", "data_type", "seconds", "recording_id", "event_id"})
    if (name == other) return false;
  return true;
}

// The list with its words (nan, -inf), which JSON does not have, as texts.
std::string with_words_quoted(std::string_view list) {
  std::string out;
  bool in_word = false;
  for (const char c : list) {
    // Not the one of an exponent, which stands behind a digit.
    const bool in_number = !out.empty() && ((out.back() >= '0' && out.back() <= '9') || out.back() == '.');
    const bool letter = !in_number && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
    if (letter && !in_word) {
      const bool negative = out.ends_with('-');
      if (negative) out.pop_back();
      out += negative ? "\"-" : "\"";
    }
    if (!letter && in_word) out += '"';
    in_word = letter;
    out += c;
  }
  return out;
}

// What a word says: Python's nan and inf, JavaScript's NaN and Infinity.
std::optional<double> number_of_word(std::string_view word) {
  const bool negative = word.starts_with('-');
  if (negative) word.remove_prefix(1);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (word == "nan" || word == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (word == "inf" || word == "Infinity") return negative ? -infinity : infinity;
  return std::nullopt;
}

// A cell: "[[1, 2, 3], [4, 5, 6]]" or "[1, 2]"; one row of values a sample.
std::optional<std::string> parse_cell(std::string_view text, std::vector<std::vector<ImportValue>>& samples) {
  samples.clear();
  if (text.empty()) return std::nullopt;
  auto json = nlohmann::json::parse(text, nullptr, false);
  std::string quoted;
  if (json.is_discarded()) {
    text = quoted = with_words_quoted(text);
    json = nlohmann::json::parse(text, nullptr, false);
  }
  if (!json.is_array()) return "a list of samples was expected";
  bool suspect = false;
  const auto add = [&](std::vector<ImportValue>& values, const nlohmann::json& number) {
    if (number.is_string()) {
      const auto word = number_of_word(number.get_ref<const std::string&>());
      if (word) values.emplace_back(*word);
      return word.has_value();
    }
    if (!number.is_number()) return false;
    suspect = suspect || may_have_changed(number);
    values.push_back(value_of(number));
    return true;
  };
  for (const auto& sample : json) {
    std::vector<ImportValue> values;
    if (sample.is_array()) {
      for (const auto& value : sample)
        if (!add(values, value)) return "a sample is no list of numbers";
    } else if (!add(values, sample)) {
      return "a sample is no list of numbers";
    }
    if (values.empty() || values.size() > 4096) return "a sample without values, or with more than 4096";
    samples.push_back(std::move(values));
  }
  return suspect ? changed_number(text) : std::nullopt;
}

}  // namespace

namespace {

// What a file has, row by row.
struct Visitor {
  std::function<Expected<void>(std::size_t column, double begin_s, std::vector<std::vector<ImportValue>>& samples)>
      cell;
  std::function<Expected<void>(double begin_s, const std::string& label)> row;  // of every row, with a label or none
};

Expected<void> for_each_cell(const std::filesystem::path& input, std::vector<std::string>& header, const Visitor& visit,
                             const OnProgress& on_progress) {
  header.clear();
  std::optional<std::size_t> time_column;
  std::optional<std::size_t> label_column;
  std::vector<std::vector<ImportValue>> samples;
  auto done = read_csv_file(
      input, ',',
      [&](const CsvRow& row) -> Expected<bool> {
        if (header.empty()) {
          header.assign(row.fields.begin(), row.fields.end());
          for (std::size_t c = 0; c < header.size(); ++c) {
            if (find_invalid_utf8(header[c])) return at_line(row.line, "a column's name is not valid UTF-8", input);
            if (header[c] == "timeslot") time_column = c;
            if (header[c] == "label") label_column = c;
          }
          if (!time_column) return at_line(row.line, "no column 'timeslot': this is no Qeexo CSV of version 2", input);
          return true;
        }
        if (row.fields.size() != header.size())
          return at_line(row.line, fmt::format("{} columns, but the header has {}", row.fields.size(), header.size()),
                         input);
        auto timeslot = parse_csv_number(row.fields[*time_column]);
        if (!timeslot || !std::isfinite(*timeslot))
          return at_line(row.line,
                         "timeslot: " + (timeslot ? std::string("it is no number") : timeslot.error().message), input);
        const double begin = *timeslot / 1000;
        for (std::size_t c = 0; c < header.size(); ++c) {
          if (!is_sensor(header[c])) continue;
          if (const auto problem = parse_cell(row.fields[c], samples))
            return at_line(row.line, fmt::format("column {}: {}", header[c], *problem), input);
          if (samples.empty()) continue;
          if (auto taken = visit.cell(c, begin, samples); !taken)
            return at_line(row.line, taken.error().message, input);
        }
        const std::string name(label_column ? row.fields[*label_column] : std::string_view());
        if (find_invalid_utf8(name)) return at_line(row.line, "the label is not valid UTF-8", input);
        if (auto taken = visit.row(begin, name); !taken) return at_line(row.line, taken.error().message, input);
        return true;
      },
      on_progress);
  if (done && header.empty()) return fail(ErrorCode::bad_input, "the file is empty: a header was expected", input);
  return done;
}

// To four digits, and to the whole number.
std::string rough(double hz) { return hz < 1000 ? fmt::format("{:.4g}", hz) : fmt::format("{:.0f}", hz); }

constexpr double kTellFrom = 1e-3;              // how far rates that fit lie apart, of the rate
constexpr std::size_t kMostCounts = 4'000'000;  // of labels, of each sensor
constexpr double kUsualInterval = 0.05;         // of the rows that Arm's sds-convert writes

// What the rows say of the times in them: nothing but when they begin.
struct RowTimes {
  double interval_s = kUsualInterval;               // from row to row as a rule
  std::map<std::size_t, Frequency> rate_of_column;  // where one fits
  std::vector<std::string> found;                   // where quite other rates fit, too, or none
};

Expected<RowTimes> look_at_rows(const std::filesystem::path& input, const OnProgress& on_progress) {
  constexpr std::size_t most = 1'000'000;  // rows, and cells, that are looked at
  std::map<std::size_t, RowRate> rates;
  std::size_t cells = 0;
  std::vector<double> steps;
  std::optional<double> last;
  std::vector<std::string> header;
  Visitor look;
  look.cell = [&](std::size_t column, double begin, auto& samples) -> Expected<void> {
    if (++cells <= most) rates[column].add(begin, samples.size());
    return {};
  };
  look.row = [&](double begin, const std::string&) -> Expected<void> {
    if (last && begin > *last && steps.size() < most) steps.push_back(begin - *last);
    last = begin;
    return {};
  };
  if (auto done = for_each_cell(input, header, look, on_progress); !done) return fail(done);
  RowTimes times;
  if (!steps.empty()) {
    const auto median = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
    std::nth_element(steps.begin(), median, steps.end());
    times.interval_s = *median;
  }
  for (const auto& [column, rows] : rates) {
    const auto found = rows.rate(times.interval_s);
    if (!found) {
      times.found.push_back(fmt::format("{}: no rate is told by its rows: the samples of each are spread over {:.6g} s",
                                        header[column], times.interval_s));
      continue;
    }
    times.rate_of_column.emplace(column, found->rate);
    if (found->fastest_hz - found->slowest_hz > kTellFrom * found->rate.hz())
      times.found.push_back(
          fmt::format("{}: {} Hz; {}{} fit the rows", header[column], found->rate.to_string(), rough(found->slowest_hz),
                      std::isinf(found->fastest_hz) ? " Hz and more" : " to " + rough(found->fastest_hz) + " Hz"));
  }
  return times;
}

// Where the samples of a sensor's rows are: one after the other by the rate, from the row's begin where that is
// farther off than a row.
class SamplesInRows {
 public:
  double first_of(double begin_s, std::size_t samples, const Frequency& rate, double interval_s) {
    double first = start_s_ + static_cast<double>(since_) / rate.hz();
    if (!any_ || std::abs(first - begin_s) > interval_s * 1.001) {
      any_ = true;
      start_s_ = first = begin_s;
      since_ = 0;
    }
    since_ += samples;
    return first;
  }

 private:
  bool any_ = false;
  double start_s_ = 0;
  std::uint64_t since_ = 0;
};

// Rows of one class, one after the other: how many samples of each table there were before them, and then.
struct LabelledRows {
  std::string name;
  std::vector<std::uint64_t> begin;
  std::vector<std::uint64_t> end;
};

// Without rows where no sample has it.
ImportedLabel label_of(const LabelledRows& run, std::size_t tables) {
  const auto count = [](const std::vector<std::uint64_t>& counts, std::size_t t) {
    return t < counts.size() ? counts[t] : 0;
  };
  ImportedLabel label{run.name, 0, 0, kTool, "", "", {}, {}};
  bool any = false;
  for (std::size_t t = 0; t < tables; ++t) {
    label.rows.push_back({t, count(run.begin, t), count(run.end, t)});
    any = any || count(run.begin, t) < count(run.end, t);
  }
  if (!any) label.rows.clear();
  return label;
}

}  // namespace

Expected<ImportReport> import_qeexo(const std::filesystem::path& input, const std::filesystem::path& output,
                                    const ImportOptions& options, const OnProgress& on_progress) {
  RowTimes times;
  if (options.interval_s) {
    times.interval_s = *options.interval_s;
  } else {
    auto found = look_at_rows(input, on_progress);
    if (!found) return fail(found);
    times = std::move(*found);
  }
  ImportedLabels imported;
  std::vector<ImportedLabel>& labels = imported.labels;
  const ForEachRow rows = [&](std::vector<ImportTable>& tables, const OnImportRow& on_row) -> Expected<void> {
    std::vector<std::string> header;
    std::map<std::size_t, std::size_t> table_of;
    std::map<std::size_t, SamplesInRows> places;
    // Of each table: how many samples there are, and were before the row.
    std::vector<std::uint64_t> samples_so_far;
    std::vector<std::uint64_t> before_row;
    std::vector<LabelledRows> runs;
    bool goes_on = false;
    Visitor take;
    take.cell = [&](std::size_t c, double begin, std::vector<std::vector<ImportValue>>& samples) -> Expected<void> {
      const auto rate = times.rate_of_column.find(c);
      const bool known = rate != times.rate_of_column.end();
      const auto [place, is_new] = table_of.try_emplace(c, tables.size());
      if (is_new) {
        ImportTable table;
        table.name = header[c];
        table.description = "Imported from " + input.filename().string();
        if (known) table.rate = rate->second;
        const std::size_t width = samples.front().size();
        static constexpr std::array axes{"x", "y", "z"};
        for (std::size_t v = 0; v < width; ++v)
          table.columns.push_back({width == 1 ? header[c] : width == 3 ? axes[v] : fmt::format("value_{}", v + 1), ""});
        tables.push_back(std::move(table));
        samples_so_far.push_back(0);
      }
      const std::size_t table = place->second;
      const double first = known ? places[c].first_of(begin, samples.size(), rate->second, times.interval_s) : begin;
      const double step = known ? 1 / rate->second.hz() : times.interval_s / static_cast<double>(samples.size());
      for (std::size_t k = 0; k < samples.size(); ++k) {
        if (samples[k].size() != tables[table].columns.size())
          return fail(ErrorCode::bad_input, fmt::format("column {}: {} values, {} before", header[c], samples[k].size(),
                                                        tables[table].columns.size()));
        if (auto taken = on_row(table, first + step * static_cast<double>(k), samples[k]); !taken) return taken;
      }
      samples_so_far[table] += samples.size();
      return {};
    };
    take.row = [&](double, const std::string& name) -> Expected<void> {
      goes_on = goes_on && name == runs.back().name;
      if (!goes_on && !name.empty() && runs.size() <= LabelFile::max_labels) {
        if ((runs.size() + 1) * tables.size() > kMostCounts)
          return fail(ErrorCode::limit, fmt::format("more than {} labels of {} sensors", runs.size(), tables.size()));
        runs.push_back({name, before_row, {}});
        goes_on = true;
      }
      if (goes_on) runs.back().end = samples_so_far;
      before_row = samples_so_far;
      return {};
    };
    if (auto done = for_each_cell(input, header, take, on_progress); !done) return done;
    labels.clear();
    for (const auto& run : runs)
      if (auto label = label_of(run, tables.size()); !label.rows.empty()) labels.push_back(std::move(label));
    return {};
  };
  auto report = import_tables(input, output, options, kTool, rows, &imported);
  if (!report && report.error().path.empty()) report.error().path = input;
  if (report) report->found.insert(report->found.end(), times.found.begin(), times.found.end());
  return report;
}

}  // namespace sds
