#include "table_import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "label_rows.hpp"
#include "new_recording.hpp"
#include "rate_fit.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "value_text.hpp"

namespace sds {

namespace {

constexpr double kUtcFrom = 1e8;   // seconds: nobody's device runs for three years, and UTC is beyond since 1973
constexpr double kRateOff = 0.02;  // a sensor's true rate is nearer to the nominal one
constexpr double kBlockSeconds = 0.1;
constexpr double kMostBlockSamples = 4096;
constexpr double kTickRounding = 1e-6;  // of a tick: what computing with doubles adds

// Whether it is the double of a decimal with at most six digits: the shortest text of the float next to it, for all
// such decimals have different floats. A quotient of whole numbers is rounded as the decimal's text is.
bool is_short_decimal(double value) {
  constexpr double kMost = 999999;
  for (const double power : {1e2, 1e3, 1e4, 1e5, 1e6}) {
    const double scaled = value * power;
    if (!(std::abs(scaled) <= kMost)) return false;
    if (static_cast<double>(static_cast<std::int64_t>(scaled + std::copysign(0.5, scaled))) / power == value)
      return true;
  }
  return false;
}

// What one pass over a column tells of the types that hold it.
struct ColumnFacts {
  bool integers = true;
  bool fits_i64 = true;
  bool fits_u64 = true;
  bool wide = false;         // there are whole numbers that no double holds
  bool exact_floats = true;  // every value is a float
  bool short_floats = true;  // every value is the shortest text of some float: 0.1
  double min = 0;
  double max = 0;

  void add(const ImportValue& number) {
    const double value = number.nearest();
    if (std::isnan(value) || std::isinf(value)) {
      integers = false;
      return;
    }
    min = std::min(min, value);
    max = std::max(max, value);
    if (number.kind() != ImportValue::Kind::real) {
      wide = true;
      exact_floats = short_floats = false;
      (number.kind() == ImportValue::Kind::negative ? fits_u64 : fits_i64) &=
          number.kind() == ImportValue::Kind::positive && number.as_unsigned() <= INT64_MAX;
      return;
    }
    if (value != std::trunc(value) || std::signbit(value) != (value < 0)) integers = false;
    if (!(value >= -kTwo63 && value < kTwo63)) fits_i64 = false;
    if (!(value >= 0 && value < 2 * kTwo63)) fits_u64 = false;
    const auto narrow = static_cast<float>(value);
    if (static_cast<double>(narrow) != value) exact_floats = false;
    if (!short_floats || is_short_decimal(value)) return;
    std::array<char, max_number_chars> text{};
    const char* end = write_number(text.data(), narrow);
    double back = 0;
    std::from_chars(text.data(), end, back);
    if (back != value) short_floats = false;
  }

  /// `binary`: the numbers were never text, so a float is kept as what it is.
  [[nodiscard]] ScalarType type(bool binary) const {
    if (holds(ScalarType::i16)) return ScalarType::i16;
    if (holds(ScalarType::i32)) return ScalarType::i32;
    if (binary ? exact_floats : short_floats) return ScalarType::f32;
    return holds(ScalarType::i64) ? ScalarType::i64 : holds(ScalarType::u64) ? ScalarType::u64 : ScalarType::f64;
  }

  /// Floats hold everything, be it rounded, within their range.
  [[nodiscard]] bool holds(ScalarType type) const {
    switch (type) {
      case ScalarType::i16:
        return integers && !wide && min >= -32768 && max <= 32767;
      case ScalarType::i32:
        return integers && !wide && min >= -2147483648.0 && max <= 2147483647.0;
      case ScalarType::i64:
        return integers && fits_i64;
      case ScalarType::u64:
        return integers && fits_u64;
      case ScalarType::f32:
        return std::isfinite(static_cast<float>(min)) && std::isfinite(static_cast<float>(max));
      default:
        return true;
    }
  }
  [[nodiscard]] bool rounded_in(ScalarType type) const {
    return type == ScalarType::f32 ? !exact_floats && !short_floats : type == ScalarType::f64 && wide;
  }

 private:
  static constexpr double kTwo63 = 9223372036854775808.0;
};

struct TableFacts {
  /// From sample to sample, or `otherwise`.
  [[nodiscard]] double mean_step(double otherwise) const {
    return rows > 1 && last > earliest ? (last - earliest) / static_cast<double>(rows - 1) : otherwise;
  }

