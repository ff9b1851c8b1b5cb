#include "stream_checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "damage_text.hpp"

namespace sds {

StreamChecker::StreamChecker(const Recording& recording, std::size_t index, const CheckOptions& options)
    : in_time_(recording, index, options.tick_frequency) {
  const StreamInfo& stream = recording.streams()[index];
  result_.id = stream.id;
  result_.file_bytes = stream.raw_bytes;
  result_.tick_frequency = options.tick_frequency.value_or(stream.tick_frequency());
  result_.metadata_error = stream.metadata_error;
  if (stream.metadata) {
    result_.has_metadata = true;
    result_.metadata_notes = stream.metadata->notes;
    sample_bytes_ = stream.metadata->sample_bytes;
    samples_ = StepSamples(stream.metadata);
    steps_ = StepCounter(nominal_ticks(result_.tick_frequency, stream.metadata));
  }
}

void StreamChecker::add(const BlockView& block) {
  StreamCheck& r = result_;
  const auto size = static_cast<std::uint32_t>(block.data.size());
  const std::uint64_t index = r.blocks++;
  const auto note = [&](Finding& finding) {
    if (finding.count++ == 0) finding.block = index;
  };
  r.data_bytes += size;
  if (size == 0) ++r.empty_blocks;
  if (sample_bytes_ != 0 && size % sample_bytes_ != 0) note(r.misfits);
  if (index == 0) {
    r.min_block_bytes = r.max_block_bytes = size;
    r.first_tick = block.tick;
  } else {
    r.min_block_bytes = std::min(r.min_block_bytes, size);
    r.max_block_bytes = std::max(r.max_block_bytes, size);
    if (block.tick < previous_tick_) {
      note(r.descending);
    } else {
      if (block.tick == previous_tick_) note(r.duplicates);
      if (block.timeslot < previous_timeslot_) note(r.wraps);
    }
  }
  if (const std::uint64_t samples = samples_.of(block); samples > 0) {
    if (previous_samples_ > 0 && block.tick >= previous_samples_tick_)
      steps_.add(block.tick - previous_samples_tick_, index, previous_samples_);
    previous_samples_ = samples;
    previous_samples_tick_ = block.tick;
  }
  in_time_.add(block.tick, block.data.size());
  deviation_.add(index, static_cast<std::int64_t>(block.tick));
  previous_tick_ = block.tick;
  previous_timeslot_ = block.timeslot;
}

StreamCheck StreamChecker::finish() {
  StreamCheck& r = result_;
  r.last_tick = previous_tick_;
  if (in_time_.any()) r.span = in_time_.span();
  if (r.blocks >= 2) {
    r.interval_ticks =
        static_cast<double>(static_cast<std::int64_t>(r.last_tick - r.first_tick)) / static_cast<double>(r.blocks - 1);
    r.jitter = deviation_.largest();
  }
  r.longest_delta = steps_.longest();
  r.gaps = steps_.knows_gaps() ? std::optional(steps_.gaps()) : std::nullopt;
  return r;
}

std::vector<std::string> StreamCheck::problems() const {
  std::vector<std::string> list;
  if (metadata_error) list.push_back("metadata: " + metadata_error->to_string());
  for (const auto& damage : damages) list.push_back(damage_text(damage));
  if (tail) list.push_back(fmt::format("at byte {}: {}", tail->offset, tail->reason));
  for (const auto& loss : recorded_losses) list.push_back("recorded loss: " + loss);
  if (descending.count > 0)
    list.push_back(
        fmt::format("timeslot not in ascending order in block {} ({} in all)", descending.block, descending.count));
  if (misfits.count > 0)
    list.push_back(fmt::format("size of block {} is not a whole number of samples as the metadata has them ({} in all)",
                               misfits.block, misfits.count));
  return list;
}

}  // namespace sds
