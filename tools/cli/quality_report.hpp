// How data quality is shown: as text for people, as JSON for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "quality.hpp"

namespace sds::cli {

/// What is told of gaps where none would be seen (docs/time.md).
inline constexpr const char* gaps_not_known = "not known: half of the blocks come together with the one before";

void print_quality(const RecordingQuality& quality, const std::vector<std::string>& broken);
nlohmann::json quality_json(const RecordingQuality& quality, const std::vector<std::string>& broken);

/// Balance and drift; prints nothing where there is neither.
void print_dataset(const std::vector<RecordingQuality>& recordings, const std::vector<Drift>& drifts,
                   const std::vector<std::string>& broken);
nlohmann::json dataset_json(const std::vector<RecordingQuality>& recordings, const std::vector<Drift>& drifts,
                            const std::vector<std::string>& broken);

}  // namespace sds::cli
