#include "sds/format/steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace sds {

namespace {
__extension__ typedef __int128 SignedWide;
}

void DeviationFinder::add(std::uint64_t index, std::int64_t value) {
  const Point point{static_cast<std::int64_t>(index), value};
  extend(upper_, point, 1);
  extend(lower_, point, -1);
}

// Andrew's monotone chain: x only grows, so the hull's end is all that changes.
void DeviationFinder::extend(std::vector<Point>& hull, Point point, int side) {
  while (hull.size() >= 2) {
    const Point& a = hull[hull.size() - 2];
    const Point& b = hull[hull.size() - 1];
    const SignedWide cross = SignedWide{b.x - a.x} * (point.y - a.y) - SignedWide{b.y - a.y} * (point.x - a.x);
    if (side * cross < 0) break;
    hull.pop_back();
  }
  hull.push_back(point);
}

Finding DeviationFinder::largest() const {
  Finding found;
  if (upper_.size() < 2) return found;
  const Point first = upper_.front();
  const Point last = upper_.back();
  const double slope = static_cast<double>(last.y - first.y) / static_cast<double>(last.x - first.x);
  double largest = 0;
  for (const auto* hull : {&upper_, &lower_}) {
    for (const Point& p : *hull) {
      const double line = static_cast<double>(first.y) + slope * static_cast<double>(p.x - first.x);
      const double off = std::round(std::abs(static_cast<double>(p.y) - line));
      if (off <= largest) continue;
      largest = off;
      found = {1, static_cast<std::uint64_t>(p.x), static_cast<std::uint64_t>(off)};
    }
  }
  return found;
}

StepSamples::StepSamples(const std::optional<Metadata>& metadata) {
  if (!metadata || metadata->sample_bytes == 0) return;
  sample_bytes_ = metadata->sample_bytes;
  has_rate_ = metadata->sample_frequency.has_value();
}

bool StepCounter::Key::operator<(const Key& other) const {
  const SignedWide a = SignedWide{static_cast<std::int64_t>(ticks)} * static_cast<std::int64_t>(other.samples);
  const SignedWide b = SignedWide{static_cast<std::int64_t>(other.ticks)} * static_cast<std::int64_t>(samples);
  // Of blocks without samples the ratio has no end.
  if (samples == 0 || other.samples == 0)
    return samples != other.samples ? samples > other.samples : ticks < other.ticks;
  return a != b ? a < b : samples < other.samples;
}

void StepCounter::add(std::uint64_t step, std::uint64_t block, std::uint64_t samples) {
  if (last_ == nullptr || last_->first.ticks != step || last_->first.samples != samples) {
    const Key key{step, samples};
    if (steps_.size() >= max_steps && steps_.count(key) == 0) {
      if (key < steps_.begin()->first) return;  // short steps are no gaps
      steps_.erase(steps_.begin());
    }
    last_ = &*steps_.try_emplace(key, Seen{0, block}).first;
  }
  ++last_->second.count;
}

std::uint64_t StepCounter::median_from(std::uint64_t least) const {
  std::map<std::uint64_t, std::uint64_t> counts;
  std::uint64_t total = 0;
  for (const auto& [step, seen] : steps_) {
    if (step.ticks < least) continue;
    counts[step.ticks] += seen.count;
    total += seen.count;
  }
  std::uint64_t below = 0;
  for (const auto& [ticks, count] : counts) {
    below += count;
    if (2 * below >= total) return ticks;
  }
  return 0;
}

// The median of the ratios of ticks to samples, by samples. Where blocks in front of gaps have half of those, it is a
// gap's: the median by steps is taken if it is nearer to the nominal rate.
double StepCounter::median_ratio() const {
  const auto median_by = [this](const auto& weight_of) {
    double all = 0;
    for (const auto& [step, seen] : steps_) all += weight_of(step) * static_cast<double>(seen.count);
    double below = 0;
    double ratio = 0;
    for (const auto& [step, seen] : steps_) {
      if (step.samples == 0) break;
      ratio = static_cast<double>(step.ticks) / static_cast<double>(step.samples);
      below += weight_of(step) * static_cast<double>(seen.count);
      if (2 * below >= all) break;
    }
    return ratio;
  };
  const double by_samples = median_by([](const Key& step) { return static_cast<double>(step.samples); });
  const double by_steps = median_by([](const Key& step) { return step.samples > 0 ? 1.0 : 0.0; });
  // Up to so much less is what rounding makes of a median of one tick or more.
  static constexpr double most_rounding = 1.5;
  if (nominal_ticks_ <= 0 || by_steps <= 0 || by_samples <= most_rounding * by_steps) return by_samples;
  const auto off = [this](double ratio) { return std::max(ratio / nominal_ticks_, nominal_ticks_ / ratio); };
  return off(by_steps) < off(by_samples) ? by_steps : by_samples;
}

bool StepCounter::share_ticks() const {
  std::uint64_t blocks = 0;
  std::uint64_t within_a_tick = 0;
  for (const auto& [step, seen] : steps_) {
    blocks += seen.count;
    if (nominal_ticks_ * static_cast<double>(step.samples) < 1) within_a_tick += seen.count;
  }
  return nominal_ticks_ > 0 && median() == 0 && 2 * within_a_tick >= blocks;
}

