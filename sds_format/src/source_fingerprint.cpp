#include "sds/format/source_fingerprint.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sds/format/file.hpp"
#include "sds/format/section.hpp"

namespace sds {

SourceFingerprint& SourceFingerprint::add(std::string_view text) {
  append_le(added_, static_cast<std::uint64_t>(text.size()));
  append_bytes(added_, as_bytes(text));
  return *this;
}

SourceFingerprint& SourceFingerprint::add_file(const std::filesystem::path& file) {
  add(file.filename().string());
  auto opened = InputFile::open(file);
  if (!opened) return *this;
  const auto size = (*opened)->size();
  if (!size) return *this;
  append_le(added_, *size);
  Bytes piece(std::min<std::uint64_t>(*size, 1u << 16));
  for (const std::uint64_t from : {std::uint64_t{0}, *size - piece.size()}) {
    if (!(*opened)->read_exactly(from, piece)) return *this;
    append_le(added_, checksum(piece));
  }
  return *this;
}

SourceFingerprint& SourceFingerprint::add(const Recording& recording) {
  if (recording.sdsz()) return add_file(recording.path()).add_file(wal_path(recording.path()));
  for (const auto& stream : recording.streams()) add_file(stream.path).add(stream.description.metadata_text);
  return *this;
}

std::string SourceFingerprint::to_string() const { return fmt::format("{:016x}", checksum(added_)); }

}  // namespace sds
