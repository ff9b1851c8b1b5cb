// Writes one `.sdsz` recording: streams, blocks, gaps and clock pairs, in sections that are only ever appended.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sds/format/block.hpp"
#include "sds/format/column.hpp"
#include "sds/format/data_section.hpp"
#include "sds/format/executor.hpp"
#include "sds/format/file.hpp"
#include "sds/format/open_blocks.hpp"
#include "sds/format/properties.hpp"
#include "sds/format/sdsz_index.hpp"

namespace sds {

/// What a recording says about one of its streams.
struct StreamDescription {
  std::string name;                ///< "ML_In"
  std::string label;               ///< "0"; with the name and ".p" it makes the file name that unpack writes
  bool playback = false;           ///< recorded during playback
  std::string file_name;           ///< the `.sds` file it came from; empty: made from name and label
  std::string metadata_file_name;  ///< "ML_In.sds.yml"; empty if there is no metadata
  std::string metadata_text;       ///< the YAML exactly as given
};

/// What flush() promises, and what it costs.
enum class Durability {
  none,     ///< nothing: blocks reach the file when their section is full. For conversions, which are begun anew
  process,  ///< what was flushed survives a kill of this process: open sections stand in a write-ahead log
  power,    ///< and a power cut: file and log are forced to the disk at each flush, and so are their names
};

struct SdszWriterOptions {
  Level level = Level::fast;
  /// A data section is sealed when its blocks reach this many bytes (as plain `.sds`), and earlier where all streams
  /// together have more than limits::max_open_bytes open. 64 bytes to 16 MiB; larger compresses a little better,
  /// smaller lets a reader reach one instant with less work.
  std::uint32_t section_bytes = 1u << 20;
  Durability durability = Durability::none;
  IfExists if_exists = IfExists::fail;
  /// Encodes sections in parallel; null: inline. Must outlive the writer. The bytes written are the same either way.
  Executor* executor = nullptr;
  /// What is written stood in another recording: it may have as many sections as that, where others would leave room
  /// for more that comes.
  bool copies = false;
  /// Bounds what this writer and others have open; null: each has limits::max_open_bytes. Must outlive the writer.
  OpenBlocks* open_blocks = nullptr;
};

/// One recording being written. Not thread-safe.
///
/// The first write that fails latches: every later call returns its error, and nothing that was not written before is
/// said to be. The file stays as whole sections, and the log stays, so a reader gets all that was flushed. Of what was
/// given to the writer nothing is dropped: resume() tries again, and goes on from there.
/// A lack of memory is an error like others, and latches like them where something was being written; where it kept the
/// writer from taking what it was given, failure() stays empty, and the call may be made again.
/// Destroying an unclosed writer leaves the recording as a kill would: complete up to the last flush().
class SdszWriter {
 public:
  using StreamId = std::uint32_t;

  /// Makes the file, and its log, and writes the session section. With IfExists::fail it fails with ErrorCode::exists
  /// if the file or a log beside it is there already; with IfExists::overwrite a recording that another writer holds is
  /// left as it is, ErrorCode::usage. What it made is removed if it then fails.
  static Expected<SdszWriter> create(const std::filesystem::path& path, const Properties& session,
                                     const SdszWriterOptions& options);
  /// Writes to any sink; Durability::none only.
  static Expected<SdszWriter> create(std::unique_ptr<ByteSink> sink, const Properties& session,
                                     const SdszWriterOptions& options);
  ~SdszWriter();
  SdszWriter(SdszWriter&&) noexcept;
  SdszWriter& operator=(SdszWriter&&) noexcept;

  /// Adds a stream. Metadata that cannot be parsed is kept as text and the blocks are stored as opaque bytes. If it
  /// fails, the stream was not added.
  [[nodiscard]] Expected<StreamId> add_stream(const StreamDescription& description);

  /// Appends a block; `data` is copied. At most limits::max_block_bytes. The tick follows from the timeslot by
  /// TickUnwrapper's rule. If a write fails meanwhile, the block was taken: it is not to be given again.
  [[nodiscard]] Expected<void> append(StreamId stream, std::uint32_t timeslot, ByteView data);

  /// The same for a block whose 64-bit tick is known; its timeslot is the tick modulo 2^32.
  [[nodiscard]] Expected<void> append_at(StreamId stream, std::uint64_t tick, ByteView data);

  /// Appends a data section of another recording as it is, without decoding it: `payload` as stored under `header`, in
  /// which blocks have `layout`. Its blocks come behind the stream's last one and keep their ticks. Fails with
  /// ErrorCode::bad_input unless the payload's checksum is right, and with ErrorCode::usage unless has_layout().
  [[nodiscard]] Expected<void> append_section(StreamId stream, const SectionHeader& header, const Layout& layout,
                                              Bytes payload);
  /// True if the stream's blocks are stored by this very layout.
  [[nodiscard]] bool has_layout(StreamId stream, const Layout& layout) const;