StepCounter::Rule StepCounter::fitted(Rule rule) const {
  double all = 0;
  for (const auto& [step, seen] : steps_) all += static_cast<double>(step.samples) * static_cast<double>(seen.count);
  // Each round knows better what is no gap; most often the second changes nothing.
  static constexpr int max_rounds = 8;
  for (int round = 0; round < max_rounds; ++round) {
    double ticks = 0;
    double samples = 0;
    for (const auto& [step, seen] : steps_) {
      if (rule.is_gap(step.ticks, step.samples)) continue;
      ticks += static_cast<double>(step.ticks) * static_cast<double>(seen.count);
      samples += static_cast<double>(step.samples) * static_cast<double>(seen.count);
    }
    if (2 * samples < all || samples == 0) return {};  // that most is missing says only that it began with a wrong rate
    const double before = std::exchange(rule.ticks_per_sample, ticks / samples);
    if (rule.ticks_per_sample == before) break;
  }
  return rule;
}

StepCounter::Rule StepCounter::rule() const {
  Rule rule{median_ratio(), static_cast<double>(median()), false};
  if (steps_.size() == 1 && steps_.begin()->second.count == 1 && nominal_ticks_ > 0)
    return {nominal_ticks_, nominal_ticks_ * static_cast<double>(steps_.begin()->first.samples), false};
  static constexpr double coarse_ticks = 100;
  const bool coarse = rule.usual < coarse_ticks && steps_.size() < max_steps;
  rule.share_ticks = share_ticks();
  if (rule.share_ticks) rule.usual = static_cast<double>(median_from(1));
  if (!coarse || rule.usual == 0) return rule;
  const double median_ratio = rule.ticks_per_sample;
  if (nominal_ticks_ > 0) rule.ticks_per_sample = nominal_ticks_;
  for (const double begin : {rule.ticks_per_sample, median_ratio})
    if (const Rule fit = fitted({begin, rule.usual, rule.share_ticks}); fit.ticks_per_sample > 0) return fit;
  return {median_ratio, rule.usual, rule.share_ticks};
}

bool StepCounter::Rule::is_gap(std::uint64_t ticks, std::uint64_t samples) const {
  const double beyond = excess(ticks, samples) - (share_ticks ? usual : 0);
  return usual > 0 && beyond > std::max(usual / 2, 2.0);
}

std::vector<StepCounter::Step> StepCounter::steps() const {
  const Rule rule = this->rule();
  std::vector<Step> all;
  for (const auto& [key, seen] : steps_) {
    Step step{key.ticks, key.samples, seen.count, seen.block, rule.excess(key.ticks, key.samples)};
    step.gap = rule.is_gap(key.ticks, key.samples);
    if (step.gap && rule.ticks_per_sample > 0) step.missing = step.excess / rule.ticks_per_sample;
    all.push_back(step);
  }
  return all;
}

double nominal_ticks(const Frequency& ticks, const std::optional<Metadata>& metadata) {
  const bool known = metadata && metadata->sample_frequency && metadata->sample_bytes > 0;
  return known ? ticks.hz() / metadata->sample_frequency->hz() : 0;
}

Finding StepCounter::longest() const {
  Finding longest;
  for (const auto& [step, seen] : steps_)
    if (longest.count == 0 || step.ticks > longest.ticks) longest = {1, seen.block, step.ticks};
  return longest;
}

Finding StepCounter::gaps() const {
  Finding gaps;
  for (const Step& step : steps()) {
    if (!step.gap) continue;
    const std::uint64_t count = gaps.count + step.count;
    if (step.ticks > gaps.ticks) gaps = {0, step.block, step.ticks};
    gaps.count = count;
  }
  return gaps;
}

Expected<GapRule> GapRule::of(const Recording& recording, std::size_t stream, const OnProgress& on_progress,
                              Executor* executor) {
  const auto& metadata = recording.streams()[stream].metadata;
  const StepSamples samples_of(metadata);
  auto cursor = recording.cursor(stream, executor);
  if (!cursor) return fail(cursor);
  StepCounter steps(nominal_ticks(recording.streams()[stream].tick_frequency(), metadata));
  std::uint64_t blocks = 0;
  std::uint64_t previous_tick = 0;
  std::uint64_t previous_samples = 0;
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    if (const std::uint64_t samples = samples_of.of(**block); samples > 0) {
      if (blocks > 0 && (*block)->tick >= previous_tick)
        steps.add((*block)->tick - previous_tick, blocks, previous_samples);
      ++blocks;
      previous_tick = (*block)->tick;
      previous_samples = samples;
    }
    if (auto go_on = report(on_progress, (*block)->data.size() + 8); !go_on) return fail(go_on);
  }
  return of(steps);
}

GapRule GapRule::of(const StepCounter& steps) {
  GapRule rule;
  for (const auto& step : steps.steps())
    if (step.gap) rule.gaps_.emplace(step.ticks, step.samples);
  return rule;
}

Expected<BreakFinder> BreakFinder::of(const Recording& recording, std::size_t stream, const OnProgress& on_progress,
                                      Executor* executor) {
  auto gaps = GapRule::of(recording, stream, on_progress, executor);
  if (!gaps) return fail(gaps);
  return BreakFinder(std::move(*gaps), StepSamples(recording.streams()[stream].metadata));
}

bool BreakFinder::before(const BlockView& block, bool lost) {
  const std::uint64_t samples = samples_.of(block);
  if (samples == 0) return lost && std::exchange(any_, false);
  const bool breaks =
      any_ && (lost || block.tick < previous_tick_ || gaps_.is_gap(block.tick - previous_tick_, previous_samples_));
  any_ = true;
  previous_tick_ = block.tick;
  previous_samples_ = samples;
  return breaks;
}

}  // namespace sds
