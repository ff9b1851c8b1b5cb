// How data quality is shown: as text for people, as JSON for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "quality.hpp"

namespace sds::cli {

void print_quality(const RecordingQuality& quality, const std::vector<std::string>& broken);
nlohmann::json quality_json(const RecordingQuality& quality, const std::vector<std::string>& broken);

/// Balance and drift; prints nothing where there is neither.
void print_dataset(const std::vector<RecordingQuality>& recordings, const std::vector<Drift>& drifts,
                   const std::vector<std::string>& broken);
nlohmann::json dataset_json(const std::vector<RecordingQuality>& recordings, const std::vector<Drift>& drifts,
                            const std::vector<std::string>& broken);

}  // namespace sds::cli
