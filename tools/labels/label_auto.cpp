#include "label_auto.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "channel_values.hpp"
#include "moments.hpp"
#include "sample_reader.hpp"
#include "sampled_time.hpp"
#include "time_ranges.hpp"

namespace sds {

namespace {

// Which of the stretches between gaps and losses the samples lie in.
class StretchFinder {
 public:
  explicit StretchFinder(std::vector<Stretch> stretches) : stretches_(std::move(stretches)) {}
  /// Each block, before its samples.
  void see(const BlockView& block) {
    while (index_ + 1 < stretches_.size() && block.ordinal >= stretches_[index_ + 1].first_block) {
      ++index_;
      entered_ = true;
    }
  }
  /// For each sample: whether it is the first in its stretch, but in the first of all.
  bool enters() { return std::exchange(entered_, false); }
  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] double end_of(std::size_t index) const { return stretches_[index].end; }

 private:
  std::vector<Stretch> stretches_;
  std::size_t index_ = 0;
  bool entered_ = false;
};

// Runs of frames or samples of one class become labels. Where times cross, or the clock steps back, a label begins
// where the one before it ends: each sample is in one.
class RunLabeller {
 public:
  RunLabeller(std::vector<TimedLabel>& labels, std::string stream) : labels_(labels), stream_(std::move(stream)) {}
  Expected<void> put(const std::string& name, TimeSpan span, double confidence_sum, std::uint64_t count,
                     bool with_confidence) {
    span.begin = std::max(span.begin, end_);
    if (name.empty() || span.end <= span.begin) return {};
    end_ = span.end;
    Label label;
    label.name = name;
    label.stream = stream_;
    label.author = "sds label auto";
    const double mean = count == 0 ? 0 : confidence_sum / static_cast<double>(count);
    if (with_confidence && mean >= 0 && mean <= 1) label.confidence = std::round(mean * 1e4) / 1e4;
    return append_label(labels_, {std::move(label), span});
  }

 private:
  std::vector<TimedLabel>& labels_;
  std::string stream_;
  double end_ = -std::numeric_limits<double>::infinity();  // of the last one
};

// What is scaled is a double.
bool reaches(const StoredValue& score, const ExactNumber& threshold) {
  return score.scale == 1 && score.offset == 0 ? score.raw >= threshold : score.physical() >= threshold.rounded();
}

// Of each value the finite numbers of one frame.
class FrameNumbers {
 public:
  explicit FrameNumbers(std::size_t values) : numbers_(values) {}
  void clear() { std::fill(numbers_.begin(), numbers_.end(), Moments<double>()); }
  void add(std::size_t value, double number) {
    if (std::isfinite(number)) numbers_[value].add(number);
  }
  // Of the values that have two numbers, for one alone deviates from nothing; nothing where none has.
  [[nodiscard]] std::optional<double> level() const {
    bool any = false;
    double variance = 0;
    for (const auto& of_value : numbers_) {
      if (of_value.count() < 2) continue;
      any = true;
      variance += of_value.deviation() * of_value.deviation();
    }
    return any ? std::optional(std::sqrt(variance)) : std::nullopt;
  }

 private:
  std::vector<Moments<double>> numbers_;
};

struct Frame {
  double begin = 0;
  std::optional<double> level;
  std::uint32_t stretch = 0;
};

// Samples, in order, become frames.
class FrameMaker {
 public:
  FrameMaker(std::size_t values, double frame_s) : frame_s_(frame_s), numbers_(values) {}
  // The number of each value at a time; `enters`: behind a gap or a loss.
  [[nodiscard]] Expected<void> add(double time, std::span<const double> row, std::size_t stretch, bool enters) {
    // The first samples of a block may be earlier than the last ones of the block before: they are of one frame.
    const bool is_behind = time >= open_.begin + frame_s_ - 1e-9;
    if (samples_ > 0 && (enters || is_behind || time < open_.begin - frame_s_)) close();
    if (samples_ == 0) {
      if (frames_.size() >= max_frames) return fail(ErrorCode::limit, "too many frames: choose longer ones");
      open_ = {time, {}, static_cast<std::uint32_t>(stretch)};
      numbers_.clear();
    }
    ++samples_;
    open_.begin = std::min(open_.begin, time);
    for (std::size_t v = 0; v < row.size(); ++v) numbers_.add(v, row[v]);
    return {};
  }
  [[nodiscard]] std::vector<Frame> finish() {
    if (samples_ > 0) close();
    return std::move(frames_);
  }

