// Looks at the blocks of one stream, once, in order, in memory that does not grow with their number.
#pragma once

#include "check.hpp"
#include "sds/format/block.hpp"
#include "sds/format/steps.hpp"
#include "time_span.hpp"

namespace sds {

class StreamChecker {
 public:
  StreamChecker(const Recording& recording, std::size_t stream, const CheckOptions& options);
  StreamChecker(const StreamChecker&) = delete;
  StreamChecker& operator=(const StreamChecker&) = delete;
  void add(const BlockView& block);
  [[nodiscard]] StreamCheck finish();

 private:
  StreamCheck result_;
  BlocksInTime in_time_;
  std::size_t sample_bytes_ = 0;
  StepSamples samples_;
  std::uint64_t previous_samples_ = 0;       // of the last block with any
  std::uint64_t previous_samples_tick_ = 0;  // and its tick
  std::uint64_t previous_tick_ = 0;
  std::uint32_t previous_timeslot_ = 0;
  DeviationFinder deviation_;
  StepCounter steps_;
};

}  // namespace sds
