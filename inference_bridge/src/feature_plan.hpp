// The settings of the stages that compute features, as a pipeline file says them.
#pragma once

#include <string>

#include "sds/format/yaml_map.hpp"
#include "stages.hpp"

namespace sds::pipeline {

/// True of the stages that make_feature_stage() knows: fft, mfe, mfcc, filter, features.
bool is_feature_stage(const std::string& kind);
/// What is wrong is a YamlProblem.
StagePtr make_feature_stage(const std::string& kind, const YAML::Node& node);

}  // namespace sds::pipeline
