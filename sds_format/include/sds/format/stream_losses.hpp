// What is missing inside a stream, as a copy of the stream should record it: gaps that were noted while recording, and
// damage that is met while the stream is read. Without it a copy of a damaged recording would look whole.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "sds/format/recording.hpp"

namespace sds {

/// Follows one cursor over a stream, from its start. Plain `.sds` have no losses.
class StreamLosses {
 public:
  struct Loss {
    std::string reason;            ///< a gap's as it was recorded, damage's, or what may be lost and why
    std::uint64_t after_tick = 0;  ///< of the last block before it, as far as known
    bool known = true;             ///< false: something may be missing, or nothing
  };

  /// `recording` must outlive this.
  StreamLosses(const Recording& recording, std::size_t stream);

  /// What is missing between `block`, which the cursor has just handed out, and the one before it. Call it for each.
  std::vector<Loss> before(const BlockView& block);

  /// After the cursor's end: what is missing behind the last block, and whatever was not placed before.
  std::vector<Loss> at_end();

  /// After the cursor's end: the bytes there that are no whole block, for a copy that does not take them. None where
  /// a recorded gap stands at the stream's end: it tells of the same loss, a block that did not come whole.
  [[nodiscard]] std::optional<Loss> torn_end() const;

 private:
  void take_gaps(std::uint64_t before_block, std::vector<Loss>& losses);
  void take_damages(std::uint64_t before_block, std::vector<Loss>& losses);
  void take_untold(std::uint64_t before_block, std::vector<Loss>& losses);

  const Recording& recording_;
  std::size_t stream_;
  std::size_t next_gap_ = 0;
  std::size_t next_doubt_ = 0;
  std::size_t seen_ = 0;                   // of this stream's in the damage log
  std::deque<Damage> waiting_;             // of this stream, ascending in blocks
  std::size_t untold_seen_ = 0;            // of what the log does not tell one by one
  std::deque<BlockRange> waiting_untold_;  // the same
  std::uint64_t last_tick_ = 0;
};

}  // namespace sds
