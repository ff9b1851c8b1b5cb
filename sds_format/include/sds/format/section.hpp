// The header that opens every section of a `.sdsz` file, and the one place through which every section's payload passes
// on its way to a file and back. FORMAT.md is the specification.
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
  static constexpr std::size_t bytes = 80;     ///< of a header of the current version
  static constexpr std::size_t bytes_v1 = 64;  ///< and of version 1
  static constexpr std::array<unsigned char, 8> magic{0x89, 'S', 'D', 'S', 'Z', '\r', '\n', 0x1A};
  static constexpr std::uint8_t current_version = 2;
  static constexpr std::uint32_t no_stream = 0xFFFFFFFF;
  static constexpr std::uint16_t flag_zstd = 1;      ///< the payload is one zstd frame of `raw_bytes` bytes
  static constexpr std::uint16_t flag_unsorted = 2;  ///< data: some tick is below its predecessor
  static constexpr std::uint16_t flag_wide = 4;      ///< data: the first column holds 64-bit ticks, not timeslots

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
  std::uint64_t first_block = 0;  ///< data: ordinal of the first block in its stream; gap, clock, tail: of the next
  std::uint64_t recording = 0;    ///< id of the recording that the section belongs to; 0 in version 1

  /// Size of this header as stored.
  [[nodiscard]] std::size_t size() const { return version == 1 ? bytes_v1 : bytes; }
  /// Size of the whole section as stored.
  [[nodiscard]] std::uint64_t section_bytes() const { return size() + std::uint64_t{stored_bytes}; }
  /// Ordinal of the block behind this section's last.
  [[nodiscard]] std::uint64_t end_block() const { return first_block + block_count; }

  /// The header as stored, its own checksum included; size() bytes.
  [[nodiscard]] Bytes encode() const;

  /// Decodes the header at the start of `stored`, which may be longer. Fails unless magic and header checksum are right
  /// and the sizes are within limits.hpp.
  static Expected<SectionHeader> decode(ByteView stored);
};

/// XXH3-64, the checksum of payloads and headers.
std::uint64_t checksum(ByteView bytes);

/// The id of a recording: the checksum of its session section's payload, decompressed.
std::uint64_t recording_id(ByteView session_payload);

/// Makes the stored payload of a section: compressed with zstd where `compress` and that makes it smaller (data
/// sections are compressed column by column before), with the checksum in the header. Sets flags, sizes (of data
/// sections the stored one only) and checksum.
void seal_payload(SectionHeader& header, Bytes& payload, bool compress);

/// Undoes seal_payload: checks the checksum, and decompresses what is no data section.
Expected<Bytes> open_payload(const SectionHeader& header, Bytes stored);

/// The same without a copy, for data sections: fails unless `stored` is what was sealed.
Expected<void> check_payload(const SectionHeader& header, ByteView stored);

}  // namespace sds
