// What the compression levels cost and give on a user's own data.
#pragma once

#include <string>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"

namespace sds {

struct LevelResult {
  Level level = Level::store;
  std::uint64_t raw_bytes = 0;  ///< as plain `.sds`
  std::uint64_t stored_bytes = 0;
  double write_bytes_per_second = 0;  ///< of raw bytes, one thread, in memory, median of the rounds
  double read_bytes_per_second = 0;
};

struct LevelBenchOptions {
  std::uint64_t max_bytes = std::uint64_t{64} << 20;  ///< of each recording that are used
  int rounds = 3;
};

/// Encodes and decodes the recording's blocks at every level, in memory, and verifies what comes back.
/// Takes up to about three times `max_bytes` of memory.
Expected<std::vector<LevelResult>> bench_levels(const Recording& recording, const LevelBenchOptions& options,
                                                const OnProgress& on_progress);

}  // namespace sds
