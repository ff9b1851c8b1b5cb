// When recordings begin and end: what every command says of it. A stream ends where its last sample does, not where its
// last block begins.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "sds/format/recording.hpp"
#include "time_ranges.hpp"

namespace sds {

/// What has to be known of a stream's blocks to say when it begins and ends.
struct BlocksInTime {
  std::uint64_t blocks = 0;
  std::uint64_t first_tick = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t last_tick = 0;
  std::size_t last_bytes = 0;  ///< of the last block

  void add(std::uint64_t tick, std::size_t bytes);
  /// From the first block's time to the end of the last one: its samples by the sample frequency, without one the mean
  /// step of the blocks behind its time, and for a single block one tick. In seconds; there must be a block.
  [[nodiscard]] TimeSpan span(const Frequency& ticks, const std::optional<Metadata>& metadata) const;
  /// When a block of a stream without a sample frequency ends, in seconds: the mean step behind its time, a single one
  /// a tick.
  [[nodiscard]] double end_of_block(std::uint64_t tick, const Frequency& ticks) const;
};

/// Of all blocks of a stream. Of a `.sdsz` it reads the last section only.
Expected<BlocksInTime> blocks_in_time(const Recording& recording, std::size_t stream);

/// When a stream, or the whole recording, begins and ends, in seconds; nothing if there is no block. Of a `.sdsz` it
/// reads the last section only.
Expected<std::optional<TimeSpan>> time_span(const Recording& recording, std::optional<std::size_t> stream = {});
/// The same of several streams, from the first begin to the last end.
Expected<std::optional<TimeSpan>> time_span(const Recording& recording, std::span<const std::size_t> streams);

/// When there is something of each of these streams, for people: "Imu has [0, 3) s; Mic has no blocks".
Expected<std::string> spans_text(const Recording& recording, std::span<const std::size_t> streams);

}  // namespace sds
