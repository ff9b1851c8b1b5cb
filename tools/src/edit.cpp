#include "sds/tools/edit.hpp"

#include <fmt/format.h>
#include <samplerate.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>

#include "new_recording.hpp"
#include "sds/tools/channel_values.hpp"
#include "sds/tools/label_tools.hpp"

namespace sds {

namespace {

// A `.sdsz` counts a stream's ticks from its first timeslot on: one that begins behind a wrap-around loses the turns.
void note_turns(const std::string& id, std::uint64_t first_tick, EditReport& report) {
  if (first_tick >> 32 == 0) return;
  report.notes.push_back(
      fmt::format("{}: begins behind {} wrap-arounds of the 32-bit timeslot, and its time starts anew without them", id,
                  first_tick >> 32));
}

void note_damage(const std::string& id, const BlockCursor& cursor, EditReport& report) {
  for (const auto& damage : cursor.damages())
    report.notes.push_back(fmt::format("{}: at byte {}: {}", id, damage.offset, damage.reason));
  if (const auto tail = cursor.tail())
    report.notes.push_back(fmt::format("{}: the torn end is left out: at byte {}: {}", id, tail->offset, tail->reason));
}

// How ticks of one stream become ticks of the merged recording: round(tick * stretch + shift).
struct ClockMap {
  double stretch = 1;
  double shift = 0;
  [[nodiscard]] std::optional<std::uint64_t> operator()(std::uint64_t tick) const {
    if (stretch == 1 && shift == 0) return tick;
    // Whole and fractional part apart, so that long recordings keep their ticks.
    const double moved = std::round((stretch - 1) * static_cast<double>(tick) + shift);
    const double result = static_cast<double>(tick) + moved;
    if (result < 0 || result > 9.0e15) return std::nullopt;
    return tick + static_cast<std::uint64_t>(static_cast<std::int64_t>(moved));
  }
};

struct UtcLine {
  double utc_ns_at_zero = 0;  // relative to `origin`
  double ns_per_tick = 0;
  bool real_time = true;  // false: the pairs' rate cannot be a clock's, the nominal one is used
};

// The line through a stream's first and last clock pair; with one pair, the nominal rate.
std::optional<UtcLine> utc_line(const std::vector<ClockPair>& pairs, const Frequency& ticks, std::uint64_t origin_ns) {
  if (pairs.empty()) return std::nullopt;
  const ClockPair& a = pairs.front();
  const ClockPair& b = pairs.back();
  UtcLine line{0, 1e9 / ticks.hz(), true};
  const auto since = [&](std::uint64_t utc) { return static_cast<double>(static_cast<std::int64_t>(utc - origin_ns)); };
  // Pairs of less than a second say nothing of the rate.
  if (b.tick > a.tick && seconds(b.tick - a.tick, ticks) >= 1)
    line.ns_per_tick = (since(b.utc_ns) - since(a.utc_ns)) / static_cast<double>(b.tick - a.tick);
  // No crystal is off by a thousandth: such pairs come from a recording that was not made in real time.
  line.real_time = std::abs(line.ns_per_tick * ticks.hz() / 1e9 - 1) < 1e-3;
  if (!line.real_time) line.ns_per_tick = 1e9 / ticks.hz();
  line.utc_ns_at_zero = since(a.utc_ns) - line.ns_per_tick * static_cast<double>(a.tick);
  return line;
}

}  // namespace

Expected<EditReport> cut(const Recording& recording, const std::vector<std::size_t>& streams, const TimeRanges& within,
                         const std::filesystem::path& output, const EditOptions& options,
                         const OnProgress& on_progress) {
  Properties session = recording.sdsz() ? recording.sdsz()->session() : Properties{};
  session.set("tool", "sdskit cut");
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  SdszWriter& writer = (*made)->writer();
  EditReport report;
  for (const std::size_t index : streams) {
    const StreamInfo& stream = recording.streams()[index];
    auto id = writer.add_stream(stream.description);
    if (!id) return fail(id);
    ++report.streams;
    auto cursor = recording.cursor(index, nullptr, time_filter(recording, index, within));
    if (!cursor) return fail(cursor);
    const Frequency ticks = stream.tick_frequency();
    const bool has_rate = stream.metadata && stream.metadata->sample_frequency;
    bool any = false;
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      const BlockView& b = **block;
      if (auto go_on = sds::report(on_progress, b.data.size() + 8); !go_on) return fail(go_on);
      const double begin = seconds(b.tick, ticks);
      const std::size_t samples = has_rate ? b.data.size() / stream.metadata->sample_bytes : 0;
      const double end =
          has_rate ? begin + static_cast<double>(samples) / stream.metadata->sample_frequency->hz() : begin;
      if (!overlaps(within, begin, end)) continue;
      if (!any) note_turns(stream.id, b.tick, report);
      any = true;
      if (auto done = writer.append(*id, b.timeslot, b.data); !done) return fail(done);
      ++report.blocks;
    }
    note_damage(stream.id, **cursor, report);
    if (auto done = writer.seal(*id); !done) return fail(done);
  }
  report.raw_bytes = (*made)->writer().raw_bytes();
  if (auto done = (*made)->finish(); !done) return fail(done);
  auto labels = labels_of(recording);
  if (!labels) {
    report.notes.push_back("the labels are left behind: " + labels.error().to_string());
    return report;
  }
  LabelFile left;
  left.tick_frequency = labels->tick_frequency;
  left.classes = labels->classes;
  for (const auto& label : labels->labels) {
    const bool about_cut = !label.stream.empty() && std::none_of(streams.begin(), streams.end(), [&](std::size_t s) {
      return recording.streams()[s].id == label.stream;
    });
    if (about_cut) continue;
    for (const auto& span : both(within, {{labels->seconds_of(label.begin), labels->seconds_of(label.end)}})) {
      auto begin = left.tick_of(span.begin);
      auto end = left.tick_of(span.end);
      if (!begin || !end || *end <= *begin) continue;
      Label part = label;
      part.begin = *begin;
      part.end = *end;
      left.labels.push_back(std::move(part));
    }
  }
  report.labels = left.labels.size();
  if (!left.labels.empty()) {
    left.sort();
    if (auto saved = write_text_file(label_path(output), left.to_yaml(), if_exists(options.force)); !saved)
      return fail(saved);
  }
  return report;
}

