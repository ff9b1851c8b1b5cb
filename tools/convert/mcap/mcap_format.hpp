// The records of MCAP that we write and read (mcap.dev, format specification, version 0).
#pragma once

#include <array>
#include <map>
#include <string>

#include "sds/format/bytes.hpp"

namespace sds::mcap {

inline constexpr std::array<unsigned char, 8> magic{0x89, 'M', 'C', 'A', 'P', 0x30, '\r', '\n'};

enum class Opcode : std::uint8_t {
  header = 0x01,
  footer = 0x02,
  schema = 0x03,
  channel = 0x04,
  message = 0x05,
  chunk = 0x06,
  message_index = 0x07,
  chunk_index = 0x08,
  statistics = 0x0B,
  metadata = 0x0C,
  metadata_index = 0x0D,
  summary_offset = 0x0E,
  data_end = 0x0F,
};

inline void append_string(Bytes& out, std::string_view text) {
  append_le(out, static_cast<std::uint32_t>(text.size()));
  append_bytes(out, as_bytes(text));
}

inline void append_map(Bytes& out, const std::map<std::string, std::string>& items) {
  Bytes body;
  for (const auto& [key, value] : items) {
    append_string(body, key);
    append_string(body, value);
  }
  append_le(out, static_cast<std::uint32_t>(body.size()));
  append_bytes(out, body);
}

/// Opcode, length, content.
inline void append_record(Bytes& out, Opcode opcode, ByteView content) {
  append_le(out, static_cast<std::uint8_t>(opcode));
  append_le(out, static_cast<std::uint64_t>(content.size()));
  append_bytes(out, content);
}

}  // namespace sds::mcap
