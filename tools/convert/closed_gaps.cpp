#include "closed_gaps.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

ClosedGaps::ClosedGaps(const Recording& recording, std::size_t stream, const TimeRanges& within,
                       std::shared_ptr<std::optional<GapRule>> rule)
    : recording_(recording),
      stream_(stream),
      within_(within),
      rule_(rule ? std::move(rule) : std::make_shared<std::optional<GapRule>>()) {
  const StreamInfo& info = recording.streams()[stream];
  if (!info.metadata) return;
  samples_ = StepSamples(info.metadata);
  steps_ = StepCounter(nominal_ticks(info.tick_frequency(), info.metadata));
  const auto& rate = info.metadata->sample_frequency ? info.metadata->sample_frequency : info.metadata->block_frequency;
  if (rate) nominal_ticks_ = info.tick_frequency().hz() / rate->hz();
}

void ClosedGaps::read(const BlockView& block) {
  any_left_out_ = any_left_out_ || block.ordinal != previous_ordinal_ + 1;
  previous_ordinal_ = block.ordinal;
  const std::uint64_t samples = samples_.of(block);
  if (samples == 0) return;
  const Step step{block.tick, block.tick - previous_tick_, previous_samples_};
  const bool ascends = any_read_ && block.tick >= previous_tick_;
  if (within_ == all_time) {
    if (ascends) steps_.add(step.ticks, block.ordinal, step.samples);
  } else if (ascends && !any_left_out_) {
    // What of the step has no samples lies in the part, or touches it.
    const Frequency ticks = recording_.streams()[stream_].tick_frequency();
    const double end = seconds(block.tick, ticks);
    const double held = nominal_ticks_ * static_cast<double>(previous_samples_) / ticks.hz();
    if (overlaps(within_, std::min(seconds(previous_tick_, ticks) + held, end), end)) ahead_.push_back(step);
  }
  any_read_ = true;
  any_left_out_ = false;
  previous_tick_ = block.tick;
  previous_samples_ = samples;
}

void ClosedGaps::wrote(const SampleRun& run) {
  if (within_ == all_time) return;
  // In front of the first sample nothing is closed; steps beyond this block wait for what comes behind them.
  const bool any_written = parts_ > 0;
  std::erase_if(ahead_, [&](const Step& step) {
    if (step.to_tick > run.tick) return false;
    if (any_written) steps_.add(step.ticks, 1, step.samples);
    may_be_gaps_ = may_be_gaps_ || (any_written && may_be_gap(step));
    return true;
  });
  const double time = run.times.front();
  if (any_written && time < part_end_) return;
  const auto part = std::find_if(within_.begin(), within_.end(), [&](const TimeSpan& span) { return time < span.end; });
  ++parts_;
  part_end_ = part == within_.end() ? time : part->end;
}

// Whether a step is longer than what came before it lasts at the nominal rate. (Only a sensor much faster than that
// could have a gap otherwise: by half a block.)
bool ClosedGaps::may_be_gap(const Step& step) const {
  return static_cast<double>(step.ticks) - nominal_ticks_ * static_cast<double>(step.samples) > 2;
}

Expected<std::uint64_t> ClosedGaps::gaps(const OnProgress& on_progress) const {
  if (within_ == all_time) return steps_.gaps().count;
  if (!may_be_gaps_) return 0;
  if (!*rule_) {
    auto rule = GapRule::of(recording_, stream_, on_progress);
    if (!rule) return fail(rule);
    *rule_ = std::move(*rule);
  }
  std::uint64_t count = 0;
  for (const auto& step : steps_.steps())
    if ((*rule_)->is_gap(step.ticks, step.samples)) count += step.count;
  return count;
}

Expected<std::vector<std::string>> ClosedGaps::notes(const SampleReader& reader, const std::string& why,
                                                     const OnProgress& on_progress) const {
  std::vector<std::string> notes;
  const std::string& id = recording_.streams()[stream_].id;
  if (parts_ > 1) notes.push_back(fmt::format("{}: {} stretches of the time are joined: {}", id, parts_, why));
  auto count = gaps(on_progress);
  if (!count) return fail(count);
  if (*count > 0)
    notes.push_back(fmt::format("{}: {} gap{} in time {} closed: {}", id, *count, *count == 1 ? "" : "s",
                                *count == 1 ? "is" : "are", why));
  for (auto& note : reader.notes_of_losses("closed")) notes.push_back(std::move(note));
  return notes;
}

}  // namespace sds