Expected<EditReport> merge(const std::vector<MergeInput>& inputs, bool align, const std::filesystem::path& output,
                           const EditOptions& options, const OnProgress& on_progress) {
  // Every recording's clock by the first of its streams that has pairs; streams of one recording share a device.
  struct Source {
    std::optional<UtcLine> line;
    Frequency ticks;
  };
  std::vector<Source> sources(inputs.size());
  std::uint64_t origin_ns = 0;
  for (std::size_t r = 0; r < inputs.size(); ++r) {
    const Recording& recording = inputs[r].recording;
    for (std::size_t s = 0; s < recording.streams().size() && recording.sdsz() && !sources[r].line; ++s) {
      const auto& clocks = recording.sdsz()->streams()[s].clocks;
      if (clocks.empty()) continue;
      if (origin_ns == 0) origin_ns = clocks.front().utc_ns;
      sources[r].ticks = recording.streams()[s].tick_frequency();
      sources[r].line = utc_line(clocks, sources[r].ticks, origin_ns);
    }
    if (align && inputs.size() > 1 && !sources[r].line)
      return fail(ErrorCode::usage,
                  "has no clock pairs, so its time cannot be aligned with the others' (--no-align keeps timeslots)",
                  recording.path());
  }
  Properties session = inputs.front().recording.sdsz() ? inputs.front().recording.sdsz()->session() : Properties{};
  session.set("tool", "sdskit merge");
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  SdszWriter& writer = (*made)->writer();
  EditReport report;
  std::set<std::string> names;
  LabelFile merged_labels;
  bool any_labels = false;
  for (std::size_t r = 0; r < inputs.size(); ++r) {
    const Recording& recording = inputs[r].recording;
    const bool move = align && r > 0;
    for (std::size_t s = 0; s < recording.streams().size(); ++s) {
      const StreamInfo& stream = recording.streams()[s];
      StreamDescription description = stream.description;
      description.file_name.clear();
      const auto full_name = [&] {
        return description.name + "." + description.label + (description.playback ? ".p" : "");
      };
      if (names.count(full_name()) > 0) {
        description.label = inputs[r].label;
        for (int n = 2; names.count(full_name()) > 0; ++n) description.label = fmt::format("{}-{}", inputs[r].label, n);
      }
      names.insert(full_name());
      // Streams of one name may be described differently: then the file's name tells them apart.
      auto id = writer.add_stream(description);
      if (!id) return fail(id);
      ++report.streams;
      const Frequency ticks = stream.tick_frequency();
      ClockMap map;
      if (move) {
        // UTC of a tick by its own recording's clock, then the tick of that instant by the first recording's.
        const auto& own = *sources[r].line;
        const auto& first = *sources[0].line;
        const double own_ns_per_tick = own.ns_per_tick * sources[r].ticks.hz() / ticks.hz();
        const double first_ns_per_tick = first.ns_per_tick * sources[0].ticks.hz() / ticks.hz();
        map.stretch = own_ns_per_tick / first_ns_per_tick;
        map.shift = (own.utc_ns_at_zero - first.utc_ns_at_zero) / first_ns_per_tick;
        if (s == 0 && !(own.real_time && first.real_time))
          report.notes.push_back(recording.path().string() +
                                 ": the clock pairs are not of real time; moved, but not stretched");
        if (s == 0)
          report.notes.push_back(fmt::format("{}: moved by {:+.6f} s, clock {:+.1f} ppm", recording.path().string(),
                                             map.shift / ticks.hz(), (map.stretch - 1) * 1e6));
      }
      auto cursor = recording.cursor(s);
      if (!cursor) return fail(cursor);
      bool any = false;
      for (;;) {
        auto block = (*cursor)->next();
        if (!block) return fail(block);
        if (!*block) break;
        const auto tick = map((*block)->tick);
        if (!tick)
          return fail(ErrorCode::bad_input,
                      fmt::format("stream {}: tick {} would lie before the first recording's clock began", stream.id,
                                  (*block)->tick),
                      recording.path());
        if (!any) note_turns(stream.id, *tick, report);
        any = true;
        if (auto done =
                writer.append(*id, move ? static_cast<std::uint32_t>(*tick) : (*block)->timeslot, (*block)->data);
            !done)
          return fail(done);
        ++report.blocks;
        if (auto go_on = sds::report(on_progress, (*block)->data.size() + 8); !go_on) return fail(go_on);
      }
      if (recording.sdsz())
        for (const auto& gap : recording.sdsz()->streams()[s].gaps)
          if (auto done = writer.add_gap(*id, gap.reason); !done) return fail(done);
      note_damage(stream.id, **cursor, report);
      if (auto done = writer.seal(*id); !done) return fail(done);
    }
    auto labels = labels_of(recording);
    if (!labels) {
      report.notes.push_back("labels are left behind: " + labels.error().to_string());
      continue;
    }
    if (labels->labels.empty()) continue;
    if (!any_labels) merged_labels.tick_frequency = labels->tick_frequency;
    any_labels = true;
    if (move) {
      const auto& own = *sources[r].line;
      const auto& first = *sources[0].line;
      const double stretch = own.ns_per_tick * sources[r].ticks.hz() / (first.ns_per_tick * sources[0].ticks.hz());
      const double shift_s = (own.utc_ns_at_zero - first.utc_ns_at_zero) / (first.ns_per_tick * sources[0].ticks.hz());
      for (auto& label : labels->labels) {
        auto begin = labels->tick_of(labels->seconds_of(label.begin) * stretch + shift_s);
        auto end = labels->tick_of(labels->seconds_of(label.end) * stretch + shift_s);
        if (!begin || !end) return fail(begin ? end : begin);
        label.begin = *begin;
        label.end = *end;
      }
    }
    if (auto done = merge_labels(merged_labels, *labels); !done) return fail(done);
  }
  report.raw_bytes = (*made)->writer().raw_bytes();
  if (auto done = (*made)->finish(); !done) return fail(done);
  report.labels = merged_labels.labels.size();
  if (any_labels)
    if (auto saved = write_text_file(label_path(output), merged_labels.to_yaml(), if_exists(options.force)); !saved)
      return fail(saved);
  return report;
}

