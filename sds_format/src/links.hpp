#pragma once

#include <filesystem>

namespace sds {

/// What a symbolic link leads to, which may still have to be made; a path that is none, as it is. A link that leads to
/// itself stays one.
std::filesystem::path behind_links(std::filesystem::path path);

}  // namespace sds
