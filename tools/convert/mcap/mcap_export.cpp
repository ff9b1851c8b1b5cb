#include <fmt/format.h>
#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "channel_values.hpp"
#include "clock_fit.hpp"
#include "exported_labels.hpp"
#include "exports.hpp"
#include "json_text.hpp"
#include "label_file.hpp"
#include "mcap_format.hpp"
#include "sds/format/partial_file.hpp"
#include "session_ids.hpp"
#include "value_text.hpp"

namespace sds {

namespace {

using mcap::Opcode;

std::uint32_t crc(ByteView bytes) { return libdeflate_crc32(0, bytes.data(), bytes.size()); }

// A file in which messages come in compressed chunks, each followed by its index, and a summary at the end.
class McapWriter {
 public:
  explicit McapWriter(ByteSink& sink) : sink_(sink) {}

  Expected<void> begin() {
    Bytes out;
    append_bytes(out, std::as_bytes(std::span(mcap::magic)));
    Bytes header;
    mcap::append_string(header, "");
    mcap::append_string(header, "sdskit");
    mcap::append_record(out, Opcode::header, header);
    return write(out);
  }

  /// Schemas and channels have the same number, from 1.
  void add_channel(const std::string& topic, const std::string& schema,
                   const std::map<std::string, std::string>& facts) {
    const auto id = static_cast<std::uint16_t>(counts_.size() + 1);
    Bytes record;
    append_le(record, id);
    mcap::append_string(record, topic.substr(1));
    mcap::append_string(record, "jsonschema");
    mcap::append_string(record, schema);
    mcap::append_record(schemas_, Opcode::schema, record);
    record.clear();
    append_le(record, id);
    append_le(record, id);
    mcap::append_string(record, topic);
    mcap::append_string(record, "json");
    mcap::append_map(record, facts);
    mcap::append_record(channels_, Opcode::channel, record);
    counts_.push_back(0);
    indexes_.emplace_back();
  }
  Expected<void> write_channels() {
    if (auto done = write(schemas_); !done) return done;
    return write(channels_);
  }

  Expected<void> write_metadata(const std::string& name, const std::map<std::string, std::string>& facts) {
    Bytes record;
    mcap::append_string(record, name);
    mcap::append_map(record, facts);
    Bytes out;
    mcap::append_record(out, Opcode::metadata, record);
    Bytes index;
    append_le(index, at_);
    append_le(index, static_cast<std::uint64_t>(out.size()));
    mcap::append_string(index, name);
    mcap::append_record(metadata_indexes_, Opcode::metadata_index, index);
    ++metadata_count_;
    return write(out);
  }

  Expected<void> message(std::size_t channel, std::uint64_t time_ns, std::string_view data) {
    const std::uint64_t offset = chunk_.size();
    append_le(chunk_, static_cast<std::uint8_t>(Opcode::message));
    append_le(chunk_, static_cast<std::uint64_t>(22 + data.size()));
    append_le(chunk_, static_cast<std::uint16_t>(channel + 1));
    append_le(chunk_, static_cast<std::uint32_t>(counts_[channel]++));
    append_le(chunk_, time_ns);
    append_le(chunk_, time_ns);
    append_bytes(chunk_, as_bytes(data));
    append_le(indexes_[channel], time_ns);
    append_le(indexes_[channel], offset);
    chunk_start_ = std::min(chunk_start_, time_ns);
    chunk_end_ = std::max(chunk_end_, time_ns);
    return chunk_.size() >= kChunkBytes ? end_chunk() : Expected<void>{};
  }

