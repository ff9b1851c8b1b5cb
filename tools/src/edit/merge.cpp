// sds merge: several recordings on one clock.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "edit/stream_copy.hpp"
#include "new_recording.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sds/tools/clock_fit.hpp"
#include "sds/tools/edit.hpp"
#include "sds/tools/label_tools.hpp"

namespace sds {

namespace {

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

// A recording's clock; streams of one recording share a device.
struct RecordingClock {
  ClockFit fit;
  Frequency ticks;
  [[nodiscard]] double ns_per_tick(const Frequency& frequency) const {
    return fit.ns_per_tick * ticks.hz() / frequency.hz();
  }
};

class Merger {
 public:
  Merger(const std::vector<MergeInput>& inputs, bool align, SdszWriter& writer, EditReport& report)
      : inputs_(inputs), align_(align), writer_(writer), report_(report), clocks_(inputs.size()) {}

  // By the stream with the most pairs; the first one where several have.
  Expected<void> fit_clocks() {
    std::uint64_t origin_ns = 0;
    for (std::size_t r = 0; r < inputs_.size() && align_; ++r) {
      const Recording& recording = inputs_[r].recording;
      std::size_t best = 0;
      for (std::size_t s = 0; s < recording.streams().size(); ++s)
        if (clocks_of(recording, s).size() > clocks_of(recording, best).size()) best = s;
      if (recording.streams().empty() || clocks_of(recording, best).empty())
        return fail(ErrorCode::usage,
                    "has no clock pairs, so its time cannot be aligned with the others' (--no-align keeps timeslots)",
                    recording.path());
      const auto pairs = clocks_of(recording, best);
      if (origin_ns == 0) origin_ns = pairs.front().utc_ns;
      const Frequency ticks = recording.streams()[best].tick_frequency();
      clocks_[r] = {fit_clock(pairs, ticks, origin_ns), ticks};
    }
    for (std::size_t r = 0; r < inputs_.size() && align_; ++r) report_clock(r);
    return {};
  }

  Expected<void> copy_all(const OnProgress& on_progress) {
    for (std::size_t r = 0; r < inputs_.size(); ++r) {
      for (std::size_t s = 0; s < inputs_[r].recording.streams().size(); ++s)
        if (auto done = copy_stream(r, s, on_progress); !done) return done;
      if (auto done = take_labels(r); !done) return done;
    }
    return {};
  }

  [[nodiscard]] const std::optional<LabelFile>& labels() const { return labels_; }

 private:
  void report_clock(std::size_t r) {
    const RecordingClock& own = clocks_[r];
    const RecordingClock& first = clocks_[0];
    MergedClock clock;
    clock.path = inputs_[r].recording.path();
    clock.pairs = own.fit.pairs;
    clock.rate_ppm = own.fit.rate_ppm;
    clock.rate_uncertainty_ppm = own.fit.rate_uncertainty_ppm;
    clock.rate_applied = own.fit.rate_applied;
    clock.why_not = own.fit.why_not;
    if (r > 0) {
      clock.moved_s = map_of(r, own.ticks).shift / own.ticks.hz();
      clock.moved_uncertainty_s = std::hypot(own.fit.offset_uncertainty_s, first.fit.offset_uncertainty_s);
    }
    report_.clocks.push_back(std::move(clock));
  }

  // UTC of a tick by its own recording's clock, then the tick of that instant by the first recording's.
  [[nodiscard]] ClockMap map_of(std::size_t r, const Frequency& ticks) const {
    if (!align_ || r == 0) return {};
    const RecordingClock& own = clocks_[r];
    const RecordingClock& first = clocks_[0];
    const double first_ns = first.ns_per_tick(ticks);
    return {own.ns_per_tick(ticks) / first_ns, (own.fit.utc_ns_at_zero - first.fit.utc_ns_at_zero) / first_ns};
  }

  // Streams of one name get the label of their recording's file.
  StreamDescription describe(std::size_t r, const StreamInfo& stream) {
    StreamDescription description = stream.description;
    description.file_name.clear();
    const auto full_name = [&] {
      return description.name + "." + description.label + (description.playback ? ".p" : "");
    };
    if (names_.count(full_name()) > 0) {
      description.label = inputs_[r].label;
      for (int n = 2; names_.count(full_name()) > 0; ++n) description.label = fmt::format("{}-{}", inputs_[r].label, n);
    }
    names_.insert(full_name());
    return description;
  }

