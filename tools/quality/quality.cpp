#include "quality.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <variant>

#include "channel_values.hpp"
#include "class_cover.hpp"
#include "held_run.hpp"
#include "label_file.hpp"
#include "moments.hpp"
#include "sampled_time.hpp"
#include "session_ids.hpp"
#include "stream_checker.hpp"
#include "time_ranges.hpp"
#include "time_span.hpp"

namespace sds {

namespace {

// Keeps at most `limit` of any number of things, evenly spaced: when it is full, every other one goes.
template <class T>
class EvenSample {
 public:
  explicit EvenSample(std::size_t limit) : limit_(limit) {}
  void add(const T& value) {
    if (seen_++ % stride_ != 0) return;
    if (kept_.size() == limit_) {
      for (std::size_t i = 0; 2 * i < kept_.size(); ++i) kept_[i] = kept_[2 * i];
      kept_.resize((kept_.size() + 1) / 2);
      stride_ *= 2;
      if ((seen_ - 1) % stride_ != 0) return;
    }
    kept_.push_back(value);
  }
  std::vector<T>& kept() { return kept_; }

 private:
  std::size_t limit_;
  std::uint64_t seen_ = 0;
  std::uint64_t stride_ = 1;
  std::vector<T> kept_;
};

// The raw values that a channel's integer type can hold; nothing for floats.
std::optional<std::pair<ExactNumber, ExactNumber>> raw_limits(const Channel& c) {
  if (is_float(c.type)) return std::nullopt;
  const unsigned bits = c.bits != 0 ? c.bits : static_cast<unsigned>(8 * size_of(c.type));
  const ExactNumber values = std::ldexp(1.0, static_cast<int>(bits));  // so many
  const ExactNumber half = std::ldexp(1.0, static_cast<int>(bits) - 1);
  return is_signed(c.type) ? std::pair{-half, half - 1} : std::pair{ExactNumber(0), values - 1};
}

// How often the extreme value of a stream came in runs of three and more that began with a step of at least 7 % of the
// range: a plateau that a signal runs into, not one that it drifts to. The extreme moves; the count starts anew.
template <class Number>
class FlatTop {
 public:
  explicit FlatTop(bool upper) : upper_(upper) {}
  void add(const Number& value) {
    const Number v = upper_ ? value : -value;
    least_ = std::min(least_, v);
    if (v >= extreme_) {
      if (v > extreme_) clipped_ = 0;
      if (v > extreme_ || run_ == 0) {
        steep_ = rounded(v - previous_) >= 0.07 * rounded(v - least_) && v != 0;
        run_ = 0;
      }
      extreme_ = v;
      ++run_;
      if (steep_ && run_ == 3) clipped_ += 3;
      if (steep_ && run_ > 3) ++clipped_;
    } else {
      run_ = 0;
    }
    previous_ = v;
  }
  [[nodiscard]] std::uint64_t clipped() const { return clipped_; }

 private:
  bool upper_;
  Number extreme_ = -std::numeric_limits<double>::infinity();
  Number least_ = std::numeric_limits<double>::infinity();
  Number previous_ = std::numeric_limits<double>::infinity();
  bool steep_ = false;
  std::uint64_t run_ = 0;
  std::uint64_t clipped_ = 0;
};

// `Number`: a double, or what has all digits of values that need them.
template <class Number>
class ValueAssessor {
 public:
  ValueAssessor(const Metadata& metadata, const ChannelRef& ref)
      : channel_(metadata.channels[ref.channel]),
        ref_(ref),
        interval_(metadata.sample_frequency ? 1 / metadata.sample_frequency->hz() : 0) {
    result_.name = ref.name(metadata);
    result_.unit = channel_.unit;
    result_.whole = is_whole(channel_);
    if (const auto limits = raw_limits(channel_)) limits_ = {of(limits->first), of(limits->second)};
    // A field of one or two bits is at its limits most of the time.
    const unsigned bits = channel_.bits != 0 ? channel_.bits : 8;
    flags_ = bits < 4;
  }

  void add(const SampleRun& run, std::size_t sample_bytes) {
    if (run.count > 0 && run.tick < last_tick_) {
      held_.step_back(last_time_ + interval_, run.times[0]);
      last_time_ = run.times[0];
    }
    last_tick_ = run.tick;
    std::array<Number, 256> some;
    for (std::size_t k = 0; k < run.count; k += some.size()) {
      const std::size_t count = std::min(some.size(), run.count - k);
      physical_values(channel_, ref_.element, run.data + k * sample_bytes, count, sample_bytes, some.data());
      for (std::size_t i = 0; i < count; ++i) add(some[i], run.times[k + i]);
    }
  }

