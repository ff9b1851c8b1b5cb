#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "rate_fit.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

// The number has no end for most rates: with six digits and more it was rounded, and stands for the simplest rate
// within half a unit of its last digit, and of a double's.
std::optional<Frequency> rate_of_interval(double interval_ms) {
  if (!std::isfinite(interval_ms)) return std::nullopt;
  int digits = 1;
  std::string text;
  const auto read = [](const std::string& number) { return std::strtod(number.c_str(), nullptr); };
  while (read(text = fmt::format("{:.{}e}", interval_ms, digits - 1)) != interval_ms && digits < 17) ++digits;
  const double last = std::pow(10.0, std::stoi(text.substr(text.find('e') + 1)) - (digits - 1));
  const double off = std::max(digits < 6 ? 0 : last / 2, std::numeric_limits<double>::epsilon() * interval_ms);
  return simplest_rate(1000 / (interval_ms + off), 1000 / (interval_ms - off));
}

// nlohmann::json calls itself for every piece of a text that begins pieces of its own, which RFC 8949 (3.2.3) forbids:
// millions of them would end the program. Looks at the heads of all items, and says where the first such piece is.
std::optional<std::uint64_t> piece_within_pieces(std::istream& file) {
  std::streambuf& in = *file.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  std::uint64_t at = 0;
  bool pieces = false;
  for (int head = in.sbumpc(); head != kEnd; head = in.sbumpc()) {
    ++at;
    const int major = head >> 5;
    const int info = head & 31;
    std::uint64_t length = info < 24 ? static_cast<std::uint64_t>(info) : 0;
    for (int bytes = info < 24 || info > 27 ? 0 : 1 << (info - 24); bytes > 0; --bytes, ++at)
      length = length << 8 | static_cast<std::uint64_t>(in.sbumpc() & 0xFF);
    if (head == 0xFF) pieces = false;
    if (major != 2 && major != 3) continue;
    if (info == 31 && pieces) return at;
    if (info == 31) {
      pieces = true;
      continue;
    }
    at += length;
    for (; length > 0 && in.sgetc() != kEnd; --length) in.sbumpc();
  }
  return std::nullopt;
}

