// What commands that make files or change labels share.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>

#include "sds/tools/folder_lock.hpp"

namespace sds::cli {

/// For options that name an output: `-` is an error, where a command cannot write to standard output.
CLI::Validator no_standard_output();

/// Held by who reads a label file, changes and replaces it; ends the wait when the user does, and warns where the file
/// system has no locks.
Expected<FolderLock> lock_labels(const std::filesystem::path& path);

}  // namespace sds::cli