  /// `interval`: how long, in seconds, the last value holds, and one behind which the clock steps back.
  ValueQuality finish(double interval) {
    if (run_ > 0) end_run(last_time_ + interval);
    if (interval_ == 0) result_.longest_run_s += static_cast<double>(longest_run_backs_) * interval;
    result_.kept = std::move(kept_.kept());
    if (result_.count == 0) return std::move(result_);
    result_.min = min_;
    result_.max = max_;
    result_.mean = moments_.mean();
    result_.deviation = moments_.deviation();
    if (limits_ && !flags_) {
      const auto raw = [&](double physical) { return (physical - channel_.offset) / channel_.scale; };
      const double largest = std::max(std::abs(raw(rounded(min_))), std::abs(raw(rounded(max_))));
      result_.range_used = largest / std::max(std::abs(rounded(limits_->first)), rounded(limits_->second));
      result_.clipped = at_limits_;
      // Converters often use only a part of their type; well inside of it a plateau is the signal's own.
      if (at_limits_ == 0 && result_.range_used >= 0.45) result_.clipped = top_.clipped() + bottom_.clipped();
    } else if (!flags_) {
      result_.clipped = top_.clipped() + bottom_.clipped();
    }
    // Where no neighbours differ there is no noise; fewer than one window of them do not tell.
    if (result_.count >= window_values) result_.noise = std::isfinite(noise_) ? noise_ : 0;
    return std::move(result_);
  }

 private:
  static Number of(const ExactNumber& value) {
    if constexpr (std::is_same_v<Number, double>)
      return value.rounded();
    else
      return value;
  }

  void add(const Number& value, double time) {
    if (time < last_time_) held_.cross(last_time_ + interval_);
    last_time_ = time;
    const double nearest = rounded(value);
    if (std::isnan(nearest)) {
      ++result_.nan;
      return;
    }
    if (std::isinf(nearest)) {
      ++result_.infinite;
      return;
    }
    if (result_.count++ == 0) min_ = max_ = value;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
    moments_.add(value);
    kept_.add(static_cast<float>(nearest));
    if (limits_) {
      // The limits are compared in raw units, which are whole numbers.
      const Number raw = channel_.is_raw() ? value : Number(std::round((nearest - channel_.offset) / channel_.scale));
      if (raw <= limits_->first ? limits_->first < 0 : raw >= limits_->second) ++at_limits_;
    }
    top_.add(value);
    bottom_.add(value);
    if (run_ > 0 && value == run_value_) {
      ++run_;
      held_.go_on(time);
    } else {
      if (run_ > 0) end_run(time);
      run_ = 1;
      run_value_ = value;
      held_.begin(time);
    }
    // About the window's own first value: whatever the stream began with costs no precision.
    window_.add(value);
    if (window_.count() == window_values) {
      if (window_.varies()) noise_ = std::min(noise_, window_.deviation());
      window_ = {};
    }
  }

  void end_run(double time) {
    // A single value is not stuck, however long it lasts.
    if (result_.longest_run > 0 && run_ < 2) return;
    const double lasts = held_.seconds(time);
    if (result_.longest_run >= 2 && lasts <= result_.longest_run_s + time_tolerance(time)) return;
    result_.longest_run = run_;
    result_.longest_run_s = lasts;
    longest_run_backs_ = held_.steps_back();
    result_.longest_run_at = held_.begin();
  }

  Channel channel_;
  ChannelRef ref_;
  ValueQuality result_;
  std::optional<std::pair<Number, Number>> limits_;
  bool flags_ = false;
  Number min_ = 0.0;
  Number max_ = 0.0;
  Moments<Number> moments_;
  std::uint64_t at_limits_ = 0;
  FlatTop<Number> top_{true};
  FlatTop<Number> bottom_{false};
  std::uint64_t run_ = 0;
  Number run_value_ = 0.0;
  HeldRun held_;
  std::uint64_t longest_run_backs_ = 0;
  std::uint64_t last_tick_ = 0;
  double last_time_ = 0;
  double interval_;  // of samples; 0: not known before the end
  static constexpr std::uint64_t window_values = 256;
  Moments<Number> window_;  // of up to so many
  double noise_ = std::numeric_limits<double>::infinity();
  EvenSample<float> kept_{ValueQuality::max_kept};
};

using AnyValueAssessor = std::variant<ValueAssessor<double>, ValueAssessor<ExactNumber>>;

AnyValueAssessor assessor_of(const Metadata& metadata, const ChannelRef& ref) {
  if (need_all_digits(metadata.channels[ref.channel])) return ValueAssessor<ExactNumber>(metadata, ref);
  return ValueAssessor<double>(metadata, ref);
}

// Steps between blocks, and the gaps among them as every command counts them.
class TimingAssessor {
 public:
  /// `nominal`: the sample frequency; without one, every block counts as one sample of what is even.
  TimingAssessor(Frequency ticks, std::optional<double> nominal_hz)
      : ticks_(ticks), nominal_hz_(nominal_hz), steps_(nominal_hz ? ticks.hz() / *nominal_hz : 0) {}