// Follows a document of any size from front to back; only names, the interval and one row are kept.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Reader(std::vector<ImportTable>& tables, const ImportOptions& options, const std::filesystem::path& path,
         const OnImportRow& on_row, const OnProgress& on_progress)
      : tables_(tables), options_(options), path_(path), on_row_(on_row), on_progress_(on_progress) {}

  bool null() override { return value(ImportValue(std::nan(""))); }
  bool boolean(bool v) override { return value(ImportValue(v ? 1 : 0)); }
  bool number_integer(number_integer_t v) override { return value(ImportValue::whole(v)); }
  bool number_unsigned(number_unsigned_t v) override { return value(ImportValue::whole(v)); }
  bool number_float(number_float_t v, const string_t& text) override {
    // CBOR has no text: its numbers are what they are.
    if (!text.empty())
      if (auto read = parse_value(text); !read) return stop(read.error().message);
    return value(ImportValue(v));
  }
  bool string(string_t& v) override {
    if (in_sensor() && key_ == "name") names_.back().name = v;
    if (in_sensor() && key_ == "units" && v != "N/A" && v != "wav") names_.back().unit = v;
    if (in_values()) return stop("a value is text");
    return true;
  }
  bool binary(binary_t&) override { return stop("binary data was not expected"); }
  bool start_object(std::size_t) override {
    if (path_is({"payload", "sensors"}) && arrays_ == 1 && names_.size() < 4097) names_.push_back({});
    return push(key_, true);
  }
  bool key(string_t& v) override {
    key_ = v;
    return true;
  }
  bool end_object() override { return pop(); }
  bool start_array(std::size_t) override {
    if (path_is({"payload"}) && (key_ == "values" || key_ == "sensors")) section_ = key_;
    if (!push(key_, false)) return false;
    if (!section_.empty() && path_is({"payload", section_.c_str()})) ++arrays_;
    if (in_values() && arrays_ > 2) return stop("values are nested too deep");
    if (in_values() && arrays_ == 2) row_.clear();
    return true;
  }
  bool end_array() override {
    const bool row_ends = in_values() && arrays_ == 2;
    if (!section_.empty() && path_is({"payload", section_.c_str()}) && arrays_ > 0) --arrays_;
    if (!pop()) return false;
    if (arrays_ == 0) section_.clear();
    return !row_ends || finish_row();
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    if (!error_)
      error_ = Error{ErrorCode::bad_input, std::string("not what the format wants: ") + error.what(), path_, position};
    return false;
  }

  Expected<void> finish() {
    if (error_) return tl::unexpected<Error>(*error_);
    if (rows_ == 0)
      return fail(ErrorCode::bad_input, "no 'values' in a 'payload': this is no Edge Impulse acquisition", path_);
    return {};
  }

 private:
  struct Level {
    std::string key;
    bool object;
  };
  // The keys of the objects around this place; an array adds nothing to its own key.
  [[nodiscard]] bool path_is(std::initializer_list<const char*> keys) const {
    std::size_t at = 0;
    const auto wanted = keys.begin();
    for (const auto& level : levels_) {
      if (level.key.empty()) continue;
      if (at >= keys.size() || level.key != wanted[at]) return false;
      ++at;
    }
    return at == keys.size();
  }
  [[nodiscard]] bool in_values() const { return section_ == "values" && arrays_ > 0; }
  [[nodiscard]] bool in_sensor() const { return section_ == "sensors" && arrays_ == 1 && !names_.empty(); }
  bool push(const std::string& key, bool object) {
    if (levels_.size() > 32) return stop("nested too deep");
    levels_.push_back({key, object});
    key_.clear();
    return true;
  }
  bool pop() {
    levels_.pop_back();
    key_.clear();
    return true;
  }
  bool stop(const std::string& message) {
    if (!error_)
      error_ = Error{
          ErrorCode::bad_input, rows_ > 0 ? fmt::format("sample {}: {}", rows_ + 1, message) : message, path_, {}};
    return false;
  }
  bool value(const ImportValue& v) {
    if (!in_values()) {
      if (path_is({"payload"}) && key_ == "interval_ms") interval_ms_ = v.nearest();
      return true;
    }
    row_.push_back(v);
    if (row_.size() > 4096) return stop("more than 4096 values");
    // One sensor: a list of numbers, not of lists.
    return arrays_ == 2 || finish_row();
  }
  bool finish_row() {
    if (rows_ == 0) {
      if (!(interval_ms_ > 0)) return stop("no 'interval_ms' before the values");
      ImportTable table;
      table.name = options_.stream.empty() ? path_.stem().string() : options_.stream;
      table.description = "Imported from " + path_.filename().string();
      table.columns = names_;
      table.columns.resize(row_.size());
      table.rate = rate_of_interval(interval_ms_);
      tables_.push_back(std::move(table));
      width_ = row_.size();
    }
    if (row_.size() != width_) return stop(fmt::format("{} values, {} before", row_.size(), width_));
    const double time = tables_.front().rate ? seconds(0, Frequency{}, rows_, *tables_.front().rate)
                                             : static_cast<double>(rows_) * interval_ms_ / 1000;
    auto taken = on_row_(0, time, row_);
    if (taken && ++rows_ % 4096 == 0) taken = report(on_progress_, std::uint64_t{4096} * 8 * width_);
    if (!taken) {
      error_ = taken.error();
      return false;
    }
    row_.clear();
    return true;
  }

  std::vector<ImportTable>& tables_;
  const ImportOptions& options_;
  const std::filesystem::path& path_;
  const OnImportRow& on_row_;
  const OnProgress& on_progress_;
  std::vector<Level> levels_;
  std::string key_;
  std::string section_;  // "values" or "sensors" of the payload while inside
  int arrays_ = 0;       // how deep in its arrays
  std::vector<ImportColumn> names_;
  double interval_ms_ = 0;
  std::vector<ImportValue> row_;
  std::size_t width_ = 0;
  std::uint64_t rows_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Expected<ImportReport> import_edge_impulse(const std::filesystem::path& input, const std::filesystem::path& output,
                                           const ImportOptions& options, const OnProgress& on_progress) {
  const ForEachRow rows = [&](std::vector<ImportTable>& tables, const OnImportRow& on_row) -> Expected<void> {
    std::ifstream file(input, std::ios::binary);
    if (!file) return fail(ErrorCode::io, "cannot open", input);
    // CBOR begins with a map, JSON with a brace or white space.
    const bool cbor = (file.peek() & 0xE0) == 0xA0;
    if (cbor) {
      if (const auto at = piece_within_pieces(file))
        return fail(ErrorCode::bad_input, "not what the format wants: a text in pieces within a text in pieces", input,
                    *at - 1);
      file.clear();
      file.seekg(0);
    }
    Reader reader(tables, options, input, on_row, on_progress);
    nlohmann::json::sax_parse(file, &reader,
                              cbor ? nlohmann::json::input_format_t::cbor : nlohmann::json::input_format_t::json);
    return reader.finish();
  };
  return import_tables(input, output, options, "sdskit import edge-impulse", rows, nullptr);
}

}  // namespace sds
