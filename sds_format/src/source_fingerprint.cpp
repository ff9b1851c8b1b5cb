#include "sds/format/source_fingerprint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

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
  if (auto done = read_file(file); !done && !error_) error_ = done.error();
  return *this;
}

Expected<void> SourceFingerprint::read_file(const std::filesystem::path& file) {
  auto opened = InputFile::open(file);
  if (!opened) {
    const int why = opened.error().system_error;
    return why == ENOENT || why == ENAMETOOLONG ? Expected<void>{} : fail(opened);
  }
  const auto size = (*opened)->size();
  if (!size) return fail(size);
  append_le(added_, *size);
  Bytes piece(std::min<std::uint64_t>(*size, 1u << 16));
  for (const std::uint64_t from : {std::uint64_t{0}, *size - piece.size()}) {
    if (auto read = (*opened)->read_exactly(from, piece); !read) return read;
    append_le(added_, checksum(piece));
  }
  return {};
}

SourceFingerprint& SourceFingerprint::add(const Recording& recording) {
  if (recording.sdsz()) return add_file(recording.path()).add_file(wal_path(recording.path()));
  for (const auto& stream : recording.streams()) add_file(stream.path).add(stream.description.metadata_text);
  return *this;
}

Expected<std::string> SourceFingerprint::to_string() const {
  if (error_) return tl::unexpected<Error>(*error_);
  return fmt::format("{:016x}", checksum(added_));
}

}  // namespace sds
