// How results look that more than one command prints.
#pragma once

#include <nlohmann/json.hpp>

#include "sds/bridge/replay_run.hpp"
#include "sds/tools/compare.hpp"

namespace sds::cli {

void print_comparison(const RecordingComparison& result);
nlohmann::json comparison_json(const RecordingComparison& result);

/// "CHANNEL=ABS", or "ABS" for all channels.
Expected<void> parse_tolerances(const std::vector<std::string>& texts, CompareOptions& options);

void print_run(const RunReport& run);
nlohmann::json run_json(const RunReport& run);

}  // namespace sds::cli
