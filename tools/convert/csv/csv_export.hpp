// CSV as Arm's sds-convert writes it (documentation/utilities.md, "CSV"): a `timeslot` column in seconds, then one
// column a value; every channel decoded by its own type.
#pragma once

#include "sample_reader.hpp"

namespace sds {

struct CsvReport {
  std::uint64_t rows = 0;
  std::uint64_t text_bytes = 0;
  std::uint64_t odd_blocks = 0;  ///< blocks with bytes left over after their last whole sample
  std::vector<std::string> notes;
};

/// Writes stream `stream` of `recording` to `sink`. Needs metadata with values or audio; images are refused.
Expected<CsvReport> export_csv(const Recording& recording, std::size_t stream, ByteSink& sink,
                               const SampleOptions& options, const OnProgress& on_progress);

}  // namespace sds
