// XDF 1.0 (github.com/sccn/xdf, wiki "Specifications"): chunks of a length, a tag and content.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <utility>

#include "clock_offsets.hpp"
#include "sds/format/file.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

constexpr const char* kTool = "sdskit import xdf";

constexpr std::uint64_t kMaxChunk = std::uint64_t{64} << 20;
constexpr std::size_t kMaxValues = 4096;
constexpr double kMostSeconds = 1e11;
constexpr std::size_t kMaxText = 200;

enum class Form { i8, i16, i32, i64, f32, f64, text };

struct XdfStream {
  std::size_t channels = 0;
  double rate = 0;  // 0: irregular
  Form form = Form::f32;
  ImportTable table;
  std::optional<std::size_t> index;  // among the tables
  double last_time = 0;
  std::vector<ClockOffset> offsets;
  std::uint64_t no_offsets = 0;  // that are no times
  std::uint64_t bad_texts = 0;   // that are no UTF-8
  std::uint64_t long_texts = 0;  // that were cut
  OffsetClock clock;
};

// Length of what follows: a byte that says how many bytes the number has, then the number.
std::optional<std::uint64_t> take_length(ByteReader& reader) {
  const auto bytes = reader.number<std::uint8_t>();
  if (!bytes) return std::nullopt;
  if (*bytes == 1) return reader.number<std::uint8_t>();
  if (*bytes == 4) return reader.number<std::uint32_t>();
  if (*bytes == 8) return reader.number<std::uint64_t>();
  return std::nullopt;
}

class XdfReader {
 public:
  XdfReader(const std::filesystem::path& path, std::vector<ImportTable>& tables, const OnImportRow& on_row,
            const OnProgress& on_progress, std::vector<ImportedLabel>& labels, std::set<std::string>& losses)
      : path_(path), tables_(tables), on_row_(on_row), on_progress_(on_progress), labels_(labels), losses_(losses) {}

  Expected<void> read() {
    // Clock offsets stand anywhere in the file, and are needed from the first sample on.
    if (auto done = walk(false); !done) return done;
    for (auto& [id, stream] : streams_) stream.clock = OffsetClock(std::exchange(stream.offsets, {}));
    return walk(true);
  }

  /// What of each stream was left out or cut, and how often its clock was reset. After read().
  [[nodiscard]] std::vector<std::string> stream_notes() const {
    std::vector<std::string> notes;
    for (const auto& [id, stream] : streams_) {
      if (const auto n = stream.bad_texts; n > 0)
        notes.push_back(
            fmt::format("{}: {} text{} no UTF-8, left out", stream.table.name, n, n == 1 ? " is" : "s are"));
      if (const auto n = stream.long_texts; n > 0)
        notes.push_back(
            fmt::format("{}: {} text{} cut after {} bytes", stream.table.name, n, n == 1 ? " is" : "s are", kMaxText));
      if (stream.no_offsets > 0)
        notes.push_back(fmt::format("{}: {} of its clock offsets {}, left out", stream.table.name, stream.no_offsets,
                                    stream.no_offsets == 1 ? "is no time" : "are no times"));
      if (const auto n = stream.clock.resets(); n > 0)
        notes.push_back(fmt::format("{}: its clock was reset {}, each part has clock offsets of its own",
                                    stream.table.name, n == 1 ? "once" : fmt::format("{} times", n)));
    }
    return notes;
  }

 private:
  tl::unexpected<Error> bad(const std::string& what) const { return fail(ErrorCode::bad_input, what, path_, at_); }

