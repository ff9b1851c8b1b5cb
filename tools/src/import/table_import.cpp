#include "import/table_import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "import/rate_fit.hpp"
#include "new_recording.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sds/tools/value_text.hpp"

namespace sds {

namespace {

constexpr double kUtcFrom = 1e8;  // seconds: nobody's device runs for three years, and UTC is beyond since 1973
constexpr double kBlockSeconds = 0.1;
constexpr double kMostBlockSamples = 4096;
constexpr double kRounding = 1e-6;  // of a tick: what computing with doubles adds

// What one pass over a column tells of the types that hold it.
struct ColumnFacts {
  bool integers = true;
  bool exact_floats = true;  // every value is a float
  bool short_floats = true;  // every value is the shortest text of some float: 0.1
  double min = 0;
  double max = 0;

  void add(double value) {
    if (std::isnan(value) || std::isinf(value)) {
      integers = false;
      return;
    }
    min = std::min(min, value);
    max = std::max(max, value);
    if (value != std::trunc(value) || std::signbit(value) != (value < 0)) integers = false;
    const auto narrow = static_cast<float>(value);
    if (static_cast<double>(narrow) != value) exact_floats = false;
    if (!short_floats) return;
    std::array<char, max_number_chars> text{};
    const char* end = write_number(text.data(), narrow);
    double back = 0;
    std::from_chars(text.data(), end, back);
    if (back != value) short_floats = false;
  }

  /// `binary`: the numbers were never text, so a float is kept as what it is.
  [[nodiscard]] ScalarType type(bool binary) const {
    if (integers && min >= -32768 && max <= 32767) return ScalarType::i16;
    if (integers && min >= -2147483648.0 && max <= 2147483647.0) return ScalarType::i32;
    return (binary ? exact_floats : short_floats) ? ScalarType::f32 : ScalarType::f64;
  }
};

struct TableFacts {
  std::vector<ColumnFacts> columns;
  std::uint64_t rows = 0;
  double earliest = 0;
  double last = 0;
  std::uint64_t backwards = 0;
  RateFit times;

  void add(double time, std::span<const double> values) {
    if (rows == 0) {
      earliest = time;
      columns.resize(values.size());
    } else if (time < last) {
      ++backwards;
    }
    earliest = std::min(earliest, time);
    last = time;
    ++rows;
    times.add(time);
    for (std::size_t c = 0; c < values.size(); ++c) columns[c].add(values[c]);
  }
};

template <class T>
void put(Bytes& out, double value) {
  append_le(out, static_cast<T>(value));
}

// Gathers rows of one table into blocks of equally many samples, so that a step from block to block tells what is
// missing. `unit_s`: what the rows' times were rounded to.
class BlockMaker {
 public:
  BlockMaker(SdszWriter& writer, SdszWriter::StreamId id, const Metadata& metadata, double origin, double unit_s)
      : writer_(writer), id_(id), metadata_(metadata), origin_(origin) {
    const double tick_s = 1 / metadata.tick_frequency.hz();
    tolerance_s_ = tick_s * (1 + kRounding);
    if (!metadata.sample_frequency) return;
    const double rate = metadata.sample_frequency->hz();
    block_samples_ = static_cast<std::uint64_t>(std::clamp(std::round(kBlockSeconds * rate), 1.0, kMostBlockSamples));
    // A period of whole units was not rounded: what is a unit off there is late.
    const double units = unit_s > 0 ? 1 / (rate * unit_s) : 0;
    if (std::abs(units - std::round(units)) > kRounding)
      tolerance_s_ = std::max(tolerance_s_, unit_s * (1 + kRounding));
  }

  Expected<void> add(double time, std::span<const double> values) {
    const double at = time - origin_;
    const double tick_hz = metadata_.tick_frequency.hz();
    if (samples_ > 0) {
      // A block goes on while samples come where the rate has them: no time is moved by more than a tick.
      const bool goes_on =
          samples_ < block_samples_ &&
          std::abs(at - (begin_tick_ / tick_hz + static_cast<double>(samples_) / metadata_.sample_frequency->hz())) <=
              tolerance_s_;
      if (!goes_on)
        if (auto done = seal(); !done) return done;
    }
    if (samples_ == 0) begin_tick_ = std::round(at * tick_hz);
    for (std::size_t c = 0; c < values.size(); ++c) {
      const double v = values[c];
      switch (metadata_.channels[c].type) {
        case ScalarType::i16:
          put<std::int16_t>(block_, v);
          break;
        case ScalarType::i32:
          put<std::int32_t>(block_, v);
          break;
        case ScalarType::f32:
          put<float>(block_, v);
          break;
        default:
          put<double>(block_, v);
          break;
      }
    }
    ++samples_;
    return {};
  }

  Expected<void> seal() {
    if (samples_ == 0) return {};
    last_tick_ = static_cast<std::uint64_t>(begin_tick_);  // no time is before the origin
    auto done = writer_.append_at(id_, last_tick_, block_);
    block_.clear();
    samples_ = 0;
    return done;
  }

