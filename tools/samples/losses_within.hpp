// Which losses of a recording concern a part of its time: all that are not known to lie outside of it.
#pragma once

#include <optional>
#include <vector>

#include "sds/format/recording.hpp"
#include "time_ranges.hpp"

namespace sds {

/// A loss lies between the blocks around it. Where these are not known, or a stream's ticks descend somewhere, it may
/// lie anywhere. Of a damaged place in the file, missing blocks and
/// the doubts of the streams say where.
class LossesWithin {
 public:
  LossesWithin(const Recording& recording, StreamTimes within);

  [[nodiscard]] bool concern(const Damage& damage) const;
  /// `gap` is one of stream `stream` of `recording`, which is the one this was made for.
  [[nodiscard]] bool concern(const Recording& recording, std::size_t stream, const Gap& gap) const;

 private:
  struct Stream {
    Frequency ticks;
    bool ascends = false;
  };
  [[nodiscard]] bool concern(std::size_t stream, std::optional<std::uint64_t> after_tick,
                             std::optional<std::uint64_t> before_tick) const;

  std::vector<Stream> streams_;
  bool places_concern_ = false;  // what damaged places of the file have cost any stream
  StreamTimes within_;
};

}  // namespace sds
