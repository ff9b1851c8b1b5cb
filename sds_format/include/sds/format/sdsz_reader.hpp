// Reads a `.sdsz` recording: closed, still growing, or left behind by a kill.
#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sds/format/damage.hpp"
#include "sds/format/file.hpp"
#include "sds/format/layout.hpp"
#include "sds/format/properties.hpp"
#include "sds/format/sdsz_index.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/format/wal.hpp"

namespace sds {

/// Gap::before_block of a gap behind a stream's last block.
inline constexpr std::uint64_t at_end_of_stream = std::numeric_limits<std::uint64_t>::max();

struct SdszStream {
  std::uint32_t number = 0;  ///< what sections and frames of the log call it
  StreamDescription description;
  Layout layout;
  bool has_description = false;  ///< false: its stream section was lost, its data cannot be decoded
  /// Ascending in blocks, never twice the same one. In version 1, which does not number them, header.first_block counts
  /// the blocks of the sections before.
  std::vector<IndexEntry> data;
  std::vector<IndexEntry> tail;
  std::vector<Gap> gaps;  ///< ascending in blocks
  /// Where blocks, or the record of a gap, may be missing and nothing says whether they are; ascending in blocks.
  std::vector<Gap> doubts;
  std::vector<ClockPair> clocks;  ///< in the order in which they were recorded
  /// What the write-ahead log holds, ascending in blocks, never twice the same one: a cursor takes from it what no
  /// section holds, or a damaged one did.
  std::vector<WalPiece> log;
  std::uint64_t end_block = 0;    ///< ordinal behind the last block that is known to have been recorded
  std::uint64_t told_block = 0;   ///< the same as clock pairs, gaps and torn ends tell: ahead of it while it is written
  std::uint64_t block_count = 0;  ///< that stand in sections or, where in none, in the log
  std::uint64_t raw_bytes = 0;    ///< of these as a plain `.sds`
  std::uint64_t stored_bytes = 0;          ///< in this file
  bool log_needed = false;                 ///< some blocks stand in the log only
  std::optional<std::uint64_t> closed_at;  ///< offset of its second description, which says where it ends

  /// Of the last block that sections and log have; none where that is not known without decoding.
  [[nodiscard]] std::optional<std::uint64_t> last_tick() const;
  /// True if no block's tick is known to be below its predecessor's, nor unknown.
  [[nodiscard]] bool ascends() const;
};

/// An opened recording. Immutable and thread-safe but for the damage that its cursors add; cursors are not.
class SdszReader {
 public:
  struct Options {
    bool walk = false;        ///< do not go by the index, but look at every section header
    bool with_index = false;  ///< with `walk`: what has a damaged header may be had from the index
    /// Once it is true, opening and all reading end with ErrorCode::interrupted; empty: never. Thread-safe.
    std::function<bool()> stop = {};
  };
  /// Opens the file, and the log beside it if there is one. What was flushed before the call is there, in order, once,
  /// whatever the writer does meanwhile.
  static Expected<std::shared_ptr<const SdszReader>> open(const std::filesystem::path& path, const Options& options);
  /// The same from any source; `logs` may hold logs of this recording.
  static Expected<std::shared_ptr<const SdszReader>> open(std::shared_ptr<const ByteSource> file,
                                                          const std::vector<std::shared_ptr<const ByteSource>>& logs,
                                                          const Options& options);

