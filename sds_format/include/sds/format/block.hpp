// A block: the unit of record and replay.
#pragma once

#include <cstdint>
#include <vector>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/time.hpp"

namespace sds {

/// Fails with ErrorCode::limit for a block of more than limits::max_block_bytes, which no writer makes and no reader
/// takes.
[[nodiscard]] Expected<void> check_block_size(std::uint64_t bytes);

/// One block as a cursor hands it out. `data` stays valid until the cursor's next call.
struct BlockView {
  std::uint32_t timeslot = 0;  ///< as it came from the device
  bool after_loss = false;     ///< blocks are missing between this one and the one before it: a recorded gap, or damage
  std::uint64_t tick = 0;      ///< the timeslot unwrapped to 64 bits
  ByteView data;
  std::uint64_t ordinal = 0;  ///< in its stream, from 0; blocks that are lost count where their number is known
};

/// A run of blocks of one stream: what a data section holds, decoded. Block i has `sizes[i]` bytes of `bytes`.
struct BlockRun {
  /// A block whose tick does not follow from the one before it by TickUnwrapper's rule.
  struct Jump {
    std::size_t block = 0;
    std::uint64_t tick = 0;
  };

  std::vector<std::uint32_t> timeslots;
  std::vector<std::uint32_t> sizes;
  Bytes bytes;
  std::vector<Jump> jumps;  ///< ascending blocks
  std::uint64_t first_tick = 0;
  std::uint64_t last_tick = 0;
  bool unsorted = false;  ///< some block's tick is below its predecessor's

  [[nodiscard]] std::size_t count() const { return timeslots.size(); }
  /// Size of these blocks as a plain `.sds` file.
  [[nodiscard]] std::uint64_t raw_bytes() const { return bytes.size() + 8 * std::uint64_t{timeslots.size()}; }
  void clear() {
    timeslots.clear();
    sizes.clear();
    bytes.clear();
    jumps.clear();
    unsorted = false;
  }
  /// If it throws (std::bad_alloc), nothing was appended.
  void append(std::uint32_t timeslot, std::uint64_t tick, ByteView data) {
    const std::size_t block = count();
    const std::size_t end = bytes.size();
    try {
      append_bytes(bytes, data);
      timeslots.push_back(timeslot);
      sizes.push_back(static_cast<std::uint32_t>(data.size()));
      if (block > 0 && TickUnwrapper(last_tick).next(timeslot) != tick) jumps.push_back({block, tick});
    } catch (...) {
      bytes.resize(end);
      timeslots.resize(block);
      sizes.resize(block);
      throw;
    }
    if (block == 0) first_tick = tick;
    if (block > 0 && tick < last_tick) unsorted = true;
    last_tick = tick;
  }
};

}  // namespace sds
