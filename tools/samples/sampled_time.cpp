#include "sampled_time.hpp"

#include <algorithm>
#include <utility>

namespace sds {

SampledTime::SampledTime(const Recording& recording, std::size_t stream, const GapRule* gaps)
    : recording_(recording),
      index_(stream),
      stream_(recording.streams()[stream]),
      samples_(stream_.metadata),
      gaps_(gaps),
      losses_(recording, stream),
      blocks_(recording, stream),
      with_samples_(stream_.tick_frequency(), stream_.metadata),
      since_step_back_(with_samples_) {
  nominal_ticks_ = nominal_ticks(stream_.tick_frequency(), stream_.metadata);
  if (nominal_ticks_ > 0) steps_ = StepCounter(nominal_ticks_);
}

void SampledTime::add(const BlockView& block) {
  lost_ = !losses_.before(block).empty() || lost_;
  blocks_.add(block.tick, block.data.size());
  const std::uint64_t samples = samples_.of(block);
  if (samples == 0) return;
  const bool lost = std::exchange(lost_, false);
  if (with_samples_.blocks > 0) {
    bool may_be_gap = false;
    if (block.tick >= previous_tick_) {
      const std::uint64_t step = block.tick - previous_tick_;
      steps_.add(step, with_samples_.blocks, previous_samples_);
      // The true rate is not far from the nominal one. What this misses, finish() looks for.
      const double least = 1.2 * nominal_ticks_ * static_cast<double>(previous_samples_) + 2;
      may_be_gap = gaps_ != nullptr ? gaps_->is_gap(step, previous_samples_)
                                    : nominal_ticks_ > 0 && static_cast<double>(step) > least;
    }
    if (lost || may_be_gap)
      breaks_.push_back(
          {previous_tick_, block.tick, previous_samples_, block.ordinal, lost, since_step_back_.span().end});
    if (block.tick < previous_tick_) since_step_back_ = BlocksInTime(stream_.tick_frequency(), stream_.metadata);
  }
  with_samples_.add(block.tick, block.data.size());
  since_step_back_.add(block.tick, block.data.size());
  previous_tick_ = block.tick;
  previous_samples_ = samples;
}

Expected<void> SampledTime::finish(const OnProgress& on_progress) {
  if (gaps_ != nullptr) return {};
  const auto is_gap = [rule = nominal_ticks_ > 0 ? GapRule::of(steps_) : GapRule()](const Break& b) {
    return b.to_tick >= b.from_tick && rule.is_gap(b.to_tick - b.from_tick, b.samples);
  };
  const auto found = static_cast<std::uint64_t>(std::count_if(breaks_.begin(), breaks_.end(), is_gap));
  std::erase_if(breaks_, [&](const Break& b) { return !b.lost && !is_gap(b); });
  if (nominal_ticks_ == 0 || found >= steps_.gaps().count) return {};
  // Where blocks differ in length, a gap behind a long one may be short beside it.
  const GapRule rule = GapRule::of(steps_);
  SampledTime again(recording_, index_, &rule);
  if (auto read = again.read(on_progress); !read) return fail(read);
  breaks_ = std::move(again.breaks_);
  return {};
}

Expected<void> SampledTime::read(const OnProgress& on_progress) {
  auto cursor = recording_.cursor(index_);
  if (!cursor) return fail(cursor);
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) return {};
    add(**block);
    if (auto go_on = report(on_progress, (*block)->data.size() + 8); !go_on) return fail(go_on);
  }
}

// When the samples in front of it end.
double SampledTime::end_before(const Break& at, std::uint64_t usual) const {
  return nominal_ticks_ > 0 ? at.end : seconds(at.from_tick + usual, stream_.tick_frequency());
}

TimeRanges SampledTime::ranges() const {
  if (with_samples_.blocks == 0) return {};
  const Frequency ticks = stream_.tick_frequency();
  const std::uint64_t usual = steps_.median();
  std::vector<TimeSpan> missing;
  for (const Break& b : breaks_) missing.push_back({end_before(b, usual), seconds(b.to_tick, ticks)});
  TimeSpan all = with_samples_.span();
  if (nominal_ticks_ == 0) all.end = blocks_.end_of_block(with_samples_.last_tick);
  return without({all}, normalized(std::move(missing)));
}

std::vector<Stretch> SampledTime::stretches() const {
  if (with_samples_.blocks == 0) return {};
  const Frequency ticks = stream_.tick_frequency();
  const std::uint64_t usual = steps_.median();
  std::vector<Stretch> all{{0, 0}};
  for (const Break& b : breaks_) {
    const double end = end_before(b, usual);
    all.back().end = b.to_tick >= b.from_tick ? std::min(end, seconds(b.to_tick, ticks)) : end;
    all.push_back({b.block, 0});
  }
  all.back().end = nominal_ticks_ > 0 ? since_step_back_.span().end : blocks_.end_of_block(previous_tick_);
  return all;
}

Expected<std::vector<Stretch>> stretches_of(const Recording& recording, std::size_t stream,
                                            const OnProgress& on_progress) {
  const StreamInfo& info = recording.streams()[stream];
  std::optional<GapRule> gaps;
  if (nominal_ticks(info.tick_frequency(), info.metadata) == 0) {
    auto found = GapRule::of(recording, stream, on_progress);
    if (!found) return fail(found);
    gaps = std::move(*found);
  }
  SampledTime time(recording, stream, gaps ? &*gaps : nullptr);
  if (auto read = time.read(on_progress); !read) return fail(read);
  if (auto finished = time.finish(on_progress); !finished) return fail(finished);
  return time.stretches();
}

}  // namespace sds