  std::vector<ColumnFacts> columns;
  std::uint64_t rows = 0;
  double earliest = 0;
  double last = 0;
  std::uint64_t backwards = 0;
  std::uint64_t run = 0;  // rows of the last time
  std::uint64_t longest_run = 0;
  RateFit times;

  void add(double time, std::span<const ImportValue> values) {
    if (rows == 0) {
      earliest = time;
      columns.resize(values.size());
    } else if (time < last) {
      ++backwards;
    }
    run = rows > 0 && time == last ? run + 1 : 1;
    longest_run = std::max(longest_run, run);
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

std::string whole_text(const ImportValue& v) {
  return v.kind() == ImportValue::Kind::negative ? fmt::format("{}", v.as_signed())
                                                 : fmt::format("{}", v.as_unsigned());
}

double block_samples_of(double rate) { return std::clamp(std::round(kBlockSeconds * rate), 1.0, kMostBlockSamples); }

// Whether blocks of a rate can follow each other on ticks without a step back: samples are a tick apart, or blocks last
// whole ticks.
bool blocks_keep_order(double rate, double tick_hz) {
  const double ticks = block_samples_of(rate) * tick_hz / rate;
  return rate <= tick_hz || std::abs(ticks - std::round(ticks)) <= kTickRounding;
}

// Whether several samples share a time that was rounded to units.
bool share_times(const std::optional<Frequency>& rate, double unit_s) {
  return rate && rate->hz() * unit_s > 1 + kTickRounding;
}

// Whether milliseconds are all that times need, with room for the rows of one time, one behind the other. `labelled`:
// labels tell them apart.
bool milliseconds_suffice(const TableFacts& facts, const std::optional<Frequency>& rate, bool labelled) {
  const double unit_ms = 1e3 * facts.times.unit_s().value_or(0);
  if (unit_ms < 1) return false;
  if (facts.longest_run < 2) return true;
  const auto run_ms = static_cast<double>(facts.longest_run);
  if (rate && share_times(rate, unit_ms / 1e3)) return run_ms <= unit_ms && run_ms <= 2e3 / rate->hz();
  return !labelled || 2 * run_ms <= unit_ms;
}

// Gathers rows of one table into blocks of equally many samples, so that a step from block to block tells what is
// missing. `unit_s`: what the rows' times were rounded to. Where that is longer than a sample, rows of one time are
// spread by the rate. `labelled`: rows that have one time all the same are put a tick apart, if the unit has room.
class BlockMaker {
 public:
  BlockMaker(SdszWriter& writer, SdszWriter::StreamId id, const Metadata& metadata, double origin, double unit_s,
             bool exact, bool labelled, bool contradicted, std::uint64_t longest_run)
      : writer_(writer), id_(id), metadata_(metadata), origin_(origin), exact_(exact) {
    const double tick_hz = metadata.tick_frequency.hz();
    tolerance_s_ = (1 + kTickRounding) / tick_hz;
    unit_s_ = unit_s;
    keeps_order_ = labelled && unit_s * tick_hz > 1 + kTickRounding;
    if (!metadata.sample_frequency) return;
    const double rate = metadata.sample_frequency->hz();
    if (contradicted) unit_s = 0;
    block_samples_ = static_cast<std::uint64_t>(block_samples_of(rate));
    shared_ = share_times(metadata.sample_frequency, unit_s);
    if (shared_) keeps_order_ = blocks_keep_order(rate, tick_hz);
    if (shared_) room_s_ = unit_s - std::min(static_cast<double>(longest_run) / tick_hz, 0.5 / rate);
    // A period of whole units was not rounded: what is a unit off there is late.
    const double units = unit_s > 0 ? 1 / (rate * unit_s) : 0;
    if (std::abs(units - std::round(units)) > kTickRounding || shared_)
      tolerance_s_ = std::max(tolerance_s_, unit_s * (1 + kTickRounding));
  }

  Expected<void> add(double time, std::span<const ImportValue> values) {
    const double at = time - origin_;
    if (samples_ > 0) {
      // A block goes on while samples come where the rate has them: no time is moved by more than a tick.
      const double late = next_on_grid() - at;
      const bool goes_on =
          samples_ < block_samples_ && std::abs(late) <= tolerance_s_ && (!shared_ || at < stamp_ || late <= room_s_);
      if (!goes_on) {
        follow(at);
        if (auto done = seal(); !done) return done;
        begin_tick_ = next_tick_;
      }
    } else {
      begin_tick_ = std::round(at * metadata_.tick_frequency.hz());
      begin_s_ = at;
    }
    stamp_ = at;
    for (std::size_t c = 0; c < values.size(); ++c) {
      const ImportValue& v = values[c];
      switch (metadata_.channels[c].type) {
        case ScalarType::i16:
          put<std::int16_t>(block_, v.nearest());
          break;
        case ScalarType::i32:
          put<std::int32_t>(block_, v.nearest());
          break;
        case ScalarType::i64:
          append_le(block_, v.as_signed());
          break;
        case ScalarType::u64:
          append_le(block_, v.as_unsigned());
          break;
        case ScalarType::f32:
          put<float>(block_, v.nearest());
          break;
        default:
          if (exact_ && v.kind() != ImportValue::Kind::real)
            return fail(ErrorCode::bad_input,
                        fmt::format("column {}: a double does not hold {}, and the column has what no integer type "
                                    "holds (--type double rounds it)",
                                    metadata_.channels[c].name, whole_text(v)));
          put<double>(block_, v.nearest());
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

  /// Whether the last sample cannot be told from the one before it, though its time is not before that one's.
  [[nodiscard]] bool is_same_time() const { return same_time_ && samples_ == 1; }

  /// When the last sample is, as whoever reads the recording has it.
  [[nodiscard]] double last_time() const {
    const auto tick = static_cast<std::uint64_t>(begin_tick_);
    return metadata_.sample_frequency
               ? seconds(tick, metadata_.tick_frequency, samples_ - 1, *metadata_.sample_frequency)
               : seconds(tick, metadata_.tick_frequency);
  }
  /// Of the last block that was sealed.
  [[nodiscard]] std::uint64_t last_tick() const { return last_tick_; }
  /// When the last sealed block began, in seconds from the origin, as its tick says.
  [[nodiscard]] double last_begin() const { return static_cast<double>(last_tick_) / metadata_.tick_frequency.hz(); }

 private:
  // Where the rate has the sample behind the block's last one.
  [[nodiscard]] double next_on_grid() const {
    const double begin = shared_ ? begin_s_ : begin_tick_ / metadata_.tick_frequency.hz();
    return begin + (metadata_.sample_frequency ? static_cast<double>(samples_) / metadata_.sample_frequency->hz() : 0);
  }

  // Where the next block begins, the first row of which has the time `at`.
  void follow(double at) {
    const double tick_hz = metadata_.tick_frequency.hz();
    const bool back = at < stamp_;
    double begin = at;
    // The grid goes on; where more rows come than the rate has, they wait, a tick apart, at the end of the unit.
    if (const double next = next_on_grid(); shared_ && !back && next >= at - tolerance_s_)
      begin = std::min(next, at + room_s_);
    const double period = metadata_.sample_frequency ? tick_hz / metadata_.sample_frequency->hz() : 0;
    const double last = begin_tick_ + static_cast<double>(samples_ - 1) * period;
    next_tick_ = std::round(begin * tick_hz);
    if (keeps_order_ && !back && next_tick_ <= last + kTickRounding) {
      const double behind = std::floor(last + kTickRounding) + 1;
      if (behind <= std::ceil((at + 2 * unit_s_) * tick_hz)) {
        next_tick_ = behind;
        begin = std::max(begin, behind / tick_hz);
      }
    }
    same_time_ = !back && next_tick_ <= last + kTickRounding;
    begin_s_ = begin;
  }

  SdszWriter& writer_;
  SdszWriter::StreamId id_;
  const Metadata& metadata_;
  double origin_;
  bool exact_;                // what would be rounded is an error
  bool shared_ = false;       // several samples have one time
  bool keeps_order_ = false;  // no block begins before the last one ended
  bool same_time_ = false;
  double unit_s_ = 0;
  double room_s_ = 0;   // how far behind its time a sample may be on the grid
  double stamp_ = 0;    // of the last row
  double begin_s_ = 0;  // of the block, before it is rounded to ticks
  double next_tick_ = 0;
  double tolerance_s_ = 0;
  std::uint64_t block_samples_ = 1;
  double begin_tick_ = 0;
  std::uint64_t last_tick_ = 0;
  std::uint64_t samples_ = 0;
  Bytes block_;
};

ScalarType scalar_type(ImportType type) {
  return type == ImportType::i16   ? ScalarType::i16
         : type == ImportType::i32 ? ScalarType::i32
         : type == ImportType::i64 ? ScalarType::i64
         : type == ImportType::u64 ? ScalarType::u64
         : type == ImportType::f32 ? ScalarType::f32
                                   : ScalarType::f64;
}

// Labels on the clock of a recording, whose zero is at `source_origin` of the source's seconds.
Expected<LabelFile> place_imported(const ImportedLabels& labels, const Frequency& ticks,
                                   const std::vector<Frequency>& of_samples, double source_origin,
                                   const std::map<std::string, std::string>& stream_of, ImportReport& report) {
  LabelFile file;
  file.tick_frequency = ticks;
  std::vector<TimedLabel> timed;
  std::size_t without_stream = 0;
  for (const auto& label : labels.labels) {
    // What lies before the recording has no ticks in it: of a label that ends within, the rest is kept.
    const double begin = label.end_s > 0 ? std::max(0.0, label.begin_s) : label.begin_s;
    const double end = std::max(begin, label.end_s);
    if (!file.tick_of(begin) || !file.tick_of(label.end_s)) {
      report.notes.push_back(fmt::format("label {} at {} s is left out: it lies before the recording", label.name,
                                         label.begin_s + source_origin));
      continue;
    }
    std::string stream = label.table;
    if (!stream.empty() && label.rows.empty()) {
      const auto named = stream_of.find(label.table);
      if (named == stream_of.end()) {
        ++without_stream;
        continue;
      }
      stream = named->second;
    }
    if (timed.size() >= LabelFile::max_labels) {
      report.notes.push_back(fmt::format("more than {} labels: the others are left out", LabelFile::max_labels));
      break;
    }
    timed.push_back({{label.name, 0, 0, std::move(stream), label.author, label.note, label.confidence, 0},
                     {begin, end},
                     0,
                     sum_error({begin, end})});
  }
  if (without_stream > 0)
    report.notes.push_back(fmt::format("{} label{} left behind, of streams that are not in it", without_stream,
                                       without_stream == 1 ? " is" : "s are"));
  auto placed = place_labels(std::move(timed), ticks, of_samples);
  if (!placed) return fail(placed);
  if (placed->rounded > 0)
    report.notes.push_back(fmt::format("{} label{} rounded to ticks of {} Hz: no ticks hold their times",
                                       placed->rounded, placed->rounded == 1 ? " is" : "s are",
                                       placed->file.tick_frequency.to_string()));
  placed->file.classes = labels.classes;
  placed->file.sort();
  report.labels = placed->file.labels.size();
  return std::move(placed->file);
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
      for_each_row(tables, [&](std::size_t table, double time, std::span<const ImportValue> values) -> Expected<void> {
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
  const bool labelled = labels != nullptr && std::any_of(labels->labels.begin(), labels->labels.end(),
                                                         [](const auto& label) { return !label.rows.empty(); });
  std::vector<std::optional<Frequency>> told(tables.size());  // by the times
  std::vector<std::optional<Frequency>> rates(tables.size());
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const TableFacts& f = facts[t];
    if (f.rows == 0) continue;
    if (options.rate || !tables[t].rate) told[t] = f.times.rate();
    rates[t] = options.rate ? options.rate : tables[t].rate ? tables[t].rate : told[t];
    earliest = std::min(earliest.value_or(f.earliest), f.earliest);
    milliseconds = milliseconds && milliseconds_suffice(f, rates[t], labelled);
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
  const auto source = SourceFingerprint().add_file(input).to_string();
  if (!source) return fail(source);
  session.set("source", *source);
  session.set("id", *source);
  if (utc) session.set("start-utc-ns", fmt::format("{}", static_cast<std::uint64_t>(origin) * 1'000'000'000));
  if (origin != 0) session.set("time-origin-s", fmt::format("{}", origin));
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  SdszWriter& writer = (*made)->writer();
  std::vector<Metadata> metadata(tables.size());
  std::vector<bool> contradicted(tables.size());  // the rate that was given is not that of the times
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
    m.sample_frequency = rates[t];
    if (options.rate) {
      contradicted[t] = told[t] && std::abs(told[t]->hz() / options.rate->hz() - 1) > kRateOff;
      if (contradicted[t])
        report.notes.push_back(fmt::format("{}: the times say {} Hz, and {} Hz was given: the times are kept", m.name,
                                           told[t]->hz(), options.rate->hz()));
    }
    std::set<std::string> channels;
    for (std::size_t c = 0; c < tables[t].columns.size(); ++c) {
      Channel channel;
      channel.name = tables[t].columns[c].name.empty() ? fmt::format("column_{}", c + 1) : tables[t].columns[c].name;
      const std::string base = channel.name;
      for (int n = 2; !channels.insert(channel.name).second; ++n) channel.name = fmt::format("{}_{}", base, n);
      channel.unit = tables[t].columns[c].unit;
      const ColumnFacts& f = facts[t].columns[c];
      channel.type = options.type == ImportType::automatic ? f.type(tables[t].binary) : scalar_type(options.type);
      if (!f.holds(channel.type))
        return fail(ErrorCode::usage,
                    fmt::format("column {} does not fit {}: it goes from {} to {}{}", channel.name,
                                name_of(channel.type), f.min, f.max, f.integers ? "" : ", not in whole numbers"));
      if (options.type != ImportType::automatic && f.rounded_in(channel.type))
        report.notes.push_back(fmt::format("column {}: not every value is a {}; they are rounded to the nearest ones",
                                           channel.name, name_of(channel.type)));
      m.sample_bytes += size_of(channel.type);
      m.channels.push_back(channel);
    }
    if (facts[t].backwards > 0)
      report.notes.push_back(fmt::format("{}: times go back {} time{}; they are kept as they are{}", m.name,
                                         facts[t].backwards, facts[t].backwards == 1 ? "" : "s",
                                         labels != nullptr && !labels->labels.empty()
                                             ? ", and labels have all samples of their time, whichever rows they are of"
                                             : ""));
    auto id = (*made)->add_stream(m);
    if (!id) return fail(id);
    ids[t] = *id;
    ++report.streams;
  }
  std::vector<BlockMaker> makers;
  for (std::size_t t = 0; t < tables.size(); ++t)
    makers.emplace_back(writer, ids[t], metadata[t], origin, facts[t].times.unit_s().value_or(0),
                        options.type == ImportType::automatic, labelled, contradicted[t], facts[t].longest_run);
  std::vector<RowTimes> row_times;
  std::vector<double> intervals_s;
  std::vector<std::string> names_of_tables;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const auto& rate = metadata[t].sample_frequency;
    intervals_s.push_back(rate ? 1 / rate->hz() : facts[t].mean_step(1 / ticks.hz()));
    row_times.emplace_back(labels, t, intervals_s.back());
    names_of_tables.push_back(tables[t].name);
  }
  auto edges = edge_times(labels, names_of_tables);
  std::vector<ImportTable> again;
  auto written =
      for_each_row(again, [&](std::size_t table, double time, std::span<const ImportValue> values) -> Expected<void> {
        if (table >= makers.size() || values.size() != metadata[table].channels.size())
          return fail(ErrorCode::bad_input, "the file changed while it was read");
        auto added = makers[table].add(time, values);
        if (added && row_times[table].wanted())
          row_times[table].add(makers[table].last_time(), makers[table].is_same_time());
        if (added && !edges.empty()) edges[table].add(time, makers[table].last_time());
        return added;
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
    ImportedLabels timed = *labels;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      row_times[t].end();
      if (const auto n = row_times[t].undecided(); n > 0)
        report.notes.push_back(fmt::format(
            "{}: {} change{} of the label {} between rows of one time, which cannot be told apart: one of the "
            "labels has them all",
            metadata[t].name, n, n == 1 ? "" : "s", n == 1 ? "is" : "are"));
    }
    std::vector<std::string> streams;
    streams.reserve(metadata.size());
    for (const auto& m : metadata) streams.push_back(m.name);
    timed.labels = labels_of_rows(labels->labels, row_times, streams);
    keep_samples(timed.labels, names_of_tables, edges, intervals_s, origin);
    std::vector<Frequency> of_samples;
    for (std::size_t t = 0; t < tables.size(); ++t)
      if (facts[t].rows > 0) add_frequencies(ticks, metadata[t], of_samples);
    auto placed = place_imported(timed, labels->tick_frequency.value_or(ticks), of_samples, origin, stream_of, report);
    if (!placed) return fail(placed);
    made_labels = std::move(*placed);
  }
  const LabelFile* found = made_labels.labels.empty() ? nullptr : &made_labels;
  if (auto done = (*made)->finish(report.notes, found); !done) return fail(done);
  if (losses != nullptr) report.losses.assign(losses->begin(), losses->end());
  return report;
}

}  // namespace sds
