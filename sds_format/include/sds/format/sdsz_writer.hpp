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
#include "sds/format/properties.hpp"

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

struct SdszWriterOptions {
  Level level = Level::fast;
  /// A data section is sealed when its blocks reach this many bytes (as plain `.sds`). 64 KiB to 16 MiB make sense:
  /// larger compresses a little better, smaller lets a reader reach one instant with less work.
  std::uint32_t section_bytes = 1u << 20;
  /// Keep a write-ahead log, so that flush() makes open sections survive a kill. Off for conversions.
  bool write_ahead_log = false;
  /// fdatasync at each flush() and at close, so that it also survives a power cut.
  bool sync = false;
  IfExists if_exists = IfExists::fail;
  /// Encodes sections in parallel; null: inline. Must outlive the writer. The bytes written are the same either way.
  Executor* executor = nullptr;
};

/// One recording being written. Not thread-safe. A failed write (disk full) is returned once and leaves the file as
/// whole sections; what was sealed before stays readable. Destroying an unclosed writer leaves the recording as a
/// kill would: complete up to the last flush().
class SdszWriter {
 public:
  using StreamId = std::uint32_t;

  static Expected<SdszWriter> create(const std::filesystem::path& path, const Properties& session,
                                     const SdszWriterOptions& options);
  /// Writes to any sink; no write-ahead log.
  static Expected<SdszWriter> create(std::unique_ptr<ByteSink> sink, const Properties& session,
                                     const SdszWriterOptions& options);
  ~SdszWriter();
  SdszWriter(SdszWriter&&) noexcept;
  SdszWriter& operator=(SdszWriter&&) noexcept;

  /// Adds a stream. Metadata that cannot be parsed is kept as text and the blocks are stored as opaque bytes.
  [[nodiscard]] Expected<StreamId> add_stream(const StreamDescription& description);

  /// Appends a block; `data` is copied. At most limits::max_block_bytes.
  [[nodiscard]] Expected<void> append(StreamId stream, std::uint32_t timeslot, ByteView data);

  /// Appends bytes that are no whole block and end the stream: what a torn `.sds` file has at its end.
  [[nodiscard]] Expected<void> append_tail(StreamId stream, ByteView bytes);

  /// Records that blocks are known to be lost after the stream's last block, and why.
  [[nodiscard]] Expected<void> add_gap(StreamId stream, const std::string& reason);

  /// Records that the stream's last tick and this UTC time (ns since 1970) were the same instant.
  [[nodiscard]] Expected<void> add_clock(StreamId stream, std::uint64_t utc_ns);

  /// Seals what `stream` has open; append() may go on.
  [[nodiscard]] Expected<void> seal(StreamId stream);

  /// Puts what is open into the write-ahead log. A reader that opens the recording now sees every block.
  [[nodiscard]] Expected<void> flush();

  /// Seals everything, writes index and footer, deletes the log.
  [[nodiscard]] Expected<void> close();

  /// Bytes written to the file so far, and bytes that the same blocks take as plain `.sds`.
  [[nodiscard]] std::uint64_t stored_bytes() const;
  [[nodiscard]] std::uint64_t raw_bytes() const;

 private:
  struct State;
  explicit SdszWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sds
