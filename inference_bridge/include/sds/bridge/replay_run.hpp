// One run of an algorithm over one recording.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sds/bridge/algorithm.hpp"
#include "sds/bridge/duration_histogram.hpp"
#include "sds/bridge/output_recorder.hpp"
#include "sds/format/steps.hpp"
#include "sds/player/player.hpp"

namespace sds {

/// A block on which the algorithm failed.
struct AlgorithmFailure {
  std::string stream;                    ///< id of the input stream
  std::optional<std::uint64_t> ordinal;  ///< nothing: it did not come to the first block
  std::uint32_t timeslot = 0;
  std::string reason;
};

struct RunReport {
  std::string input_fingerprint;  ///< empty if the algorithm crashed or hung
  std::string output_fingerprint;
  std::uint64_t blocks = 0;     ///< delivered to the algorithm
  bool several_inputs = false;  ///< the number of a block says which one it is with its stream only
  std::uint64_t input_bytes = 0;
  std::uint64_t outputs = 0;  ///< output blocks of all ports
  /// From the first block's time to the end of the last one; to its time where its sample frequency is not known.
  double recorded_seconds = 0;
  std::uint64_t gaps = 0;           ///< losses in the recording that the algorithm was told of
  std::uint64_t gaps_in_time = 0;   ///< the same of gaps in time and steps back, see RunOptions::breaks
  std::uint64_t restarts = 0;       ///< see Algorithm::restarts()
  std::uint64_t passed_blocks = 0;  ///< in which the algorithm went behind the block's end, in a device's buffer
  std::uint64_t passed_bytes = 0;   ///< how far, at most
  std::uint64_t first_passed = 0;   ///< ordinal of the first such block
  std::string first_passed_stream;  ///< id of its stream
  bool has_executed = false;        ///< see Algorithm::has_executed()
  std::uint64_t failure_count = 0;
  std::vector<AlgorithmFailure> failures;  ///< the first 100, and the one that ended the run
  bool finished = false;                   ///< false: the algorithm crashed or hung on the last failure's block
  std::vector<Damage> damages;             ///< of the recording: what of it could not be read
  /// One number for each output block, its port, time and bytes, in order, up to a million: where two runs begin to
  /// differ.
  std::vector<std::uint64_t> output_hashes;
  // Measured, and therefore different in every run:
  DurationHistogram durations;     ///< of the work for each block
  std::vector<StageTimes> stages;  ///< of a pipeline, see Algorithm::stage_times()
  double wall_seconds = 0;
  std::uint64_t peak_memory = 0;  ///< of the algorithm's process, in bytes; 0: not known

  /// Of the algorithm. A damaged recording is no fault of it.
  [[nodiscard]] bool ok() const { return finished && failure_count == 0; }
  /// Nothing failed, for nothing was executed: the run says nothing of the algorithm.
  [[nodiscard]] bool is_void() const { return ok() && !has_executed; }
};

struct RunOptions {
  std::vector<std::size_t> input_streams{0};  ///< of the recording, for the algorithm's inputs
  std::vector<BreakFinder> breaks;            ///< of the input streams; empty: only losses are told
  double speed = 0;                           ///< see Player::Options
  Executor* executor = nullptr;               ///< decodes ahead
  std::function<Expected<void>(std::uint64_t bytes)> on_progress;  ///< an error stops the run
};

/// Resets the algorithm, feeds it every block of the input streams in their total order, and records each output under
/// the tick of the block that caused it. An empty block (no sample in its timeslot) is delivered and counted, but
/// not executed on. Where the recording has a loss, the algorithm is told, and `outputs`, which may
/// be null, gets a gap. An algorithm that
/// fails is in the report; errors are those of files.
Expected<RunReport> run_replay(const Recording& recording, Algorithm& algorithm, OutputRecorder* outputs,
                               const RunOptions& options);

/// The first output block in which two runs differ, counted from 0: by its bytes, time or port, or for it is missing in
/// one. Nothing if none of those that are known differs.
std::optional<std::uint64_t> first_difference(const RunReport& a, const RunReport& b);

/// Why a run is_void().
const char* lack_of_data(const RunReport& run);
/// The same, and what it means: "the recording has no data for it: nothing was executed".
std::string void_text(const RunReport& run);

/// "block 3", of several inputs "block 3 of Imu".
std::string block_text(const RunReport& run, const std::string& stream, std::uint64_t ordinal);

/// Failures of one stream for one reason as one line: the first block, the reason, and which other blocks it goes for.
std::vector<std::string> failure_lines(const RunReport& run);

}  // namespace sds
