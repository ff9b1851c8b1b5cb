// Makes 64-bit ticks of the 32-bit timeslots of one device session. Streams that count at the same frequency share the
// device's counter, so they are unwrapped together, by when their blocks came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sds/format/time.hpp"
#include "sds/recorder/arrival.hpp"

namespace sds {

/// A timeslot stands for many ticks, one in each range of 2^32. The rule that chooses (docs/recording.md has it for
/// users, with its limits):
///
/// 1. No block comes before its time. The device's counter is followed: it stands where the block with the least delay
///    put it, and runs at the stated frequency, give or take 1/64. The late reading of a timeslot is the last one that
///    is not more than 1/16 of the range (and what 1/64 makes) ahead of it.
/// 2. A stream goes on where it was. Its next reading is the first one behind its last block (1/16 of the range before
///    that counts as behind). Where both are the same, and that is wherever less than the range has passed, that is it.
///    Where the late reading is before it, the stream would step back: its next reading stands if it is not more than
///    1/4 of the range (and what 1/64 makes) ahead of the counter, for the blocks so far had come late.
/// 3. Where they differ, a stream of steady steps (below 1/16 of the range) whose next reading is a step like those
///    before (at most four times as long) was held up, and goes on. Else, if the late reading is at most 1/8 of the
///    range (and what 1/64 makes) behind the counter, the block came promptly after a silence. Else it goes on.
/// 4. The first block of a domain has its timeslot as tick; that of another stream has the late reading. What would
///    stand before tick 0 cannot be told, and has its timeslot as tick; nothing else moves for it.
///
/// Arrivals that are not prompt only show that the counter is not behind their blocks. Pure: the same calls give the
/// same ticks.
class SessionClock {
 public:
  using StreamId = std::size_t;

  /// A stream that counts at `frequency`, in the domain of all those that do.
  StreamId add_stream(const Frequency& frequency);

  /// True if expect() is worth its while: the next block of the stream may be read in more than one way.
  [[nodiscard]] bool in_doubt(StreamId stream, const Arrival& arrival) const;
  /// Says which blocks come next, all in the bytes of this arrival: the last of them tells more about the time than the
  /// first. The next calls of tick() are for these.
  void expect(StreamId stream, std::span<const std::uint32_t> timeslots, const Arrival& arrival);

  /// The tick of the next block that was received.
  std::uint64_t tick(StreamId stream, std::uint32_t timeslot, const Arrival& arrival);

  /// How many blocks of the stream stand before tick 0, and so have too high a tick.
  [[nodiscard]] std::uint64_t blocks_before_zero(StreamId stream) const { return streams_[stream].before_zero; }

 private:
  struct Domain {
    Frequency frequency;
    bool started = false;
    std::int64_t newest = 0;
    // The counter, as the block with the least delay shows it.
    std::int64_t counter = 0;
    std::uint64_t monotonic_ns = 0;
  };
  struct Stream {
    std::size_t domain = 0;
    std::optional<std::int64_t> last;
    std::uint64_t before_zero = 0;   // blocks that stand there
    std::uint64_t usual_step = 0;    // about the longest of those before
    std::int64_t expected = 0;       // the first of the blocks that were announced
    std::size_t expected_count = 0;  // of them that are to come
    bool expected_first = false;
  };
  struct Now {
    std::int64_t counter = 0;
    std::int64_t uncertainty = 0;
  };
  static Now now(const Domain& domain, const Arrival& arrival);
  static std::int64_t read(const Domain& domain, const Stream& stream, std::uint32_t timeslot, std::int64_t ahead,
                           const Arrival& arrival);
  static void follow(Domain& domain, std::int64_t tick, const Arrival& arrival);

  std::vector<Domain> domains_;
  std::vector<Stream> streams_;
};

}  // namespace sds
