// Reads the blocks of one stream of a `.sdsz` in order, from sections and, where these do not have them, from the
// write-ahead log.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "sds/format/data_section.hpp"
#include "sds/format/executor.hpp"
#include "sds/format/sdsz_reader.hpp"

namespace sds {

/// True for the data sections that a reader wants; the others are neither read nor decoded.
using SectionFilter = std::function<bool(const IndexEntry& section)>;

/// Hands out blocks a section at a time. A damaged section is skipped and listed. With an executor, which must outlive
/// the cursor, the next concurrency() sections are decoded ahead on its threads: memory for that many more, the same
/// blocks in the same order. An empty filter wants every section; what stands only in the write-ahead log is never
/// filtered.
class SdszCursor {
 public:
  SdszCursor(std::shared_ptr<const SdszReader> reader, std::size_t stream, Executor* executor = nullptr,
             SectionFilter wanted = {});
  ~SdszCursor();
  SdszCursor(const SdszCursor&) = delete;
  SdszCursor& operator=(const SdszCursor&) = delete;

  /// The next block, or nothing at the end; its data stays valid until the next call. Fails with ErrorCode::io, from
  /// then on always, for what cannot be read at this moment is no damage of the recording; and with ErrorCode::limit
  /// where the cursors of a reader would hold more than limits::max_decoded_bytes.
  [[nodiscard]] Expected<std::optional<BlockView>> next();
  /// What of this stream was found to be missing so far.
  [[nodiscard]] const std::vector<Damage>& damages() const { return damages_; }
  /// Hands the stream's torn tail, in pieces, to `take`.
  [[nodiscard]] Expected<void> read_tail(const std::function<Expected<void>(ByteView)>& take) const;

 private:
  struct Decoding;
  struct Finished;
  // A frame of the log, read once however many sections its blocks stand between.
  struct LogFrame {
    const WalPiece* piece = nullptr;
    Bytes records;
    std::size_t next_byte = 0;     // in records
    std::uint64_t next_block = 0;  // ordinal
    TickUnwrapper ticks;
  };

  Expected<bool> load_next();
  Expected<bool> load_from_log(std::uint64_t limit);
  Expected<void> take_decoded(Decoding& decoding);
  void note_gaps(std::uint64_t ordinal);
  void lose(std::uint64_t up_to);
  void add_damage(const Damage& damage);
  Expected<void> start_decoding();
  bool reserve(Decoding& decoding, std::uint64_t limit);
  void wait_for(const Decoding& decoding);

  std::shared_ptr<const SdszReader> reader_;
  std::size_t stream_;
  Executor* executor_;
  SectionFilter wanted_;
  std::size_t next_section_ = 0;
  std::size_t next_gap_ = 0;
  std::uint64_t next_gap_block_ = 0;  ///< ordinal of the block behind it
  std::uint64_t next_ordinal_ = 0;    ///< of the block that is looked for next
  std::uint64_t run_ordinal_ = 0;     ///< of run_'s first block
  std::optional<Damage> failed_;      ///< a section that could not be decoded, whose blocks the log may still have
  std::uint64_t failed_end_ = 0;      ///< behind the last block of the last such section
  std::deque<std::shared_ptr<Decoding>> decodings_;  ///< in the order of their sections
  std::vector<std::shared_ptr<Decoding>> spare_decodings_;
  std::shared_ptr<Finished> finished_;
  BlockRun run_;
  LogFrame frame_;
  std::size_t next_block_ = 0;
  std::size_t next_byte_ = 0;
  std::size_t next_jump_ = 0;
  TickUnwrapper ticks_;
  std::uint64_t last_tick_ = 0;
  bool any_block_ = false;
  bool after_loss_ = false;
  std::optional<Error> error_;  ///< of a read that failed
  std::uint64_t reserved_ = 0;  ///< of the reader's decoded bytes
  std::vector<Damage> damages_;
};

}  // namespace sds
