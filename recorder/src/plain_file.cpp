#include "plain_file.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

namespace {
constexpr std::size_t kBufferBytes = std::size_t{1} << 16;
}  // namespace

void RecordCounter::push(ByteView bytes) {
  while (!bytes.empty()) {
    if (left_ > 0) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      bytes = bytes.subspan(count);
      left_ -= count;
      if (left_ == 0) ++blocks_;
      continue;
    }
    const std::size_t count = std::min(header_.size() - header_bytes_, bytes.size());
    std::copy_n(bytes.begin(), count, header_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
    header_bytes_ += count;
    bytes = bytes.subspan(count);
    if (header_bytes_ < header_.size()) return;
    size_ = left_ = load_le<std::uint32_t>(header_.data() + 4);
    header_bytes_ = 0;
    if (left_ == 0) ++blocks_;
  }
}

std::string RecordCounter::unfinished() const {
  if (header_bytes_ > 0) return fmt::format("the last block has {} of its 8 header bytes", header_bytes_);
  if (left_ > 0) return fmt::format("the last block has {} of its {} bytes", size_ - left_, size_);
  return "";
}

Expected<void> PlainFile::append(ByteView bytes) {
  append_bytes(buffer_, bytes);  // if there is no memory, nothing is taken
  received_.push(bytes);
  return buffer_.size() >= kBufferBytes ? write_out() : Expected<void>{};
}

Expected<void> PlainFile::write_out() {
  if (buffer_.empty()) return {};
  if (overhang_)
    if (auto cut = sink_->truncate(written_bytes_); !cut) return cut;
  overhang_ = true;  // also where an exception comes
  if (auto done = sink_->append(buffer_); !done) {
    overhang_ = !sink_->truncate(written_bytes_);
    return done;
  }
  overhang_ = false;
  written_bytes_ += buffer_.size();
  written_ = received_;
  buffer_.clear();
  return {};
}

}  // namespace sds
