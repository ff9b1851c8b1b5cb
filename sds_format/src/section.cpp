#include "sds/format/section.hpp"

#include <fmt/format.h>
#include <xxhash.h>
#include <zstd.h>

#include "sds/format/limits.hpp"

namespace sds {

namespace {
// Below this a person with a hex editor is served better than the disk.
constexpr std::size_t kWorthCompressing = 512;
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

std::array<std::byte, SectionHeader::bytes> SectionHeader::encode() const {
  std::array<std::byte, bytes> out{};
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
  store_le(p + 56, checksum(std::span(out).first<56>()));
  return out;
}

Expected<SectionHeader> SectionHeader::decode(std::span<const std::byte, bytes> stored) {
  const std::byte* p = stored.data();
  if (std::memcmp(p, magic.data(), magic.size()) != 0) return fail(ErrorCode::bad_input, "no section header");
  if (load_le<std::uint64_t>(p + 56) != checksum(stored.first<56>()))
    return fail(ErrorCode::bad_input, "section header checksum mismatch");
  SectionHeader header;
  header.version = load_le<std::uint8_t>(p + 8);
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
  if (header.version > current_version)
    return fail(ErrorCode::unsupported,
                fmt::format("format version {}; this program reads up to {}", header.version, current_version));
  if (header.raw_bytes > limits::max_section_raw_bytes || header.stored_bytes > 2 * limits::max_section_raw_bytes)
    return fail(ErrorCode::limit, "a section above 64 MiB");
  return header;
}

Bytes seal_payload(ByteView payload, SectionHeader& header) {
  header.raw_bytes = static_cast<std::uint32_t>(payload.size());
  Bytes packed(payload.begin(), payload.end());
  if (payload.size() >= kWorthCompressing) {
    Bytes smaller(ZSTD_compressBound(payload.size()));
    const std::size_t size = ZSTD_compress(smaller.data(), smaller.size(), payload.data(), payload.size(), 3);
    if (!ZSTD_isError(size) && size < payload.size()) {
      smaller.resize(size);
      packed.swap(smaller);
      header.flags |= SectionHeader::flag_zstd;
    }
  }
  header.stored_bytes = static_cast<std::uint32_t>(packed.size());
  header.payload_checksum = checksum(packed);
  return packed;
}

Expected<Bytes> open_payload(const SectionHeader& header, Bytes stored) {
  if (checksum(stored) != header.payload_checksum)
    return fail(ErrorCode::bad_input, fmt::format("{} section: payload checksum mismatch", name_of(header.kind)));
  if ((header.flags & SectionHeader::flag_zstd) == 0) return stored;
  Bytes payload(header.raw_bytes);
  const std::size_t size = ZSTD_decompress(payload.data(), payload.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) || size != payload.size())
    return fail(ErrorCode::bad_input, fmt::format("{} section: does not decompress", name_of(header.kind)));
  return payload;
}

}  // namespace sds
