// CSV as Arm's sds-convert writes it (documentation/utilities.md, "CSV"): a `timeslot` column in seconds, then one
// column a value; every channel decoded by its own type.
#pragma once

#include <optional>

#include "sds/format/recording.hpp"
#include "sds/tools/progress.hpp"

namespace sds {

enum class SampleTimes {
  metadata,     ///< with `sample-frequency:` as `rate`, without it as `block` (schema 3.1)
  rate,         ///< sample k of a block is at block time + k / sample frequency
  block,        ///< all samples of a block share its time
  interpolate,  ///< samples spread evenly up to the next block's time, as Arm's converter does
};

struct CsvOptions {
  SampleTimes times = SampleTimes::metadata;
  bool normalize = false;       ///< times count from the stream's first block
  std::optional<double> start;  ///< seconds: earlier samples are left out
  std::optional<double> stop;   ///< seconds: this and later samples are left out
};

struct CsvReport {
  std::uint64_t rows = 0;
  std::uint64_t text_bytes = 0;
  std::uint64_t odd_blocks = 0;  ///< blocks with bytes left over after their last whole sample
  std::vector<std::string> notes;
};

/// Writes stream `stream` of `recording` to `sink`. Needs metadata with values or audio; images are refused.
Expected<CsvReport> export_csv(const Recording& recording, std::size_t stream, ByteSink& sink,
                               const CsvOptions& options, const OnProgress& on_progress);

}  // namespace sds
