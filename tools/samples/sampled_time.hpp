// The time of a stream that has samples: without recorded losses, and without gaps in time as every command counts
// them.
#pragma once

#include <optional>
#include <vector>

#include "sds/format/steps.hpp"
#include "sds/format/stream_losses.hpp"
#include "time_span.hpp"

namespace sds {

/// Blocks without a gap in time or a loss between them.
struct Stretch {
  std::uint64_t first_block = 0;  ///< its ordinal
  double end = 0;                 ///< of the samples, in seconds
};

/// Follows the blocks of one stream, in order. `recording` must outlive it.
class SampledTime {
 public:
  /// `gaps`: of the stream, where they are known before: gaps are left out without a sample frequency, too, and a block
  /// in front of one lasts the usual step. It must outlive this.
  SampledTime(const Recording& recording, std::size_t stream, const GapRule* gaps = nullptr);
  void add(const BlockView& block);
  /// All blocks at once.
  [[nodiscard]] Expected<void> read(const OnProgress& on_progress);
  /// After the last block, before the two below: which breaks are gaps all blocks tell. Reads the stream again where
  /// they tell of more than were noticed.
  [[nodiscard]] Expected<void> finish(const OnProgress& on_progress);
  /// After finish(): in seconds. Of streams without a sample frequency only losses are left out, but with `gaps`.
  [[nodiscard]] TimeRanges ranges() const;
  /// After finish(): what gaps in time and losses part, also where the time goes on across a loss, or back.
  [[nodiscard]] std::vector<Stretch> stretches() const;
  /// Those so far.
  [[nodiscard]] const BlocksInTime& blocks() const { return blocks_; }

 private:
  struct Break {
    std::uint64_t from_tick;
    std::uint64_t to_tick;
    std::uint64_t samples;  // of the block at from_tick
    std::uint64_t block;    // the one at to_tick
    bool lost;
    double end;  // where the last sample before it is over; of streams with a sample frequency
  };
  [[nodiscard]] double end_before(const Break& at, std::uint64_t usual) const;
  const Recording& recording_;
  std::size_t index_;
  const StreamInfo& stream_;
  StepSamples samples_;
  double nominal_ticks_ = 0;  // of a sample; 0: no sample frequency
  const GapRule* gaps_;
  StreamLosses losses_;
  BlocksInTime blocks_;
  BlocksInTime with_samples_;     // of the blocks those that have any: the others are passed over from here on
  BlocksInTime since_step_back_;  // of those behind the last one that the clock stepped back to
  bool lost_ = false;             // behind the previous block with samples
  StepCounter steps_;
  std::vector<Break> breaks_;  // losses, and what may be a gap; after finish() what is one
  std::uint64_t previous_tick_ = 0;
  std::uint64_t previous_samples_ = 0;
};

/// All of a stream at once: reads it, twice where one pass does not tell its gaps. Gaps part any stream.
Expected<std::vector<Stretch>> stretches_of(const Recording& recording, std::size_t stream,
                                            const OnProgress& on_progress);

}  // namespace sds
