// The write-ahead log beside a recording that is being written (`<recording>.sdsz.wal`): blocks that are not yet in a
// sealed section. After a kill, opening the recording reads them from here. Deleted when the recording is closed.
#pragma once

#include <functional>
#include <memory>

#include "sds/format/block.hpp"
#include "sds/format/file.hpp"

namespace sds {

std::filesystem::path wal_path(const std::filesystem::path& recording);

/// Blocks of one stream, starting with its block number `first_block`.
struct WalFrame {
  std::uint32_t stream = 0;
  std::uint64_t first_block = 0;
};

/// Appends frames. `recording_key` ties the log to its recording (checksum of the session section), so that a stale
/// log beside another recording of the same name is not taken for its own.
class WalWriter {
 public:
  /// The log is written under a temporary name and replaces the one of before only at publish().
  static Expected<WalWriter> create(const std::filesystem::path& recording, std::uint64_t recording_key);
  [[nodiscard]] Expected<void> publish();

  /// Logs blocks `from` to the end of `run`, whose block 0 is the stream's block `run_first_block`.
  [[nodiscard]] Expected<void> append(std::uint32_t stream, std::uint64_t run_first_block, const BlockRun& run,
                                      std::size_t from, std::size_t from_byte);
  [[nodiscard]] Expected<void> sync() { return sink_->sync(); }
  /// Closes and deletes the log.
  [[nodiscard]] Expected<void> remove();
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  WalWriter(std::filesystem::path path, std::unique_ptr<OutputFile> sink)
      : path_(std::move(path)), sink_(std::move(sink)) {}
  std::filesystem::path path_;
  std::unique_ptr<OutputFile> sink_;
  std::uint64_t bytes_ = 0;
};

/// Where a stream's unsealed blocks stand in a log, found in one pass without keeping their data.
struct WalPiece {
  WalFrame frame;
  std::uint32_t block_count = 0;
  std::uint64_t offset = 0;  ///< of the first block record in the log
  std::uint64_t bytes = 0;   ///< of all its block records
};

/// Lists the valid frames of the log beside `recording`; empty if there is no log, or it belongs to another recording.
/// Stops at the first frame that is cut off or damaged: it was being written when the program died.
Expected<std::vector<WalPiece>> list_wal(const std::filesystem::path& recording, std::uint64_t recording_key);

}  // namespace sds
