// New recordings from old ones: parts cut out, several joined, streams at another rate.
#pragma once

#include <filesystem>
#include <vector>

#include "sample_reader.hpp"
#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"

namespace sds {

struct EditOptions {
  Level level = Level::fast;
  bool force = false;                   ///< replace an existing output
  std::vector<std::string> channels{};  ///< resample: only these; empty: all
};

/// How `merge` took a recording's clock.
struct MergedClock {
  std::filesystem::path path;
  std::size_t pairs = 0;            ///< clock pairs that were looked at
  double moved_s = 0;               ///< its first block, onto the first recording's clock; positive: to a later time
  double last_moved_s = 0;          ///< and its last block: not as far where a rate is applied
  double moved_uncertainty_s = 0;   ///< of both and of all between: 95 %, but for a delay that all pairs share
  double rate_ppm = 0;              ///< measured; how much slower than nominal the device's ticks come
  double rate_uncertainty_ppm = 0;  ///< 95 %; infinite where there is one pair only
  bool rate_applied = false;
  std::string why_not;  ///< where it is not applied: why
};

struct EditReport {
  std::uint64_t streams = 0;
  std::uint64_t blocks = 0;  ///< written
  std::uint64_t raw_bytes = 0;
  std::uint64_t labels = 0;
  std::vector<MergedClock> clocks;  ///< merge: one a recording
  std::vector<std::string> notes;
};

// What these write keeps what its input lacks: gaps stay where they were, and damage becomes gaps; the same is in
// Recording::damages() of the input afterwards. Clock pairs come along, 64-bit ticks stay.

/// Writes the blocks of `streams` that have a part in `within` (seconds of the recording's clock) to `output`, a
/// `.sdsz`. Blocks stay whole, and keep their ticks. A block lasts for its samples by the sample frequency; without
/// one, the mean step from block to block. Streams of which nothing is left are named. Labels come along, shortened to
/// what is left; of the clock pairs those within, and of each piece the last one before it and the first one behind.
/// Fails if no block is left (ErrorCode::usage; bad_input where the recording turned out to be damaged).
Expected<EditReport> cut(const Recording& recording, const std::vector<std::size_t>& streams, const TimeRanges& within,
                         const std::filesystem::path& output, const EditOptions& options,
                         const OnProgress& on_progress);

struct MergeInput {
  Recording recording;
  std::string label;  ///< streams whose names are there already get this label
};

/// Puts the streams of several recordings into one `.sdsz`, on the clock of the first one: each stream's ticks are
/// moved by a fit to its recording's clock pairs (clock_fit.hpp), and stretched where the fit knows the rates. Without
/// `align` the ticks stay as they are; with it, a recording without clock pairs is an error. The first recording's
/// streams are never moved.
Expected<EditReport> merge(const std::vector<MergeInput>& inputs, bool align, const std::filesystem::path& output,
                           const EditOptions& options, const OnProgress& on_progress);

enum class ResampleQuality { best, medium, fast };

/// Writes one stream at another sample rate, as floats in physical units, to a `.sdsz`. libsamplerate's band-limited
/// sinc interpolation: best: 97 % of the band, 144 dB; medium: 90 %, 121 dB; fast: 80 %, 97 dB. Gaps end a piece:
/// nothing is made up for them, and each piece keeps its time. Pieces are continued at both ends by odd reflection for
/// the filter only: constants and ramps stay what they are up to their ends. Values that are no finite numbers are an
/// error (ErrorCode::bad_input): the filter would spread them.
Expected<EditReport> resample(const Recording& recording, std::size_t stream, const Frequency& rate,
                              ResampleQuality quality, const std::filesystem::path& output, const EditOptions& options,
                              const OnProgress& on_progress);

}  // namespace sds
