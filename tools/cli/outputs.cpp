#include "outputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "command.hpp"
#include "progress_line.hpp"

namespace sds::cli {

namespace {

// "walk.CSV": ".csv"; "" where that is the ending of no format that is read or written here.
std::string known_ending(const std::filesystem::path& path) {
  static const std::set<std::string> known{
      ".aif", ".aifc",   ".aiff", ".au",  ".caf", ".cbor",  ".csv", ".flac", ".h5",   ".hdf5", ".html", ".json",
      ".mat", ".mcap",   ".mp3",  ".npy", ".npz", ".oga",   ".ogg", ".opus", ".png",  ".rf64", ".sds",  ".sdsz",
      ".svg", ".tflite", ".voc",  ".w64", ".wav", ".wavex", ".xdf", ".xml",  ".yaml", ".yml",  ".zip"};
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return known.contains(ending) ? ending : "";
}

}  // namespace

MadeFolder::MadeFolder(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (auto at = folder.has_filename() ? folder : folder.parent_path();
       !at.empty() && !std::filesystem::exists(std::filesystem::symlink_status(at, ignored)); at = at.parent_path())
    first_ = at;
}

MadeFolder::~MadeFolder() {
  std::error_code ignored;
  if (first_.empty() || !std::filesystem::is_directory(std::filesystem::symlink_status(first_, ignored))) return;
  std::vector<std::filesystem::path> folders{first_};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(first_, ignored))
    if (std::filesystem::is_directory(entry.symlink_status(ignored))) folders.push_back(entry.path());
  // From the innermost on; what has something in it stays.
  std::sort(folders.begin(), folders.end(),
            [](const auto& a, const auto& b) { return a.native().size() > b.native().size(); });
  for (const auto& one : folders) std::filesystem::remove(one, ignored);
}

bool names_folder(const std::filesystem::path& output) {
  std::error_code ignored;
  return output.native().ends_with('/') || std::filesystem::is_directory(output, ignored);
}

std::string wrong_ending(const std::filesystem::path& file, const std::vector<std::string>& endings) {
  const std::string ending = known_ending(file);
  if (ending.empty() || std::find(endings.begin(), endings.end(), ending) != endings.end()) return "";
  std::string right;
  for (const auto& one : endings) right += (right.empty() ? "" : " or ") + one;
  return fmt::format("{} ends like another format: what is written here is called {}", file.string(), right);
}

std::string names_file(const std::filesystem::path& folder) {
  if (names_folder(folder) || known_ending(folder).empty()) return "";
  return folder.string() + " is the name of a file, and what is made is a directory (one may end in /)";
}

ValueRule no_standard_output() {
  return ValueRule([](std::string& name) {
    return name == "-" ? std::string("standard output is not possible here: give a name") : std::string();
  });
}

ValueRule named_like(std::vector<std::string> endings) {
  return ValueRule([endings = std::move(endings)](std::string& name) {
    if (name == "-") return std::string("standard output is not possible here: give a name");
    return names_folder(name) ? "" : wrong_ending(name, endings);
  });
}

ValueRule names_recording() {
  return ValueRule([](std::string& name) {
    if (name == "-") return std::string("standard output is not possible here: give a name");
    if (std::filesystem::path(name).extension() == ".sds")
      return name + " is the name of a plain recording: call it .sdsz";
    return names_folder(name) ? "" : wrong_ending(name, {".sdsz"});
  });
}

ValueRule names_new_folder() {
  return ValueRule([](std::string& name) {
    return name == "-" ? std::string("standard output is not possible here: give a name") : names_file(name);
  });
}

Expected<FolderLock> lock_labels(const std::filesystem::path& path) {
  auto lock = FolderLock::of(path, interrupted);
  if (lock && !lock->holds()) warn("this file system has no locks: do not change the labels twice at the same time");
  return lock;
}

}  // namespace sds::cli