  Expected<void> end() {
    if (!chunk_.empty())
      if (auto done = end_chunk(); !done) return done;
    Bytes out;
    Bytes data_end;
    append_le(data_end, std::uint32_t{0});
    mcap::append_record(out, Opcode::data_end, data_end);
    if (auto done = write(out); !done) return done;
    const std::uint64_t summary_start = at_;
    Bytes statistics;
    std::uint64_t messages = 0;
    for (const std::uint64_t count : counts_) messages += count;
    append_le(statistics, messages);
    append_le(statistics, static_cast<std::uint16_t>(counts_.size()));
    append_le(statistics, static_cast<std::uint32_t>(counts_.size()));
    append_le(statistics, std::uint32_t{0});
    append_le(statistics, metadata_count_);
    append_le(statistics, chunk_count_);
    append_le(statistics, messages == 0 ? std::uint64_t{0} : start_);
    append_le(statistics, end_);
    append_le(statistics, static_cast<std::uint32_t>(10 * counts_.size()));
    for (std::size_t c = 0; c < counts_.size(); ++c) {
      append_le(statistics, static_cast<std::uint16_t>(c + 1));
      append_le(statistics, counts_[c]);
    }
    Bytes statistics_record;
    mcap::append_record(statistics_record, Opcode::statistics, statistics);
    Bytes summary;
    Bytes offsets;
    for (const auto& [opcode, group] : {std::pair{Opcode::schema, &schemas_},
                                        {Opcode::channel, &channels_},
                                        {Opcode::statistics, &statistics_record},
                                        {Opcode::chunk_index, &chunk_indexes_},
                                        {Opcode::metadata_index, &metadata_indexes_}}) {
      if (group->empty()) continue;
      Bytes offset;
      append_le(offset, static_cast<std::uint8_t>(opcode));
      append_le(offset, summary_start + summary.size());
      append_le(offset, static_cast<std::uint64_t>(group->size()));
      mcap::append_record(offsets, Opcode::summary_offset, offset);
      append_bytes(summary, *group);
    }
    const std::uint64_t offsets_start = summary_start + summary.size();
    append_bytes(summary, offsets);
    // The checksum covers the summary and the footer up to itself.
    append_le(summary, static_cast<std::uint8_t>(Opcode::footer));
    append_le(summary, std::uint64_t{20});
    append_le(summary, summary_start);
    append_le(summary, offsets_start);
    append_le(summary, crc(summary));
    append_bytes(summary, std::as_bytes(std::span(mcap::magic)));
    return write(summary);
  }

 private:
  static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

  Expected<void> write(ByteView bytes) {
    at_ += bytes.size();
    return sink_.append(bytes);
  }

  Expected<void> end_chunk() {
    Bytes packed(ZSTD_compressBound(chunk_.size()));
    const std::size_t size = ZSTD_compress(packed.data(), packed.size(), chunk_.data(), chunk_.size(), 3);
    if (ZSTD_isError(size) != 0) return fail(ErrorCode::io, "zstd: " + std::string(ZSTD_getErrorName(size)));
    packed.resize(size);
    Bytes record;
    append_le(record, chunk_start_);
    append_le(record, chunk_end_);
    append_le(record, static_cast<std::uint64_t>(chunk_.size()));
    append_le(record, crc(chunk_));
    mcap::append_string(record, "zstd");
    append_le(record, static_cast<std::uint64_t>(packed.size()));
    append_bytes(record, packed);
    Bytes out;
    mcap::append_record(out, Opcode::chunk, record);
    const std::uint64_t chunk_at = at_;
    const std::uint64_t chunk_bytes = out.size();
    Bytes offsets;
    for (std::size_t c = 0; c < indexes_.size(); ++c) {
      if (indexes_[c].empty()) continue;
      append_le(offsets, static_cast<std::uint16_t>(c + 1));
      append_le(offsets, chunk_at + out.size());
      Bytes index;
      append_le(index, static_cast<std::uint16_t>(c + 1));
      append_le(index, static_cast<std::uint32_t>(indexes_[c].size()));
      append_bytes(index, indexes_[c]);
      mcap::append_record(out, Opcode::message_index, index);
      indexes_[c].clear();
    }
    Bytes index;
    append_le(index, chunk_start_);
    append_le(index, chunk_end_);
    append_le(index, chunk_at);
    append_le(index, chunk_bytes);
    append_le(index, static_cast<std::uint32_t>(offsets.size()));
    append_bytes(index, offsets);
    append_le(index, static_cast<std::uint64_t>(out.size()) - chunk_bytes);
    mcap::append_string(index, "zstd");
    append_le(index, static_cast<std::uint64_t>(packed.size()));
    append_le(index, static_cast<std::uint64_t>(chunk_.size()));
    mcap::append_record(chunk_indexes_, Opcode::chunk_index, index);
    ++chunk_count_;
    start_ = std::min(start_, chunk_start_);
    end_ = std::max(end_, chunk_end_);
    chunk_.clear();
    chunk_start_ = UINT64_MAX;
    chunk_end_ = 0;
    return write(out);
  }

