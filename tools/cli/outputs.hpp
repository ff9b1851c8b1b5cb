// What commands that make files or change labels share.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>

#include "sds/tools/folder_lock.hpp"

namespace sds::cli {

/// For options that name an output: `-` is an error, where a command cannot write to standard output.
CLI::Validator no_standard_output();

/// For options that name a .sdsz to write: no_standard_output(), and names of plain recordings are errors, for nobody
/// could read the file by them.
CLI::Validator names_recording();

/// Held by who reads a label file, changes and replaces it; ends the wait when the user does, and warns where the file
/// system has no locks.
Expected<FolderLock> lock_labels(const std::filesystem::path& path);

}  // namespace sds::cli