  Expected<void> walk(bool samples) {
    auto file = InputFile::open(path_);
    if (!file) return fail(file);
    std::array<std::byte, 4> magic{};
    auto got = (*file)->read(0, magic);
    if (!got) return fail(got);
    if (*got < 4 || std::memcmp(magic.data(), "XDF:", 4) != 0)
      return fail(ErrorCode::bad_input, "does not begin as an XDF file does", path_, 0);
    Bytes content;
    for (at_ = 4;;) {
      std::array<std::byte, 9> head{};
      auto bytes = (*file)->read(at_, head);
      if (!bytes) return fail(bytes);
      if (*bytes == 0) return {};
      ByteReader reader(ByteView(head).first(*bytes));
      const auto length = take_length(reader);
      const std::size_t head_bytes = *bytes - reader.left();
      if (!length || *length < 2) {
        if (*bytes < head.size()) break;
        return bad("a chunk of a length that is none");
      }
      auto size = (*file)->size();
      if (!size) return fail(size);
      if (*length > *size - std::min(*size, at_ + head_bytes)) break;
      const std::uint64_t next = at_ + head_bytes + *length;
      std::array<std::byte, 2> tag_bytes{};
      auto tag_got = (*file)->read(at_ + head_bytes, tag_bytes);
      if (!tag_got) return fail(tag_got);
      const auto tag = load_le<std::uint16_t>(tag_bytes.data());
      const bool wanted = samples ? tag == 3 : tag == 2 || tag == 4;
      if (wanted) {
        if (*length > kMaxChunk)
          return fail(ErrorCode::limit, fmt::format("a chunk of {} bytes, more than {} MiB", *length, kMaxChunk >> 20),
                      path_, at_);
        content.resize(*length - 2);
        auto whole = (*file)->read(at_ + head_bytes + 2, content);
        if (!whole) return fail(whole);
        if (*whole < content.size()) break;
        auto done = tag == 2 ? header(content) : tag == 4 ? offset(content) : chunk(content);
        if (!done) return done;
        if (samples)
          if (auto go_on = report(on_progress_, *length); !go_on) return go_on;
      }
      at_ = next;
    }
    losses_.insert("the imported file ends within a chunk: it was cut off");
    return {};
  }

  Expected<void> header(ByteView content) {
    ByteReader reader(content);
    const auto id = reader.number<std::uint32_t>();
    if (!id) return bad("a stream header that is cut short");
    const ByteView text = content.subspan(4);
    pugi::xml_document document;
    const auto parsed = document.load_buffer(text.data(), text.size());
    if (!parsed) return bad(fmt::format("the header of stream {} is no XML: {}", *id, parsed.description()));
    const auto info = document.child("info");
    XdfStream stream;
    const int channels = info.child("channel_count").text().as_int();
    if (channels < 1 || static_cast<std::size_t>(channels) > kMaxValues)
      return bad(fmt::format("stream {} has {} channels", *id, channels));
    stream.channels = static_cast<std::size_t>(channels);
    stream.rate = info.child("nominal_srate").text().as_double();
    if (!std::isfinite(stream.rate) || stream.rate < 0) stream.rate = 0;
    static const std::map<std::string, Form> forms{
        {"int8", Form::i8},     {"int16", Form::i16},    {"int32", Form::i32},  {"int64", Form::i64},
        {"float32", Form::f32}, {"double64", Form::f64}, {"string", Form::text}};
    const std::string form = info.child("channel_format").text().as_string();
    const auto found = forms.find(form);
    if (found == forms.end()) return bad(fmt::format("stream {} has the unknown format '{}'", *id, form.substr(0, 20)));
    stream.form = found->second;
    stream.table.binary = true;
    stream.table.name = info.child("name").text().as_string("stream");
    stream.table.description = fmt::format("{} ({}), imported from {}", info.child("type").text().as_string(),
                                           info.child("source_id").text().as_string(), path_.filename().string());
    if (stream.rate > 0) {
      auto rate = Frequency::parse(fmt::format("{:.10g}", stream.rate));
      if (rate) stream.table.rate = *rate;
    }
    auto channel = info.child("desc").child("channels").child("channel");
    for (std::size_t c = 0; c < stream.channels; ++c, channel = channel.next_sibling("channel")) {
      const std::string label = channel.child("label").text().as_string();
      stream.table.columns.push_back(
          {label.empty() ? fmt::format("channel_{}", c + 1) : label, channel.child("unit").text().as_string()});
    }
    if (streams_.size() >= 4096) return fail(ErrorCode::limit, "more than 4096 streams", path_, at_);
    streams_.emplace(*id, std::move(stream));
    return {};
  }

  Expected<void> offset(ByteView content) {
    ByteReader reader(content);
    const auto id = reader.number<std::uint32_t>();
    const auto time = reader.number<double>();
    const auto value = reader.number<double>();
    if (!id || !time || !value) return bad("a clock offset that is cut short");
    const auto stream = streams_.find(*id);
    if (stream == streams_.end()) return bad(fmt::format("a clock offset of stream {}, which has no header", *id));
    // As of samples; what is beyond that is garbage, which recorders are known to write when a device goes.
    if (std::abs(*time) <= kMostSeconds && std::abs(*value) <= kMostSeconds)
      stream->second.offsets.push_back({*time, *value});
    else
      ++stream->second.no_offsets;
    return {};
  }

