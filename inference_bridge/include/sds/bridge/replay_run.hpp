// One run of an algorithm over one recording.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sds/bridge/algorithm.hpp"
#include "sds/bridge/duration_histogram.hpp"
#include "sds/bridge/output_recorder.hpp"
#include "sds/player/player.hpp"

namespace sds {

/// A block on which the algorithm failed.
struct AlgorithmFailure {
  std::uint64_t ordinal = 0;
  std::uint32_t timeslot = 0;
  std::string reason;
};

struct RunReport {
  std::string input_fingerprint;
  std::string output_fingerprint;
  std::uint64_t blocks = 0;  ///< delivered to the algorithm
  std::uint64_t input_bytes = 0;
  std::uint64_t outputs = 0;    ///< recorded
  double recorded_seconds = 0;  ///< from the first block's time to the last one's
  std::uint64_t failure_count = 0;
  std::vector<AlgorithmFailure> failures;  ///< the first 100
  bool finished = false;                   ///< false: the algorithm crashed or hung on the last failure's block
  std::vector<Damage> damages;             ///< parts of the recording that could not be read
  // Measured, and therefore different in every run:
  DurationHistogram durations;
  double wall_seconds = 0;

  [[nodiscard]] bool ok() const { return finished && failure_count == 0 && damages.empty(); }
};

struct RunOptions {
  std::size_t input_stream = 0;                                    ///< of the recording
  std::uint32_t output_bytes = 0;                                  ///< of each execution
  double speed = 0;                                                ///< see Player::Options
  std::function<Expected<void>(std::uint64_t bytes)> on_progress;  ///< an error stops the run
};

/// Resets the algorithm, feeds it every block of the input stream, and records each output under the timeslot of the
/// block that caused it. An empty block (no sample in its timeslot) is delivered and counted, but not executed on.
/// `outputs` may be null. An algorithm that fails is in the report; errors are those of files.
Expected<RunReport> run_replay(const Recording& recording, Algorithm& algorithm, OutputRecorder* outputs,
                               const RunOptions& options);

}  // namespace sds
