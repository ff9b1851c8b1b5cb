#include "dataset_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "sds/format/file.hpp"
#include "sds/format/file_in_use.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/yaml_map.hpp"

namespace sds {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxManifestBytes = std::size_t{256} << 20;
constexpr const char* kManifest = "manifest.yml";
constexpr const char* kInside = "dataset.partial";  // of a folder that is filled

tl::unexpected<Error> failed(const std::error_code& error, const std::string& what, const fs::path& path) {
  return fail_errno(error.value(), what, path);
}

tl::unexpected<Error> exists_already(const fs::path& folder) {
  return fail(ErrorCode::exists, "is not empty (--force replaces a dataset that is there)", folder);
}

tl::unexpected<Error> made_meanwhile(const fs::path& folder) {
  return fail(ErrorCode::exists, "exists already: somebody else has made it meanwhile", folder);
}

fs::path name_beside(const fs::path& folder) { return folder.parent_path() / partial_name(folder); }

// What is in a folder, by names in it.
struct Contents {
  std::vector<std::string> files;
  std::vector<std::string> folders;
  [[nodiscard]] bool empty() const { return files.empty() && folders.empty(); }
};

Expected<Contents> contents_of(const fs::path& folder) {
  Contents there;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const bool is_folder = !at->is_symlink(error) && at->is_directory(error);
    (is_folder ? there.folders : there.files).push_back(at->path().lexically_relative(folder).generic_string());
  }
  if (error) return failed(error, "cannot read the folder", folder);
  std::sort(there.files.begin(), there.files.end());
  std::sort(there.folders.begin(), there.folders.end());
  return there;
}

// The files that the manifest of a dataset lists, and itself; none if it is no manifest as manifest() writes it.
std::set<std::string> listed_files(const fs::path& folder) {
  auto text = read_small_file(folder / kManifest, kMaxManifestBytes);
  if (!text) return {};
  try {
    const YAML::Node dataset = load_yaml(*text)["dataset"];
    const bool ours = dataset.IsMap() && dataset["version"].as<int>(0) == 1 && dataset["format"].IsScalar() &&
                      dataset["seed"].IsScalar() && dataset["split-by"].IsScalar() && dataset["shares"].IsSequence() &&
                      dataset["shares"].size() == 3 && dataset["parts"].IsMap() && dataset["recordings"].IsSequence() &&
                      dataset["files"].IsSequence();
    if (!ours) return {};
    for (const auto& recording : dataset["recordings"])
      if (!recording["name"].IsScalar() || !recording["part"].IsScalar() || !recording["fingerprint"].IsScalar())
        return {};
    std::set<std::string> listed{kManifest};
    for (const auto& file : dataset["files"]) listed.insert(file.as<std::string>());
    return listed;
  } catch (const YAML::Exception&) {
    return {};
  }
}

// Refuses to replace what no export of a dataset made, and what this process reads.
Expected<void> check_replaceable(const fs::path& folder, const Contents& there) {
  const auto listed = listed_files(folder);
  const auto strange = [&](const std::string& name) {
    if (name == kManifest)
      return fail(ErrorCode::usage,
                  fmt::format("has a {} that is not one of a dataset: choose another folder, or delete this one", name),
                  folder);
    return fail(ErrorCode::usage,
                fmt::format("has {}, which the manifest of a dataset there does not list: choose another folder, or "
                            "delete this one",
                            name),
                folder);
  };
  std::set<std::string> parents;
  for (const auto& file : listed)
    for (auto at = fs::path(file).parent_path(); !at.empty(); at = at.parent_path()) parents.insert(at.string());
  for (const auto& name : there.folders)
    if (parents.count(name) == 0) return strange(name);
  for (const auto& file : there.files) {
    if (listed.count(file) == 0) return strange(file);
    if (auto ok = refuse_in_use(folder / file); !ok) return ok;
  }
  return {};
}

Expected<void> check_replaceable(const fs::path& folder) {
  auto there = contents_of(folder);
  return there ? check_replaceable(folder, *there) : Expected<void>(fail(there));
}

