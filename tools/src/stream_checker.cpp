#include "sds/tools/stream_checker.hpp"

#include <fmt/format.h>

#include <cmath>

#include "sds/tools/damage_text.hpp"

namespace sds {

namespace {
__extension__ typedef __int128 Wide;
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
    const Wide cross = Wide{b.x - a.x} * (point.y - a.y) - Wide{b.y - a.y} * (point.x - a.x);
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

void StepCounter::add(std::uint64_t step, std::uint64_t block) {
  if (last_ == steps_.end() || last_->first != step) {
    if (steps_.size() >= max_steps && steps_.count(step) == 0) {
      if (step < steps_.begin()->first) return;  // short steps are no gaps
      steps_.erase(steps_.begin());
    }
    last_ = steps_.try_emplace(step, Finding{0, block, step}).first;
  }
  ++last_->second.count;
}

std::uint64_t StepCounter::median() const {
  std::uint64_t total = 0;
  for (const auto& [step, seen] : steps_) total += seen.count;
  std::uint64_t below = 0;
  for (const auto& [step, seen] : steps_) {
    below += seen.count;
    if (2 * below >= total) return step;
  }
  return 0;
}

Finding StepCounter::longest() const {
  return steps_.empty() ? Finding{} : Finding{1, steps_.rbegin()->second.block, steps_.rbegin()->first};
}

Finding StepCounter::gaps() const {
  Finding gaps;
  const std::uint64_t usual = median();
  for (const auto& [step, seen] : steps_) {
    if (usual == 0 || 2 * step <= 3 * usual || step <= usual + 2) continue;
    gaps = {gaps.count + seen.count, seen.block, step};
  }
  return gaps;
}

StreamChecker::StreamChecker(const StreamInfo& stream, const CheckOptions& options) {
  result_.id = stream.id;
  result_.file_bytes = stream.raw_bytes;
  result_.tick_frequency = options.tick_frequency.value_or(stream.tick_frequency());
  result_.metadata_error = stream.metadata_error;
  if (stream.metadata) {
    result_.has_metadata = true;
    result_.metadata_notes = stream.metadata->notes;
    sample_bytes_ = stream.metadata->sample_bytes;
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
      steps_.add(block.tick - previous_tick_, index);
    }
  }
  deviation_.add(index, static_cast<std::int64_t>(block.tick));
  previous_tick_ = block.tick;
  previous_timeslot_ = block.timeslot;
}

StreamCheck StreamChecker::finish() {
  StreamCheck& r = result_;
  r.last_tick = previous_tick_;
  if (r.blocks >= 2) {
    r.interval_ticks =
        static_cast<double>(static_cast<std::int64_t>(r.last_tick - r.first_tick)) / static_cast<double>(r.blocks - 1);
    r.jitter = deviation_.largest();
  }
  r.longest_delta = steps_.longest();
  r.gaps = steps_.gaps();
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
