// Whether a file may be replaced, or somebody may be recording it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace sds {

/// Why what stands at `path` must not be replaced: it is being recorded, or nothing tells whether it is; none: it may
/// be. Reads the beginning and the end of a `.sdsz`, whatever its size.
std::optional<std::string> why_not_replaced(const std::filesystem::path& path);

}  // namespace sds
