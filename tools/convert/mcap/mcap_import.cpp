#include <fmt/format.h>
#include <libdeflate.h>
#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "json_values.hpp"
#include "mcap_format.hpp"
#include "sds/format/file.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

using mcap::Opcode;

constexpr const char* kCutOff = "the imported file has no end: it was cut off";
constexpr std::uint64_t kMaxRecord = std::uint64_t{64} << 20;
constexpr std::size_t kMaxChannels = 4096;
constexpr std::size_t kMaxNumbers = 4096;
constexpr int kMaxDepth = 64;

std::optional<std::string> take_string(ByteReader& reader) {
  const auto size = reader.number<std::uint32_t>();
  const auto bytes = size ? reader.take(*size) : std::nullopt;
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

// All numbers of a message, by their path: "x", "position.x", "scores[0]".
struct Numbers {
  std::vector<std::pair<std::string, ImportValue>> found;
  bool other = false;     // there is text, too
  bool too_deep = false;  // what is deeper is not in it
  bool suspect = false;   // a number may be another than in the text

  void clear() {
    found.clear();
    other = too_deep = suspect = false;
  }
  void add(const nlohmann::json& json, const std::string& path, int depth) {
    if (found.size() > kMaxNumbers || too_deep) return;
    if (json.is_number()) {
      found.emplace_back(path, value_of(json));
      suspect = suspect || may_have_changed(json);
    } else if (json.is_boolean()) {
      found.emplace_back(path, json.get<bool>() ? 1 : 0);
    } else if (json.is_null()) {
      found.emplace_back(path, std::nan(""));
    } else if (!json.is_structured()) {
      other = true;
    } else if (depth == kMaxDepth) {
      too_deep = true;
    } else if (json.is_object()) {
      for (const auto& [key, value] : json.items())
        add(value, path.empty() ? key : fmt::format("{}.{}", path, key), depth + 1);
    } else {
      for (std::size_t i = 0; i < json.size(); ++i) add(json[i], fmt::format("{}[{}]", path, i), depth + 1);
    }
  }
};

std::map<std::string, std::string> take_map(ByteReader& reader) {
  std::map<std::string, std::string> items;
  const auto size = reader.number<std::uint32_t>();
  const auto bytes = size ? reader.take(*size) : std::nullopt;
  if (!bytes) return items;
  ByteReader pairs(*bytes);
  for (auto key = take_string(pairs); key; key = take_string(pairs)) {
    auto value = take_string(pairs);
    if (!value) break;
    items.insert_or_assign(std::move(*key), std::move(*value));
  }
  return items;
}

// Whole and fractional seconds apart: UTC in nanoseconds has more digits than a double.
template <class Nanoseconds>
double seconds_of(Nanoseconds ns) {
  const Nanoseconds whole = ns / 1'000'000'000;
  return static_cast<double>(whole) + static_cast<double>(ns % 1'000'000'000) * 1e-9;
}

struct JsonChannel {
  std::string topic;
  bool json = false;
  std::optional<std::size_t> table;
  std::uint64_t without_numbers = 0;  // messages in front of the first that has some
  std::vector<std::string> paths;     // of the table's columns
  std::string metadata;               // the SDS metadata, if sdskit wrote the file
};

// One pass over a file, record by record; chunks are decompressed one at a time.
class McapReader {
 public:
  McapReader(const std::filesystem::path& path, std::vector<ImportTable>& tables, const OnImportRow& on_row,
             const OnProgress& on_progress, ImportedLabels& labels, std::set<std::string>& notes,
             std::set<std::string>& losses)
      : path_(path),
        tables_(tables),
        on_row_(on_row),
        on_progress_(on_progress),
        labels_(labels),
        notes_(notes),
        losses_(losses) {}

  Expected<void> read() {
    auto file = InputFile::open(path_);
    if (!file) return fail(file);
    std::array<std::byte, 8> start{};
    auto got = (*file)->read(0, start);
    if (!got) return fail(got);
    if (*got != start.size() || std::memcmp(start.data(), mcap::magic.data(), start.size()) != 0)
      return fail(ErrorCode::bad_input, "does not begin as an MCAP file does", path_, 0);
    Bytes content;
    for (std::uint64_t at = start.size();;) {
      std::array<std::byte, 9> head{};
      auto bytes = (*file)->read(at, head);
      if (!bytes) return fail(bytes);
      if (*bytes < head.size()) {
        losses_.insert(kCutOff);
        return {};
      }
      const auto opcode = static_cast<Opcode>(head[0]);
      const std::uint64_t size = load_le<std::uint64_t>(head.data() + 1);
      if (opcode == Opcode::footer || opcode == Opcode::data_end) return {};
      const bool wanted = opcode == Opcode::schema || opcode == Opcode::channel || opcode == Opcode::message ||
                          opcode == Opcode::chunk || (opcode == Opcode::metadata && size <= kMaxRecord);
      if (wanted) {
        if (size > kMaxRecord)
          return fail(ErrorCode::limit, fmt::format("a record of {} bytes, more than {} MiB", size, kMaxRecord >> 20),
                      path_, at);
        content.resize(size);
        auto whole = (*file)->read(at + head.size(), content);
        if (!whole) return fail(whole);
        if (*whole < size) {
          losses_.insert(kCutOff);
          return {};
        }
        if (auto done = record(opcode, content, at, true); !done) return done;
        if (auto go_on = report(on_progress_, size); !go_on) return go_on;
      } else if (size > (std::uint64_t{1} << 60)) {
        return fail(ErrorCode::bad_input, fmt::format("a record of {} bytes", size), path_, at);
      }
      at += head.size() + size;
    }
  }

 private:
  tl::unexpected<Error> bad(const std::string& what, std::uint64_t at) const {
    return fail(ErrorCode::bad_input, what, path_, at);
  }

  Expected<void> record(Opcode opcode, ByteView content, std::uint64_t at, bool chunks) {
    switch (opcode) {
      case Opcode::channel:
        return channel(content, at);
      case Opcode::message:
        return message(content, at);
      case Opcode::metadata:
        return metadata(content);
      case Opcode::chunk:
        return chunks ? chunk(content, at) : bad("a chunk within a chunk", at);
      default:
        return {};
    }
  }

  Expected<void> channel(ByteView content, std::uint64_t at) {
    ByteReader reader(content);
    const auto id = reader.number<std::uint16_t>();
    const auto schema = reader.number<std::uint16_t>();
    const auto topic = take_string(reader);
    const auto encoding = topic ? take_string(reader) : std::nullopt;
    if (!id || !schema || !encoding) return bad("a channel record that is cut short", at);
    if (channels_.count(*id) > 0) return {};
    if (channels_.size() >= kMaxChannels)
      return fail(ErrorCode::limit, fmt::format("more than {} channels", kMaxChannels), path_, at);
    JsonChannel channel;
    channel.topic = find_invalid_utf8(*topic) ? fmt::format("channel_{}", *id) : *topic;
    channel.json = *encoding == "json";
    if (!channel.json)
      notes_.insert(
          fmt::format("topic {} is left out: its messages are '{}', not JSON", channel.topic, encoding->substr(0, 40)));
    auto items = take_map(reader);
    if (const auto text = items.find("sds-metadata"); text != items.end()) channel.metadata = std::move(text->second);
    channels_.emplace(*id, std::move(channel));
    return {};
  }

  // Only what sdskit wrote: the labels. What cannot be read of them is told, and costs nothing else.
  Expected<void> metadata(ByteView content) {
    ByteReader reader(content);
    const auto name = take_string(reader);
    if (!name || (*name != "sds" && *name != "sds-labels")) return {};
    auto items = take_map(reader);
    if (*name == "sds") {
      utc_ = items["utc"] == "yes";
      return {};
    }
    const std::string& yaml = items["yaml"];
    const bool readable = yaml.size() <= LabelFile::max_bytes && !find_invalid_utf8(yaml);
    const auto file =
        readable ? LabelFile::parse(yaml, path_) : fail(ErrorCode::limit, "too large, or no UTF-8", path_);
    if (!file) {
      notes_.insert("the labels in it cannot be read, and are left behind");
      return {};
    }
    // Begin and end of each label, as log times; files of before 0.1.0 have none.
    std::istringstream times(items["log-times"]);
    const bool has_times = !items["log-times"].empty();
    labels_.labels.clear();
    labels_.classes = file->classes;
    labels_.tick_frequency = file->tick_frequency;
    for (const auto& label : file->labels) {
      std::int64_t begin = 0;
      std::int64_t end = 0;
      if (has_times ? !(times >> begin >> end) : utc_) {
        notes_.insert(fmt::format("{} label{} left behind: when they are is not told in the times of the messages",
                                  file->labels.size(), file->labels.size() == 1 ? " is" : "s are"));
        labels_.labels.clear();
        return {};
      }
      labels_.labels.push_back({label.name, has_times ? seconds_of(begin) : file->seconds_of(label.begin),
                                has_times ? seconds_of(end) : file->seconds_of(label.end), label.author,
                                label.stream.empty() ? "" : "/" + label.stream, label.note, label.confidence});
    }
    return {};
  }

  Expected<void> message(ByteView content, std::uint64_t at) {
    ByteReader reader(content);
    const auto id = reader.number<std::uint16_t>();
    const auto sequence = reader.number<std::uint32_t>();
    const auto log_time = reader.number<std::uint64_t>();
    const auto publish_time = reader.number<std::uint64_t>();
    if (!id || !sequence || !log_time || !publish_time) return bad("a message record that is cut short", at);
    const auto found = channels_.find(*id);
    if (found == channels_.end()) return bad(fmt::format("a message of channel {}, which is not described", *id), at);
    JsonChannel& channel = found->second;
    if (!channel.json) return {};
    const std::string_view text = as_text(content.subspan(content.size() - reader.left()));
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return bad(fmt::format("a message of topic {} that is no JSON", channel.topic), at);
    numbers_.clear();
    numbers_.add(json, "", 0);
    if (numbers_.too_deep) return bad(fmt::format("a message of topic {} is nested too deep", channel.topic), at);
    if (numbers_.suspect)
      if (const auto problem = changed_number(text))
        return bad(fmt::format("a message of topic {}: {}", channel.topic, *problem), at);
    if (numbers_.other) notes_.insert(fmt::format("topic {}: text in its messages is not kept", channel.topic));
    if (numbers_.found.size() > kMaxNumbers)
      return fail(ErrorCode::limit,
                  fmt::format("a message of topic {} has more than {} numbers", channel.topic, kMaxNumbers), path_, at);
    if (!channel.table) {
      if (numbers_.found.empty()) {
        ++channel.without_numbers;
        return {};
      }
      if (channel.without_numbers > 0)
        notes_.insert(
            fmt::format("topic {}: messages in front of the first one with a number are not kept ({} of them)",
                        channel.topic, channel.without_numbers));
      channel.table = tables_.size();
      ImportTable table;
      table.name = channel.topic;
      table.description = "Imported from " + path_.filename().string();
      // What sdskit wrote comes back with its units, rate and order.
      std::optional<Metadata> metadata;
      if (auto parsed = Metadata::parse(channel.metadata, path_); !channel.metadata.empty() && parsed)
        metadata = std::move(*parsed);
      for (const auto& [name, value] : numbers_.found) channel.paths.push_back(name.empty() ? "value" : name);
      if (metadata) {
        if (metadata->sample_frequency) table.rate = metadata->sample_frequency;
        if (!metadata->description.empty()) table.description = metadata->description;
        const auto rank = [&](const std::string& name) {
          std::size_t r = 0;
          while (r < metadata->channels.size() && metadata->channels[r].name != name.substr(0, name.find('['))) ++r;
          return r;
        };
        std::stable_sort(channel.paths.begin(), channel.paths.end(),
                         [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
        for (const auto& name : channel.paths)
          table.columns.push_back(
              {name, rank(name) < metadata->channels.size() ? metadata->channels[rank(name)].unit : ""});
      } else {
        for (const auto& name : channel.paths) table.columns.push_back({name, ""});
      }
      tables_.push_back(std::move(table));
    }
    row_.assign(channel.paths.size(), ImportValue(std::nan("")));
    for (const auto& [name, value] : numbers_.found) {
      const auto column = std::find(channel.paths.begin(), channel.paths.end(), name.empty() ? "value" : name);
      if (column == channel.paths.end()) {
        notes_.insert(fmt::format("topic {}: '{}' is not in its first message with a number, and is not kept",
                                  channel.topic, name.substr(0, 60)));
      } else {
        row_[static_cast<std::size_t>(column - channel.paths.begin())] = value;
      }
    }
    const double time = seconds_of(*log_time);
    auto taken = on_row_(*channel.table, time, row_);
    if (!taken && taken.error().path.empty()) taken.error().path = path_;
    return taken;
  }

  Expected<void> chunk(ByteView content, std::uint64_t at) {
    ByteReader reader(content);
    const auto start = reader.number<std::uint64_t>();
    const auto end = reader.number<std::uint64_t>();
    const auto size = reader.number<std::uint64_t>();
    const auto crc = reader.number<std::uint32_t>();
    const auto compression = crc ? take_string(reader) : std::nullopt;
    const auto stored = compression ? reader.number<std::uint64_t>() : std::nullopt;
    const auto bytes = stored && *stored <= reader.left() ? reader.take(*stored) : std::nullopt;
    if (!start || !end || !size || !bytes) return bad("a chunk that is cut short", at);
    if (*size > kMaxRecord)
      return fail(ErrorCode::limit, fmt::format("a chunk of {} bytes, more than {} MiB", *size, kMaxRecord >> 20),
                  path_, at);
    ByteView records = *bytes;
    if (*compression == "zstd") {
      plain_.resize(*size);
      const std::size_t got = ZSTD_decompress(plain_.data(), plain_.size(), bytes->data(), bytes->size());
      if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation) throw std::bad_alloc();
      if (ZSTD_isError(got) != 0 || got != *size) return bad("a chunk that zstd cannot decompress", at);
      records = plain_;
    } else if (*compression == "lz4") {
      if (!unpack_lz4(*bytes, *size)) return bad("a chunk that lz4 cannot decompress", at);
      records = plain_;
    } else if (!compression->empty()) {
      return fail(ErrorCode::unsupported,
                  fmt::format("chunks are compressed with '{}'; zstd and lz4 are known", compression->substr(0, 20)),
                  path_, at);
    }
    // 0: the writer did not work it out.
    if (*crc != 0 && libdeflate_crc32(0, records.data(), records.size()) != *crc)
      return bad("a chunk whose checksum does not match", at);
    while (!records.empty()) {
      ByteReader head(records);
      const auto opcode = head.number<std::uint8_t>();
      const auto length = head.number<std::uint64_t>();
      const auto record_bytes = length && *length <= head.left() ? head.take(*length) : std::nullopt;
      if (!opcode || !record_bytes) return bad("a record that does not fit its chunk", at);
      if (auto done = record(static_cast<Opcode>(*opcode), *record_bytes, at, false); !done) return done;
      records = records.last(head.left());
    }
    return {};
  }

  bool unpack_lz4(ByteView bytes, std::uint64_t size) {
    LZ4F_dctx* context = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) != 0) throw std::bad_alloc();
    const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> owner(context, LZ4F_freeDecompressionContext);
    plain_.resize(size);
    std::size_t done = 0;
    while (!bytes.empty()) {
      std::size_t room = plain_.size() - done;
      std::size_t used = bytes.size();
      const std::size_t result = LZ4F_decompress(context, plain_.data() + done, &room, bytes.data(), &used, nullptr);
      if (LZ4F_isError(result) != 0 || (room == 0 && used == 0)) return false;
      done += room;
      bytes = bytes.subspan(used);
      if (result == 0) break;
    }
    return done == size;
  }

  const std::filesystem::path& path_;
  std::vector<ImportTable>& tables_;
  const OnImportRow& on_row_;
  const OnProgress& on_progress_;
  ImportedLabels& labels_;
  std::set<std::string>& notes_;
  std::set<std::string>& losses_;
  std::map<std::uint16_t, JsonChannel> channels_;
  Bytes plain_;
  Numbers numbers_;
  std::vector<ImportValue> row_;
  bool utc_ = false;  // the times of what sdskit wrote are UTC
};

}  // namespace

Expected<ImportReport> import_mcap(const std::filesystem::path& input, const std::filesystem::path& output,
                                   const ImportOptions& options, const OnProgress& on_progress) {
  ImportedLabels labels;
  std::set<std::string> notes;
  std::set<std::string> losses;
  const ForEachRow rows = [&](std::vector<ImportTable>& tables, const OnImportRow& on_row) {
    return McapReader(input, tables, on_row, on_progress, labels, notes, losses).read();
  };
  auto report = import_tables(input, output, options, "sdskit import mcap", rows, &labels, &losses);
  if (!report && report.error().path.empty()) report.error().path = input;
  if (report) report->notes.insert(report->notes.end(), notes.begin(), notes.end());
  return report;
}

}  // namespace sds
