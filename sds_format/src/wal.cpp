#include "sds/format/wal.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <array>
#include <utility>

#include "retry.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/new_file.hpp"
#include "sds/format/section.hpp"
#include "section_walker.hpp"

namespace sds {

namespace {

// FORMAT.md, "Write-ahead log".
constexpr std::array<unsigned char, 8> kMagicV1{0x89, 'S', 'D', 'S', 'W', '\r', '\n', 0x1A};
constexpr std::array<unsigned char, 8> kMagic{0x89, 'S', 'D', 'S', 'W', '2', '\n', 0x1A};
constexpr std::size_t kPreambleBytesV1 = 16;
constexpr std::size_t kPreambleBytes = 24;
constexpr std::size_t kFrameHeaderBytesV1 = 32;
constexpr std::size_t kFrameHeaderBytes = 40;
constexpr std::uint32_t kFrameMark = 0x4D415246;
constexpr std::size_t kMaxFrameBytes = std::size_t{1} << 16;  // of a frame of more than one block

// A frame's checksum depends on the log that it stands in: what an earlier log left on the disk never checks.
class FrameSeal {
 public:
  FrameSeal(std::uint64_t recording, std::uint64_t generation) {
    store_le(log_.data(), recording);
    store_le(log_.data() + 8, generation);
  }
  // `head`: the frame's header before its checksum.
  [[nodiscard]] std::uint64_t seed(ByteView head) const {
    Bytes bytes(head.begin(), head.end());
    append_bytes(bytes, log_);
    return checksum(bytes);
  }
  [[nodiscard]] std::uint64_t of(ByteView head, ByteView records) const {
    return XXH3_64bits_withSeed(records.data(), records.size(), seed(head));
  }