  ByteSink& sink_;
  std::uint64_t at_ = 0;
  Bytes schemas_;
  Bytes channels_;
  Bytes metadata_indexes_;
  Bytes chunk_indexes_;
  std::uint32_t metadata_count_ = 0;
  std::uint32_t chunk_count_ = 0;
  std::vector<std::uint64_t> counts_;
  std::vector<Bytes> indexes_;  // of the open chunk, by channel
  Bytes chunk_;
  std::uint64_t chunk_start_ = UINT64_MAX;
  std::uint64_t chunk_end_ = 0;
  std::uint64_t start_ = UINT64_MAX;
  std::uint64_t end_ = 0;
};

// A stream on its way: the run that is being written, and the next of its samples.
struct Source {
  SampleReader reader;
  std::string id;
  std::vector<ChannelText> texts;
  std::vector<std::string> keys;  // "\"ax\":"
  const SampleRun* run = nullptr;
  std::size_t next = 0;
  std::optional<RecordingClock> clock;  // of its ticks, where times are UTC
  std::uint64_t infinite = 0;           // values so far
  Frequency ticks;                      // of the stream
  std::int64_t time_ns = 0;             // of the sample
  bool normalized = false;              // times count from its first block
  bool interpolated = false;            // times are no simple fractions
  bool spread = false;                  // a block's samples have times of their own
};

std::string schema_of(const std::string& title, const Metadata& metadata) {
  std::string out = fmt::format("{{\"type\":\"object\",\"title\":{},\"properties\":{{", json_string(title));
  for (std::size_t c = 0; c < metadata.channels.size(); ++c) {
    const Channel& channel = metadata.channels[c];
    const std::string unit = channel.unit.empty() ? "" : ",\"description\":" + json_string("in " + channel.unit);
    out += fmt::format(
        "{}{}:{{{}{}}}", c == 0 ? "" : ",", json_string(channel.name),
        channel.count() == 1 ? "\"type\":\"number\"" : "\"type\":\"array\",\"items\":{\"type\":\"number\"}", unit);
  }
  return out + "}}";
}

// JSON has neither NaN nor infinities: null is what JavaScript makes of all of them, and what readers take. Infinities
// are counted, for null reads back as NaN.
void append_json_number(std::string& out, const char* begin, const char* end, std::uint64_t& infinite) {
  const std::string_view text(begin, static_cast<std::size_t>(end - begin));
  if (text == "nan" || text == "inf" || text == "-inf" || text == "-nan") {
    if (text.ends_with("inf")) ++infinite;
    out += "null";
  } else {
    out += text;
  }
}

void write_sample(Source& source, std::string& out) {
  const Metadata& metadata = source.reader.metadata();
  const std::byte* sample = source.run->data + source.next * metadata.sample_bytes;
  std::array<char, max_number_chars> number{};
  out = "{";
  for (std::size_t c = 0; c < source.texts.size(); ++c) {
    if (c > 0) out += ',';
    out += source.keys[c];
    const std::size_t count = metadata.channels[c].count();
    if (count > 1) out += '[';
    for (std::size_t e = 0; e < count; ++e) {
      if (e > 0) out += ',';
      append_json_number(out, number.data(), source.texts[c].write(number.data(), sample, e), source.infinite);
    }
    if (count > 1) out += ']';
  }
  out += '}';
}

constexpr std::int64_t kNs = 1'000'000'000;

// UTC by the clock of an instant of the device's clock, else the instant itself.
std::int64_t log_time(std::int64_t device_ns, const std::optional<RecordingClock>& clock) {
  if (!clock) return device_ns;
  return static_cast<std::int64_t>(clock->fit.utc_ns_at(clock->position(device_ns, {kNs, 1})));
}

std::int64_t in_int64(WholeNumber number) {
  using Limits = std::numeric_limits<std::int64_t>;
  return static_cast<std::int64_t>(std::clamp(number, WholeNumber{Limits::min()}, WholeNumber{Limits::max()}));
}

// Where doubles are coarser than nanoseconds, by the fractions that times are.
std::int64_t ns_of_sample(const Source& source) {
  const double time_s = source.run->times[source.next];
  if (source.interpolated) return std::llround(time_s * 1e9);
  const Metadata& metadata = source.reader.metadata();
  const auto origin = source.normalized ? source.reader.origin().value_or(0) : 0;
  const WholeNumber ticks = (WholeNumber{source.run->tick} - origin) * source.ticks.denominator;
  WholeNumber parts = source.ticks.numerator;  // of a second
  WholeNumber seconds = ticks / parts;
  WholeNumber rest = ticks % parts;
  if (rest < 0) {
    rest += parts;
    --seconds;
  }
  rest *= kNs;
  if (source.spread) {
    const Frequency& rate = *metadata.sample_frequency;
    const WholeNumber index = WholeNumber{source.run->first + source.next} * rate.denominator;
    seconds += index / rate.numerator;
    rest = rest * rate.numerator + index % rate.numerator * kNs * parts;
    parts *= rate.numerator;
  }
  return in_int64(seconds * kNs + (2 * rest + parts) / (2 * parts));
}

// The first that a sample with this time can have: labels have the samples that they have by their times.
std::int64_t ns_of_label(double time_s) {
  const double whole = std::floor(time_s);
  const double half_a_step = (time_s - std::nextafter(time_s, -1e300)) / 2;
  return in_int64(static_cast<WholeNumber>(whole) * kNs + std::llround((time_s - whole - half_a_step) * 1e9));
}

bool have_one_clock(const std::vector<Source>& sources) {
  const auto same = [](const RecordingClock& a, const RecordingClock& b) {
    return a.ticks == b.ticks && a.fit.tick == b.fit.tick && a.fit.utc_ns == b.fit.utc_ns &&
           a.fit.ns_per_tick == b.fit.ns_per_tick;
  };
  return std::all_of(sources.begin(), sources.end(), [&](const Source& source) {
    return !source.clock || same(*source.clock, *sources.front().clock);
  });
}

// Makes labels of the whole recording labels of each stream, where one instant has several log times.
void tell_for_each_clock(LabelFile& labels, const std::vector<Source>& sources, std::vector<std::string>& notes) {
  if (have_one_clock(sources)) return;
  std::vector<std::string> ids;
  ids.reserve(sources.size());
  for (const auto& source : sources) ids.push_back(source.id);
  const std::size_t divided = divide_by_stream(labels, ids);
  if (divided > 0)
    notes.push_back(fmt::format("{} of the whole recording {} told once for each stream: their clocks do not agree",
                                divided == 1 ? "1 label" : fmt::format("{} labels", divided),
                                divided == 1 ? "is" : "are"));
}

// Begin and end of each label as log times of the stream that it is about, or of all of them: a line each.
std::string label_times(const ExportedLabels& exported, const std::vector<Source>& sources) {
  std::string out;
  for (const auto& label : exported.file.labels) {
    const auto about =
        std::find_if(sources.begin(), sources.end(), [&](const Source& source) { return source.id == label.stream; });
    const auto& clock = (about == sources.end() ? sources.front() : *about).clock;
    const auto time = [&](std::uint64_t tick) {
      return log_time(ns_of_label(exported.seconds_of(label, tick)), clock);
    };
    out += fmt::format("{} {}\n", time(label.begin), time(label.end));
  }
  return out;
}

}  // namespace

Expected<ExportReport> export_mcap(const Recording& recording, const std::vector<std::size_t>& streams,
                                   const std::filesystem::path& output, const ExportOptions& options,
                                   const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  ExportReport report;
  TextCaches caches;
  std::vector<Source> sources;
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  McapWriter writer(file->sink());
  if (auto done = writer.begin(); !done) return fail(done);
  for (const std::size_t index : streams) {
    const StreamInfo& stream = recording.streams()[index];
    if (const auto why = why_no_samples(stream)) {
      report.notes.push_back(fmt::format("stream {} is left out: {}", stream.id, *why));
      continue;
    }
    if (sources.size() >= 65000)
      return fail(ErrorCode::limit, "more streams than an MCAP file has channels", recording.path());
    SampleOptions samples = options.samples;
    samples.within = options.within.of(index);
    auto reader = SampleReader::open(recording, index, samples, on_progress);
    if (!reader) return fail(reader);
    const Metadata& metadata = reader->metadata();
    Source source{std::move(*reader),      stream.id, {},    {},    nullptr, 0, {}, 0,
                  stream.tick_frequency(), 0,         false, false, false};
    source.normalized = samples.normalize;
    source.interpolated = samples.times == SampleTimes::interpolate;
    source.spread = metadata.sample_frequency && samples.times != SampleTimes::block;
    for (const auto& channel : metadata.channels) {
      source.texts.emplace_back(channel, caches);
      source.keys.push_back(json_string(channel.name) + ":");
    }
    std::map<std::string, std::string> facts{{"sds-metadata", stream.description.metadata_text}};
    if (!options.samples.normalize) source.clock = clock_of(recording, stream.tick_frequency());
    writer.add_channel("/" + stream.id, schema_of(stream.id, metadata), facts);
    sources.push_back(std::move(source));
  }
  if (sources.empty()) return no_stream_with_values(recording, report.notes);
  if (auto done = writer.write_channels(); !done) return fail(done);
  const auto clock = options.samples.normalize ? std::nullopt : clock_of(recording);
  if (clock)
    for (auto& text : utc_steps_in_fit(recording)) report.notes.push_back(std::move(text));
  std::map<std::string, std::string> session{{"source", recording.path().filename().string()},
                                             {"utc", clock ? "yes" : "no"}};
  const Properties facts = copied_session(recording);
  for (const auto& [key, value] : facts.items()) session.emplace(key, value);
  if (auto done = writer.write_metadata("sds", session); !done) return fail(done);
  std::uint64_t before_zero = 0;
  std::string text;
  const auto advance = [](Source& source) -> Expected<void> {
    if (source.run == nullptr || ++source.next >= source.run->count) {
      auto run = source.reader.next();
      if (!run) return fail(run);
      source.run = *run;
      source.next = 0;
    }
    if (source.run != nullptr) source.time_ns = ns_of_sample(source);
    return {};
  };
  for (auto& source : sources)
    if (auto done = advance(source); !done) return fail(done);
  auto labels = exported_labels(recording, streams, options.within, options.samples.normalize, report.notes);
  if (!labels) return fail(labels);
  tell_for_each_clock(labels->file, sources, report.notes);
  if (!labels->file.labels.empty())
    if (auto done = writer.write_metadata(
            "sds-labels", {{"yaml", labels->file.to_yaml()}, {"log-times", label_times(*labels, sources)}});
        !done)
      return fail(done);
  for (;;) {
    // The earliest sample of all streams; of one time, the first stream's.
    std::size_t first = sources.size();
    for (std::size_t s = 0; s < sources.size(); ++s)
      if (sources[s].run != nullptr && (first == sources.size() || sources[s].time_ns < sources[first].time_ns))
        first = s;
    if (first == sources.size()) break;
    Source& source = sources[first];
    const std::int64_t time = log_time(source.time_ns, source.clock);
    if (time < 0) ++before_zero;
    write_sample(source, text);
    if (auto done = writer.message(first, static_cast<std::uint64_t>(std::max<std::int64_t>(0, time)), text); !done)
      return fail(done);
    ++report.samples;
    if (auto done = advance(source); !done) return fail(done);
  }
  if (auto done = writer.end(); !done) return fail(done);
  if (auto kept = file->keep(); !kept) return fail(kept);
  for (const auto& source : sources) {
    for (const auto& note : source.reader.notes()) report.notes.push_back(note);
    for (auto& note : source.reader.notes_of_losses("not told in it")) report.notes.push_back(std::move(note));
    report.values_not_written += source.infinite;
    if (source.infinite > 0)
      report.notes.push_back(fmt::format(
          "{}: {} infinite value{} written as null, which reads back as NaN: JSON has no "
          "number for {}",
          source.id, source.infinite, source.infinite == 1 ? " is" : "s are", source.infinite == 1 ? "it" : "them"));
  }
  if (before_zero > 0)
    report.notes.push_back(fmt::format("{} samples lie before time 0, and are written at 0", before_zero));
  report.streams = sources.size();
  report.files.push_back(output);
  return report;
}

}  // namespace sds