  [[nodiscard]] const Properties& session() const { return session_; }
  /// How many streams nothing is left of, here or in what it was made of; a copy says so as `lost-streams`.
  [[nodiscard]] std::uint64_t lost_streams() const { return streams_lost_ + streams_lost_before_; }
  /// Those of them that only what it was made of had: no damage of this file.
  [[nodiscard]] std::uint64_t streams_lost_before() const { return streams_lost_before_; }
  /// Those that some section or frame of the log tells of, ascending in numbers. A writer leaves none out; where a
  /// recording is damaged, some may be missing, and numbers are no indices.
  [[nodiscard]] const std::vector<SdszStream>& streams() const { return streams_; }
  /// Where the stream of a number stands among streams().
  [[nodiscard]] std::optional<std::size_t> index_of(std::uint32_t number) const;
  [[nodiscard]] const SectionTable& sections() const { return table_; }
  /// All damage known so far, of the container and of what cursors met.
  [[nodiscard]] std::vector<Damage> damages() const { return damage_log_->all(); }
  [[nodiscard]] const std::shared_ptr<DamageLog>& damage_log() const { return damage_log_; }
  [[nodiscard]] const std::shared_ptr<const ByteSource>& file() const { return file_; }
  /// True if a footer closes the recording; false: still growing, or its writer was killed.
  [[nodiscard]] bool complete() const { return table_.complete; }
  /// Whether it was being written when it was opened; InUse::no if complete(), InUse::unknown where its writer could
  /// hold no lock, or nothing tells of locks.
  [[nodiscard]] ByteSource::InUse in_use() const { return in_use_; }
  [[nodiscard]] bool being_written() const { return in_use_ == ByteSource::InUse::yes; }
  /// True if a write-ahead log of this recording stands beside it.
  [[nodiscard]] bool has_log() const { return has_log_; }

  /// The stored payload of a section, checked and decompressed (data sections: as stored).
  [[nodiscard]] Expected<Bytes> payload(const IndexEntry& entry) const;

  /// The blocks of a stream from `from` up to `to`, which are missing, as damage.
  [[nodiscard]] Damage missing(std::size_t stream, std::uint64_t from, std::uint64_t to) const;

  /// Decoded bytes that cursors hold at this moment (limits::max_decoded_bytes).
  [[nodiscard]] std::atomic<std::uint64_t>& decoded_bytes() const { return decoded_bytes_; }

 private:
  struct LogDamage {
    std::shared_ptr<const ByteSource> log;
    std::uint64_t offset = 0;
  };
  using StreamsByNumber = std::map<std::uint32_t, SdszStream>;
  SdszReader() = default;
  Expected<void> take_session(const IndexEntry& entry);
  Expected<void> take_section(const IndexEntry& entry, StreamsByNumber& streams);
  Expected<void> take_stream(const IndexEntry& entry, SdszStream& stream);
  void settle_streams(StreamsByNumber streams, std::vector<WalContents>& logs);
  void note_damaged_descriptions();
  void note_lost_streams();
  void take_facts();
  Expected<std::vector<WalContents>> list_logs(const std::vector<std::shared_ptr<const ByteSource>>& logs,
                                               const std::vector<std::uint64_t>& sizes);
  void note_log_damage(const std::vector<std::shared_ptr<const ByteSource>>& logs,
                       const std::vector<WalContents>& contents);
  Expected<void> leave_out_doubles();
  void join(std::size_t index);
  void note_cut_off();
  void find_doubts();
  [[nodiscard]] std::optional<std::size_t> hole_at(const SdszStream& stream, std::uint64_t offset) const;
  [[nodiscard]] std::optional<std::uint64_t> tick_of(const SdszStream& stream, std::uint64_t block) const;

  std::shared_ptr<const ByteSource> file_;
  SectionTable table_;
  Properties session_;
  bool has_session_ = false;
  ByteSource::InUse in_use_ = ByteSource::InUse::no;
  bool has_log_ = false;
  bool foreign_log_ = false;
  std::uint64_t session_key_ = 0;
  std::vector<LogDamage> log_damages_;
  std::vector<Damage> damaged_descriptions_;  // while it is opened
  std::size_t described_bytes_ = 0;
  std::uint64_t opened_bytes_ = 0;  // of descriptions, of which each stream has two
  std::vector<SdszStream> streams_;
  std::size_t streams_lost_ = 0;           // numbers below the last stream's that none has: nothing is left of these
  std::uint64_t streams_lost_before_ = 0;  // by what its session says
  std::shared_ptr<DamageLog> damage_log_ = std::make_shared<DamageLog>();
  mutable std::atomic<std::uint64_t> decoded_bytes_{0};
};

}  // namespace sds
