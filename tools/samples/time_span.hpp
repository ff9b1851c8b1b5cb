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

/// What has to be known of a stream's blocks to say when it begins and ends (docs/time.md). Of a `.sdsz` also what its
/// sections tell of blocks that cannot be read.
class BlocksInTime {
 public:
  std::uint64_t blocks = 0;  ///< those that were added
  std::uint64_t first_tick = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t last_tick = 0;

  BlocksInTime() = default;
  BlocksInTime(const Frequency& ticks, const std::optional<Metadata>& metadata);
  /// Of a stream of a recording: what its sections tell is known, blocks are still to be added. `ticks`: instead of the
  /// stream's tick frequency.
  BlocksInTime(const Recording& recording, std::size_t stream, std::optional<Frequency> ticks = {});
  void add(std::uint64_t tick, std::size_t bytes);
  [[nodiscard]] bool any() const { return first_tick <= last_tick; }
  /// From the first block's time to where the last of all samples is over by the sample frequency; without one, to the
  /// end of the last block. In seconds; there must be a block.
  [[nodiscard]] TimeSpan span() const;
  /// When a block of a stream without a sample frequency ends, in seconds: the mean step behind its time, a single one
  /// a tick.
  [[nodiscard]] double end_of_block(std::uint64_t tick) const;

 private:
  // A block, by where its samples end.
  struct Samples {
    std::uint64_t tick = 0;
    std::uint64_t count = 0;
  };
  [[nodiscard]] double end_of(const Samples& block) const;
  void take_told(const SdszStream& stream);

  std::uint64_t told_ = 0;  // blocks of a `.sdsz`, from the first to the last that it tells of; 0: as many as are added
  Frequency ticks_;
  std::optional<Frequency> rate_;  // none: the samples of a block have its time
  std::size_t sample_bytes_ = 0;
  Samples ends_last_;
};

/// Of all blocks of a stream. Of a `.sdsz` it reads the sections only that may have the begin or the end: most often
/// the last ones.
Expected<BlocksInTime> blocks_in_time(const Recording& recording, std::size_t stream);

/// When a stream, or the whole recording, begins and ends, in seconds; nothing if there is no block. Reads what
/// blocks_in_time() does.
Expected<std::optional<TimeSpan>> time_span(const Recording& recording, std::optional<std::size_t> stream = {});
/// The same of several streams, from the first begin to the last end.
Expected<std::optional<TimeSpan>> time_span(const Recording& recording, std::span<const std::size_t> streams);

/// When there is something of each of these streams, for people: "Imu has [0, 3) s; Mic has no blocks".
Expected<std::string> spans_text(const Recording& recording, std::span<const std::size_t> streams);

}  // namespace sds
