#include "labels_beside.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "folder_lock.hpp"
#include "label_file.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/links.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {

// Named as `sds serve` names what is in its way; the first name that is free. Empty: somebody else moved it.
Expected<std::filesystem::path> move_to_backup(const std::filesystem::path& path) {
  for (std::uint32_t number = 0;; ++number) {
    auto backup = path;
    backup += number == 0 ? std::string(".bak") : fmt::format(".bak.{}", number);
    auto renamed = rename_file_new(path, backup);
    if (renamed) return backup;
    if (renamed.error().system_error == ENOENT) return std::filesystem::path();
    if (renamed.error().code != ErrorCode::exists) return fail(renamed);
  }
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto there = std::filesystem::symlink_status(path, ignored);
  return std::filesystem::is_regular_file(there) || std::filesystem::is_symlink(there);
}

bool holds(const std::filesystem::path& path, const std::string& text) {
  const auto there = read_small_file(path, LabelFile::max_bytes);
  return there && *there == text;
}

std::filesystem::path without_links(const std::filesystem::path& path) {
  std::error_code ignored;
  auto real = std::filesystem::weakly_canonical(path, ignored);
  return ignored || real.empty() ? path : real;
}

// Of each folder once, in an order that is the same for all who lock several. A folder may be written and not read:
// there nobody can hold it.
Expected<std::vector<FolderLock>> lock_folders(std::vector<std::filesystem::path> folders) {
  std::sort(folders.begin(), folders.end());
  std::vector<FolderLock> locks;
  std::vector<std::filesystem::path> locked;
  for (const auto& folder : folders) {
    std::error_code ignored;
    const auto is_it = [&](const auto& other) { return std::filesystem::equivalent(folder, other, ignored); };
    if (std::any_of(locked.begin(), locked.end(), is_it)) continue;
    auto lock = FolderLock::of(folder / "labels", wants_to_end);
    if (!lock && lock.error().code == ErrorCode::interrupted) return fail(lock);
    if (!lock) continue;
    locks.push_back(std::move(*lock));
    locked.push_back(folder);
  }
  return locks;
}

}  // namespace

// The old labels of a recording, under names of their own.
class LabelsBeside::Backups {
 public:
  [[nodiscard]] Expected<void> move(const std::filesystem::path& path) {
    auto moved = move_to_backup(path);
    if (!moved) return fail(moved);
    if (!moved->empty()) moved_.push_back({path, std::move(*moved)});
    return {};
  }
  // The recording is not replaced: they are its labels again; where that fails, the error says where they are.
  void take_back(Error& error) {
    std::erase_if(moved_, [](const Moved& moved) { return rename_file_new(moved.to, moved.from).has_value(); });
    tell(error);
  }
  void tell(Error& error) const {
    for (const auto& moved : moved_)
      error.message += fmt::format("; labels that were there are in {}", moved.to.string());
  }
  void note(std::vector<std::string>& notes) const {
    for (const auto& moved : moved_)
      notes.push_back(fmt::format("{}: these labels were of what is replaced; they are kept as {}", moved.from.string(),
                                  moved.to.filename().string()));
  }

 private:
  struct Moved {
    std::filesystem::path from;
    std::filesystem::path to;
  };
  std::vector<Moved> moved_;
};

LabelsBeside::LabelsBeside(const std::filesystem::path& recording, bool force, const std::filesystem::path& own)
    : names_(along_links(recording)),
      path_(label_path(recording)),
      own_(own.empty() ? own : without_links(own)),
      possible_(can_have_labels(recording)),
      force_(force) {}

Expected<void> LabelsBeside::refuse() const {
  if (!possible_) return {};
  for (const auto& name : names_) {
    const auto labels = label_path_beside(name);
    if (without_links(labels) == own_) continue;
    if (auto ok = refuse_existing(labels, force_); !ok) return ok;
    if (!may_exist(labels) || may_exist(name)) continue;
    for (const char* other : {".sdsz", ".sds"}) {
      auto twin = name;
      twin.replace_extension(other);
      if (twin != name && may_exist(twin))
        return fail(ErrorCode::exists,
                    fmt::format("are the labels of {}, which is not replaced", twin.filename().string()), labels);
    }
  }
  return {};
}

// With label files that are links to each other as the last of the recording's names has it: the file itself is moved,
// and links stay links.
Expected<void> LabelsBeside::move_others(const std::filesystem::path& stays, Backups& old) const {
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> all;
  for (const auto& name : names_) {
    auto labels = label_path_beside(name);
    auto real = without_links(labels);
    all.emplace_back(std::move(labels), std::move(real));
  }
  std::vector<std::filesystem::path> moved{stays, own_};
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    const auto& [labels, real] = *one;
    if (!is_there(labels) || std::find(moved.begin(), moved.end(), real) != moved.end()) continue;
    if (auto done = old.move(labels); !done) return done;
    moved.push_back(real);
  }
  return {};
}

Expected<void> LabelsBeside::keep(PartialFile& recording, const std::optional<std::string>& text,
                                  std::vector<std::string>& notes) const {
  if (!possible_) return recording.keep();
  const auto real_path = without_links(path_);
  std::vector<std::filesystem::path> folders{directory_of(real_path)};
  for (const auto& name : names_)
    for (const auto& file : {name, label_path_beside(name)}) folders.push_back(directory_of(without_links(file)));
  const auto locks = lock_folders(folders);
  if (!locks) return fail(locks);
  if (auto ok = refuse(); !ok) return ok;
  const bool stays = text && holds(path_, *text);
  Backups old;
  std::optional<PartialFile> labels;
  auto named = move_others(stays ? real_path : std::filesystem::path(), old);
  if (named) named = keep_before_labels(recording, real_path, stays ? std::nullopt : text, labels);
  if (!named) {
    old.take_back(named.error());
    return named;
  }
  old.note(notes);
  if (labels) {
    if (auto kept = labels->keep(false); !kept) {
      kept.error().message += "; the new recording is there, without its labels";
      old.tell(kept.error());
      return kept;
    }
  }
  std::error_code ignored;
  const auto folder = directory_of(names_.back());
  auto done = sync_directory(folder);
  if (const auto own = directory_of(real_path); done && !std::filesystem::equivalent(own, folder, ignored))
    done = sync_directory(own);
  if (!done) {
    done.error().message += "; the new recording is there";
    old.tell(done.error());
  }
  return done;
}

// Everything that needs room on the disk comes before the recording has its name.
Expected<void> LabelsBeside::keep_before_labels(PartialFile& recording, const std::filesystem::path& path,
                                                const std::optional<std::string>& text,
                                                std::optional<PartialFile>& labels) {
  if (text) {
    auto made = PartialFile::create(path, IfExists::fail);
    if (!made) return fail(made);
    labels.emplace(std::move(*made));
    if (auto done = labels->sink().append(as_bytes(*text)); !done) return done;
  }
  return recording.keep(false);
}

void tell_what_is_there(Error& error, const std::vector<std::filesystem::path>& named,
                        const std::vector<std::string>& put_away) {
  for (const auto& file : named) error.message += fmt::format("; {} is there already", file.string());
  for (const auto& note : put_away) error.message += "; " + note;
}

}  // namespace sds
