// What formats without time close without a trace: gaps in time, as `sds check` counts them, and recorded losses.
// Damage is told for itself (Recording::damages()).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sds/format/recording.hpp"
#include "sds/tools/sample_reader.hpp"
#include "sds/tools/stream_checker.hpp"

namespace sds {

/// Follows one SampleReader over a stream. Must not move while the reader has its on_block().
class ClosedGaps {
 public:
  /// `within`: the part of the time that is exported; what is missing before and behind it does not count.
  ClosedGaps(const Recording& recording, std::size_t stream, const TimeRanges& within);

  /// For SampleOptions::on_block.
  void on_block(const BlockView& block);
  /// Each run of samples that is written.
  void add(const SampleRun& run);
  /// At the end. `why`: "audio files have none".
  [[nodiscard]] std::vector<std::string> notes(const std::string& stream, const std::string& why) const;

 private:
  std::vector<Gap> losses_;     // in the order of blocks
  std::size_t seen_ = 0;        // of them, by the blocks that were read
  std::size_t first_seen_ = 0;  // that many lie before the part,
  std::size_t last_seen_ = 0;   // and that many before its last samples
  bool whole_ = true;
  StepCounter steps_;
  std::uint64_t blocks_ = 0;
  std::uint64_t tick_ = 0;
  std::size_t first_ = 0;
};

}  // namespace sds
