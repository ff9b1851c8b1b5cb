// The write-ahead log beside a recording that is being written (`<recording>.sdsz.wal`): blocks that are not yet in a
// sealed section. After a kill, opening the recording reads them from here. Deleted when the recording is closed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "sds/format/block.hpp"
#include "sds/format/file.hpp"

namespace sds {

std::filesystem::path wal_path(const std::filesystem::path& recording);
/// The log that is about to replace it.
std::filesystem::path new_wal_path(const std::filesystem::path& recording);

/// Appends frames. `recording` ties the log to its recording (the id in the section headers), so that a stale log
/// beside another recording of the same name is not taken for its own; `generation` counts the logs of one recording.
/// After a failed append() nothing may be appended before repair() succeeded.
class WalWriter {
 public:
  /// Makes `<recording>.wal`; fails with ErrorCode::exists if it, or the one about to replace it, is there, unless
  /// existing ones are to be overwritten.
  static Expected<WalWriter> create(const std::filesystem::path& recording, std::uint64_t recording_id,
                                    IfExists if_exists);
  /// Makes a log that replaces this one at publish(), under a temporary name until then.
  [[nodiscard]] Expected<WalWriter> successor() const;
  /// Gives a successor its name; fails where that is not its predecessor's any more.
  [[nodiscard]] Expected<void> publish(const WalWriter& predecessor);
  /// Deletes a successor that was not published, if that can be done. Needs no memory.
  void discard();
  /// False if the log was moved or deleted, or its recording was: the name may be another's by now.
  [[nodiscard]] bool is_in_place() const;

  /// Adds blocks `from` to the end of `run`, whose block 0 is the stream's block `run_first_block`, to what the next
  /// write() writes; `from_byte` and `from_tick` are where block `from` stands in run.bytes, and its tick. If it throws
  /// (std::bad_alloc), only repair() may follow.
  void add(std::uint32_t stream, std::uint64_t run_first_block, const BlockRun& run, std::size_t from,
           std::size_t from_byte, std::uint64_t from_tick);
  /// Writes what was added; of what was added before a failure, whole frames may stay.
  [[nodiscard]] Expected<void> write();
  [[nodiscard]] Expected<void> sync() { return sink_->sync(); }
  /// Cuts off what a failed write() left behind. What had been added is forgotten.
  [[nodiscard]] Expected<void> repair();
  /// Closes and deletes the log. May be called again after a failure.
  [[nodiscard]] Expected<void> remove();
  /// Frames that were written.
  [[nodiscard]] std::size_t frames() const { return frames_; }
  [[nodiscard]] const std::filesystem::path& path() const { return sink_->path(); }
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }
  /// Bytes of the log, what was added and not written included.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_ + pending_.size(); }

 private:
  [[nodiscard]] Expected<void> check_place() const;
  WalWriter(std::filesystem::path recording, std::unique_ptr<OutputFile> sink, std::uint64_t id,
            std::uint64_t generation);
  static Expected<WalWriter> start(const std::filesystem::path& recording, const std::filesystem::path& log,
                                   IfExists if_exists, std::uint64_t id, std::uint64_t generation);

  std::filesystem::path recording_;
  std::unique_ptr<OutputFile> sink_;
  std::uint64_t id_ = 0;
  std::uint64_t generation_ = 0;
  std::uint64_t bytes_ = 0;
  Bytes pending_;
  std::size_t frames_ = 0;
  std::vector<std::size_t> frame_ends_;  // in pending_
  std::optional<bool> ours_;             // whether remove() found the log in its place before it closed it
};

/// Blocks that a log holds, found in one pass without keeping their data.
struct WalPiece {
  std::uint32_t stream = 0;
  std::uint32_t block_count = 0;
  std::uint64_t first_block = 0;            ///< ordinal in the stream
  std::optional<std::uint64_t> first_tick;  ///< none in logs of version 1: it follows from the block before
  std::optional<std::uint64_t> last_tick;   ///< the same
  bool unsorted = false;                    ///< some block's tick is below its predecessor's
  std::uint64_t offset = 0;                 ///< of the first block record in the log
  std::uint64_t bytes = 0;                  ///< of all its block records
  std::shared_ptr<const ByteSource> log;    ///< where it stands

  [[nodiscard]] std::uint64_t end_block() const { return first_block + block_count; }
};

/// What a log says.
struct WalContents {
  bool ours = false;  ///< it belongs to the recording
  std::vector<WalPiece> pieces;
  /// Bytes that belong to no frame that checks, but for a last frame that is cut off, or that the disk never got (only
  /// zeros): damage, from `skipped_at` on.
  std::uint64_t skipped_bytes = 0;
  std::uint64_t skipped_at = 0;
  /// The first of the skipped frames that check and are above the limits, which no writer makes: where it stands, and
  /// what is too large. Empty: there is none.
  std::string refused;
};

/// Lists the valid frames in the first `size` bytes of a log. `recording_id` is the id in the section headers,
/// `session_key` the checksum of the session section's payload, which names the recording in version 1 (none: it could
/// not be read). A frame that is cut off at the end was being written when the program died, and is left out.
Expected<WalContents> list_wal(const std::shared_ptr<const ByteSource>& log, std::uint64_t size,
                               std::uint64_t recording_id, std::optional<std::uint64_t> session_key);

}  // namespace sds