  Expected<void> chunk(ByteView content) {
    ByteReader reader(content);
    const auto id = reader.number<std::uint32_t>();
    const auto count = id ? take_length(reader) : std::nullopt;
    if (!count) return bad("a chunk of samples that is cut short");
    const auto found = streams_.find(*id);
    if (found == streams_.end()) return bad(fmt::format("samples of stream {}, which has no header", *id));
    XdfStream& stream = found->second;
    if (stream.form != Form::text && !stream.index) {
      stream.index = tables_.size();
      tables_.push_back(stream.table);
    }
    for (std::uint64_t s = 0; s < *count; ++s) {
      const auto stamp = reader.number<std::uint8_t>();
      if (!stamp || (*stamp != 0 && *stamp != 8))
        return bad(fmt::format("sample {} of a chunk has no time stamp of 0 or 8 bytes", s));
      double time = stream.last_time + (stream.rate > 0 ? 1 / stream.rate : 0);
      if (*stamp == 8) {
        const auto stored = reader.number<double>();
        if (!stored) return bad("a time stamp that is cut short");
        time = *stored;
      }
      stream.last_time = time;
      const double synchronized = stream.clock.synchronized(time);
      row_.clear();
      for (std::size_t c = 0; c < stream.channels; ++c) {
        if (stream.form == Form::text) {
          const auto length = take_length(reader);
          const auto bytes = length && *length <= reader.left() ? reader.take(*length) : std::nullopt;
          if (!bytes) return bad("a text that is cut short");
          mark(stream, c, synchronized, std::string(as_text(*bytes)));
          continue;
        }
        const auto value = number(reader, stream.form);
        if (!value) return bad("a sample that is cut short");
        row_.push_back(*value);
      }
      if (stream.form == Form::text) continue;
      auto taken = on_row_(*stream.index, synchronized, row_);
      if (!taken) {
        if (taken.error().path.empty()) taken.error().path = path_;
        return taken;
      }
    }
    return {};
  }

  // A marker is an instant; a label has to last, if only for a millisecond. Of several channels the note says which.
  void mark(XdfStream& stream, std::size_t channel, double time, std::string text) {
    if (text.empty()) return;
    if (find_invalid_utf8(text)) {
      ++stream.bad_texts;
      return;
    }
    if (text.size() > kMaxText) {
      ++stream.long_texts;
      text.resize(kMaxText);
      while (find_invalid_utf8(text)) text.pop_back();  // a character that is cut
    }
    const std::string note =
        stream.channels > 1 ? fmt::format("{}.{}", stream.table.name, stream.table.columns[channel].name) : "";
    // One more than there may be, which is told.
    if (labels_.size() <= LabelFile::max_labels) labels_.push_back({text, time, time + 0.001, kTool, "", note, {}});
  }

  static std::optional<ImportValue> number(ByteReader& reader, Form form) {
    const auto as_double = [](auto value) {
      return value ? std::optional(ImportValue(static_cast<double>(*value))) : std::nullopt;
    };
    switch (form) {
      case Form::i8:
        return as_double(reader.number<std::int8_t>());
      case Form::i16:
        return as_double(reader.number<std::int16_t>());
      case Form::i32:
        return as_double(reader.number<std::int32_t>());
      case Form::i64:
        if (const auto value = reader.number<std::int64_t>()) return ImportValue::whole(*value);
        return std::nullopt;
      case Form::f32:
        return as_double(reader.number<float>());
      default:
        return as_double(reader.number<double>());
    }
  }

  const std::filesystem::path& path_;
  std::vector<ImportTable>& tables_;
  const OnImportRow& on_row_;
  const OnProgress& on_progress_;
  std::vector<ImportedLabel>& labels_;
  std::set<std::string>& losses_;
  std::uint64_t at_ = 0;
  std::map<std::uint32_t, XdfStream> streams_;
  std::vector<ImportValue> row_;
};

}  // namespace

Expected<ImportReport> import_xdf(const std::filesystem::path& input, const std::filesystem::path& output,
                                  const ImportOptions& options, const OnProgress& on_progress) {
  ImportedLabels imported;
  std::vector<ImportedLabel>& labels = imported.labels;
  std::set<std::string> losses;
  std::vector<std::string> stream_notes;
  const ForEachRow rows = [&](std::vector<ImportTable>& tables, const OnImportRow& on_row) {
    labels.clear();
    XdfReader reader(input, tables, on_row, on_progress, labels, losses);
    auto done = reader.read();
    stream_notes = reader.stream_notes();
    return done;
  };
  auto report = import_tables(input, output, options, kTool, rows, &imported, &losses);
  if (report) report->notes.insert(report->notes.end(), stream_notes.begin(), stream_notes.end());
  if (!report && report.error().path.empty()) report.error().path = input;
  return report;
}

}  // namespace sds
