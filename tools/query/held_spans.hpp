// When a condition holds, from sample to sample of one stream: a sample's values hold until the next one
// (docs/time.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sample_reader.hpp"
#include "section_samples.hpp"
#include "time_span.hpp"

namespace sds {

/// Takes samples and sections of which all samples hold, or none, in the order of the file. `recording` must outlive
/// it.
class HeldSpans {
 public:
  HeldSpans(const Recording& recording, std::size_t stream)
      : recording_(recording), stream_(stream), times_(recording, stream) {}

  /// Samples that were read: whether each one holds. Fails where it changes too often (ErrorCode::limit).
  [[nodiscard]] Expected<void> add(const SampleRun& run, std::span<const std::uint8_t> holds);
  /// A section that was not.
  [[nodiscard]] Expected<void> add(const SectionSamples& section, bool holds);
  /// After the last one.
  [[nodiscard]] Expected<TimeRanges> finish();

 private:
  // Whether a sample ends or begins what holds.
  [[nodiscard]] bool changes(double time, bool holds) const { return open_ ? !holds || time < last_time_ : holds; }
  [[nodiscard]] Expected<void> change(double time, bool holds);
  [[nodiscard]] Expected<void> close(double end);
  [[nodiscard]] Expected<void> close_when_over();

  const Recording& recording_;
  std::size_t stream_;
  SectionTimes times_;
  std::optional<BlocksInTime> blocks_;  // of a stream without a sample frequency, where its mean step is asked for
  std::vector<TimeSpan> spans_;
  std::size_t closed_ = 0;
  std::optional<double> open_;  // samples hold since then
  double last_time_ = 0;
  SamplePlace last_;  // what is at that time
};

}  // namespace sds