 private:
  void close() {
    open_.level = numbers_.level();
    if (samples_ == 1 && takes_one_more(open_)) {
      has_taken_ = true;
    } else {
      frames_.push_back(open_);
      has_taken_ = false;
    }
    samples_ = 0;
  }
  // A sample that is alone, as at the end of a stretch, goes with the frame in front of it: one, if it is its
  // neighbour.
  [[nodiscard]] bool takes_one_more(const Frame& alone) const {
    return !has_taken_ && !frames_.empty() && frames_.back().stretch == alone.stretch && frames_.back().level &&
           alone.begin < frames_.back().begin + 2 * frame_s_;
  }
  static constexpr std::size_t max_frames = 4'000'000;
  double frame_s_;
  FrameNumbers numbers_;
  Frame open_;
  std::size_t samples_ = 0;  // of the frame that is open
  std::vector<Frame> frames_;
  bool has_taken_ = false;  // the last of them a sample that is alone
};

// The samples of a stream; `stretch` follows them, which must outlive the reader: each stretch between gaps and losses
// is for itself, and nothing is said of time without samples.
Expected<SampleReader> read_in_stretches(const Recording& recording, std::size_t stream,
                                         std::optional<StretchFinder>& stretch, const OnProgress& on_progress) {
  auto stretches = stretches_of(recording, stream, on_progress);
  if (!stretches) return fail(stretches);
  stretch.emplace(std::move(*stretches));
  SampleOptions seen;
  seen.on_block = [&stretch](const BlockView& block) { stretch->see(block); };
  return SampleReader::open(recording, stream, seen, on_progress);
}

Expected<std::vector<Frame>> read_frames(SampleReader& reader, const ActivityOptions& options, StretchFinder& stretch) {
  const Metadata& metadata = reader.metadata();
  auto values = choose_values(metadata, options.channels);
  if (!values) return fail(values);
  if (!(options.frame_s > 0)) return fail(ErrorCode::usage, "a frame must last longer than 0 s");
  FrameMaker maker(values->size(), options.frame_s);
  std::vector<double> column;
  std::vector<double> rows;
  for (;;) {
    auto run = reader.next();
    if (!run) return fail(run);
    if (*run == nullptr) return maker.finish();
    const SampleRun& samples = **run;
    column.resize(samples.count);
    rows.resize(samples.count * values->size());
    for (std::size_t v = 0; v < values->size(); ++v) {
      const auto& ref = (*values)[v];
      physical_values(metadata.channels[ref.channel], ref.element, samples.data, samples.count, metadata.sample_bytes,
                      column.data());
      for (std::size_t k = 0; k < samples.count; ++k) rows[k * values->size() + v] = column[k];
    }
    for (std::size_t k = 0; k < samples.count; ++k) {
      const auto row = std::span(rows).subspan(k * values->size(), values->size());
      const bool enters = stretch.enters();
      if (auto added = maker.add(samples.times[k], row, stretch.index(), enters); !added) return fail(added);
    }
  }
}

ActivityReport report_of(const std::vector<Frame>& frames, const ActivityOptions& options) {
  ActivityReport report;
  report.frames = frames.size();
  std::vector<double> levels;
  levels.reserve(frames.size());
  for (const auto& frame : frames)
    if (frame.level) levels.push_back(*frame.level);
  report.without_level = frames.size() - levels.size();
  report.threshold = options.threshold;
  if (levels.empty()) return report;
  const auto tenth = levels.begin() + static_cast<std::ptrdiff_t>(levels.size() / 10);
  std::nth_element(levels.begin(), tenth, levels.end());
  report.floor = *tenth;
  if (!report.threshold) report.threshold = *report.floor * options.factor;
  return report;
}

// Frames in a row that are active, or are not.
struct ActivityRun {
  TimeSpan span;
  bool active;
};

void append(std::vector<ActivityRun>& runs, const ActivityRun& run) {
  if (!runs.empty() && runs.back().active == run.active) {
    runs.back().span.end = run.span.end;
  } else {
    runs.push_back(run);
  }
}

// Short silences become activity, then short activities silence.
std::vector<ActivityRun> smoothed(std::vector<ActivityRun> runs, const ActivityOptions& options) {
  for (const bool silence : {true, false}) {
    std::vector<ActivityRun> kept;
    const double least = silence ? options.min_silent_s : options.min_active_s;
    for (const auto& run : runs) {
      const bool turn = run.active != silence && is_shorter(run.span, least) && (!silence || !kept.empty());
      append(kept, {run.span, turn ? !run.active : run.active});
    }
    runs = std::move(kept);
  }
  return runs;
}

}  // namespace

