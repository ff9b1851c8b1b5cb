// Labels go with their blocks where `sds merge` puts a recording on another's clock: each edge is moved by the very
// ticks that the block is moved by in which it lies, and so stays on its sample.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "label_ticks.hpp"

namespace sds {

/// By how many ticks the blocks of one stream are moved in which edges of labels lie.
class EdgeShifts {
 public:
  /// Blocks have ticks of `frequency`. `shift`: of all edges where there are no blocks.
  EdgeShifts(const Frequency& frequency, std::int64_t shift) : frequency_(frequency), shift_(shift) {}
  /// First all edges, of labels about the stream,
  void follow(const Instant& edge) { edges_.push_back(last_tick_until(edge, frequency_)); }
  /// then begins.
  void begin();
  /// Each block, in order: its tick, and the one that it gets.
  void add(std::uint64_t tick, std::uint64_t moved_tick);
  /// Of an edge, after the last block: that of the last block that does not begin behind it, else of the first one.
  [[nodiscard]] std::int64_t at(const Instant& edge) const;
  [[nodiscard]] const Frequency& frequency() const { return frequency_; }

 private:
  void set(std::uint64_t from, std::uint64_t to, std::int64_t shift);
  Frequency frequency_;
  std::vector<std::uint64_t> edges_;  // the last ticks until them, ascending
  std::vector<std::int64_t> shifts_;
  bool any_ = false;
  std::uint64_t tick_ = 0;  // of the block before
  std::int64_t shift_;
};

/// Moves the labels about these streams, in ticks that hold where they are then; where there are none, an edge is on
/// the last tick before, and `file.rounded` counts the label; so it does those that would be empty, because they end
/// with a block that is moved by less than the one before, and go with that one. Fails where an edge would be no time
/// of a recording.
Expected<void> move_with_blocks(LabelFile& file, const std::map<std::string, EdgeShifts>& by_stream);

}  // namespace sds
