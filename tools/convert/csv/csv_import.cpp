#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "csv_columns.hpp"
#include "csv_look.hpp"
#include "csv_reader.hpp"
#include "csv_text.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

constexpr const char* kTool = "sdskit import csv";

tl::unexpected<Error> at_line(std::uint64_t line, const std::string& message, const std::filesystem::path& path) {
  return fail(ErrorCode::bad_input, fmt::format("line {}: {}", line, message), path);
}

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
    if (columns_ && row.line == look_.row_below) {
      if (options_.second_row != SecondRow::skipped)
        if (auto good = check_width(row); !good) return fail(good);
      return true;
    }
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
    if (auto good = choose(std::move(header), row.line); !good) return fail(good);
    return own ? Expected<bool>(true) : sample(row);
  }

  Expected<void> finish() {
    if (!columns_) return fail(ErrorCode::bad_input, "the file is empty: a header was expected", path_);
    for (const LabelRun& run : runs_) end_label(run);
    if (options_.date_order != DateOrder::told && !(first_form_ && first_form_->by_order))
      return fail(ErrorCode::usage, "an order of dates was given, but no time in it is a date that needs one", path_);
    if (options_.utc_offset_s && !offset_used_)
      return fail(ErrorCode::usage, "an offset to UTC was given, but no time in it is a date without one", path_);
    if (empty_rows_ > 0)
      columns_->notes.push_back(fmt::format("{} at the end, from line {} on, {} left out: only separators are in {}",
                                            empty_rows_ == 1 ? "1 row" : fmt::format("{} rows", empty_rows_),
                                            first_empty_, empty_rows_ == 1 ? "is" : "are",
                                            empty_rows_ == 1 ? "it" : "them"));
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
  Expected<void> choose(std::vector<std::string> header, std::uint64_t line) {
    auto chosen = choose_csv_columns(std::move(header), line, look_, options_, path_);
    if (!chosen) return fail(chosen);
    columns_ = std::move(*chosen);
    values_.resize(columns_->taken.size());
    for (const std::size_t c : columns_->labels) runs_.push_back({c, "", 0});
    tables_.push_back(columns_->table);
    return {};
  }

  Expected<double> time_of(const CsvRow& row, std::string_view field) {
    const CsvColumns& columns = *columns_;
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
    if (columns.date) {
      joined_.assign(trimmed(row.fields[*columns.date]));
      joined_.append(" ").append(trimmed(field));
      field = joined_;
    }
    const auto at_column = [&](const char* what) {
      return at_line(row.line,
                     fmt::format("column {}: '{}' is {}", columns.header[*columns.time], field.substr(0, 40), what),
                     path_);
    };
    const auto date = parse_date_time(field, columns.date_order);
    if (!date || (columns.date && !date->form.has_date)) return at_column("no date like 2024-05-01T12:34:56.789+02:00");
    if (first_form_.value_or(date->form) != date->form)
      return at_column("written in another way than the times before");
    first_form_ = date->form;
    if (!date->form.has_date || date->form.has_zone) return date->seconds;
    date_without_zone_ = true;
    offset_used_ = options_.utc_offset_s.has_value();
    return date->seconds - options_.utc_offset_s.value_or(0);
  }

  [[nodiscard]] Expected<void> check_width(const CsvRow& row) const {
    const std::size_t expected = columns_->header.size();
    std::size_t width = row.fields.size();
    // Some programs end every row with a separator, but not the header.
    while (width > expected && row.fields[width - 1].empty()) --width;
    if (width == expected) return {};
    return at_line(row.line, fmt::format("{} columns, but the header has {}", row.fields.size(), expected), path_);
  }

  Expected<bool> sample(const CsvRow& row) {
    if (auto good = check_width(row); !good) return fail(good);
    const CsvColumns& columns = *columns_;
    double time = 0;
    if (columns.time && std::all_of(row.fields.begin(), row.fields.end(), [](auto f) { return trimmed(f).empty(); })) {
      if (++empty_rows_ == 1) first_empty_ = row.line;
      return true;
    }
    if (empty_rows_ > 0) return at_line(first_empty_, "a row without a time, and others follow", path_);
    if (columns.time) {
      auto read = time_of(row, row.fields[*columns.time]);
      if (!read) return fail(read);
      time = *read;
    } else {
      time = seconds(0, Frequency{}, count_, *options_.rate);
    }
    for (std::size_t v = 0; v < values_.size(); ++v) {
      if (const auto plain = numbers_.parse_plain(row.fields[columns.taken[v]])) {
        values_[v] = *plain;
        continue;
      }
      auto value = numbers_.parse(row.fields[columns.taken[v]]);
      if (!value)
        return at_line(row.line, fmt::format("column {}: {}", columns.header[columns.taken[v]], value.error().message),
                       path_);
      values_[v] = *value;
    }
    for (LabelRun& run : runs_)
      if (auto done = label(run, row, time); !done) return fail(done);
    if (auto taken = on_row_(0, time, values_); !taken) return at_line(row.line, taken.error().message, path_);
    last_time_ = time;
    ++count_;
    return true;
  }

  // Rows of one text in a column.
  struct LabelRun {
    std::size_t column;
    std::string text;
    std::uint64_t first_row;
  };

  Expected<void> label(LabelRun& run, const CsvRow& row, double time) {
    std::string_view name = trimmed(row.fields[run.column]);
    if (says_nothing(name)) name = {};
    if (find_invalid_utf8(name)) return at_line(row.line, std::string("the label ") + kNotUtf8, path_);
    if (count_ > 0 && name == run.text && time >= last_time_) return {};
    end_label(run);
    run.text = name;
    run.first_row = count_;
    return {};
  }
  // Of several columns each has what somebody else says.
  void end_label(const LabelRun& run) {
    if (run.text.empty() || count_ == run.first_row || labels_.size() > LabelFile::max_labels) return;
    const std::string author = runs_.size() > 1 ? columns_->header[run.column] : kTool;
    ImportedLabel made{run.text, 0, 0, author, "", "", {}, {}};
    made.rows = {{0, run.first_row, count_}};
    labels_.push_back(std::move(made));
  }

  const std::filesystem::path& path_;
  const ImportOptions& options_;
  const CsvLook& look_;
  std::vector<ImportTable>& tables_;
  const OnImportRow& on_row_;
  std::vector<ImportedLabel>& labels_;
  CsvNumbers numbers_;
  std::optional<CsvColumns> columns_;
  std::vector<ImportValue> values_;
  std::uint64_t count_ = 0;
  double last_time_ = 0;
  std::uint64_t empty_rows_ = 0;  // since the last row that has something
  std::uint64_t first_empty_ = 0;
  std::vector<LabelRun> runs_;  // of each column of labels
  std::optional<DateTime::Form> first_form_;
  std::string joined_;  // a day and a time of day
  bool date_without_zone_ = false;
  bool offset_used_ = false;
};

// What spreadsheets save besides text.
Expected<void> refuse_no_table(const std::filesystem::path& path) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  std::array<std::byte, 4> head{};
  auto got = (*file)->read(0, head);
  if (!got) return fail(got);
  const auto begins_with = [&](std::string_view mark) {
    return *got >= mark.size() && std::memcmp(head.data(), mark.data(), mark.size()) == 0;
  };
  if (begins_with("PK\x03\x04") || begins_with("\xD0\xCF\x11\xE0"))
    return fail(ErrorCode::bad_input, "is no text, but a workbook or an archive: save the table as CSV (UTF-8)", path);
  if (begins_with("\xFF\xFE") || begins_with("\xFE\xFF"))
    return fail(ErrorCode::bad_input, "is UTF-16: `iconv -f utf-16 -t utf-8` makes the text that is read here", path);
  return {};
}

}  // namespace

Expected<ImportReport> import_csv(const std::filesystem::path& input, const std::filesystem::path& output,
                                  const ImportOptions& options, const OnProgress& on_progress) {
  if (auto good = refuse_no_table(input); !good) return fail(good);
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

}  // namespace sds