  /// Of the last block that was sealed.
  [[nodiscard]] std::uint64_t last_tick() const { return last_tick_; }
  /// When the last sealed block began, in seconds from the origin, as its tick says.
  [[nodiscard]] double last_begin() const { return static_cast<double>(last_tick_) / metadata_.tick_frequency.hz(); }

 private:
  SdszWriter& writer_;
  SdszWriter::StreamId id_;
  const Metadata& metadata_;
  double origin_;
  double tolerance_s_ = 0;
  std::uint64_t block_samples_ = 1;
  double begin_tick_ = 0;
  std::uint64_t last_tick_ = 0;
  std::uint64_t samples_ = 0;
  Bytes block_;
};

bool holds(ScalarType type, const ColumnFacts& facts) {
  switch (type) {
    case ScalarType::i16:
      return facts.integers && facts.min >= -32768 && facts.max <= 32767;
    case ScalarType::i32:
      return facts.integers && facts.min >= -2147483648.0 && facts.max <= 2147483647.0;
    default:
      return true;
  }
}

ScalarType scalar_type(ImportType type) {
  return type == ImportType::i16   ? ScalarType::i16
         : type == ImportType::i32 ? ScalarType::i32
         : type == ImportType::f32 ? ScalarType::f32
                                   : ScalarType::f64;
}

// Labels on the clock of a recording that begins at `origin` of the source's seconds.
LabelFile place_labels(const ImportedLabels& labels, const Frequency& ticks, double origin,
                       const std::map<std::string, std::string>& stream_of, ImportReport& report) {
  LabelFile file;
  file.tick_frequency = ticks;
  file.classes = labels.classes;
  std::size_t without_stream = 0;
  for (const auto& label : labels.labels) {
    // What lies before the recording has no ticks in it: of a label that ends within, the rest is kept.
    auto begin = file.tick_of(label.end_s > origin ? std::max(0.0, label.begin_s - origin) : label.begin_s - origin);
    auto end = file.tick_of(label.end_s - origin);
    if (!begin || !end) {
      report.notes.push_back(
          fmt::format("label {} at {} s is left out: it lies before the recording", label.name, label.begin_s));
      continue;
    }
    const auto stream = stream_of.find(label.table);
    if (!label.table.empty() && stream == stream_of.end()) {
      ++without_stream;
      continue;
    }
    if (file.labels.size() >= LabelFile::max_labels) {
      report.notes.push_back(fmt::format("more than {} labels: the others are left out", LabelFile::max_labels));
      break;
    }
    file.labels.push_back({label.name, *begin, std::max(*begin, *end), label.table.empty() ? "" : stream->second,
                           label.author, label.note, label.confidence, 0});
  }
  if (without_stream > 0)
    report.notes.push_back(fmt::format("{} label{} left behind, of streams that are not in it", without_stream,
                                       without_stream == 1 ? " is" : "s are"));
  file.sort();
  report.labels = file.labels.size();
  return file;
}

}  // namespace

std::string safe_stream_name(const std::string& name) {
  std::string safe = name;
  while (safe.starts_with('/')) safe.erase(0, 1);
  for (char& c : safe)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F ||
        std::string_view("/\\:*?\"<>|").find(c) != std::string_view::npos)
      c = '_';
  if (safe.size() > 200) safe.resize(200);
  while (!safe.empty() && find_invalid_utf8(safe)) safe.pop_back();
  while (safe.starts_with('.')) safe.erase(0, 1);
  return check_stream_name(safe) ? safe : "imported";
}