  void add(std::uint64_t tick, std::uint64_t samples) {
    if (blocks_ == 0) {
      first_tick_ = tick;
    } else if (tick >= last_tick_) {
      steps_.add(tick - last_tick_, blocks_, nominal_hz_ ? last_samples_ : 1);
    } else {
      ++backwards_;
    }
    if (tick >= last_tick_ || blocks_ == 0) points_.add({tick, before_last_ + last_samples_});
    before_last_ += last_samples_;
    last_samples_ = samples;
    last_tick_ = tick;
    ++blocks_;
  }

  void finish(StreamQuality& q) {
    q.blocks = blocks_;
    q.samples = before_last_ + last_samples_;
    if (blocks_ < 2) return;
    const auto median = static_cast<double>(steps_.median());
    q.interval_s = median / ticks_.hz();
    const double span = seconds(last_tick_ > first_tick_ ? last_tick_ - first_tick_ : 0, ticks_);
    double gap_ticks = 0;
    double gap_samples = 0;
    std::uint64_t late = 0;
    const double samples_of_one =
        nominal_hz_ ? 1 : static_cast<double>(before_last_) / static_cast<double>(blocks_ - 1);
    for (const auto& step : steps_.steps()) {
      // Steps between blocks that share ticks say nothing of jitter.
      if (median > 0) {
        const double off = std::abs(step.excess) / (static_cast<double>(step.ticks) - step.excess);
        std::size_t bucket = 0;
        while (bucket < StreamQuality::jitter_limits.size() && !(off <= StreamQuality::jitter_limits[bucket])) ++bucket;
        q.jitter[bucket] += step.count;
      }
      if (!step.gap) continue;
      const auto count = static_cast<double>(step.count);
      late += step.count;
      gap_ticks += count * step.excess;
      // As many as there would have been at the rate that the sensor truly has.
      gap_samples += count * std::round(step.missing * samples_of_one);
    }
    if (median > 0) q.jitter.back() += backwards_;
    if (steps_.knows_gaps()) {
      q.missing = static_cast<std::uint64_t>(gap_samples);
      q.late = late;
    } else {
      q.missing.reset();
      q.late.reset();
    }
    if (const double covered = span - gap_ticks / ticks_.hz(); covered > 0)
      q.true_hz = static_cast<double>(before_last_) / covered;
    // Halves are only compared where nothing is missing: a gap is no drift.
    auto& points = points_.kept();
    if (q.missing == 0 && points.size() >= 16) {
      const auto rate = [&](std::size_t a, std::size_t b) {
        return static_cast<double>(points[b].second - points[a].second) /
               static_cast<double>(points[b].first - points[a].first);
      };
      const std::size_t middle = points.size() / 2;
      const double first = rate(0, middle);
      const double second = rate(middle, points.size() - 1);
      if (first > 0 && std::isfinite(first) && std::isfinite(second)) q.drift_ppm = (second / first - 1) * 1e6;
    }
  }

