#include "sds/format/file_in_use.hpp"

#include <sys/stat.h>

#include <mutex>
#include <optional>
#include <set>
#include <utility>

namespace sds {

namespace {

using Identity = std::pair<dev_t, ino_t>;

std::optional<Identity> identity_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return Identity{info.st_dev, info.st_ino};
}

struct Register {
  std::mutex mutex;
  std::multiset<Identity> files;
};

// Never destroyed: marks may outlive static objects.
Register& files_in_use() {
  static auto* const files = new Register;
  return *files;
}

}  // namespace

struct FileInUse::Mark {
  explicit Mark(const Identity& file) : identity(file) {
    const std::lock_guard lock(files_in_use().mutex);
    files_in_use().files.insert(identity);
  }
  ~Mark() {
    const std::lock_guard lock(files_in_use().mutex);
    files_in_use().files.erase(files_in_use().files.find(identity));
  }
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  Identity identity;
};

FileInUse::FileInUse(const std::filesystem::path& path) {
  if (const auto identity = identity_of(path)) mark_ = std::make_shared<const Mark>(*identity);
}

Expected<void> refuse_in_use(const std::filesystem::path& path) {
  const auto identity = identity_of(path);
  if (!identity) return {};
  const std::lock_guard lock(files_in_use().mutex);
  if (files_in_use().files.count(*identity) > 0)
    return fail(ErrorCode::usage, "is read by this command: choose another name", path);
  return {};
}

}  // namespace sds
