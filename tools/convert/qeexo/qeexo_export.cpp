#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "channel_values.hpp"
#include "csv_reader.hpp"
#include "exports.hpp"
#include "label_file.hpp"
#include "not_finite.hpp"
#include "sds/format/partial_file.hpp"
#include "value_text.hpp"

namespace sds {

namespace {

// Qeexo's names for sensors that it knows (Arm's documentation/utilities.md, sds-convert); others in lower case.
std::string column_name(const std::string& sensor) {
  static const std::map<std::string, std::string> names{{"Accelerometer", "accel"},
                                                        {"Gyroscope", "gyro"},
                                                        {"Magnometer", "magno"},
                                                        {"Analog microphone", "microphone_analog"},
                                                        {"Ambient light", "ambient"},
                                                        {"Low power accelerometer", "accel_lowpower"},
                                                        {"High sensitivity accelerometer", "accel_highsensitive"}};
  const auto found = names.find(sensor);
  if (found != names.end()) return found->second;
  std::string lower = sensor;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

// A stream being read: its next block, and how its samples look as text.
struct Sensor {
  std::string id;
  SampleReader reader;
  std::vector<ChannelText> texts;
  std::vector<std::size_t> elements;
  double tick_hz = 1;  // rows go by blocks
  const SampleRun* run = nullptr;
  NotFinite odd;

  // A block on the edge of a row is exactly there: whole milliseconds are whole.
  [[nodiscard]] double block_ms() const { return static_cast<double>(run->tick) * 1000 / tick_hz; }
};

// Appends "[1, 2], [3, 4]" or "1, 2".
void append_samples(Sensor& sensor, std::string& cell) {
  const std::size_t bytes = sensor.reader.metadata().sample_bytes;
  std::size_t values = 0;
  for (const std::size_t n : sensor.elements) values += n;
  std::array<char, max_number_chars> number{};
  for (std::size_t k = 0; k < sensor.run->count; ++k) {
    if (cell.size() > 1) cell += ", ";
    if (values > 1) cell += '[';
    bool first = true;
    for (std::size_t c = 0; c < sensor.texts.size(); ++c)
      for (std::size_t e = 0; e < sensor.elements[c]; ++e) {
        if (!first) cell += ", ";
        first = false;
        const char* end = sensor.texts[c].write(number.data(), sensor.run->data + k * bytes, e);
        if (end[-1] == 'n' || end[-1] == 'f') sensor.odd.add(1);  // nan, inf
        cell.append(number.data(), static_cast<std::size_t>(end - number.data()));
      }
    if (values > 1) cell += ']';
  }
}

// The class at a time, for any of the streams that a row has samples of: of overlapping labels the one that
// class_timeline() takes.
std::string class_at(const LabelFile& labels, const std::set<std::string>& streams, double time) {
  const Label* at = nullptr;
  for (const auto& label : labels.labels) {
    if (!label.stream.empty() && streams.count(label.stream) == 0) continue;
    if (labels.seconds_of(label.begin) > time || time >= labels.seconds_of(label.end)) continue;
    if (at == nullptr || std::tie(at->begin, label.end, label.name) < std::tie(label.begin, at->end, at->name))
      at = &label;
  }
  return at == nullptr ? "" : at->name;
}

// A row has one class, whatever its sensors: that some labels are about one of several is lost.
void note_lost_streams(const LabelFile& labels, const std::set<std::string>& streams, std::vector<std::string>& notes) {
  const auto is_of_one = [&](const Label& label) { return streams.count(label.stream) > 0; };
  if (streams.size() > 1 && std::any_of(labels.labels.begin(), labels.labels.end(), is_of_one))
    notes.emplace_back(
        "Qeexo's format has no place for the labels' streams: a row has one class for all of its sensors");
}

}  // namespace

Expected<ExportReport> export_qeexo(const Recording& recording, const std::vector<std::size_t>& streams,
                                    const std::filesystem::path& output, const ExportOptions& options,
                                    const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  const double interval = std::round(options.interval_s * 1000);
  if (!(interval >= 1)) return fail(ErrorCode::usage, "the interval must be at least 1 ms");
  if (std::abs(options.interval_s * 1000 - interval) > 1e-9 * interval)
    return fail(ErrorCode::usage,
                fmt::format("times of rows are whole milliseconds: an interval of {} s is none", options.interval_s));
  ExportReport report;
  TextCaches caches;
  std::vector<Sensor> sensors;
  std::set<std::string> ids;
  std::string header = "timeslot";
  std::optional<double> first;
  for (const std::size_t index : streams) {
    const StreamInfo& stream = recording.streams()[index];
    if (const auto why = why_no_samples(stream)) {
      report.notes.push_back(fmt::format("stream {} is left out: {}", stream.id, *why));
      continue;
    }
    SampleOptions sample_options = options.samples;
    sample_options.normalize = false;
    sample_options.within = options.within.of(index);
    auto reader = SampleReader::open(recording, index, sample_options, on_progress);
    if (!reader) return fail(reader);
    Sensor sensor{stream.id, std::move(*reader), {}, {}, stream.tick_frequency().hz(), nullptr, {}};
    for (Channel channel : sensor.reader.metadata().channels) {
      channel.scale = 1;  // raw values, as Arm's converter has them
      channel.offset = 0;
      sensor.texts.emplace_back(channel, caches);
      sensor.elements.push_back(channel.count());
    }
    // As Arm has it: by the name in the metadata, which need not be the file's.
    const std::string& name = sensor.reader.metadata().name;
    header += "," + csv_quoted(column_name(name.empty() ? stream.description.name : name));
    sensors.push_back(std::move(sensor));
    ids.insert(stream.id);
  }
  if (sensors.empty()) return no_stream_with_values(recording, report.notes);
  for (auto& sensor : sensors) {
    auto run = sensor.reader.next();
    if (!run) return fail(run);
    sensor.run = *run;
    if (sensor.run != nullptr) first = std::min(first.value_or(1e300), sensor.block_ms());
    ++report.streams;
  }
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  if (auto note = note_of_rounded(*labels)) report.notes.push_back(std::move(*note));
  if (options.label.empty()) note_lost_streams(*labels, ids, report.notes);
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  std::string text = header + ",label\r\n";
  double base = std::floor(first.value_or(0) / interval) * interval;
  // There is one time for all streams: it counts from the row of their first block, also where a part leaves that out.
  double origin = 0;
  if (options.samples.normalize) {
    origin = std::numeric_limits<double>::infinity();
    for (const std::size_t index : streams) {
      const StreamInfo& stream = recording.streams()[index];
      if (ids.count(stream.id) == 0) continue;
      auto tick = first_tick(recording, index);
      if (!tick) return fail(tick);
      if (*tick) origin = std::min(origin, 1000 * seconds(**tick, stream.tick_frequency()));
    }
    origin = std::isinf(origin) ? 0 : std::floor(origin / interval) * interval;
  }
  while (std::any_of(sensors.begin(), sensors.end(), [](const Sensor& s) { return s.run != nullptr; })) {
    const double end = base + interval;
    if (end <= base)
      return fail(ErrorCode::limit, fmt::format("times of {} ms are too large for intervals of {} ms", base, interval),
                  recording.path());
    std::vector<std::string> cells;
    std::set<std::string> in_row;
    std::optional<double> first_sample;  // of the row, in seconds
    for (const auto& sensor : sensors)
      if (sensor.run != nullptr && sensor.block_ms() < end)
        first_sample = std::min(first_sample.value_or(sensor.run->times[0]), sensor.run->times[0]);
    for (auto& sensor : sensors) {
      std::string cell = "[";
      while (sensor.run != nullptr && sensor.block_ms() < end) {
        append_samples(sensor, cell);
        in_row.insert(sensor.id);
        report.samples += sensor.run->count;
        if (cell.size() > (std::size_t{64} << 20))
          return fail(ErrorCode::limit, "a row would be longer than 64 MiB: choose a shorter interval");
        auto run = sensor.reader.next();
        if (!run) return fail(run);
        sensor.run = *run;
      }
      cells.push_back(cell + "]");
    }
    if (!in_row.empty()) {
      text += fmt::format("{}", end - origin);
      for (const auto& cell : cells) text += cell.find(',') == std::string::npos ? "," + cell : ",\"" + cell + "\"";
      text += "," +
              csv_quoted(options.label.empty() ? class_at(*labels, in_row, first_sample.value_or(0)) : options.label) +
              "\r\n";
    }
    base = end;
    if (in_row.empty()) {
      // A gap: on to the interval in which something happens.
      double next = 1e300;
      for (const auto& sensor : sensors)
        if (sensor.run != nullptr) next = std::min(next, sensor.block_ms());
      if (next < 1e300) base = std::max(base, std::floor(next / interval) * interval);
    }
    if (text.size() > (1u << 18)) {
      if (auto done = file->sink().append(as_bytes(text)); !done) return fail(done);
      text.clear();
    }
  }
  if (auto done = file->sink().append(as_bytes(text)); !done) return fail(done);
  if (auto kept = file->keep(); !kept) return fail(kept);
  for (const auto& sensor : sensors) {
    for (const auto& note : sensor.reader.notes()) report.notes.push_back(note);
    if (sensor.odd.any())
      report.notes.push_back(sensor.odd.text(sensor.reader.metadata().name) +
                             ", written as nan or inf: Qeexo's format does not say that it has such");
    for (auto& note : sensor.reader.notes_of_losses("not told in it")) report.notes.push_back(std::move(note));
  }
  report.files.push_back(output);
  return report;
}

}  // namespace sds