namespace {

// One run without gaps, resampled and written block by block.
class PieceResampler {
 public:
  PieceResampler(const Metadata& target, double ratio, SdszWriter& writer, SdszWriter::StreamId id, EditReport& report)
      : target_(target), ratio_(ratio), writer_(writer), id_(id), report_(report), channels_(target.channels.size()) {}
  ~PieceResampler() {
    if (state_ != nullptr) src_delete(state_);
  }
  PieceResampler(const PieceResampler&) = delete;
  PieceResampler& operator=(const PieceResampler&) = delete;

  Expected<void> open(int converter) {
    int error = 0;
    state_ = src_new(converter, static_cast<int>(channels_), &error);
    if (state_ == nullptr)
      return fail(ErrorCode::limit, fmt::format("{} channels cannot be resampled: {}", channels_, src_strerror(error)));
    return {};
  }

  void begin(double time) {
    src_reset(state_);
    start_ = time;
    written_ = 0;
    pending_.clear();
    active_ = true;
  }
  [[nodiscard]] bool active() const { return active_; }

  Expected<void> push(const std::vector<float>& frames, bool last) {
    static constexpr std::size_t out_frames = 4096;
    out_.resize(out_frames * channels_);
    SRC_DATA data{};
    // libsamplerate drains its filter only where there is a pointer to input, even to none.
    static constexpr float nothing = 0;
    data.data_in = frames.empty() ? &nothing : frames.data();
    data.input_frames = static_cast<long>(frames.size() / channels_);
    data.src_ratio = ratio_;
    data.end_of_input = last ? 1 : 0;
    for (;;) {
      data.data_out = out_.data();
      data.output_frames = out_frames;
      if (const int error = src_process(state_, &data); error != 0)
        return fail(ErrorCode::bad_input, std::string("resampling: ") + src_strerror(error));
      pending_.insert(
          pending_.end(), out_.begin(),
          out_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(data.output_frames_gen) * channels_));
      data.data_in += data.input_frames_used * static_cast<long>(channels_);
      data.input_frames -= data.input_frames_used;
      if (auto done = write_blocks(false); !done) return done;
      if (data.output_frames_gen == 0 && data.input_frames == 0) break;
      if (data.output_frames_gen == 0 && data.input_frames_used == 0) break;
    }
    if (!last) return {};
    active_ = false;
    return write_blocks(true);
  }