Expected<ImportReport> import_tables(const std::filesystem::path& input, const std::filesystem::path& output,
                                     const ImportOptions& options, const std::string& tool,
                                     const ForEachRow& for_each_row, const ImportedLabels* labels,
                                     const std::set<std::string>* losses) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  ImportReport report;
  std::vector<ImportTable> tables;
  std::vector<TableFacts> facts;
  auto looked =
      for_each_row(tables, [&](std::size_t table, double time, std::span<const double> values) -> Expected<void> {
        if (facts.size() <= table) facts.resize(table + 1);
        if (!std::isfinite(time) || std::abs(time) > 1e11)
          return fail(ErrorCode::bad_input, fmt::format("{} s is no time of a sample", time));
        facts[table].add(time, values);
        return {};
      });
  if (!looked) return fail(looked);
  facts.resize(tables.size());
  std::optional<double> earliest;
  bool milliseconds = true;
  for (const auto& f : facts) {
    if (f.rows == 0) continue;
    earliest = std::min(earliest.value_or(f.earliest), f.earliest);
    milliseconds = milliseconds && f.times.unit_s().value_or(0) >= 1e-3;
    report.samples += f.rows;
  }
  if (!earliest) return fail(ErrorCode::bad_input, "there are no samples in it");
  const Frequency ticks = options.tick_frequency.value_or(milliseconds ? Frequency{1000, 1} : Frequency{1000000, 1});
  // The origin is a whole second, so that times keep their fractions.
  const bool utc = *earliest > kUtcFrom;
  const bool far = *earliest < 0 || *earliest * ticks.hz() > 4.0e9;
  const double origin = utc || far ? std::floor(*earliest) : 0;
  if (utc) {
    report.notes.push_back(
        fmt::format("times are UTC: the recording begins at {} s, and says so in a clock pair", origin));
  } else if (far) {
    report.notes.push_back(fmt::format("times are moved by {} s", -origin));
  }
  Properties session;
  session.set("tool", tool);
  session.set("source", SourceFingerprint().add_file(input).to_string());
  session.set("id", session.get("source").value_or(""));
  if (utc) session.set("start-utc-ns", fmt::format("{}", static_cast<std::uint64_t>(origin) * 1'000'000'000));
  if (origin != 0) session.set("time-origin-s", fmt::format("{}", origin));
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  SdszWriter& writer = (*made)->writer();
  std::vector<Metadata> metadata(tables.size());
  std::vector<SdszWriter::StreamId> ids(tables.size());
  std::set<std::string> names;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    if (facts[t].rows == 0) {
      report.notes.push_back(fmt::format("{}: no samples, left out", tables[t].name));
      continue;
    }
    Metadata& m = metadata[t];
    const std::string name = safe_stream_name(tables[t].name);
    m.name = name;
    for (int n = 2; !names.insert(m.name).second; ++n) m.name = fmt::format("{}_{}", name, n);
    m.description = tables[t].description;
    m.tick_frequency = ticks;
    m.sample_frequency = options.rate ? options.rate : tables[t].rate ? tables[t].rate : facts[t].times.rate();
    std::set<std::string> channels;
    for (std::size_t c = 0; c < tables[t].columns.size(); ++c) {
      Channel channel;
      channel.name = tables[t].columns[c].name.empty() ? fmt::format("column_{}", c + 1) : tables[t].columns[c].name;
      const std::string base = channel.name;
      for (int n = 2; !channels.insert(channel.name).second; ++n) channel.name = fmt::format("{}_{}", base, n);
      channel.unit = tables[t].columns[c].unit;
      const ColumnFacts& f = facts[t].columns[c];
      channel.type = options.type == ImportType::automatic ? f.type(tables[t].binary) : scalar_type(options.type);
      if (!holds(channel.type, f))
        return fail(ErrorCode::usage,
                    fmt::format("column {} does not fit {}: it goes from {} to {}{}", channel.name,
                                name_of(channel.type), f.min, f.max, f.integers ? "" : ", not in whole numbers"));
      m.sample_bytes += size_of(channel.type);
      m.channels.push_back(channel);
    }
    if (facts[t].backwards > 0)
      report.notes.push_back(
          fmt::format("{}: times go back {} times; they are kept as they are", m.name, facts[t].backwards));
    StreamDescription description;
    description.name = m.name;
    description.label = "0";
    description.metadata_file_name = m.name + ".sds.yml";
    description.metadata_text = to_yaml(m);
    auto id = writer.add_stream(description);
    if (!id) return fail(id);
    ids[t] = *id;
    ++report.streams;
  }
  std::vector<BlockMaker> makers;
  for (std::size_t t = 0; t < tables.size(); ++t)
    makers.emplace_back(writer, ids[t], metadata[t], origin, facts[t].times.unit_s().value_or(0));
  std::vector<ImportTable> again;
  auto written =
      for_each_row(again, [&](std::size_t table, double time, std::span<const double> values) -> Expected<void> {
        if (table >= makers.size() || values.size() != metadata[table].channels.size())
          return fail(ErrorCode::bad_input, "the file changed while it was read");
        return makers[table].add(time, values);
      });
  if (!written) return fail(written);
  for (std::size_t t = 0; t < tables.size(); ++t) {
    if (facts[t].rows == 0) continue;
    if (auto done = makers[t].seal(); !done) return fail(done);
    if (losses != nullptr)
      for (const auto& loss : *losses)
        if (auto done = writer.add_gap(ids[t], loss); !done) return fail(done);
    // Of the last block: its time as the stream's ticks have it.
    if (utc) {
      auto paired = writer.add_clock(
          ids[t], {makers[t].last_tick(), static_cast<std::uint64_t>(origin) * 1'000'000'000 +
                                              static_cast<std::uint64_t>(std::llround(1e9 * makers[t].last_begin()))});
      if (!paired) return fail(paired);
    }
  }
  LabelFile made_labels;
  if (labels != nullptr) {
    std::map<std::string, std::string> stream_of;  // by the table's name
    for (std::size_t t = 0; t < tables.size(); ++t)
      if (facts[t].rows > 0) stream_of.emplace(tables[t].name, metadata[t].name);
    made_labels = place_labels(*labels, labels->tick_frequency.value_or(ticks), origin, stream_of, report);
  }
  const LabelFile* found = made_labels.labels.empty() ? nullptr : &made_labels;
  if (auto done = (*made)->finish(report.notes, found); !done) return fail(done);
  if (losses != nullptr) report.losses.assign(losses->begin(), losses->end());
  return report;
}

}  // namespace sds
