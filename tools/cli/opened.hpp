// The recordings that a command reads, and what turned out to be damaged in them: every command opens them here, so
// that none can forget to say so.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "sds/format/recording.hpp"

namespace sds::cli {

/// Recording::open(), remembered. Thread-safe.
Expected<Recording> open_recording(std::span<const std::filesystem::path> paths, const Recording::Options& options);
Expected<Recording> open_recording(const std::filesystem::path& path, const Recording::Options& options);

/// Damage known by now, for reports: of all recordings that were opened, by path; of one; or a list, with the ids of
/// the streams that it counts.
nlohmann::json damages_json();
nlohmann::json damages_json(const Recording& recording);
nlohmann::json damages_json(const std::vector<Damage>& damages, const std::vector<std::string>& streams);

/// When the command is done: says on stderr what could not be read, once each. Returns `exit_code`, or 3 where that is
/// 0 and anything was damaged.
int tell_damages(int exit_code);

}  // namespace sds::cli