 private:
  Expected<void> write_blocks(bool all) {
    const std::size_t block = std::max<std::size_t>(1, static_cast<std::size_t>(target_.sample_frequency->hz() / 10));
    const std::size_t frames = pending_.size() / channels_;
    std::size_t done = 0;
    while (frames - done >= block || (all && done < frames)) {
      const std::size_t n = std::min(block, frames - done);
      const double time = start_ + static_cast<double>(written_) / target_.sample_frequency->hz();
      const auto tick = static_cast<std::uint64_t>(std::max(0.0, std::round(time * target_.tick_frequency.hz())));
      bytes_.clear();
      for (std::size_t i = 0; i < n * channels_; ++i) append_le(bytes_, pending_[done * channels_ + i]);
      if (auto put = writer_.append(id_, static_cast<std::uint32_t>(tick), bytes_); !put) return put;
      ++report_.blocks;
      done += n;
      written_ += n;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done * channels_));
    return {};
  }

  const Metadata& target_;
  double ratio_;
  SdszWriter& writer_;
  SdszWriter::StreamId id_;
  EditReport& report_;
  std::size_t channels_;
  SRC_STATE* state_ = nullptr;
  bool active_ = false;
  double start_ = 0;
  std::uint64_t written_ = 0;
  std::vector<float> pending_;
  std::vector<float> out_;
  Bytes bytes_;
};

}  // namespace