  Expected<std::uint64_t> moved(const ClockMap& map, std::uint64_t tick, const StreamInfo& stream,
                                const Recording& recording) {
    if (const auto to = map(tick)) return *to;
    return fail(ErrorCode::bad_input,
                fmt::format("stream {}: tick {} would lie before the first recording's clock began", stream.id, tick),
                recording.path());
  }

  Expected<void> copy_stream(std::size_t r, std::size_t s, const OnProgress& on_progress) {
    const Recording& recording = inputs_[r].recording;
    const StreamInfo& stream = recording.streams()[s];
    auto id = writer_.add_stream(describe(r, stream));
    if (!id) return fail(id);
    ++report_.streams;
    const ClockMap map = map_of(r, stream.tick_frequency());
    auto cursor = recording.cursor(s);
    if (!cursor) return fail(cursor);
    StreamLosses losses(recording, s);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      if (auto done = add_gaps(writer_, *id, losses.before(**block)); !done) return done;
      const auto tick = moved(map, (*block)->tick, stream, recording);
      if (!tick) return fail(tick);
      if (auto done = writer_.append_at(*id, *tick, (*block)->data); !done) return done;
      ++report_.blocks;
      if (auto go_on = sds::report(on_progress, (*block)->data.size() + 8); !go_on) return go_on;
    }
    if (auto done = add_gaps(writer_, *id, losses.at_end()); !done) return done;
    if (auto done = leave_tail(writer_, *id, stream.id, **cursor, report_); !done) return done;
    for (ClockPair pair : clocks_of(recording, s)) {
      const auto tick = map(pair.tick);
      if (!tick) continue;  // of a time before the first clock began
      pair.tick = *tick;
      if (auto done = writer_.add_clock(*id, pair); !done) return done;
    }
    return writer_.end_stream(*id);
  }

  Expected<void> take_labels(std::size_t r) {
    auto labels = labels_of(inputs_[r].recording);
    if (!labels) {
      report_.notes.push_back("labels are left behind: " + labels.error().to_string());
      return {};
    }
    if (labels->labels.empty()) return {};
    if (!labels_) {
      labels_.emplace();
      labels_->tick_frequency = labels->tick_frequency;
    }
    if (align_ && r > 0) {
      const ClockMap map = map_of(r, labels->tick_frequency);
      const double shift_s = map.shift / labels->tick_frequency.hz();
      for (auto& label : labels->labels) {
        auto begin = labels->tick_of(labels->seconds_of(label.begin) * map.stretch + shift_s);
        auto end = labels->tick_of(labels->seconds_of(label.end) * map.stretch + shift_s);
        if (!begin || !end) return fail(begin ? end : begin);
        label.begin = *begin;
        label.end = *end;
      }
    }
    return merge_labels(*labels_, *labels);
  }

  const std::vector<MergeInput>& inputs_;
  bool align_;
  SdszWriter& writer_;
  EditReport& report_;
  std::vector<RecordingClock> clocks_;
  std::set<std::string> names_;
  std::optional<LabelFile> labels_;
};

}  // namespace

Expected<EditReport> merge(const std::vector<MergeInput>& inputs, bool align, const std::filesystem::path& output,
                           const EditOptions& options, const OnProgress& on_progress) {
  std::vector<FileInUse> labels;
  for (const auto& input : inputs) labels.emplace_back(label_path(input.recording.path()));
  Properties session = inputs.front().recording.sdsz() ? inputs.front().recording.sdsz()->session() : Properties{};
  session.set("tool", "sdskit merge");
  SourceFingerprint source;
  for (const auto& input : inputs) source.add(input.recording);
  session.set("source", source.to_string());
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  EditReport report;
  Merger merger(inputs, align, (*made)->writer(), report);
  if (auto done = merger.fit_clocks(); !done) return fail(done);
  if (auto done = merger.copy_all(on_progress); !done) return fail(done);
  report.raw_bytes = (*made)->writer().raw_bytes();
  if (auto done = (*made)->finish(); !done) return fail(done);
  if (!merger.labels()) return report;
  report.labels = merger.labels()->labels.size();
  if (auto saved = save_beside(*merger.labels(), output, options.force); !saved) return fail(saved);
  return report;
}

}  // namespace sds
