#include "watched_file.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <cerrno>

#include "sds/format/file.hpp"

namespace sds {

std::filesystem::path backup_name(const std::filesystem::path& path, std::uint32_t number) {
  auto backup = path;
  backup += number == 0 ? std::string(".bak") : fmt::format(".bak.{}", number);
  return backup;
}

bool is_being_recorded(const std::filesystem::path& path) {
  const auto file = InputFile::open(path);
  return file && (*file)->in_use() == ByteSource::InUse::yes;
}

void warn_if_not_marked(const std::string& device, const std::optional<Error>& not_marked) {
  if (!not_marked) return;
  spdlog::warn("record   {}: {}: commands cannot tell that it is being recorded", device, not_marked->to_string());
}

Expected<std::optional<WatchedFile::Identity>> WatchedFile::identity_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return Identity{info.st_dev, info.st_ino};
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  return fail_errno(errno, "cannot look at it", path);
}

WatchedFile::WatchedFile(std::filesystem::path path) : path_(std::move(path)) {
  if (const auto identity = identity_of(path_)) identity_ = *identity;
}

std::optional<std::filesystem::path> WatchedFile::where() const {
  if (!identity_) return path_;
  const auto named = identity_of(path_);
  if (!named || *named == identity_) return path_;
  for (std::uint32_t number = 0;; ++number) {
    const auto backup = backup_name(path_, number);
    const auto kept = identity_of(backup);
    if (!kept) return path_;
    if (!*kept) return std::nullopt;
    if (*kept == identity_) return backup;
  }
}

std::optional<Error> WatchedFile::missing() {
  if (told_ || where()) return std::nullopt;
  told_ = true;
  return Error{ErrorCode::io,
               "this is no longer the file that is recorded: it was deleted, moved or replaced meanwhile",
               path_,
               {}};
}

}  // namespace sds
