#include "being_recorded.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "sds/format/file.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/properties.hpp"
#include "section_walker.hpp"

namespace sds {

namespace {

constexpr const char* kRecorded = "is being recorded: choose another name";

std::string may_be_recorded(const std::string& why) {
  return fmt::format("may be being recorded, for {}: choose another name, or delete it if nobody records it", why);
}

std::string no_locks() { return may_be_recorded("its file system or system has no locks that would tell"); }

std::string unread(const Error& error) { return may_be_recorded("it cannot be read (" + error.message + ")"); }

// Whether a section may stand in the first bytes, so many that one of two sections of the largest size begins there: of
// what is plainly no recording, none does.
Expected<bool> begins_like_a_recording(const ByteSource& file) {
  constexpr std::uint64_t kLooked = std::uint64_t{128} << 20;
  constexpr std::size_t kMark = SectionHeader::magic.size();
  Bytes piece(std::size_t{1} << 20);
  for (std::uint64_t at = 0; at < kLooked; at += piece.size() - kMark + 1) {
    auto got = file.read(at, piece);
    if (!got) return fail(got);
    const auto end = piece.begin() + static_cast<std::ptrdiff_t>(*got);
    if (std::search(piece.begin(), end, SectionHeader::magic.begin(), SectionHeader::magic.end(),
                    [](std::byte a, auto b) { return a == static_cast<std::byte>(b); }) != end)
      return true;
    if (*got < piece.size()) break;
  }
  return false;
}

// The first section of a recording; bad input if it is damaged.
Expected<Properties> read_session(const ByteSource& file, std::uint64_t file_bytes) {
  auto header = read_header(file, 0);
  if (!header) return fail(header);
  if (header->kind != SectionKind::session) return fail(ErrorCode::bad_input, "no session section");
  auto payload = read_payload(file, {*header, 0}, file_bytes);
  if (!payload) return fail(payload);
  return Properties::decode(*payload);
}

// Of a `.sdsz` on which nobody is known to hold a lock. Where no lock can tell, its session says so.
std::optional<std::string> why_packed_stays(const ByteSource& file, ByteSource::InUse in_use) {
  const auto size = file.size();
  if (!size) return unread(size.error());
  const auto closed = has_footer(file, *size);
  if (!closed) return unread(closed.error());
  if (*closed) return std::nullopt;
  const auto recording = begins_like_a_recording(file);
  if (!recording) return unread(recording.error());
  if (!*recording) return std::nullopt;
  if (in_use == ByteSource::InUse::unknown) return no_locks();
  const auto session = read_session(file, *size);
  if (session) return session->get("lock") == "none" ? std::optional(no_locks()) : std::nullopt;
  // Whether it was closed only a later program can tell.
  if (session.error().code == ErrorCode::unsupported)
    return fmt::format("is a recording of a later version ({}): choose another name", session.error().message);
  if (is_unread(session.error())) return unread(session.error());
  return may_be_recorded("it was not closed, and its session section, which would tell, is damaged");
}

}  // namespace

std::optional<std::string> why_not_replaced(const std::filesystem::path& path) {
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(path, error);
  const auto kind = (error ? path : real).extension();  // what cannot be followed goes by its own name
  if (kind != ".sdsz" && kind != ".sds") return std::nullopt;
  const auto file = InputFile::open(path);
  if (!file) {
    const int why = file.error().system_error;  // 0: no regular file
    const bool is_none = why == 0 || why == ENOENT || why == ENOTDIR || why == ELOOP || why == ENXIO;
    return is_none ? std::nullopt : std::optional(unread(file.error()));
  }
  const auto in_use = (*file)->in_use();
  if (in_use == ByteSource::InUse::yes) return kRecorded;
  if (kind == ".sdsz") return why_packed_stays(**file, in_use);
  return in_use == ByteSource::InUse::unknown ? std::optional(no_locks()) : std::nullopt;
}

}  // namespace sds
