// What a pipeline file says.
#pragma once

#include "sds/bridge/pipeline.hpp"
#include "stages.hpp"

namespace sds::pipeline {

struct PlannedStage {
  StagePtr stage;
  std::string record;  // name of the stream that it is recorded as; empty: it is not
  int line = 0;
  std::string name;  // for people: "window", "model keyword.tflite"
};

struct Plan {
  std::string name;
  std::vector<std::string> inputs;
  std::vector<PlannedStage> stages;
};

/// Reads a pipeline file; without its stages if only the rest is wanted. Errors name file and line.
Expected<Plan> read_plan(const std::filesystem::path& path, const PipelineOptions& options, bool with_stages);

}  // namespace sds::pipeline