  /// Appends bytes that are no whole block and end the stream: what a torn `.sds` file has at its end. More may follow;
  /// they are gathered into sections of 1 MiB or SdszWriterOptions::section_bytes, whichever is more, but a flush()
  /// with a log writes what there is. Taken like a block, as are gaps and clock pairs: after an error it is not to be
  /// given again.
  [[nodiscard]] Expected<void> append_tail(StreamId stream, ByteView bytes);

  /// Records that blocks are known to be lost after the stream's last block, and why (at most
  /// limits::max_gap_reason_bytes of it).
  [[nodiscard]] Expected<void> add_gap(StreamId stream, const std::string& reason);

  /// Which of a stream's clock pairs: the one at its end has its place in the room that closes a recording without log.
  enum class ClockOf { block, end };
  /// Records when a block of the stream was received.
  [[nodiscard]] Expected<void> add_clock(StreamId stream, const ClockPair& pair, ClockOf of = ClockOf::block);

  /// Seals what `stream` has open; append() may go on.
  [[nodiscard]] Expected<void> seal(StreamId stream);

  /// Flushes, and gives back what the log takes for blocks that have been sealed since: where space is short. A log
  /// that cannot be replaced stays.
  [[nodiscard]] Expected<void> shrink_log();

  /// Seals what is too much for SdszWriterOptions::open_blocks: for a writer that gets no blocks, but keeps some.
  [[nodiscard]] Expected<void> trim();

  /// Nothing more will come: seals the stream and frees its memory. append() fails from here on.
  [[nodiscard]] Expected<void> end_stream(StreamId stream);

  /// Keeps what Durability promises. A reader that opens the recording now sees every block.
  [[nodiscard]] Expected<void> flush();

  /// Seals everything, writes index and footer, and deletes the log. With a log, file and name are on the disk then.
  /// After a failure and a resume() it goes on where it failed; nothing else is accepted from the first call on.
  [[nodiscard]] Expected<void> close();

  /// How far close() came.
  enum class Closing {
    unfinished,  ///< a reader finds a recording that was not closed
    written,     ///< a reader finds all, if the power does not fail
    stored,      ///< all is on the disk; at most a log is left that nobody needs. Never with Durability::none
  };
  [[nodiscard]] Closing closing() const;

  /// The error of the first write that failed, until resume() succeeds.
  [[nodiscard]] const std::optional<Error>& failure() const;

  /// Tries again to write what could not be written, in the order in which it was given. Fails, and stays failed, if it
  /// still cannot be; and always after a failed sync of the file or its directory, for nobody knows what the system
  /// dropped then. (A log that cannot be forced to the disk, or repaired, is replaced; where that fails, too, flush()
  /// fails, and close() does not for that.)
  [[nodiscard]] Expected<void> resume();
  /// The same, for a recording that is going to be closed. Where a section of blocks has no room on the disk, it and
  /// all that came of its stream behind it are left out: taken_blocks() is less then, and of a stream that had ended a
  /// gap says so. Where there is a log nothing is left out: then it fails as resume() does.
  [[nodiscard]] Expected<void> resume_with_what_fits();
  /// False if no resume() will succeed.
  [[nodiscard]] bool can_resume() const;
  /// Why a log was replaced since this was asked last.
  [[nodiscard]] std::optional<Error> take_replaced_log();

  /// False if the log was moved or deleted while it is in use, as with the recording itself. True without a log.
  [[nodiscard]] bool log_is_in_place() const;

  /// Why readers cannot be told that the file is being written (OutputFile::create_marked()): the recording says so in
  /// its session. Nothing if they can.
  [[nodiscard]] const std::optional<Error>& not_marked() const;

  /// Bytes written to the file so far, and bytes that the same blocks take as plain `.sds`.
  [[nodiscard]] std::uint64_t stored_bytes() const;
  [[nodiscard]] std::uint64_t raw_bytes() const;

  /// At most so much have flush() and close() still to write, with a gap, a clock pair and a short tail of each stream
  /// that has not ended: space that a disk must have.
  [[nodiscard]] std::uint64_t unwritten_bytes() const;
  /// Of these, what only the next flush() would write, into the log.
  [[nodiscard]] std::uint64_t unlogged_bytes() const;
  /// Blocks of `stream`, which may have ended, that were given and taken.
  [[nodiscard]] std::uint64_t taken_blocks(StreamId stream) const;
  /// Of them, those that are neither in the file nor in its log.
  [[nodiscard]] std::uint64_t unsaved_blocks(StreamId stream) const;
  /// With Durability::power, those that the last flush() forced to the disk; 0 with another one.
  [[nodiscard]] std::uint64_t forced_blocks(StreamId stream) const;

 private:
  struct State;
  static Expected<SdszWriter> create_file(const std::filesystem::path& path, const Properties& session,
                                          const SdszWriterOptions& options);
  static Expected<SdszWriter> begin(std::unique_ptr<ByteSink> sink, const Properties& session,
                                    const SdszWriterOptions& options);
  explicit SdszWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sds