bool is_within(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// Refuses a folder that has a name which no other one can take.
Expected<void> check_name_is_free_to_take(const fs::path& folder) {
  struct statx info {};
  if (::statx(AT_FDCWD, folder.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &info) == 0 &&
      (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
    return fail(ErrorCode::usage, "is a mount point, which cannot be replaced: delete the dataset in it", folder);
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (!error && is_within(here, folder))
    return fail(ErrorCode::usage,
                "is where this command runs, which cannot be replaced: go elsewhere, or delete the dataset in it",
                folder);
  struct stat own {};
  struct stat parent {};
  if (::stat(folder.c_str(), &own) == 0 && ::stat(folder.parent_path().c_str(), &parent) == 0 &&
      (parent.st_mode & S_ISVTX) != 0 && ::geteuid() != 0 && ::geteuid() != own.st_uid && ::geteuid() != parent.st_uid)
    return fail(ErrorCode::usage, "is somebody else's, and in a folder where only its owner can replace it", folder);
  return {};
}

// What replaces a folder is open to the same people.
Expected<void> take_mode(const fs::path& staged, const fs::path& folder) {
  struct stat old {};
  struct stat made {};
  if (::stat(folder.c_str(), &old) != 0 || ::stat(staged.c_str(), &made) != 0)
    return fail_errno(errno, "cannot read the permissions", folder);
  if (old.st_gid != made.st_gid && ::chown(staged.c_str(), static_cast<uid_t>(-1), old.st_gid) != 0)
    return fail_errno(errno, "cannot give the new folder the group of the one that it replaces", folder);
  if (::chmod(staged.c_str(), (old.st_mode & 07777) | S_IRWXU) != 0)
    return fail_errno(errno, "cannot give the new folder the permissions of the one that it replaces", folder);
  return {};
}

Expected<void> make_folder(const fs::path& path) {
  int done = 0;
  do done = file_system().mkdir(path);
  while (done == -EINTR);
  if (done == -EEXIST) return fail(ErrorCode::exists, "exists already", path);
  if (done < 0) return fail_errno(-done, "cannot make the folder", path);
  return {};
}

void remove_empty_folders(const fs::path& folder) {
  auto there = contents_of(folder);
  if (!there) return;
  std::error_code ignored;
  std::reverse(there->folders.begin(), there->folders.end());  // what is inside first
  for (const auto& name : there->folders) ::rmdir((folder / name).c_str());
}

// Of what has been replaced by `folder`: what is left of it, as a sentence; nothing if it is gone.
Expected<std::optional<std::string>> remove_old(const fs::path& old, const fs::path& folder) {
  const auto synced = sync_directory(folder.parent_path());
  std::error_code error;
  fs::remove_all(old, error);
  if (!synced) return fail(synced);
  if (!error) return std::nullopt;
  return fmt::format("the old dataset could not be deleted, and is left as {}: {}", old.string(), error.message());
}

}  // namespace

Expected<DatasetFolder> DatasetFolder::create(const fs::path& folder, bool force) {
  std::error_code error;
  if (fs::is_symlink(folder, error) && !fs::exists(folder, error))
    return fail(ErrorCode::usage, "is a link to a folder that does not exist: make that folder, or delete the link",
                folder);
  fs::path named = fs::weakly_canonical(fs::absolute(folder, error), error);
  if (error) return failed(error, "no such place", folder);
  if (!named.has_filename()) named = named.parent_path();
  const auto of_folder = [&](Expected<void> done, const char* where) -> Expected<void> {
    if (!done && done.error().code != ErrorCode::exists) {
      done.error().path = folder;
      done.error().message = where + done.error().message;
    }
    return done;
  };
  if (!fs::exists(named, error)) {
    if (auto made = make_directories(named.parent_path()); !made) return fail(made);
    fs::path staged = name_beside(named);
    if (auto made = of_folder(make_folder(staged), "beside it: "); !made) return fail(made);
    return DatasetFolder(std::move(named), std::move(staged), false, force);
  }
  if (!fs::is_directory(named, error)) return fail(ErrorCode::exists, "exists already, and is no folder", folder);
  auto there = contents_of(named);
  if (!there) return fail(there);
  const auto at_work = [&] {
    return fail(
        ErrorCode::exists,
        fmt::format("another export into this folder is at work, or was killed (then delete {} in it)", kInside),
        folder);
  };
  if (std::binary_search(there->folders.begin(), there->folders.end(), kInside)) return at_work();
  if (there->empty()) {
    fs::path staged = named / kInside;
    if (auto made = of_folder(make_folder(staged), "in it: "); !made)
      return made.error().code == ErrorCode::exists ? at_work() : fail(made);
    return DatasetFolder(std::move(named), std::move(staged), true, force);
  }
  if (!force) return exists_already(folder);
  if (auto ok = check_replaceable(named, *there); !ok) return fail(ok);
  if (auto ok = check_name_is_free_to_take(named); !ok) return fail(ok);
  fs::path staged = name_beside(named);
  if (auto made = of_folder(make_folder(staged), "beside it: "); !made) return fail(made);
  DatasetFolder result(std::move(named), std::move(staged), false, force);
  if (auto done = take_mode(result.staged_, result.folder_); !done) return fail(done);
  return result;
}

DatasetFolder::~DatasetFolder() {
  std::error_code ignored;
  if (!staged_.empty()) fs::remove_all(staged_, ignored);
}

DatasetFolder::DatasetFolder(DatasetFolder&& other) noexcept
    : folder_(std::move(other.folder_)),
      staged_(std::exchange(other.staged_, {})),
      fills_(other.fills_),
      force_(other.force_) {}

std::vector<std::string> DatasetFolder::files() const {
  auto there = contents_of(staged_);
  return there ? std::move(there->files) : std::vector<std::string>();
}

Expected<std::optional<std::string>> DatasetFolder::keep() {
  remove_empty_folders(staged_);
  if (fills_) {
    if (auto done = fill(); !done) return fail(done);
    return std::nullopt;
  }
  std::error_code error;
  if (force_ && fs::exists(folder_, error)) return replace();
  if (auto named = rename_file_new(staged_, folder_); !named)
    return named.error().code == ErrorCode::exists ? made_meanwhile(folder_) : fail(named);
  staged_.clear();
  if (auto synced = sync_directory(folder_.parent_path()); !synced) return fail(synced);
  return std::nullopt;
}

// Nobody takes what has no manifest for a dataset: it comes last.
Expected<void> DatasetFolder::fill() {
  auto there = contents_of(folder_);
  if (!there) return fail(there);
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(staged_, error), end; !error && at != end; at.increment(error))
    names.insert(at->path().filename().string());
  if (error) return failed(error, "cannot read the folder", staged_);
  std::vector<std::string> order(names.begin(), names.end());
  std::stable_partition(order.begin(), order.end(), [](const std::string& name) { return name != kManifest; });
  const auto is_ours = [](const std::string& name) {
    return name == kInside || name.starts_with(kInside + std::string("/"));
  };
  for (const auto* list : {&there->files, &there->folders})
    if (!std::all_of(list->begin(), list->end(), is_ours)) return made_meanwhile(folder_);
  std::size_t moved = 0;
  Expected<void> done;
  for (; done && moved < order.size(); ++moved) {
    if (order[moved] == kManifest) done = sync_directory(folder_);
    if (done) done = rename_file_new(staged_ / order[moved], folder_ / order[moved]);
  }
  if (!done) {
    for (--moved; moved > 0; --moved) (void)rename_file(folder_ / order[moved - 1], staged_ / order[moved - 1]);
    return done.error().code == ErrorCode::exists ? made_meanwhile(folder_) : done;
  }
  fs::remove(staged_, error);
  staged_.clear();
  return sync_directory(folder_);
}

Expected<std::optional<std::string>> DatasetFolder::replace() {
  if (auto ok = check_replaceable(folder_); !ok) return fail(ok);  // it may have changed meanwhile
  auto exchanged = exchange_names(staged_, folder_);
  if (!exchanged) return fail(exchanged);
  if (!*exchanged) return replace_in_two_steps();
  const fs::path old = std::exchange(staged_, {});
  if (auto ok = check_replaceable(old); !ok) {
    if (auto back = exchange_names(old, folder_); !back) {
      ok.error().message =
          fmt::format("is the new dataset; the old one is {}: it {}", old.string(), ok.error().message);
      ok.error().path = folder_;
      return fail(ok);
    }
    staged_ = old;
    ok.error().path = folder_;
    return fail(ok);
  }
  return remove_old(old, folder_);
}

// Where the file system has no exchange there is a moment in which nothing has the name. A kill in it leaves the old
// dataset under a name that nobody deletes.
Expected<std::optional<std::string>> DatasetFolder::replace_in_two_steps() {
  fs::path old;
  Expected<void> moved;
  for (int n = 1; n == 1 || (!moved && moved.error().code == ErrorCode::exists && n < 1000); ++n) {
    old = folder_;
    old += n == 1 ? ".bak" : fmt::format(".bak~{}", n);
    moved = rename_file_new(folder_, old);
  }
  if (!moved) return fail(moved);
  if (auto named = rename_file_new(staged_, folder_); !named) {
    if (auto back = rename_file_new(old, folder_); !back)
      named.error().message += fmt::format("; the dataset that was there is now {}", old.string());
    named.error().path = folder_;
    return fail(named);
  }
  staged_.clear();
  return remove_old(old, folder_);
}

}  // namespace sds
