// sds merge: several recordings on one clock.
#include <algorithm>
#include <cmath>
#include <compare>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "clock_fit.hpp"
#include "edit.hpp"
#include "label_tools.hpp"
#include "moved_labels.hpp"
#include "new_recording.hpp"
#include "sds/format/names.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "session_ids.hpp"
#include "stream_copy.hpp"

namespace sds {

namespace {

// How ticks of one stream become ticks of the merged recording. It turns about an instant near them, so that long
// times since a device was switched on cost no precision.
struct ClockMap {
  double stretch = 1;
  long double about = 0;
  long double shift = 0;

  [[nodiscard]] long double moved_by(long double tick) const { return (stretch - 1) * (tick - about) + shift; }
  [[nodiscard]] std::optional<std::uint64_t> operator()(std::uint64_t tick) const {
    const long double moved = std::round(moved_by(static_cast<long double>(tick)));
    const long double result = static_cast<long double>(tick) + moved;
    if (!(result >= 0 && result < 9.0e18L && moved > -9.0e18L)) return std::nullopt;
    return tick + static_cast<std::uint64_t>(static_cast<std::int64_t>(moved));
  }
};

// The first or the last block of a recording.
struct End {
  std::uint64_t tick = 0;
  std::uint64_t merged_tick = 0;
  Frequency frequency;

  [[nodiscard]] bool before(const End& other) const {
    return std::is_lt(compare({tick, frequency}, {other.tick, other.frequency}));
  }
  [[nodiscard]] double moved_s() const {
    return static_cast<double>(static_cast<std::int64_t>(merged_tick - tick)) / frequency.hz();
  }
};

class Merger {
 public:
  Merger(const std::vector<MergeInput>& inputs, bool align, SdszWriter& writer, EditReport& report)
      : inputs_(inputs),
        align_(align),
        writer_(writer),
        report_(report),
        clocks_(inputs.size()),
        clocks_of_frequency_(inputs.size()),
        first_(inputs.size()),
        last_(inputs.size()) {}

  Expected<void> fit_clocks() {
    for (std::size_t r = 0; r < inputs_.size() && align_; ++r) {
      auto clock = clock_of(inputs_[r].recording);
      if (!clock)
        return fail(ErrorCode::usage,
                    "has no clock pairs, so its time cannot be aligned with the others' (--no-align keeps timeslots)",
                    inputs_[r].recording.path());
      clocks_[r] = std::move(*clock);
    }
    return {};
  }

  // That of the streams that count at `ticks`.
  [[nodiscard]] const RecordingClock& clock(std::size_t r, const Frequency& ticks) const {
    for (const auto& [frequency, known] : clocks_of_frequency_[r])
      if (frequency == ticks) return known;
    clocks_of_frequency_[r].emplace_back(ticks, clock_of(inputs_[r].recording, ticks).value_or(clocks_[r]));
    return clocks_of_frequency_[r].back().second;
  }

  Expected<void> copy_all(const OnProgress& on_progress) {
    for (std::size_t r = 0; r < inputs_.size(); ++r) {
      if (auto done = find_labels(r); !done) return done;
      for (std::size_t s = 0; s < inputs_[r].recording.streams().size(); ++s)
        if (auto done = copy_stream(r, s, on_progress); !done) return done;
      if (align_) report_clock(r);
      if (auto done = move_with_blocks(all_labels_.back(), shifts_); !done)
        return fail(done.error().code, done.error().message, inputs_[r].recording.path());
    }
    // What streams are called in the result is known when all are there.
    const auto ids = ids_of_streams(all_names_);
    auto id = ids.begin();
    for (std::size_t r = 0; r < inputs_.size(); ++r) {
      std::map<std::string, std::string> renamed;
      for (const auto& stream : inputs_[r].recording.streams()) renamed.emplace(stream.id, *id++);
      for (auto& label : all_labels_[r].labels)
        if (const auto to = renamed.find(label.stream); to != renamed.end()) label.stream = to->second;
    }
    return join_all_labels();
  }

  // Where names of streams say no class, for they are those of recordings, or give way to labels, there are labels, be
  // they none.
  [[nodiscard]] const std::optional<LabelFile>& labels() {
    if (!labels_ && names_give_way_) {
      labels_.emplace();
      labels_->tick_frequency = inputs_.front().recording.streams().empty()
                                    ? labels_->tick_frequency
                                    : inputs_.front().recording.streams().front().tick_frequency();
    }
    if (labels_) labels_->classes = any_list_ ? classes_ : std::vector<std::string>{};
    return labels_;
  }

 private:
  // Of an input without a list of classes, those that it uses are known.
  void know_classes(const LabelFile& labels) {
    any_list_ = any_list_ || !labels.classes.empty();
    std::vector<std::string> known = labels.classes;
    if (known.empty())
      for (const auto& label : labels.labels) known.push_back(label.name);
    for (auto& name : known)
      if (std::find(classes_.begin(), classes_.end(), name) == classes_.end()) classes_.push_back(std::move(name));
  }

