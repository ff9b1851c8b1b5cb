#include "packed_playback.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

namespace {

// The one of that name that a device sent; one that was recorded during a playback is an output.
std::optional<std::size_t> find_sent(const Recording& recording, const std::string& name) {
  const auto& streams = recording.streams();
  for (std::size_t s = 0; s < streams.size(); ++s)
    if (streams[s].description.name == name && !streams[s].description.playback) return s;
  return std::nullopt;
}

tl::unexpected<Error> damaged(const Damage& damage, const std::filesystem::path& path) {
  return fail(
      ErrorCode::bad_input,
      fmt::format("is damaged, and so is not played back: {}; `sds recover` keeps what can be had", damage.reason),
      path, damage.offset);
}

}  // namespace

Expected<std::shared_ptr<const PackedPlayback>> PackedPlayback::open(const std::filesystem::path& path,
                                                                     const std::string& stream) {
  auto recording = Recording::open(path);
  if (!recording) return fail(recording);
  const auto found = find_sent(*recording, stream);
  if (!found) return fail(ErrorCode::usage, fmt::format("has no stream '{}' to play back", stream), path);
  for (const auto& damage : recording->damages())
    if (!damage.torn_end && damage.stream.value_or(*found) == *found) return damaged(damage, path);
  auto cursor = recording->cursor(*found);
  if (!cursor) return fail(cursor);
  std::shared_ptr<PackedPlayback> made(new PackedPlayback(*recording, std::move(*cursor)));
  const auto& packed = recording->sdsz()->streams()[*found];
  made->bytes_ = recording->streams()[*found].raw_bytes;
  for (const auto& piece : packed.tail) made->bytes_ -= piece.header.raw_bytes;
  if (!packed.gaps.empty() || !packed.tail.empty())
    made->note_ = fmt::format("{}: of stream {} blocks are missing ({}): the device does not notice it", path.string(),
                              stream, packed.gaps.empty() ? "a torn end" : packed.gaps.front().reason);
  return made;
}

// False at the end.
Expected<bool> PackedPlayback::next_block() const {
  auto block = cursor_->next();
  if (!block) return fail(block);
  if (cursor_->damage_count() > 0) return damaged(cursor_->damages().front(), path());
  if (!*block) return false;
  head_.clear();
  append_le(head_, (*block)->timeslot);
  append_le(head_, static_cast<std::uint32_t>((*block)->data.size()));
  data_ = (*block)->data;
  at_ = 0;
  return true;
}

Expected<std::size_t> PackedPlayback::read(std::uint64_t offset, std::span<std::byte> out) const {
  const std::lock_guard lock(mutex_);
  if (offset != position_) return fail(ErrorCode::usage, "what is played back is read in order", path(), offset);
  std::size_t done = 0;
  while (done < out.size()) {
    if (at_ == head_.size() + data_.size()) {
      auto more = next_block();
      if (!more) return fail(more);
      if (!*more) break;
    }
    const ByteView rest = at_ < head_.size() ? ByteView(head_).subspan(at_) : data_.subspan(at_ - head_.size());
    const std::size_t count = std::min(rest.size(), out.size() - done);
    std::copy_n(rest.begin(), count, out.begin() + static_cast<std::ptrdiff_t>(done));
    at_ += count;
    done += count;
  }
  position_ += done;
  return done;
}

}  // namespace sds
