// What formats without time close without a trace: gaps in time, as `sds check` counts them, and recorded losses
// (SampleReader::losses()). Damage is told for itself (Recording::damages()).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sample_reader.hpp"
#include "sds/format/recording.hpp"
#include "sds/format/steps.hpp"

namespace sds {

/// Follows one SampleReader over a stream, or over a part of its time. Which steps are gaps the whole stream says:
/// where a part has one that may be, the stream is read again for it, once for all who share `rule`. `recording` must
/// outlive it.
class ClosedGaps {
 public:
  /// `rule` may be null.
  ClosedGaps(const Recording& recording, std::size_t stream, const TimeRanges& within,
             std::shared_ptr<std::optional<GapRule>> rule);
  /// For SampleOptions::on_block: every block that is read, before its samples come.
  void read(const BlockView& block);
  /// Each run of samples that is written; times are of the recording's clock.
  void wrote(const SampleRun& run);
  /// At the end. `why`: "audio files have none".
  [[nodiscard]] Expected<std::vector<std::string>> notes(const SampleReader& reader, const std::string& why,
                                                         const OnProgress& on_progress) const;

 private:
  struct Step {
    std::uint64_t to_tick;
    std::uint64_t ticks;
    std::uint64_t samples;  // of the earlier block
  };
  [[nodiscard]] bool may_be_gap(const Step& step) const;
  [[nodiscard]] Expected<std::uint64_t> gaps(const OnProgress& on_progress) const;

  const Recording& recording_;
  std::size_t stream_;
  TimeRanges within_;
  std::shared_ptr<std::optional<GapRule>> rule_;
  StepSamples samples_;
  double nominal_ticks_ = 0;  // from sample to sample; 0: not known
  StepCounter steps_;         // of the whole stream, or between samples that are written
  bool may_be_gaps_ = false;
  std::vector<Step> ahead_;  // in the part, behind what was written
  bool any_read_ = false;
  bool any_left_out_ = false;  // blocks behind the previous one with samples
  std::uint64_t previous_ordinal_ = 0;
  std::uint64_t previous_tick_ = 0;
  std::uint64_t previous_samples_ = 0;
  std::uint64_t parts_ = 0;  // stretches of the time that was asked for, of which something is written
  double part_end_ = 0;
};

}  // namespace sds
