// One plain `.sds` file being recorded: bytes are gathered, and counted as written only when all of them are in the
// file.
#pragma once

#include <array>
#include <memory>

#include "sds/format/file.hpp"

namespace sds {

/// Follows the records of a byte stream without looking at their data: counts blocks, and knows what is unfinished.
class RecordCounter {
 public:
  void push(ByteView bytes);
  [[nodiscard]] std::uint64_t blocks() const { return blocks_; }
  /// "the last block has 3 of its 6 bytes"; empty if the bytes end with a block.
  [[nodiscard]] std::string unfinished() const;

 private:
  std::uint64_t blocks_ = 0;
  std::array<std::byte, 8> header_{};
  std::size_t header_bytes_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t left_ = 0;
};

/// A write that fails leaves the file as long as it was before it (or, if even that is refused, the next attempt begins
/// with cutting it), and the bytes in memory: write_out() tries again.
class PlainFile {
 public:
  explicit PlainFile(std::unique_ptr<ByteSink> sink) : sink_(std::move(sink)) {}

  /// Takes `bytes`, also where writing them then fails.
  [[nodiscard]] Expected<void> append(ByteView bytes);
  /// Writes what was gathered.
  [[nodiscard]] Expected<void> write_out();
  /// Makes what was written survive a power cut.
  [[nodiscard]] Expected<void> sync() { return sink_->sync(); }
  /// Closes the file, without what was gathered.
  [[nodiscard]] Expected<void> close() { return sink_->close(); }

  /// What of the bytes is in the file.
  [[nodiscard]] const RecordCounter& written() const { return written_; }
  [[nodiscard]] std::uint64_t received_bytes() const { return written_bytes_ + buffer_.size(); }
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_; }

 private:
  std::unique_ptr<ByteSink> sink_;
  Bytes buffer_;
  RecordCounter received_;
  RecordCounter written_;
  std::uint64_t written_bytes_ = 0;
  bool overhang_ = false;  // part of buffer_ may stand in the file
};

}  // namespace sds