Expected<EditReport> resample(const Recording& recording, std::size_t index, const Frequency& rate,
                              ResampleQuality quality, const std::filesystem::path& output, const EditOptions& options,
                              const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  auto reader = SampleReader::open(recording, index, {}, on_progress);
  if (!reader) return fail(reader);
  const Metadata& source = reader->metadata();
  if (!source.sample_frequency)
    return fail(ErrorCode::usage, fmt::format("stream {} has no sample-frequency to start from", stream.id),
                stream.path);
  const double ratio = rate.hz() / source.sample_frequency->hz();
  if (src_is_valid_ratio(ratio) == 0)
    return fail(ErrorCode::usage,
                fmt::format("from {} Hz to {} Hz is further than 256 times", source.sample_frequency->hz(), rate.hz()));
  Metadata target;
  target.name = stream.description.name;
  target.description = fmt::format("{}{}resampled from {} Hz", source.description,
                                   source.description.empty() ? "" : "; ", source.sample_frequency->hz());
  target.tick_frequency = source.tick_frequency;
  target.sample_frequency = rate;
  const auto values = all_values(source);
  for (const auto& ref : values) {
    Channel channel;
    channel.name = ref.name(source);
    channel.type = ScalarType::f32;
    channel.unit = source.channels[ref.channel].unit;
    target.channels.push_back(channel);
  }
  Properties session = recording.sdsz() ? recording.sdsz()->session() : Properties{};
  session.set("tool", "sdskit resample");
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  StreamDescription description = stream.description;
  description.file_name.clear();
  description.metadata_file_name = description.name + ".sds.yml";
  description.metadata_text = to_yaml(target);
  auto id = (*made)->writer().add_stream(description);
  if (!id) return fail(id);
  EditReport report;
  report.streams = 1;
  const int converter = quality == ResampleQuality::best     ? SRC_SINC_BEST_QUALITY
                        : quality == ResampleQuality::medium ? SRC_SINC_MEDIUM_QUALITY
                                                             : SRC_SINC_FASTEST;
  PieceResampler piece(target, ratio, (*made)->writer(), *id, report);
  if (auto opened = piece.open(converter); !opened) return fail(opened);
  std::vector<float> frames;
  std::vector<double> column;
  double expected = 0;
  std::uint64_t not_numbers = 0;
  std::uint64_t pieces = 0;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    const double length = static_cast<double>(samples.count) / source.sample_frequency->hz();
    // Device clocks wander; a gap is more than half a block off.
    if (piece.active() &&
        std::abs(samples.times[0] - expected) > std::max(0.5 * length, 2 / source.tick_frequency.hz())) {
      if (auto done = piece.push({}, true); !done) return fail(done);
    }
    if (!piece.active()) {
      piece.begin(samples.times[0]);
      ++pieces;
    }
    expected = samples.times[0] + length;
    frames.resize(samples.count * values.size());
    column.resize(samples.count);
    for (std::size_t v = 0; v < values.size(); ++v) {
      physical_values(source.channels[values[v].channel], values[v].element, samples.data, samples.count,
                      source.sample_bytes, column.data());
      for (std::size_t k = 0; k < samples.count; ++k) {
        // One NaN would spoil all that the filter reaches.
        if (!std::isfinite(column[k])) {
          ++not_numbers;
          column[k] = 0;
        }
        frames[k * values.size() + v] = static_cast<float>(column[k]);
      }
    }
    if (auto done = piece.push(frames, false); !done) return fail(done);
  }
  if (piece.active())
    if (auto done = piece.push({}, true); !done) return fail(done);
  report.notes = reader->notes();
  if (pieces > 1)
    report.notes.push_back(fmt::format("{}: {} gaps, each starts the filter anew", stream.id, pieces - 1));
  if (not_numbers > 0)
    report.notes.push_back(
        fmt::format("{}: {} values that are no finite numbers were taken as 0", stream.id, not_numbers));
  report.raw_bytes = (*made)->writer().raw_bytes();
  if (auto done = (*made)->finish(); !done) return fail(done);
  return report;
}

}  // namespace sds
