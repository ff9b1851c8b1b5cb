#include "sds/format/section.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include "sds/format/limits.hpp"
#include "zstd_context.hpp"

namespace sds {

namespace {
// Below this a person with a hex editor is served better than the disk.
constexpr std::size_t kWorthCompressing = 640;
}  // namespace

std::string_view name_of(SectionKind kind) {
  switch (kind) {
    case SectionKind::session:
      return "session";
    case SectionKind::stream:
      return "stream";
    case SectionKind::data:
      return "data";
    case SectionKind::tail:
      return "tail";
    case SectionKind::gap:
      return "gap";
    case SectionKind::clock:
      return "clock";
    case SectionKind::label:
      return "label";
    case SectionKind::attachment:
      return "attachment";
    case SectionKind::index:
      return "index";
    case SectionKind::footer:
      return "footer";
  }
  return "unknown";
}

std::uint64_t checksum(ByteView bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

namespace {

// The largest payload of a kind, decompressed: what is allocated on the word of a header.
std::size_t max_raw_bytes(SectionKind kind) {
  switch (kind) {
    case SectionKind::session:
      return limits::max_session_bytes;
    case SectionKind::stream:
      return limits::max_stream_bytes;
    case SectionKind::gap:
      return limits::max_gap_bytes;
    case SectionKind::clock:
    case SectionKind::footer:
      return 64;
    case SectionKind::index:
      return limits::max_index_bytes;
    default:
      return limits::max_section_raw_bytes;
  }
}

}  // namespace

Bytes SectionHeader::encode() const {
  Bytes out(size());
  std::byte* p = out.data();
  std::memcpy(p, magic.data(), magic.size());
  store_le(p + 8, version);
  store_le(p + 9, static_cast<std::uint8_t>(kind));
  store_le(p + 10, flags);
  store_le(p + 12, stream);
  store_le(p + 16, stored_bytes);
  store_le(p + 20, raw_bytes);
  store_le(p + 24, block_count);
  store_le(p + 28, sequence);
  store_le(p + 32, first_tick);
  store_le(p + 40, last_tick);
  store_le(p + 48, payload_checksum);
  if (version > 1) {
    store_le(p + 56, first_block);
    store_le(p + 64, recording);
  }
  const std::size_t checked = size() - 8;
  store_le(p + checked, checksum(ByteView(out).first(checked)));
  return out;
}

Expected<SectionHeader> SectionHeader::decode(ByteView stored) {
  const auto bad = [](std::string message) { return fail(ErrorCode::bad_input, std::move(message)); };
  const std::byte* p = stored.data();
  if (stored.size() < bytes_v1 || std::memcmp(p, magic.data(), magic.size()) != 0) return bad("no section header");
  SectionHeader header;
  header.version = load_le<std::uint8_t>(p + 8);
  if (stored.size() < header.size()) return bad("no section header");
  // Later versions keep the header's shape: a version that was damaged is told from one that is new.
  const std::size_t checked = header.size() - 8;
  if (header.version == 0 || load_le<std::uint64_t>(p + checked) != checksum(stored.first(checked)))
    return bad("section header checksum mismatch");
  if (header.version > current_version)
    return fail(ErrorCode::unsupported,
                fmt::format("format version {}; this program reads up to {}", header.version, current_version));
  header.kind = static_cast<SectionKind>(load_le<std::uint8_t>(p + 9));
  header.flags = load_le<std::uint16_t>(p + 10);
  header.stream = load_le<std::uint32_t>(p + 12);
  header.stored_bytes = load_le<std::uint32_t>(p + 16);
  header.raw_bytes = load_le<std::uint32_t>(p + 20);
  header.block_count = load_le<std::uint32_t>(p + 24);
  header.sequence = load_le<std::uint32_t>(p + 28);
  header.first_tick = load_le<std::uint64_t>(p + 32);
  header.last_tick = load_le<std::uint64_t>(p + 40);
  header.payload_checksum = load_le<std::uint64_t>(p + 48);
  if (header.version > 1) {
    header.first_block = load_le<std::uint64_t>(p + 56);
    header.recording = load_le<std::uint64_t>(p + 64);
  } else {
    header.flags &= static_cast<std::uint16_t>(flag_zstd | flag_unsorted);
  }
  if (header.raw_bytes > max_raw_bytes(header.kind) || header.stored_bytes > 2 * limits::max_section_raw_bytes)
    return fail(ErrorCode::limit, fmt::format("a {} section above its limit of size", name_of(header.kind)));
  if (header.kind == SectionKind::data && header.block_count > header.raw_bytes / 8)
    return fail(ErrorCode::limit,
                fmt::format("a data section of {} bytes with {} blocks", header.raw_bytes, header.block_count));
  if (header.first_block > limits::max_blocks)
    return fail(ErrorCode::limit, fmt::format("a {} section of block {}", name_of(header.kind), header.first_block));
  return header;
}

std::uint64_t recording_id(ByteView session_payload) { return checksum(session_payload); }

void seal_payload(SectionHeader& header, Bytes& payload, bool compress) {
  if (header.kind != SectionKind::data) header.raw_bytes = static_cast<std::uint32_t>(payload.size());
  if (compress && payload.size() >= kWorthCompressing) {
    Bytes smaller(ZSTD_compressBound(payload.size()));
    const std::size_t size = ZSTD_compress(smaller.data(), smaller.size(), payload.data(), payload.size(), 3);
    if (!ZSTD_isError(size) && size < payload.size()) {
      smaller.resize(size);
      payload.swap(smaller);
      header.flags |= SectionHeader::flag_zstd;
    }
  }
  header.stored_bytes = static_cast<std::uint32_t>(payload.size());
  header.payload_checksum = checksum(payload);
}

Expected<void> check_payload(const SectionHeader& header, ByteView stored) {
  if (stored.size() != header.stored_bytes || checksum(stored) != header.payload_checksum)
    return fail(ErrorCode::bad_input, fmt::format("{} section: payload checksum mismatch", name_of(header.kind)));
  return {};
}

Expected<Bytes> open_payload(const SectionHeader& header, Bytes stored) {
  if (auto sound = check_payload(header, stored); !sound) return fail(sound);
  if (header.kind == SectionKind::data || (header.flags & SectionHeader::flag_zstd) == 0) return stored;
  Bytes payload(header.raw_bytes);
  const std::size_t size = ZSTD_decompress(payload.data(), payload.size(), stored.data(), stored.size());
  if (!is_decompressed(size) || size != payload.size())
    return fail(ErrorCode::bad_input, fmt::format("{} section: does not decompress", name_of(header.kind)));
  return payload;
}

}  // namespace sds
