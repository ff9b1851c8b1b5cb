#include "sds/format/plain.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sds/format/limits.hpp"

namespace sds {

namespace {
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
}  // namespace

PlainReader::PlainReader(std::shared_ptr<const ByteSource> file, std::uint64_t bytes)
    : file_(std::move(file)), file_bytes_(bytes) {}

Expected<PlainReader> PlainReader::open(const std::filesystem::path& path, std::uint64_t most_bytes) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  auto reader = open(std::shared_ptr<const ByteSource>(std::move(*file)));
  if (reader) reader->file_bytes_ = std::min(reader->file_bytes_, most_bytes);
  return reader;
}

Expected<PlainReader> PlainReader::open(std::shared_ptr<const ByteSource> source) {
  auto size = source->size();
  if (!size) return fail(size);
  return PlainReader(std::move(source), *size);
}

Expected<void> PlainReader::refill(std::size_t wanted) {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    buffer_offset_ += begin_;
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < std::max(wanted, kBufferBytes)) buffer_.resize(std::max(wanted, kBufferBytes));
  // Never past the size at opening: a file that grows meanwhile is read as it was.
  const std::uint64_t left = file_bytes_ - std::min(file_bytes_, buffer_offset_ + end_);
  const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size() - end_, left));
  auto got = file_->read(buffer_offset_ + end_, std::span(buffer_).subspan(end_, room));
  if (!got) return fail(got);
  end_ += *got;
  if (*got < room) file_bytes_ = buffer_offset_ + end_;  // it was cut shorter while we read
  return {};
}

Expected<std::optional<BlockView>> PlainReader::next() {
  if (tail_) return std::nullopt;
  if (end_ - begin_ < kHeaderBytes) {
    if (auto filled = refill(kHeaderBytes); !filled) return fail(filled);
    if (end_ == begin_) return std::nullopt;
  }
  block_offset_ = buffer_offset_ + begin_;
  const std::uint64_t left = file_bytes_ - block_offset_;
  if (end_ - begin_ < kHeaderBytes) {
    tail_ = Tail{block_offset_, left, fmt::format("{} bytes are left, a block header has 8", left)};
    return std::nullopt;
  }
  const auto timeslot = load_le<std::uint32_t>(buffer_.data() + begin_);
  const auto size = load_le<std::uint32_t>(buffer_.data() + begin_ + 4);
  if (size > left - kHeaderBytes) {
    tail_ = Tail{block_offset_, left,
                 fmt::format("block size {} runs past the end of the file ({} bytes left)", size, left - kHeaderBytes)};
    return std::nullopt;
  }
  if (size > limits::max_block_bytes) {
    tail_ = Tail{block_offset_, left,
                 fmt::format("block size {} is above the {} bytes that are supported", size, limits::max_block_bytes)};
    return std::nullopt;
  }
  if (end_ - begin_ < kHeaderBytes + size) {
    if (auto filled = refill(kHeaderBytes + size); !filled) return fail(filled);
    if (end_ - begin_ < kHeaderBytes + size) {
      tail_ = Tail{block_offset_, end_ - begin_, "the file became shorter while it was read"};
      return std::nullopt;
    }
  }
  const ByteView data = ByteView(buffer_).subspan(begin_ + kHeaderBytes, size);
  begin_ += kHeaderBytes + size;
  return BlockView{timeslot, false, ticks_.next(timeslot), data};
}

Expected<void> PlainWriter::append(std::uint32_t timeslot, ByteView data) {
  append_le(buffer_, timeslot);
  append_le(buffer_, static_cast<std::uint32_t>(data.size()));
  return append_raw(data);
}

Expected<void> PlainWriter::append_raw(ByteView bytes) {
  append_bytes(buffer_, bytes);
  return buffer_.size() >= kBufferBytes ? flush() : Expected<void>{};
}

Expected<void> PlainWriter::flush() {
  if (buffer_.empty()) return {};
  auto done = sink_->append(buffer_);
  buffer_.clear();
  return done;
}

Expected<void> PlainWriter::close() {
  if (auto flushed = flush(); !flushed) {
    (void)sink_->close();
    return flushed;
  }
  return sink_->close();
}

Expected<void> BlockParser::push(ByteView bytes, const OnBlock& on_block) {
  while (!raw_) {
    // A block that began in an earlier piece is completed first; whole blocks are handed on without a copy.
    if (!rest_.empty()) {
      const std::size_t wanted =
          rest_.size() < kHeaderBytes ? kHeaderBytes - rest_.size() : static_cast<std::size_t>(missing_bytes());
      const std::size_t taken = std::min(wanted, bytes.size());
      append_bytes(rest_, bytes.first(taken));
      bytes = bytes.subspan(taken);
      if (rest_.size() < kHeaderBytes) return {};
      if (load_le<std::uint32_t>(rest_.data() + 4) > limits::max_block_bytes) {
        raw_ = true;
        break;
      }
      if (missing_bytes() > 0) {
        if (bytes.empty()) return {};
        continue;
      }
      const auto timeslot = load_le<std::uint32_t>(rest_.data());
      auto handed = on_block(timeslot, ByteView(rest_).subspan(kHeaderBytes));
      rest_.clear();
      if (!handed) return handed;
      continue;
    }
    if (bytes.size() < kHeaderBytes) break;
    const auto size = load_le<std::uint32_t>(bytes.data() + 4);
    if (size > limits::max_block_bytes) {
      raw_ = true;
      break;
    }
    if (bytes.size() - kHeaderBytes < size) break;
    if (auto handed = on_block(load_le<std::uint32_t>(bytes.data()), bytes.subspan(kHeaderBytes, size)); !handed)
      return handed;
    bytes = bytes.subspan(kHeaderBytes + size);
  }
  append_bytes(rest_, bytes);
  return {};
}

Bytes BlockParser::take_rest() {
  Bytes rest;
  rest.swap(rest_);
  return rest;
}

std::uint64_t BlockParser::missing_bytes() const {
  if (raw_ || rest_.size() < kHeaderBytes) return 0;
  return kHeaderBytes + std::uint64_t{load_le<std::uint32_t>(rest_.data() + 4)} - rest_.size();
}

}  // namespace sds
