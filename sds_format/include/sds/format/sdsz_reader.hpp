// Reads a `.sdsz` recording: closed, still growing, or left behind by a kill.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "sds/format/data_section.hpp"
#include "sds/format/executor.hpp"
#include "sds/format/plain.hpp"
#include "sds/format/sdsz_index.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/format/wal.hpp"

namespace sds {

/// A known loss inside a stream: recorded while recording.
struct Gap {
  std::uint64_t after_tick = 0;
  std::string reason;
};

/// The same instant on the stream's clock and in UTC.
struct ClockPair {
  std::uint64_t tick = 0;
  std::uint64_t utc_ns = 0;  ///< since 1970
};

struct SdszStream {
  StreamDescription description;
  Layout layout;
  bool has_description = false;  ///< false: its stream section was lost, its data cannot be decoded
  std::vector<IndexEntry> data;
  std::vector<IndexEntry> tail;
  std::vector<Gap> gaps;
  std::vector<ClockPair> clocks;
  std::vector<WalPiece> log;  ///< blocks that stand only in the write-ahead log
  std::uint64_t block_count = 0;
  std::uint64_t raw_bytes = 0;     ///< as a plain `.sds`
  std::uint64_t stored_bytes = 0;  ///< in this file
};

/// An opened recording. Immutable and thread-safe; cursors are not.
class SdszReader {
 public:
  struct Options {
    bool walk = false;  ///< ignore the index and look at every section header
  };
  static Expected<std::shared_ptr<const SdszReader>> open(const std::filesystem::path& path, const Options& options);

  [[nodiscard]] const Properties& session() const { return session_; }
  [[nodiscard]] const std::vector<SdszStream>& streams() const { return streams_; }
  [[nodiscard]] const SectionTable& sections() const { return table_; }
  [[nodiscard]] const std::vector<Damage>& damages() const { return damages_; }
  [[nodiscard]] const std::shared_ptr<const InputFile>& file() const { return file_; }
  [[nodiscard]] const std::shared_ptr<const InputFile>& log_file() const { return log_file_; }
  /// True if a footer closes the recording; false: still growing, or its writer was killed.
  [[nodiscard]] bool complete() const { return table_.complete; }

  /// The stored payload of a section, checked and decompressed (data sections: as stored).
  [[nodiscard]] Expected<Bytes> payload(const IndexEntry& entry) const;

 private:
  SdszReader() = default;
  void take_section(const IndexEntry& entry);
  void take_log();

  std::shared_ptr<const InputFile> file_;
  std::shared_ptr<const InputFile> log_file_;
  SectionTable table_;
  Properties session_;
  bool has_session_ = false;
  std::uint64_t recording_key_ = 0;
  std::vector<SdszStream> streams_;
  std::vector<Damage> damages_;
};

/// True for the data sections that a reader wants; the others are neither read nor decoded.
using SectionFilter = std::function<bool(const IndexEntry& section)>;

/// Reads the blocks of one stream in order, a section at a time. A damaged section is skipped and listed. With an
/// executor, which must outlive the cursor, the next concurrency() sections are decoded ahead on its threads: memory
/// for that many more, the same blocks in the same order. An empty filter wants every section; what stands only in the
/// write-ahead log is never filtered.
class SdszCursor {
 public:
  SdszCursor(std::shared_ptr<const SdszReader> reader, std::size_t stream, Executor* executor = nullptr,
             SectionFilter wanted = {});

  [[nodiscard]] Expected<std::optional<BlockView>> next();
  [[nodiscard]] const std::vector<Damage>& damages() const { return damages_; }
  /// Hands the stream's torn tail, in pieces, to `take`.
  [[nodiscard]] Expected<void> read_tail(const std::function<Expected<void>(ByteView)>& take) const;

 private:
  struct Decoding;
  struct Finished;

  bool load_next();
  bool load_log_piece(const WalPiece& piece);
  void start_decoding();
  void wait_for(const Decoding& decoding);

  std::shared_ptr<const SdszReader> reader_;
  std::size_t stream_;
  Executor* executor_;
  SectionFilter wanted_;
  std::size_t next_section_ = 0;
  std::size_t next_piece_ = 0;
  std::uint64_t sealed_blocks_ = 0;
  std::deque<std::shared_ptr<Decoding>> decodings_;  ///< in the order of their sections
  std::vector<std::shared_ptr<Decoding>> spare_decodings_;
  std::shared_ptr<Finished> finished_;
  BlockRun run_;
  Bytes stored_;
  std::size_t next_block_ = 0;
  std::size_t next_byte_ = 0;
  TickUnwrapper ticks_;
  std::uint64_t last_tick_ = 0;
  bool any_block_ = false;
  std::vector<Damage> damages_;
};

}  // namespace sds
