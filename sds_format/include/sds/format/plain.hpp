// Plain `.sds` (Arm, v1 to v3.1): records of `u32 timeslot, u32 size, size bytes`, little endian, back to back.
// Source: SDS-Framework documentation/theory.md, "File Format". Streaming both ways; memory does not depend on the
// file's size.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "sds/format/block.hpp"
#include "sds/format/file.hpp"
#include "sds/format/time.hpp"

namespace sds {

/// What follows the last whole block of a file: a block that was cut off, or one of an absurd size.
struct Tail {
  std::uint64_t offset = 0;  ///< where it starts in the file
  std::uint64_t bytes = 0;   ///< how much of it there is
  std::string reason;        ///< "block size 1500 runs past the end of the file (1180 bytes left)"
};

/// Reads the blocks of a `.sds` file in order.
/// A damaged end is no error here: reading stops before it and tail() describes it.
class PlainReader {
 public:
  /// Of a file that grows, not more than the first `most_bytes`.
  static Expected<PlainReader> open(const std::filesystem::path& path,
                                    std::uint64_t most_bytes = std::numeric_limits<std::uint64_t>::max());
  static Expected<PlainReader> open(std::shared_ptr<const ByteSource> source);

  /// The next block, or nothing at the end. The block's data stays valid until the next call.
  [[nodiscard]] Expected<std::optional<BlockView>> next();

  /// After next() returned nothing: what is left of the file, if anything.
  [[nodiscard]] const std::optional<Tail>& tail() const { return tail_; }

  /// Byte offset in the file of the block that next() returned last.
  [[nodiscard]] std::uint64_t offset() const { return block_offset_; }
  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }
  [[nodiscard]] const std::shared_ptr<const ByteSource>& file() const { return file_; }

 private:
  explicit PlainReader(std::shared_ptr<const ByteSource> file, std::uint64_t bytes);
  [[nodiscard]] Expected<void> refill(std::size_t wanted);

  std::shared_ptr<const ByteSource> file_;
  std::uint64_t file_bytes_ = 0;
  Bytes buffer_;
  std::size_t begin_ = 0;  // of the unread bytes in buffer_
  std::size_t end_ = 0;
  std::uint64_t buffer_offset_ = 0;  // file offset of buffer_[0]
  std::uint64_t block_offset_ = 0;
  TickUnwrapper ticks_;
  std::optional<Tail> tail_;
};

/// Writes blocks as plain `.sds`, gathered into larger writes.
class PlainWriter {
 public:
  explicit PlainWriter(std::unique_ptr<ByteSink> sink) : sink_(std::move(sink)) {}

  [[nodiscard]] Expected<void> append(std::uint32_t timeslot, ByteView data);
  /// Appends bytes that are no whole block: a torn tail kept as it was.
  [[nodiscard]] Expected<void> append_raw(ByteView bytes);
  [[nodiscard]] Expected<void> flush();
  [[nodiscard]] Expected<void> close();
  [[nodiscard]] const ByteSink& sink() const { return *sink_; }

 private:
  std::unique_ptr<ByteSink> sink_;
  Bytes buffer_;
};

/// Cuts a byte stream that arrives in arbitrary pieces (SDSIO WRITE messages) back into blocks.
class BlockParser {
 public:
  using OnBlock = std::function<Expected<void>(std::uint32_t timeslot, ByteView data)>;

  /// Takes the next bytes of the stream and calls `on_block` for each block that they complete.
  /// A block larger than limits::max_block_bytes switches to raw mode: from there on take_raw() has all bytes.
  [[nodiscard]] Expected<void> push(ByteView bytes, const OnBlock& on_block);

  /// True once a block of an absurd size was announced.
  [[nodiscard]] bool is_raw() const { return raw_; }
  /// Bytes that are not part of a whole block: in raw mode everything since, else the beginning of a block.
  [[nodiscard]] Bytes take_rest();
  [[nodiscard]] std::size_t rest_bytes() const { return rest_.size(); }
  /// Bytes that the unfinished block still lacks; 0 if none is unfinished or its header is incomplete.
  [[nodiscard]] std::uint64_t missing_bytes() const;

 private:
  Bytes rest_;
  bool raw_ = false;
};

}  // namespace sds