 private:
  std::array<std::byte, 16> log_{};
};

std::uint64_t frame_checksum_v1(ByteView head, ByteView payload) { return checksum(payload) ^ (checksum(head) * 31); }

}  // namespace

std::filesystem::path wal_path(const std::filesystem::path& recording) {
  auto path = recording;
  path += ".wal";
  return path;
}

std::filesystem::path new_wal_path(const std::filesystem::path& recording) {
  auto path = recording;
  path += ".wal.new";
  return path;
}

WalWriter::WalWriter(std::filesystem::path recording, std::unique_ptr<OutputFile> sink, std::uint64_t id,
                     std::uint64_t generation)
    : recording_(std::move(recording)), sink_(std::move(sink)), id_(id), generation_(generation) {}

Expected<WalWriter> WalWriter::start(const std::filesystem::path& recording, const std::filesystem::path& log,
                                     IfExists if_exists, std::uint64_t id, std::uint64_t generation) {
  NewFile made(log);
  auto sink = OutputFile::create(log, if_exists);
  if (!sink) return fail(sink);
  made.made();
  WalWriter writer(recording, std::move(*sink), id, generation);
  append_bytes(writer.pending_, std::as_bytes(std::span(kMagic)));
  append_le(writer.pending_, id);
  append_le(writer.pending_, generation);
  writer.frame_ends_.push_back(writer.pending_.size());
  if (auto done = writer.write(); !done) return fail(done);
  writer.frames_ = 0;  // that was the preamble
  made.keep();
  return writer;
}

Expected<WalWriter> WalWriter::create(const std::filesystem::path& recording, std::uint64_t recording_id,
                                      IfExists if_exists) {
  std::error_code ignored;
  if (if_exists == IfExists::fail && std::filesystem::exists(new_wal_path(recording), ignored))
    return fail(ErrorCode::exists, "exists already", new_wal_path(recording));
  return start(recording, wal_path(recording), if_exists, recording_id, 0);
}

Expected<WalWriter> WalWriter::successor() const {
  if (auto ours = check_place(); !ours) return fail(ours);
  return start(recording_, new_wal_path(recording_), IfExists::overwrite, id_, generation_ + 1);
}

Expected<void> WalWriter::publish(const WalWriter& predecessor) {
  if (auto ours = predecessor.check_place(); !ours) return ours;
  return sink_->rename_to(wal_path(recording_));
}

void WalWriter::discard() {
  if (sink_->is_at(sink_->path())) (void)retry([&] { return file_system().unlink(sink_->path()); });
}

bool WalWriter::is_in_place() const { return sink_->is_at(wal_path(recording_)); }

Expected<void> WalWriter::check_place() const {
  if (is_in_place()) return {};
  return fail(ErrorCode::io, "the log was moved or deleted while it was in use", wal_path(recording_));
}

void WalWriter::add(std::uint32_t stream, std::uint64_t run_first_block, const BlockRun& run, std::size_t from,
                    std::size_t from_byte, std::uint64_t from_tick) {
  const FrameSeal seal(id_, generation_);
  auto jump = run.jumps.begin();
  while (jump != run.jumps.end() && jump->block <= from) ++jump;
  TickUnwrapper ticks(from_tick);
  std::size_t at = from_byte;
  std::uint64_t tick = from_tick;
  for (std::size_t i = from; i < run.count();) {
    const std::size_t head = pending_.size();
    const std::size_t first = i;
    const std::uint64_t first_tick = tick;
    pending_.resize(head + kFrameHeaderBytes);
    do {
      append_le(pending_, run.timeslots[i]);
      append_le(pending_, run.sizes[i]);
      append_bytes(pending_, ByteView(run.bytes).subspan(at, run.sizes[i]));
      at += run.sizes[i];
      if (++i == run.count()) break;
      // A frame's ticks follow from its first: one that does not begins the next frame.
      const bool jumps = jump != run.jumps.end() && jump->block == i;
      if (jumps) ticks = TickUnwrapper((jump++)->tick);
      tick = ticks.next(run.timeslots[i]);
      if (jumps) break;
    } while (pending_.size() - head + 8 + run.sizes[i] <= kMaxFrameBytes);
    std::byte* p = pending_.data() + head;
    const ByteView records = ByteView(pending_).subspan(head + kFrameHeaderBytes);
    store_le(p, kFrameMark);
    store_le(p + 4, static_cast<std::uint32_t>(records.size()));
    store_le(p + 8, stream);
    store_le(p + 12, static_cast<std::uint32_t>(i - first));
    store_le(p + 16, run_first_block + first);
    store_le(p + 24, first_tick);
    store_le(p + 32, seal.of(ByteView(p, 32), records));
    frame_ends_.push_back(pending_.size());
  }
}

Expected<void> WalWriter::write() {
  // Frame by frame: where the disk fills up, what fits is kept.
  Expected<void> done;
  std::size_t begin = 0;
  for (const std::size_t end : frame_ends_) {
    done = sink_->append(ByteView(pending_).subspan(begin, end - begin));
    if (!done) break;
    bytes_ += end - begin;
    ++frames_;
    begin = end;
  }
  pending_.clear();
  frame_ends_.clear();
  return done;
}

Expected<void> WalWriter::repair() {
  pending_.clear();
  frame_ends_.clear();
  return sink_->truncate(bytes_);
}

Expected<void> WalWriter::remove() {
  if (!ours_) ours_ = is_in_place();
  (void)sink_->close();  // whatever it says: nothing in the log is needed any more
  // Where the recording was moved away, the name may be another's by now.
  if (!*ours_) return {};
  // One that was about to replace it may be left of a failure.
  const auto successor = new_wal_path(recording_);
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(successor, ignored)))
    if (auto removed = remove_file(successor); !removed) return removed;
  return remove_file(wal_path(recording_));
}

namespace {

class WalScanner {
 public:
  WalScanner(const std::shared_ptr<const ByteSource>& log, std::uint64_t size) : log_(log), size_(size) {}

