#include "sds/format/wal.hpp"

#include <fmt/format.h>

#include <array>
#include <system_error>

#include "sds/format/limits.hpp"
#include "sds/format/section.hpp"

namespace sds {

namespace {

// Preamble: 8 bytes magic, u64 recording key. Frame: u32 'FRAM', u32 payload bytes, u32 stream, u32 block count,
// u64 first block, u64 XXH3-64 of the 24 bytes before it and the payload. Payload: the blocks as plain `.sds`.
constexpr std::array<unsigned char, 8> kMagic{0x89, 'S', 'D', 'S', 'W', '\r', '\n', 0x1A};
constexpr std::size_t kPreambleBytes = 16;
constexpr std::size_t kFrameHeaderBytes = 32;
constexpr std::uint32_t kFrameMark = 0x4D415246;

std::uint64_t frame_checksum(ByteView head, ByteView payload) { return checksum(payload) ^ (checksum(head) * 31); }

}  // namespace

std::filesystem::path wal_path(const std::filesystem::path& recording) {
  auto path = recording;
  path += ".wal";
  return path;
}

Expected<WalWriter> WalWriter::create(const std::filesystem::path& recording, std::uint64_t recording_key) {
  auto path = wal_path(recording);
  path += ".new";
  auto sink = OutputFile::create(path, IfExists::overwrite);
  if (!sink) return fail(sink);
  WalWriter writer(wal_path(recording), std::move(*sink));
  Bytes preamble;
  append_bytes(preamble, std::as_bytes(std::span(kMagic)));
  append_le(preamble, recording_key);
  writer.bytes_ = preamble.size();
  if (auto done = writer.sink_->append(preamble); !done) return fail(done);
  return writer;
}

Expected<void> WalWriter::publish() {
  std::error_code error;
  std::filesystem::rename(sink_->path(), path_, error);
  if (error) return fail_errno(error.value(), "cannot rename", sink_->path());
  return {};
}

Expected<void> WalWriter::append(std::uint32_t stream, std::uint64_t run_first_block, const BlockRun& run,
                                 std::size_t from, std::size_t from_byte) {
  if (from >= run.count()) return {};
  Bytes frame(kFrameHeaderBytes);
  std::size_t at = from_byte;
  for (std::size_t i = from; i < run.count(); ++i) {
    append_le(frame, run.timeslots[i]);
    append_le(frame, run.sizes[i]);
    append_bytes(frame, ByteView(run.bytes).subspan(at, run.sizes[i]));
    at += run.sizes[i];
  }
  const ByteView payload = ByteView(frame).subspan(kFrameHeaderBytes);
  store_le(frame.data(), kFrameMark);
  store_le(frame.data() + 4, static_cast<std::uint32_t>(payload.size()));
  store_le(frame.data() + 8, stream);
  store_le(frame.data() + 12, static_cast<std::uint32_t>(run.count() - from));
  store_le(frame.data() + 16, run_first_block + from);
  store_le(frame.data() + 24, frame_checksum(ByteView(frame).first(24), payload));
  bytes_ += frame.size();
  return sink_->append(frame);
}

Expected<void> WalWriter::remove() {
  if (auto closed = sink_->close(); !closed) return closed;
  std::error_code error;
  std::filesystem::remove(path_, error);
  if (error) return fail_errno(error.value(), "cannot delete", path_);
  return {};
}

Expected<std::vector<WalPiece>> list_wal(const std::filesystem::path& recording, std::uint64_t recording_key) {
  std::vector<WalPiece> pieces;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(wal_path(recording), ignored)) return pieces;
  auto file = InputFile::open(wal_path(recording));
  if (!file) return fail(file);
  auto size = (*file)->size();
  if (!size) return fail(size);
  std::array<std::byte, kPreambleBytes> preamble;
  if (!(*file)->read_exactly(0, preamble)) return pieces;
  if (std::memcmp(preamble.data(), kMagic.data(), kMagic.size()) != 0 ||
      load_le<std::uint64_t>(preamble.data() + 8) != recording_key)
    return pieces;
  Bytes payload;
  for (std::uint64_t at = kPreambleBytes; *size - at >= kFrameHeaderBytes;) {
    std::array<std::byte, kFrameHeaderBytes> head;
    if (!(*file)->read_exactly(at, head)) break;
    const auto bytes = load_le<std::uint32_t>(head.data() + 4);
    if (load_le<std::uint32_t>(head.data()) != kFrameMark || bytes > *size - at - kFrameHeaderBytes ||
        bytes > 2 * limits::max_section_raw_bytes)
      break;
    payload.resize(bytes);
    if (!(*file)->read_exactly(at + kFrameHeaderBytes, payload)) break;
    if (load_le<std::uint64_t>(head.data() + 24) != frame_checksum(ByteView(head).first(24), payload)) break;
    pieces.push_back({{load_le<std::uint32_t>(head.data() + 8), load_le<std::uint64_t>(head.data() + 16)},
                      load_le<std::uint32_t>(head.data() + 12),
                      at + kFrameHeaderBytes,
                      bytes});
    at += kFrameHeaderBytes + bytes;
  }
  return pieces;
}

}  // namespace sds
