#include "sds/format/damage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>

namespace sds {

std::string blocks_are_lost(std::uint64_t blocks, std::uint64_t first_tick, std::uint64_t last_tick) {
  return fmt::format("{} block{} lost (ticks {} to {})", blocks, blocks == 1 ? " is" : "s are", first_tick, last_tick);
}

void DamageLog::add(const Damage& damage) {
  const std::lock_guard lock(mutex_);
  std::size_t hash = std::hash<std::string>()(damage.reason);
  for (const std::uint64_t part : {damage.offset, damage.bytes, std::uint64_t{damage.stream.value_or(SIZE_MAX)},
                                   damage.first_block, damage.blocks.value_or(SIZE_MAX)})
    hash = hash * 0x9E3779B97F4A7C15ull + part + (hash >> 29);
  if (!known_.insert(hash).second) return;
  ++count_;
  const bool costs_blocks = damage.stream && damage.blocks.value_or(0) > 0;
  if (damages_.size() < max_kept) {
    damages_.push_back(damage);
    if (costs_blocks) losses_[*damage.stream].push_back(damages_.size() - 1);
    return;
  }
  if (costs_blocks) untold_[*damage.stream].push_back({damage.first_block, *damage.blocks});
  untold_blocks_ += damage.blocks.value_or(0);
  untold_unknown_ = untold_unknown_ || !damage.blocks;
  untold_harmless_ = untold_harmless_ && damage.harmless;
}

std::vector<Damage> DamageLog::all() const {
  const std::lock_guard lock(mutex_);
  auto all = damages_;
  if (count_ <= max_kept) return all;
  Damage rest;
  rest.reason = fmt::format("{} more places are damaged", count_ - max_kept);
  if (untold_blocks_ > 0) rest.reason += fmt::format(", {} blocks are lost there", untold_blocks_);
  if (untold_blocks_ > 0 || !untold_unknown_) rest.blocks = untold_blocks_;
  rest.harmless = untold_harmless_;
  all.push_back(std::move(rest));
  return all;
}

std::vector<Damage> DamageLog::losses(std::size_t stream, std::size_t begin) const {
  const std::lock_guard lock(mutex_);
  std::vector<Damage> found;
  const auto places = losses_.find(stream);
  if (places == losses_.end()) return found;
  for (std::size_t i = begin; i < places->second.size(); ++i) found.push_back(damages_[places->second[i]]);
  return found;
}

std::vector<BlockRange> DamageLog::untold_losses(std::size_t stream, std::size_t begin) const {
  const std::lock_guard lock(mutex_);
  const auto found = untold_.find(stream);
  if (found == untold_.end() || found->second.size() <= begin) return {};
  return {found->second.begin() + static_cast<std::ptrdiff_t>(begin), found->second.end()};
}

std::size_t DamageLog::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace sds
