// What commands that make files or change labels share.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "folder_lock.hpp"
#include "options.hpp"

namespace sds::cli {

/// For options that name an output: `-` is an error, where a command cannot write to standard output.
ValueRule no_standard_output();

/// For options that name a file to write: no_standard_output(), and names that end like another format (wrong_ending())
/// are errors.
ValueRule named_like(std::vector<std::string> endings);

/// The same of a .sdsz: nobody could read it by the name of a plain recording.
ValueRule names_recording();

/// For options that name a folder to make: no_standard_output(), and names of files are errors (names_file()).
ValueRule names_new_folder();

/// Whether `output` is a folder that is there, or is named like one: it ends in /.
bool names_folder(const std::filesystem::path& output);

/// A folder that an export makes, with those above it: what is left empty of them, as where it fails, goes at the end.
class MadeFolder {
 public:
  explicit MadeFolder(const std::filesystem::path& folder);
  ~MadeFolder();
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;

 private:
  std::filesystem::path first_;  // of those that are not there yet; empty: none
};

/// What is wrong with the name of a file of a format with these endings (".csv"), whose own ending is that of another
/// format that is read or written here; "" if nothing is, as of an ending that nobody knows.
std::string wrong_ending(const std::filesystem::path& file, const std::vector<std::string>& endings);

/// What is wrong with the name of a folder that is to be made, if it has such an ending; "" of one that is there, or
/// ends in /.
std::string names_file(const std::filesystem::path& folder);

/// Held by who reads a label file, changes and replaces it; ends the wait when the user does, and warns where the file
/// system has no locks.
Expected<FolderLock> lock_labels(const std::filesystem::path& path);

}  // namespace sds::cli