  Expected<WalContents> scan(std::uint64_t recording_id, std::optional<std::uint64_t> session_key) {
    WalContents contents;
    std::array<std::byte, kPreambleBytes> preamble{};
    auto got = log_->read(0, preamble);
    if (!got) return fail(got);
    if (*got >= kPreambleBytesV1 && std::memcmp(preamble.data(), kMagicV1.data(), kMagicV1.size()) == 0) {
      v1_ = true;
      contents.ours = !session_key || load_le<std::uint64_t>(preamble.data() + 8) == *session_key;
      at_ = good_until_ = kPreambleBytesV1;
    } else if (*got == kPreambleBytes && std::memcmp(preamble.data(), kMagic.data(), kMagic.size()) == 0) {
      contents.ours = load_le<std::uint64_t>(preamble.data() + 8) == recording_id;
      seal_.emplace(recording_id, load_le<std::uint64_t>(preamble.data() + 16));
      at_ = good_until_ = kPreambleBytes;
    }
    if (!contents.ours) return contents;
    while (size_ - at_ >= header_bytes() && wasted_ <= 2 * size_ + limits::max_section_raw_bytes) {
      auto piece = frame_at(at_);
      if (!piece) return fail(piece);
      if (!*piece) {
        // Damage costs the frames that it touches: look for the next one that checks.
        auto next = next_mark(at_ + 1);
        if (!next) return fail(next);
        if (!*next) break;
        at_ = **next;
        continue;
      }
      if (contents.pieces.size() >= limits::max_log_frames) break;
      const std::uint64_t begin = std::exchange(at_, (*piece)->offset + (*piece)->bytes);
      if (auto taken = take_records(**piece); !taken) {
        if (contents.refused.empty())
          contents.refused = fmt::format("the frame at its byte {}: {}", begin, taken.error().message);
        continue;
      }
      skip(contents, begin);
      good_until_ = at_;
      contents.pieces.push_back(std::move(**piece));
    }
    auto torn = is_torn_end();
    if (!torn) return fail(torn);
    if (!*torn) skip(contents, size_);
    return contents;
  }

 private:
  // What stands between the last good frame and `end` is damage.
  void skip(WalContents& contents, std::uint64_t end) const {
    if (end == good_until_) return;
    if (contents.skipped_bytes == 0) contents.skipped_at = good_until_;
    contents.skipped_bytes += end - good_until_;
  }

  // True if the log ends behind its last good frame, inside a frame that was being written, or in zeros.
  Expected<bool> is_torn_end() {
    std::array<std::byte, kFrameHeaderBytes> head{};
    auto got = log_->read(good_until_, std::span(head).first(header_bytes()));
    if (!got) return fail(got);
    const std::uint64_t left = size_ - good_until_;
    if (left < header_bytes()) return true;
    if (load_le<std::uint32_t>(head.data()) == kFrameMark) {
      if (load_le<std::uint32_t>(head.data() + 4) <= left - header_bytes()) return false;
      // A damaged size looks the same, but for records that are all there.
      auto whole = has_all_records(load_le<std::uint32_t>(head.data() + 12), left - header_bytes());
      if (!whole) return whole;
      return !*whole;
    }
    return only_zeros(*log_, good_until_, size_);
  }

  // True if `blocks` records fill the `bytes` behind the header of the last frame.
  Expected<bool> has_all_records(std::uint32_t blocks, std::uint64_t bytes) {
    if (blocks == 0 || bytes > limits::max_section_raw_bytes) return false;
    records_.resize(static_cast<std::size_t>(bytes));
    if (auto got = log_->read_exactly(good_until_ + header_bytes(), records_); !got) return fail(got);
    ByteReader reader(records_);
    for (std::uint32_t i = 0; i < blocks; ++i) {
      const auto timeslot = reader.number<std::uint32_t>();
      const auto size = reader.number<std::uint32_t>();
      if (!timeslot || !size || !reader.take(*size)) return false;
    }
    return reader.left() == 0;
  }

  [[nodiscard]] std::size_t header_bytes() const { return v1_ ? kFrameHeaderBytesV1 : kFrameHeaderBytes; }

