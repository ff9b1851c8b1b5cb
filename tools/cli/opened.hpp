// The recordings that a command reads, and what turned out to be damaged in them: every command opens them here, so
// that none can forget to say so.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>

#include "sds/format/recording.hpp"
#include "time_ranges.hpp"

namespace sds::cli {

/// Recording::open(), remembered. Thread-safe. What is plainly something else (metadata, labels, a log) is refused.
Expected<Recording> open_recording(std::span<const std::filesystem::path> paths, const Recording::Options& options);
Expected<Recording> open_recording(const std::filesystem::path& path, const Recording::Options& options);
/// The same for who tells of damage, and of a recording that was not closed, by itself.
Expected<Recording> open_untold(std::span<const std::filesystem::path> paths, const Recording::Options& options);

/// Refuses what is plainly something else: metadata, labels, a log.
Expected<void> refuse_companion(const std::filesystem::path& path);

/// Of a recording that was opened only the part `within` matters: damage that is known to lie outside is not told.
void tell_only_within(const Recording& recording, const StreamTimes& within);

/// Whether open_recording() has opened any.
bool has_opened_recordings();

/// Damage known by now, for the key `damages` of reports: of all recordings that were opened, by path; or a list, with
/// its recording and the ids of the streams that it counts.
nlohmann::json damages_json();
nlohmann::json damages_json(const std::vector<Damage>& damages, const std::filesystem::path& recording,
                            const std::vector<std::string>& streams);

/// The recordings that were opened and have no end (is_closed()), for the key `not_closed` of reports.
nlohmann::json not_closed_json();

/// Why a recording has no end, for a command that says so in its own output; nothing says it again.
std::optional<std::string> tell_not_closed(const Recording& recording);

/// "at byte 1234: Imu: <reason>", with what is known; `streams` are the ids that Damage::stream counts.
std::string describe(const Damage& damage, const std::vector<std::string>& streams);

/// The ids of a recording's streams, as Damage::stream counts them.
std::vector<std::string> stream_ids(const Recording& recording);

/// When the command is done: says on stderr what could not be read, and what was not closed, once each. Returns
/// `exit_code`, or 3 where that is 0 and anything was damaged.
int tell_damages(int exit_code);

}  // namespace sds::cli