  void report_clock(std::size_t r) {
    const ClockFit& fit = clocks_[r].fit;
    MergedClock clock;
    clock.path = inputs_[r].recording.path();
    clock.pairs = fit.pairs;
    clock.rate_ppm = fit.rate_ppm;
    clock.rate_uncertainty_ppm = fit.rate_uncertainty_ppm;
    clock.rate_applied = fit.rate_applied;
    clock.why_not = fit.why_not;
    if (r > 0 && first_[r]) {
      clock.moved_s = first_[r]->moved_s();
      clock.last_moved_s = last_[r]->moved_s();
      clock.moved_uncertainty_s = std::max(uncertainty_s(r, *first_[r]), uncertainty_s(r, *last_[r]));
    }
    if (!fit.real_time)
      report_.notes.push_back(
          fmt::format("{}: was not made in real time, by its clock pairs: only the middle of them is aligned",
                      clock.path.string()));
    for (const auto& text : utc_steps_in_fit(inputs_[r].recording))
      report_.notes.push_back(fmt::format("{}: {}", clock.path.string(), text));
    report_.clocks.push_back(std::move(clock));
  }

  // Both clocks', at the instant of a block.
  [[nodiscard]] double uncertainty_s(std::size_t r, const End& end) const {
    const auto at = [&](std::size_t which, std::uint64_t tick) {
      const RecordingClock& known = clock(which, end.frequency);
      return known.fit.uncertainty_s_at(known.position(static_cast<long double>(tick), end.frequency));
    };
    return std::hypot(at(r, end.tick), at(0, end.merged_tick));
  }

  void take_ends(std::size_t r, const End& block) {
    if (!first_[r] || block.before(*first_[r])) first_[r] = block;
    if (!last_[r] || last_[r]->before(block)) last_[r] = block;
  }

  // UTC of a tick by its own recording's clock, then the tick of that instant by the first recording's.
  [[nodiscard]] ClockMap map_of(std::size_t r, const Frequency& ticks) const {
    if (!align_ || r == 0) return {};
    const RecordingClock& own = clock(r, ticks);
    const RecordingClock& first = clock(0, ticks);
    // Both instants at which the clocks are known best, and their rates, in ticks of this stream.
    const auto in_ticks = [&](const RecordingClock& known) {
      return RecordingClock{{}, ticks}.position(static_cast<long double>(known.fit.tick), known.ticks);
    };
    const auto ns_per_tick = [&](const RecordingClock& known) {
      return known.fit.ns_per_tick * known.ticks.hz() / ticks.hz();
    };
    const auto later_ns = static_cast<long double>(static_cast<std::int64_t>(own.fit.utc_ns - first.fit.utc_ns));
    const long double about = in_ticks(own);
    return {ns_per_tick(own) / ns_per_tick(first), about, in_ticks(first) - about + later_ns / ns_per_tick(first)};
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
      names_give_way_ = true;
    }
    names_.insert(full_name());
    all_names_.push_back({description.name, description.label, description.playback});
    return description;
  }

  Expected<std::uint64_t> moved(const ClockMap& map, std::uint64_t tick, const StreamInfo& stream,
                                const Recording& recording) {
    if (const auto to = map(tick)) return *to;
    return fail(ErrorCode::usage,
                fmt::format("stream {}: tick {} would lie before the clock of {} began: name this recording first",
                            stream.id, tick, inputs_.front().recording.path().string()),
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
    const auto shifts = shifts_.find(stream.id);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      if (auto done = add_gaps(writer_, *id, losses.before(**block)); !done) return done;
      const auto tick = moved(map, (*block)->tick, stream, recording);
      if (!tick) return fail(tick);
      if (auto done = writer_.append_at(*id, *tick, (*block)->data); !done) return done;
      take_ends(r, {(*block)->tick, *tick, stream.tick_frequency()});
      if (shifts != shifts_.end()) shifts->second.add((*block)->tick, *tick);
      ++report_.blocks;
      if (auto go_on = sds::report(on_progress, (*block)->data.size() + 8); !go_on) return go_on;
    }
    if (auto done = add_gaps(writer_, *id, losses.at_end()); !done) return done;
    if (auto done = leave_tail(writer_, *id, stream.id, **cursor, losses, report_); !done) return done;
    for (ClockPair pair : clocks_of(recording, s)) {
      const auto tick = map(pair.tick);
      if (!tick) continue;  // of a time before the first clock began
      pair.tick = *tick;
      if (auto done = writer_.add_clock(*id, pair); !done) return done;
    }
    return writer_.end_stream(*id);
  }

  [[nodiscard]] std::size_t inputs_with_streams() const {
    return static_cast<std::size_t>(std::count_if(
        inputs_.begin(), inputs_.end(), [](const MergeInput& input) { return !input.recording.streams().empty(); }));
  }