Expected<ActivityReport> label_activity(const Recording& recording, std::size_t stream, const ActivityOptions& options,
                                        std::vector<TimedLabel>& labels, const OnProgress& on_progress) {
  std::optional<StretchFinder> stretch;
  auto reader = read_in_stretches(recording, stream, stretch, on_progress);
  if (!reader) return fail(reader);
  auto found = read_frames(*reader, options, *stretch);
  if (!found) return fail(found);
  const std::vector<Frame>& frames = *found;
  const ActivityReport report = report_of(frames, options);
  RunLabeller labeller(labels, recording.streams()[stream].id);
  for (std::size_t i = 0; i < frames.size();) {
    const std::uint32_t one = frames[i].stretch;
    std::vector<ActivityRun> runs;
    for (; i < frames.size() && frames[i].stretch == one && frames[i].level; ++i) {
      const Frame& frame = frames[i];
      const bool next = i + 1 < frames.size() && frames[i + 1].stretch == one;
      const double end = next ? std::min(frames[i + 1].begin, frame.begin + 2 * options.frame_s) : stretch->end_of(one);
      append(runs, {{frame.begin, std::max(end, frame.begin)}, *frame.level > *report.threshold});
    }
    for (const auto& run : smoothed(std::move(runs), options))
      if (auto put = labeller.put(run.active ? options.active : options.silent, run.span, 0, 0, false); !put)
        return fail(put);
    while (i < frames.size() && !frames[i].level) ++i;
  }
  return report;
}

Expected<void> label_scores(const Recording& recording, std::size_t stream, const ScoreOptions& options,
                            std::vector<TimedLabel>& labels, const OnProgress& on_progress) {
  std::optional<StretchFinder> stretch;
  auto reader = read_in_stretches(recording, stream, stretch, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  auto values = choose_values(metadata, options.channels);
  if (!values) return fail(values);
  RunLabeller labeller(labels, "");
  std::string current;
  std::size_t current_stretch = 0;
  double begin = 0;
  double sum = 0;
  std::uint64_t count = 0;
  bool any = false;
  const auto close = [&](double end) -> Expected<void> {
    if (is_shorter({begin, end}, options.min_duration_s)) return {};
    return labeller.put(current, {begin, end}, sum, count, true);
  };
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    for (std::size_t k = 0; k < samples.count; ++k) {
      const std::byte* sample = samples.data + k * metadata.sample_bytes;
      std::string name;
      StoredValue best{-std::numeric_limits<double>::infinity()};
      for (const auto& ref : *values) {
        const Channel& channel = metadata.channels[ref.channel];
        const StoredValue value{exact_value(channel, sample, ref.element), channel.scale, channel.offset};
        if (!is_above(value, best)) continue;
        best = value;
        name = ref.name(metadata);
      }
      if (!reaches(best, options.threshold)) name.clear();
      const double time = samples.times[k];
      const bool enters = stretch->enters();
      if (!any || name != current || enters) {
        if (any)
          if (auto done = close(enters ? stretch->end_of(current_stretch) : time); !done) return done;
        current = name;
        current_stretch = stretch->index();
        begin = time;
        sum = 0;
        count = 0;
      }
      any = true;
      sum += best.physical();
      ++count;
    }
  }
  if (any)
    if (auto done = close(stretch->end_of(current_stretch)); !done) return done;
  return {};
}

}  // namespace sds
