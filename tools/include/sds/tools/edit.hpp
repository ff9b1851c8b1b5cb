// New recordings from old ones: parts cut out, several joined, streams at another rate.
#pragma once

#include <filesystem>
#include <vector>

#include "sds/format/recording.hpp"
#include "sds/tools/progress.hpp"
#include "sds/tools/sample_reader.hpp"

namespace sds {

struct EditOptions {
  Level level = Level::fast;
  bool force = false;  ///< replace an existing output
};

struct EditReport {
  std::uint64_t streams = 0;
  std::uint64_t blocks = 0;  ///< written
  std::uint64_t raw_bytes = 0;
  std::uint64_t labels = 0;
  std::vector<std::string> notes;
};

/// Writes the blocks of `streams` that have a part in `within` (seconds of the recording's clock) to `output`, a
/// `.sdsz`. Blocks stay whole, and keep their timeslots. A block lasts for its samples by the sample frequency; without
/// one, it is an instant. Labels come along, shortened to what is left.
Expected<EditReport> cut(const Recording& recording, const std::vector<std::size_t>& streams, const TimeRanges& within,
                         const std::filesystem::path& output, const EditOptions& options,
                         const OnProgress& on_progress);

struct MergeInput {
  Recording recording;
  std::string label;  ///< streams whose names are there already get this label
};

/// Puts the streams of several recordings into one `.sdsz`, on the clock of the first one: each stream's timeslots are
/// moved by its recording's clock pairs (device tick and UTC), and stretched where it has two pairs or more. Without
/// `align` the timeslots stay as they are; with it, a recording without clock pairs is an error. The first recording's
/// streams are never moved.
Expected<EditReport> merge(const std::vector<MergeInput>& inputs, bool align, const std::filesystem::path& output,
                           const EditOptions& options, const OnProgress& on_progress);

enum class ResampleQuality { best, medium, fast };

/// Writes one stream at another sample rate, as floats in physical units, to a `.sdsz`. libsamplerate's band-limited
/// sinc interpolation: best: 97 % of the band, 144 dB; medium: 90 %, 121 dB; fast: 80 %, 97 dB. Gaps end a piece:
/// nothing is made up for them, and each piece keeps its time.
Expected<EditReport> resample(const Recording& recording, std::size_t stream, const Frequency& rate,
                              ResampleQuality quality, const std::filesystem::path& output, const EditOptions& options,
                              const OnProgress& on_progress);

}  // namespace sds
