// The fixed 64-byte header that opens every section of a `.sdsz` file. FORMAT.md is the specification.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

enum class SectionKind : std::uint8_t {
  session = 1,
  stream = 2,
  data = 3,
  tail = 4,
  gap = 5,
  clock = 6,
  label = 7,
  attachment = 8,
  index = 9,
  footer = 10,
};

std::string_view name_of(SectionKind kind);

struct SectionHeader {
  static constexpr std::size_t bytes = 64;
  static constexpr std::array<unsigned char, 8> magic{0x89, 'S', 'D', 'S', 'Z', '\r', '\n', 0x1A};
  static constexpr std::uint8_t current_version = 1;
  static constexpr std::uint32_t no_stream = 0xFFFFFFFF;
  static constexpr std::uint16_t flag_zstd = 1;      ///< the payload is one zstd frame of `raw_bytes` bytes
  static constexpr std::uint16_t flag_unsorted = 2;  ///< data: some tick is below its predecessor

  std::uint8_t version = current_version;
  SectionKind kind = SectionKind::session;
  std::uint16_t flags = 0;
  std::uint32_t stream = no_stream;
  std::uint32_t stored_bytes = 0;  ///< of the payload in the file
  std::uint32_t raw_bytes = 0;     ///< data: of the blocks as plain `.sds`; else of the payload decompressed
  std::uint32_t block_count = 0;
  std::uint32_t sequence = 0;  ///< ordinal of this section in the file, from 0
  std::uint64_t first_tick = 0;
  std::uint64_t last_tick = 0;
  std::uint64_t payload_checksum = 0;  ///< XXH3-64 of the stored payload

  /// The header as stored, its own checksum included.
  [[nodiscard]] std::array<std::byte, bytes> encode() const;

  /// Fails unless magic and header checksum are right and the sizes are within limits.hpp.
  static Expected<SectionHeader> decode(std::span<const std::byte, bytes> stored);
};

/// XXH3-64, the checksum of payloads and headers.
std::uint64_t checksum(ByteView bytes);

/// Compresses a payload of a kind other than data with zstd if that makes it smaller; sets flags, sizes and checksum.
Bytes seal_payload(ByteView payload, SectionHeader& header);

/// Undoes seal_payload: checks the checksum and decompresses.
Expected<Bytes> open_payload(const SectionHeader& header, Bytes stored);

}  // namespace sds
