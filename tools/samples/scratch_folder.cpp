#include "scratch_folder.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "sds/format/file.hpp"

namespace sds {

Expected<ScratchFolder> ScratchFolder::create() {
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  if (error) return fail_errno(error.value(), "no folder for temporary files", parent);
  return create_in(parent);
}

Expected<ScratchFolder> ScratchFolder::create_in(const std::filesystem::path& parent) {
  std::string pattern = (parent / "sds-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return fail_errno(errno, "cannot make a temporary folder", pattern);
  return ScratchFolder(pattern);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

ScratchFolder::ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

Expected<void> write_scratch_file(const std::filesystem::path& path, std::string_view text) {
  auto file = OutputFile::create(path, IfExists::overwrite);
  if (!file) return fail(file);
  if (auto done = (*file)->append(as_bytes(text)); !done) return done;
  return (*file)->close();
}

}  // namespace sds