  // The labels of a recording, which are going to be moved with its blocks.
  Expected<void> find_labels(std::size_t r) {
    const Recording& recording = inputs_[r].recording;
    shifts_.clear();
    auto labels = sound_labels_of(recording, report_.notes);
    if (!labels) return fail(labels);
    all_labels_.push_back(labels->value_or(LabelFile{}));
    if (!*labels) return {};
    LabelFile& file = all_labels_.back();
    names_give_way_ = names_give_way_ || names_give_way(recording);
    know_classes(file);
    // A label of a whole recording says nothing of the other recordings' streams.
    if (inputs_with_streams() > 1) {
      std::vector<std::string> streams;
      for (const auto& stream : recording.streams()) streams.push_back(stream.id);
      divide_by_stream(file, streams);
    }
    if (!align_ || r == 0 || file.labels.empty()) return {};
    for (const auto& label : file.labels) {
      auto shifts = shifts_.find(label.stream);
      if (shifts == shifts_.end()) {
        const Frequency ticks = ticks_of_label(recording, file, label);
        const ClockMap map = map_of(r, ticks);
        const auto shift = std::llround(std::clamp(map.moved_by(map.about), -9.0e18L, 9.0e18L));
        shifts = shifts_.try_emplace(label.stream, ticks, shift).first;
      }
      shifts->second.follow({label.begin, file.tick_frequency});
      shifts->second.follow({label.end, file.tick_frequency});
    }
    for (auto& [stream, shifts] : shifts_) shifts.begin();
    return {};
  }

  Expected<void> join_all_labels() {
    std::vector<LabelFile> some = std::move(all_labels_);
    std::erase_if(some, [](const LabelFile& file) { return file.labels.empty() && file.classes.empty(); });
    if (some.empty()) return {};
    labels_.emplace();
    labels_->tick_frequency = ticks_of_files(some);
    std::size_t count = 0;
    for (const auto& file : some) {
      auto rounded = take_labels(*labels_, file);
      if (!rounded) return fail(rounded);
      count += std::max(*rounded, file.rounded);
    }
    if (count > 0)
      report_.notes.push_back(fmt::format("{} label{} rounded to ticks of {} Hz: no ticks hold those of all recordings",
                                          count, count == 1 ? " is" : "s are", labels_->tick_frequency.to_string()));
    return {};
  }

  const std::vector<MergeInput>& inputs_;
  bool align_;
  SdszWriter& writer_;
  EditReport& report_;
  std::vector<RecordingClock> clocks_;
  mutable std::vector<std::deque<std::pair<Frequency, RecordingClock>>> clocks_of_frequency_;  // as asked for
  std::vector<std::optional<End>> first_;                                                      // by recording
  std::vector<std::optional<End>> last_;
  std::set<std::string> names_;
  std::vector<SdsFileName> all_names_;        // of the result's streams
  std::map<std::string, EdgeShifts> shifts_;  // of the recording that is copied, where its labels move; by stream
  std::vector<LabelFile> all_labels_;         // by recording
  std::optional<LabelFile> labels_;           // of the result
  std::vector<std::string> classes_;          // that any input knows
  bool any_list_ = false;                     // as a list of its own
  bool names_give_way_ = false;               // those of some streams say no class
};

}  // namespace

Expected<EditReport> merge(const std::vector<MergeInput>& inputs, bool align, const std::filesystem::path& output,
                           const EditOptions& options, const OnProgress& on_progress) {
  std::vector<FileInUse> labels;
  labels.reserve(inputs.size());
  for (const auto& input : inputs) labels.emplace_back(label_path(input.recording.path()));
  Properties session = copied_session(inputs.front().recording);
  session.set("tool", "sdskit merge");
  std::uint64_t lost = 0;
  for (const auto& input : inputs) lost += input.recording.sdsz() ? input.recording.sdsz()->lost_streams() : 0;
  if (lost > 0) session.set("lost-streams", std::to_string(lost));
  SourceFingerprint source;
  for (const auto& input : inputs) source.add(input.recording);
  const auto made_of = source.to_string();
  if (!made_of) return fail(made_of);
  session.set("source", *made_of);
  session.set("id", *made_of);
  std::vector<std::string> ids;
  for (const auto& input : inputs) {
    auto merged = sessions_of(input.recording);
    if (!merged) return fail(merged);
    std::move(merged->begin(), merged->end(), std::back_inserter(ids));
  }
  session.set("sessions", fmt::format("{}", fmt::join(ids, " ")));
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  EditReport report;
  Merger merger(inputs, align, (*made)->writer(), report);
  if (auto done = merger.fit_clocks(); !done) return fail(done);
  if (auto done = merger.copy_all(on_progress); !done) return fail(done);
  report.raw_bytes = (*made)->writer().raw_bytes();
  const auto& labels_of_all = merger.labels();
  const LabelFile* found = labels_of_all ? &*labels_of_all : nullptr;
  if (found != nullptr) report.labels = found->labels.size();
  if (auto done = (*made)->finish(report.notes, found); !done) return fail(done);
  return report;
}

}  // namespace sds