 private:
  Frequency ticks_;
  std::optional<double> nominal_hz_;
  StepCounter steps_;
  EvenSample<std::pair<std::uint64_t, std::uint64_t>> points_{4096};  // (tick, samples before it)
  std::uint64_t blocks_ = 0;
  std::uint64_t backwards_ = 0;
  std::uint64_t first_tick_ = 0;
  std::uint64_t last_tick_ = 0;
  std::uint64_t before_last_ = 0;
  std::uint64_t last_samples_ = 0;
};

double duration_of(const BlocksInTime& blocks) {
  if (!blocks.any()) return 0;
  const TimeSpan span = blocks.span();
  return span.end - span.begin;
}

Expected<StreamQuality> assess_stream(const Recording& recording, std::size_t index, TimeRanges& sampled,
                                      const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  StreamQuality quality;
  quality.id = stream.id;
  SampledTime sampled_time(recording, index);
  if (auto why = why_no_samples(stream)) {
    // Images and undescribed streams have times all the same.
    quality.without_values = *why;
    TimingAssessor timing(stream.tick_frequency(), std::nullopt);
    auto cursor = recording.cursor(index);
    if (!cursor) return fail(cursor);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      sampled_time.add(**block);
      if (!(*block)->data.empty()) timing.add((*block)->tick, 1);
      if (auto go_on = report(on_progress, (*block)->data.size() + 8); !go_on) return fail(go_on);
    }
    timing.finish(quality);
    quality.blocks = sampled_time.blocks().blocks;
    quality.duration_s = duration_of(sampled_time.blocks());
    if (auto finished = sampled_time.finish(on_progress); !finished) return fail(finished);
    sampled = sampled_time.ranges();
    return quality;
  }
  SampleOptions options;
  options.on_block = [&](const BlockView& block) { sampled_time.add(block); };
  auto reader = SampleReader::open(recording, index, options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  if (metadata.sample_frequency) quality.nominal_hz = metadata.sample_frequency->hz();
  TimingAssessor timing(stream.tick_frequency(), quality.nominal_hz);
  std::vector<AnyValueAssessor> assessors;
  const auto values = all_values(metadata);
  const std::size_t looked_at = std::min(values.size(), StreamQuality::max_values);
  quality.values_left_out = values.size() - looked_at;
  for (std::size_t v = 0; v < looked_at; ++v) assessors.push_back(assessor_of(metadata, values[v]));
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    timing.add((*run)->tick, (*run)->count);
    for (auto& assessor : assessors)
      std::visit([&](auto& of_value) { of_value.add(**run, metadata.sample_bytes); }, assessor);
  }
  const BlocksInTime& blocks = sampled_time.blocks();
  double interval = quality.nominal_hz ? 1 / *quality.nominal_hz : 0;
  if (!quality.nominal_hz && blocks.any())
    interval = blocks.end_of_block(blocks.last_tick) - seconds(blocks.last_tick, stream.tick_frequency());
  for (auto& assessor : assessors)
    quality.values.push_back(std::visit([&](auto& of_value) { return of_value.finish(interval); }, assessor));
  timing.finish(quality);
  quality.blocks = blocks.blocks;
  quality.duration_s = duration_of(blocks);
  if (auto finished = sampled_time.finish(on_progress); !finished) return fail(finished);
  sampled = sampled_time.ranges();
  return quality;
}

}  // namespace

Expected<RecordingQuality> assess(const Recording& recording, const OnProgress& on_progress) {
  RecordingQuality quality;
  quality.path = recording.path().string();
  if (recording.sdsz())
    for (const char* key : {"device", "peer"})
      if (quality.device.empty()) quality.device = without_port(recording.sdsz()->session().get(key).value_or(""));
  std::map<std::string, TimeRanges> sampled;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto stream = assess_stream(recording, i, sampled[recording.streams()[i].id], on_progress);
    if (!stream) return fail(stream);
    quality.streams.push_back(std::move(*stream));
  }
  auto span = time_span(recording);
  if (!span) return fail(span);
  if (*span) quality.duration_s = (*span)->end - (*span)->begin;
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  quality.classes = labelled_seconds(*labels, std::move(sampled));
  return quality;
}

std::vector<Drift> drift_between(const std::vector<RecordingQuality>& reference,
                                 const std::vector<RecordingQuality>& now) {
  // Recordings weigh by what is kept of them: the same for all but short ones.
  const auto gather = [](const std::vector<RecordingQuality>& recordings) {
    std::map<std::string, std::vector<float>> values;
    for (const auto& recording : recordings)
      for (const auto& stream : recording.streams)
        for (const auto& value : stream.values) {
          auto& all = values[stream.id + "." + value.name];
          all.insert(all.end(), value.kept.begin(), value.kept.end());
        }
    for (auto& [name, all] : values) std::sort(all.begin(), all.end());
    return values;
  };
  const auto before = gather(reference);
  const auto after = gather(now);
  std::vector<Drift> drifts;
  for (const auto& [name, a] : before) {
    const auto found = after.find(name);
    if (found == after.end()) continue;
    const auto& b = found->second;
    Drift drift;
    drift.name = name;
    if (a.empty() || b.empty()) {
      drifts.push_back(drift);
      continue;
    }
    drift.psi = drift.ks = 0;
    const auto share_to = [](const std::vector<float>& sorted, float value) {
      return static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin()) /
             static_cast<double>(sorted.size());
    };
    for (const auto* side : {&a, &b})
      for (const float value : *side) drift.ks = std::max(drift.ks, std::abs(share_to(a, value) - share_to(b, value)));
    std::vector<float> edges;
    for (int k = 1; k < 10; ++k) {
      const float edge = a[a.size() * static_cast<std::size_t>(k) / 10];
      if (edges.empty() || edge > edges.back()) edges.push_back(edge);
    }
    double below_a = 0;
    double below_b = 0;
    for (std::size_t k = 0; k <= edges.size(); ++k) {
      const double to_a = k < edges.size() ? share_to(a, edges[k]) : 1;
      const double to_b = k < edges.size() ? share_to(b, edges[k]) : 1;
      const double p = std::max(to_a - below_a, 1e-4);
      const double q = std::max(to_b - below_b, 1e-4);
      drift.psi += (q - p) * std::log(q / p);
      below_a = to_a;
      below_b = to_b;
    }
    drifts.push_back(drift);
  }
  return drifts;
}

}  // namespace sds
