// A stream of a `.sdsz` as what is played back to a device: the bytes of its plain `.sds`.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "sds/format/recording.hpp"

namespace sds {

/// Read in order, each byte once. The bytes of a torn end are left out: no device can do anything with half a block.
class PackedPlayback final : public ByteSource {
 public:
  /// Fails where the recording has no stream of that name that a device sent (ErrorCode::usage), and where
  /// something of it is damaged: what is played back is all there was.
  static Expected<std::shared_ptr<const PackedPlayback>> open(const std::filesystem::path& path,
                                                              const std::string& stream);

  [[nodiscard]] const std::filesystem::path& path() const override { return recording_.path(); }
  [[nodiscard]] Expected<std::uint64_t> size() const override { return bytes_; }
  /// `offset` is where the last read ended.
  [[nodiscard]] Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override;
  /// What the device will not notice to be missing; may be empty.
  [[nodiscard]] const std::string& note() const { return note_; }

 private:
  PackedPlayback(Recording recording, std::unique_ptr<BlockCursor> cursor)
      : recording_(std::move(recording)), cursor_(std::move(cursor)) {}
  [[nodiscard]] Expected<bool> next_block() const;

  Recording recording_;
  std::string note_;
  std::uint64_t bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<BlockCursor> cursor_;
  mutable std::uint64_t position_ = 0;
  mutable Bytes head_;          // of the block, in front of its data
  mutable ByteView data_;       // of the block; the cursor has it
  mutable std::size_t at_ = 0;  // in both together
};

}  // namespace sds
