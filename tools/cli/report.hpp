// How results look that more than one command prints.
#pragma once

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "compare.hpp"
#include "sds/bridge/replay_run.hpp"
#include "sds/format/exact_value.hpp"

namespace sds::cli {

/// A value, or null where it is not known.
template <class T>
nlohmann::json or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

/// A path, or null where there is none.
inline nlohmann::json text_or_null(const std::filesystem::path& path) {
  return path.empty() ? nlohmann::json(nullptr) : nlohmann::json(path.string());
}

/// A whole report. One with `damages` gets `not_closed`, too: the recordings that were opened and have no end. Errors
/// that were told are in it as `errors`. A number that is none (NaN) is null, infinities are "inf" and "-inf".
void print_json(const nlohmann::json& report, std::FILE* to = stdout);
/// Of a command that failed before it had a report: one with `errors`, and `damages` if it had opened a recording.
void print_json_errors();

/// A whole number (is_whole()) with all its digits, null where these are not known; others as doubles.
nlohmann::json value_json(const ExactNumber& value, bool whole);

/// `equal_where` goes on from "equal": how far that goes.
void print_comparison(const RecordingComparison& result, std::string_view equal_where = {});
nlohmann::json comparison_json(const RecordingComparison& result);

/// "CHANNEL=ABS", or "ABS" for all channels; of `relative` shares.
Expected<void> parse_tolerances(const std::vector<std::string>& absolute, const std::vector<std::string>& relative,
                                CompareOptions& options);

void print_run(const RunReport& run);
nlohmann::json run_json(const RunReport& run);

}  // namespace sds::cli