  // The frame at `at`, if one stands there that checks.
  Expected<std::optional<WalPiece>> frame_at(std::uint64_t at) {
    std::array<std::byte, kFrameHeaderBytes> head;
    auto got = log_->read(at, std::span(head).first(header_bytes()));
    if (!got) return fail(got);
    WalPiece piece;
    piece.offset = at + header_bytes();
    piece.bytes = load_le<std::uint32_t>(head.data() + 4);
    if (*got < header_bytes() || load_le<std::uint32_t>(head.data()) != kFrameMark || piece.offset > size_ ||
        piece.bytes > size_ - piece.offset || piece.bytes > limits::max_section_raw_bytes)
      return std::nullopt;
    piece.stream = load_le<std::uint32_t>(head.data() + 8);
    piece.block_count = load_le<std::uint32_t>(head.data() + 12);
    piece.first_block = load_le<std::uint64_t>(head.data() + 16);
    if (!v1_) piece.first_tick = load_le<std::uint64_t>(head.data() + 24);
    piece.log = log_;
    if (piece.block_count == 0 || piece.block_count > piece.bytes / 8) return std::nullopt;
    records_.resize(piece.bytes);
    auto read = log_->read(piece.offset, records_);
    if (!read) return fail(read);
    if (*read != records_.size()) return std::nullopt;
    const std::uint64_t sum =
        v1_ ? frame_checksum_v1(ByteView(head).first(24), records_) : seal_->of(ByteView(head).first(32), records_);
    if (load_le<std::uint64_t>(head.data() + header_bytes() - 8) == sum) return piece;
    wasted_ += piece.bytes;
    return std::nullopt;
  }

  // Finds the ticks of the frame whose records were read; fails if it is above the limits.
  Expected<void> take_records(WalPiece& piece) const {
    if (piece.stream >= limits::max_streams)
      return fail(ErrorCode::limit, fmt::format("stream number {} is out of range", piece.stream));
    if (piece.first_block > limits::max_blocks)
      return fail(ErrorCode::limit, fmt::format("block number {} is out of range", piece.first_block));
    TickUnwrapper ticks(piece.first_tick.value_or(0));
    std::uint64_t last = piece.first_tick.value_or(0);
    ByteReader reader(records_);
    for (std::uint32_t i = 0; i < piece.block_count; ++i) {
      const auto timeslot = reader.number<std::uint32_t>();
      const auto size = reader.number<std::uint32_t>();
      if (!size || !reader.take(*size)) return {};
      if (auto ok = check_block_size(*size); !ok) return ok;
      const std::uint64_t tick = ticks.next(*timeslot);
      piece.unsorted = piece.unsorted || (piece.first_tick && tick < last);
      last = tick;
    }
    if (piece.first_tick) piece.last_tick = last;
    return {};
  }

  // The next place at or after `from` where a frame's mark stands.
  Expected<std::optional<std::uint64_t>> next_mark(std::uint64_t from) {
    std::array<std::byte, 4> mark{};
    store_le(mark.data(), kFrameMark);
    window_.resize(std::size_t{1} << 16);
    while (from + header_bytes() <= size_) {
      auto got = log_->read(from, window_);
      if (!got) return fail(got);
      const auto end = window_.begin() + static_cast<std::ptrdiff_t>(*got);
      const auto at = std::search(window_.begin(), end, mark.begin(), mark.end());
      if (at != end) return from + static_cast<std::uint64_t>(at - window_.begin());
      if (*got < window_.size()) break;
      from += *got - (mark.size() - 1);
    }
    return std::nullopt;
  }

  std::shared_ptr<const ByteSource> log_;
  std::uint64_t size_;
  bool v1_ = false;
  std::optional<FrameSeal> seal_;
  std::uint64_t at_ = 0;
  std::uint64_t good_until_ = 0;  // behind the last frame that checks
  std::uint64_t wasted_ =
      0;  // bytes read of frames that do not check: a hostile log may claim the same ones again and again
  Bytes records_;
  Bytes window_;
};

}  // namespace

Expected<WalContents> list_wal(const std::shared_ptr<const ByteSource>& log, std::uint64_t size,
                               std::uint64_t recording_id, std::optional<std::uint64_t> session_key) {
  return WalScanner(log, size).scan(recording_id, session_key);
}

}  // namespace sds
