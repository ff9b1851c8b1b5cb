#include "sds/tools/dataset_folder.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "sds/format/file.hpp"
#include "sds/format/file_in_use.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxManifestBytes = std::size_t{256} << 20;

tl::unexpected<Error> failed(const std::error_code& error, const std::string& what, const fs::path& path) {
  return fail_errno(error.value(), what, path);
}

// A name beside `folder` that nobody has.
fs::path name_beside(const fs::path& folder) {
  std::random_device random;
  fs::path name = folder;
  name += fmt::format(".{:08x}.partial", random());
  return name;
}

// What is in a folder, files by their names in it, and folders that hold something else than files.
Expected<std::vector<std::string>> files_in(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->is_symlink(error) || !at->is_directory(error))
      files.push_back(at->path().lexically_relative(folder).generic_string());
  if (error) return failed(error, "cannot read the folder", folder);
  std::sort(files.begin(), files.end());
  return files;
}

// The files that the manifest of a dataset lists; none if it is no such manifest.
Expected<std::set<std::string>> listed_files(const fs::path& folder) {
  auto text = read_small_file(folder / "manifest.yml", kMaxManifestBytes);
  if (!text) return fail(text);
  std::set<std::string> listed{"manifest.yml"};
  try {
    for (const auto& file : YAML::Load(*text)["dataset"]["files"]) listed.insert(file.as<std::string>());
  } catch (const YAML::Exception& problem) {
    return fail(ErrorCode::bad_input, problem.what(), folder / "manifest.yml");
  }
  return listed;
}

// Refuses to replace what no export of a dataset made, and what this process reads.
Expected<void> check_replaceable(const fs::path& folder, const std::vector<std::string>& there) {
  std::set<std::string> listed;
  if (std::find(there.begin(), there.end(), "manifest.yml") != there.end())
    if (auto files = listed_files(folder)) listed = std::move(*files);
  for (const auto& file : there) {
    if (listed.count(file) == 0)
      return fail(ErrorCode::usage,
                  fmt::format("has {}, which the manifest of a dataset there does not list: choose another folder, or "
                              "delete this one",
                              file),
                  folder);
    if (auto ok = refuse_in_use(folder / file); !ok) return ok;
  }
  return {};
}

}  // namespace

Expected<DatasetFolder> DatasetFolder::create(const fs::path& folder, bool force) {
  std::error_code error;
  fs::path named = fs::weakly_canonical(fs::absolute(folder, error), error);
  if (error) return failed(error, "no such place", folder);
  if (!named.has_filename()) named = named.parent_path();
  if (fs::exists(named, error)) {
    if (!fs::is_directory(named, error)) return fail(ErrorCode::exists, "exists already, and is no folder", folder);
    auto there = files_in(named);
    if (!there) return fail(there);
    if (!there->empty() && !force)
      return fail(ErrorCode::exists, "is not empty (--force replaces a dataset that is there)", folder);
    if (auto ok = check_replaceable(named, *there); !ok) return fail(ok);
  }
  if (auto made = make_directories(named.parent_path()); !made) return fail(made);
  fs::path staged = name_beside(named);
  if (!fs::create_directory(staged, error) || error) return failed(error, "cannot make the folder", staged);
  return DatasetFolder(std::move(named), std::move(staged));
}

DatasetFolder::~DatasetFolder() {
  std::error_code ignored;
  if (!staged_.empty()) fs::remove_all(staged_, ignored);
}

DatasetFolder::DatasetFolder(DatasetFolder&& other) noexcept
    : folder_(std::move(other.folder_)), staged_(std::exchange(other.staged_, {})) {}

fs::path DatasetFolder::final_path(const fs::path& file) const {
  const auto inside = file.lexically_relative(staged_);
  return inside.empty() || *inside.begin() == ".." ? file : folder_ / inside;
}

std::vector<std::string> DatasetFolder::files() const {
  auto files = files_in(staged_);
  return files ? std::move(*files) : std::vector<std::string>();
}

Expected<void> DatasetFolder::keep() {
  std::error_code error;
  fs::path old;
  if (fs::exists(folder_, error)) {
    auto there = files_in(folder_);
    if (!there) return fail(there);
    if (auto ok = check_replaceable(folder_, *there); !ok) return ok;  // it may have changed meanwhile
    old = name_beside(folder_);
    fs::rename(folder_, old, error);
    if (error) return failed(error, "cannot replace the folder", folder_);
  }
  fs::rename(staged_, folder_, error);
  if (error) {
    const auto failure = error;
    if (!old.empty()) fs::rename(old, folder_, error);
    return failed(failure, "cannot give the folder its name", folder_);
  }
  staged_.clear();
  auto synced = sync_directory(folder_.parent_path());
  if (!old.empty()) fs::remove_all(old, error);
  return synced;
}

}  // namespace sds
