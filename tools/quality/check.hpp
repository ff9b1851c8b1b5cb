// Is a recording sound? Everything that Arm's sds-check reports (documentation/utilities.md, "SDS-Check"), and what a
// checksummed, described recording lets one know beyond that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"
#include "sds/format/steps.hpp"
#include "time_ranges.hpp"

namespace sds {

struct StreamCheck {
  std::string id;
  Frequency tick_frequency;
  std::uint64_t file_bytes = 0;  ///< as plain `.sds`
  std::uint64_t blocks = 0;
  std::uint64_t data_bytes = 0;  ///< without block headers
  std::uint32_t min_block_bytes = 0;
  std::uint32_t max_block_bytes = 0;
  std::uint64_t empty_blocks = 0;
  std::uint64_t first_tick = 0;
  std::uint64_t last_tick = 0;
  std::optional<TimeSpan> span;  ///< from the first block's time to the end of the last sample; none without blocks
  double interval_ticks = 0;     ///< mean; 0 for fewer than two blocks
  Finding jitter;                ///< the block farthest from an even spacing
  Finding longest_delta;         ///< the block farthest from its predecessor
  Finding duplicates;            ///< blocks with their predecessor's timeslot
  Finding descending;            ///< blocks whose tick lies before their predecessor's: unsound
  Finding wraps;                 ///< wrap-arounds of the 32-bit timeslot
  /// As StepCounter has them; `block` and `ticks` of the longest. Nothing where they cannot be seen.
  std::optional<Finding> gaps = Finding();
  Finding misfits;                           ///< blocks that are no whole number of samples: unsound
  std::optional<Tail> tail;                  ///< unsound
  std::vector<std::string> recorded_losses;  ///< gaps that the recorder noted: unsound
  std::vector<Damage> damages;               ///< unsound
  std::optional<Error> metadata_error;       ///< unsound
  bool has_metadata = false;
  std::vector<std::string> metadata_notes;

  [[nodiscard]] std::vector<std::string> problems() const;  ///< what makes the stream unsound, as sentences
};

struct RecordingCheck {
  std::vector<StreamCheck> streams;
  std::vector<Damage> damages;     ///< of the container, or of a stream that is not known
  bool closed = true;              ///< false: nobody knows what would have come
  std::vector<std::string> notes;  ///< of the container, not unsound in themselves
  std::uint64_t sections = 0;      ///< whose checksums were verified; 0 for plain files

  [[nodiscard]] bool sound() const;
};

struct CheckOptions {
  std::optional<Frequency> tick_frequency;  ///< instead of the metadata's
};

/// Afterwards Recording::damages() is complete, and has the same damage.
Expected<RecordingCheck> check(const Recording& recording, const CheckOptions& options, const OnProgress& on_progress);

}  // namespace sds
