#include "csv_reader.hpp"

#include <csv.h>
#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <vector>

namespace sds {

namespace {

// Gathers the fields of a row from libcsv's callbacks, which are fed at most a line at a time.
class Parser {
 public:
  Parser(const CsvFormat& format, std::filesystem::path path, const OnCsvRow& on_row)
      : format_(format), path_(std::move(path)), on_row_(on_row) {
    csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_delim(&parser_, static_cast<unsigned char>(format.delimiter));
    // A long field's buffer grows by this much at a time; libcsv's own 128 bytes would copy it thousands of times.
    csv_set_blk_size(&parser_, std::size_t{1} << 18);
  }
  ~Parser() { csv_free(&parser_); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // False: the receiver wants no more.
  Expected<bool> push(std::string_view text) {
    if (first_ && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    first_ = false;
    while (!text.empty() && go_on_) {
      const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
      text.remove_prefix(line.size());
      const bool ends = line.ends_with('\n');
      // Nothing of a row, or a quoted field of several lines, is open.
      const bool between_rows = row_line_ == line_;
      if (line_begins_) dropped_ = drops(line, between_rows);
      line_begins_ = ends;
      if (dropped_ != Dropped::no) {
        drop(line);
        continue;
      }
      const std::size_t parsed = csv_parse(&parser_, line.data(), line.size(), on_field, on_end, this);
      if (ends) ++line_;
      if (auto bad = problem(parsed == line.size()); bad) return tl::unexpected<Error>(*bad);
      if (ends && between_rows && line.find_first_not_of("\r\n") == std::string_view::npos) row_line_ = line_;
    }
    return go_on_;
  }

  Expected<void> finish() {
    if (!go_on_) return {};
    if (dropped_ == Dropped::comment && format_.on_comment) format_.on_comment(line_, comment_);
    const bool done = csv_fini(&parser_, on_field, on_end, this) == 0;
    if (auto bad = problem(done); bad) return tl::unexpected<Error>(*bad);
    return {};
  }

 private:
  enum class Dropped { no, skipped, comment };

  [[nodiscard]] Dropped drops(std::string_view line, bool between_rows) const {
    if (line_ <= format_.skip_lines) return Dropped::skipped;
    const bool comment = format_.comments && between_rows && (line.front() == '#' || line.front() == '%');
    return comment ? Dropped::comment : Dropped::no;
  }
  void drop(std::string_view line) {
    if (dropped_ == Dropped::comment && comment_.size() < max_csv_row_bytes) comment_ += line;
    if (!line.ends_with('\n')) return;
    if (dropped_ == Dropped::comment && format_.on_comment) format_.on_comment(line_, comment_);
    comment_.clear();
    dropped_ = Dropped::no;
    row_line_ = ++line_;
  }

  std::optional<Error> problem(bool parsed) {
    if (error_) return error_;
    if (!parsed && csv_error(&parser_) == CSV_ENOMEM) throw std::bad_alloc();
    if (!parsed)
      return Error{ErrorCode::bad_input, fmt::format("line {}: a stray or unclosed quote", row_line_), path_, {}};
    if (csv_get_buffer_size(&parser_) > max_csv_row_bytes) too_long();
    return error_;
  }
  void too_long() {
    error_ = Error{ErrorCode::limit,
                   fmt::format("line {}: a row of more than {} MiB", row_line_, max_csv_row_bytes >> 20),
                   path_,
                   {}};
  }

  static void on_field(void* text, std::size_t bytes, void* self_pointer) {
    auto& self = *static_cast<Parser*>(self_pointer);
    if (self.error_) return;
    if (self.ends_.size() >= max_csv_columns) {
      self.error_ = Error{ErrorCode::limit,
                          fmt::format("line {}: more than {} columns", self.row_line_, max_csv_columns),
                          self.path_,
                          {}};
      return;
    }
    self.text_.append(static_cast<const char*>(text), bytes);
    self.ends_.push_back(self.text_.size());
    if (self.text_.size() > max_csv_row_bytes) self.too_long();
  }

  static void on_end(int, void* self_pointer) {
    auto& self = *static_cast<Parser*>(self_pointer);
    self.row();
    self.text_.clear();
    self.ends_.clear();
    self.row_line_ = self.line_ + 1;
  }

  void row() {
    if (error_ || !go_on_ || ends_.empty()) return;
    fields_.clear();
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      fields_.push_back(std::string_view(text_).substr(begin, end - begin));
      begin = end;
    }
    auto go_on = on_row_({row_line_, fields_});
    if (!go_on) {
      error_ = go_on.error();
    } else {
      go_on_ = *go_on;
    }
  }

  csv_parser parser_{};
  const CsvFormat& format_;
  std::filesystem::path path_;
  const OnCsvRow& on_row_;
  std::optional<Error> error_;
  bool go_on_ = true;
  bool first_ = true;
  bool line_begins_ = true;
  Dropped dropped_ = Dropped::no;  // what the line being fed is
  std::string comment_;
  std::uint64_t line_ = 1;      // being fed
  std::uint64_t row_line_ = 1;  // where the current row began
  std::string text_;
  std::vector<std::size_t> ends_;
  std::vector<std::string_view> fields_;
};

}  // namespace

Expected<void> read_csv(std::string_view text, const CsvFormat& format, const std::filesystem::path& path,
                        const OnCsvRow& on_row) {
  Parser parser(format, path, on_row);
  if (auto pushed = parser.push(text); !pushed) return fail(pushed);
  return parser.finish();
}

Expected<void> read_csv_file(const std::filesystem::path& path, const CsvFormat& format, const OnCsvRow& on_row,
                             const OnProgress& on_progress) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  Parser parser(format, path, on_row);
  std::string piece(std::size_t{1} << 18, '\0');
  for (std::uint64_t at = 0;;) {
    auto got = (*file)->read(at, std::as_writable_bytes(std::span(piece)));
    if (!got) return fail(got);
    if (*got == 0) return parser.finish();
    at += *got;
    auto go_on = parser.push(std::string_view(piece).substr(0, *got));
    if (!go_on) return fail(go_on);
    if (!*go_on) return {};
    if (auto reported = report(on_progress, *got); !reported) return reported;
  }
}

Expected<double> parse_csv_number(std::string_view text) {
  const std::string_view whole = text;
  while (!text.empty() && (text.front() == ' ' || text.front() == '+')) text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!text.empty() && error == std::errc{} && end == text.data() + text.size()) return value;
  if (error == std::errc::result_out_of_range && end == text.data() + text.size())
    return fail(ErrorCode::bad_input,
                fmt::format("'{}' is beyond what a 64-bit floating-point number can be", whole.substr(0, 40)));
  const bool comma = whole.find(',') != std::string_view::npos;
  return fail(ErrorCode::bad_input,
              fmt::format("'{}' is no number{}", whole.substr(0, 40), comma ? " (with a decimal comma?)" : ""));
}

std::string csv_quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += c;
    out += c;
  }
  return out + '"';
}

}  // namespace sds
