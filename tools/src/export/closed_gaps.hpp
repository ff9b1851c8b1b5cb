// What formats without time close without a trace: gaps in time, as `sds check` counts them, and recorded losses
// (SampleReader::losses()). Damage is told for itself (Recording::damages()).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sds/format/recording.hpp"
#include "sds/tools/sample_reader.hpp"
#include "sds/tools/stream_checker.hpp"

namespace sds {

/// Follows one SampleReader over a stream.
class ClosedGaps {
 public:
  explicit ClosedGaps(const Metadata& metadata) : has_rate_(metadata.sample_frequency.has_value()) {}
  /// Each run of samples that is written.
  void add(const SampleRun& run);
  /// At the end. `why`: "audio files have none".
  [[nodiscard]] std::vector<std::string> notes(const SampleReader& reader, const std::string& stream,
                                               const std::string& why) const;

 private:
  bool has_rate_;
  StepCounter steps_;
  std::uint64_t samples_ = 0;
  std::uint64_t blocks_ = 0;
  std::uint64_t tick_ = 0;
  std::size_t first_ = 0;
};

}  // namespace sds
