// Where symbolic links lead.
#pragma once

#include <filesystem>
#include <vector>

namespace sds {

/// `path`, and if it is a symbolic link what it leads to, and so on; the last one may still have to be made. A link
/// that leads to itself ends after as many as the system follows.
std::vector<std::filesystem::path> along_links(std::filesystem::path path);

/// The last of along_links(): a path that is no link, as it is. A link that leads to itself stays one.
std::filesystem::path behind_links(std::filesystem::path path);

}  // namespace sds
