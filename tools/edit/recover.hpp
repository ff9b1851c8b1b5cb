// What can be had of a damaged or unfinished `.sdsz`, as a closed recording.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"

namespace sds {

/// What was had of a stream of the damaged recording.
struct RecoveredStream {
  std::string id;
  Frequency tick_frequency;
  std::uint64_t blocks = 0;
  std::optional<std::uint64_t> first_tick;  ///< of the blocks; none if there are none
  std::optional<std::uint64_t> last_tick;
};

struct RecoverReport {
  std::uint64_t streams = 0;                 ///< in the result
  std::uint64_t blocks = 0;                  ///< in the result
  std::uint64_t raw_bytes = 0;               ///< of them as plain `.sds`
  std::uint64_t stored_bytes = 0;            ///< of the result
  std::uint64_t sections_copied = 0;         ///< as they were
  std::uint64_t blocks_rebuilt = 0;          ///< from the write-ahead log, or of sections that could not be copied
  std::vector<RecoveredStream> stream_list;  ///< of the damaged recording: Damage::stream counts them
  std::vector<Damage> missing;               ///< what the result lacks
  std::vector<Damage> ignored;  ///< sections of other recordings, and second copies: nothing is missing with them
  bool closed = true;           ///< false: it had no end: what more was in it is not known, and the result says so
  std::optional<std::string> still_open;  ///< why_not_closed(), which is no damage
  std::uint64_t recorded_losses = 0;      ///< gaps and lost streams that the recording told of, as the result does
  /// Of torn ends that are kept, those of more than a block of their stream: blocks may be in them that none finds.
  std::uint64_t unread_bytes = 0;
  std::filesystem::path labels;    ///< the label file that came along; empty: there was none
  std::vector<std::string> notes;  ///< a log beside it that was of no use, labels that became a backup, clocks apart
};

/// Where `sds recover` writes to if nobody says: "walk.recovered.sdsz" beside "walk.sdsz".
std::filesystem::path recovered_path(const std::filesystem::path& recording);

/// Writes every block of `path`, and of the write-ahead log beside it, that can be read to `output`, in order, once,
/// with gaps, clock pairs, torn ends and descriptions; where blocks are missing it has a gap that says why. Data
/// sections are copied without being decoded, their checksums verified. The result is read back and compared with what
/// was meant to be written before it gets its name. The label file beside `path` is copied. `path` is not changed.
/// Fails with ErrorCode::bad_input if nothing can be read.
Expected<RecoverReport> recover(const std::filesystem::path& path, const std::filesystem::path& output, bool force,
                                const OnProgress& on_progress);

}  // namespace sds
