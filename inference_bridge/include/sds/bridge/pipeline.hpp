// Chains of windows, conversions, models and algorithms, described in YAML (docs/pipelines.md).
#pragma once

#include <functional>

#include "sds/bridge/algorithm.hpp"
#include "sds/bridge/engine.hpp"
#include "sds/format/recording.hpp"

namespace sds {

struct PipelineOptions {
  std::string engine;  ///< for every model that does not name one; empty: default_engine()
  std::chrono::milliseconds timeout{30000};
  // Of each compiled algorithm in the pipeline, see LibraryOptions:
  std::uint64_t memory_limit = std::uint64_t{2} << 30;
  std::uint8_t fill_memory = 0;
  std::function<Expected<void>()> ask;
};

/// Names of the streams that a pipeline file reads, in the order of its inputs.
Expected<std::vector<std::string>> pipeline_inputs(const std::filesystem::path& path);

/// Makes the pipeline of `path` for streams of these layouts, one for each of its inputs. Errors name file and line.
/// Every stage that records is an output, in the order of the file; the last stage always is.
Expected<std::unique_ptr<Algorithm>> make_pipeline(const std::filesystem::path& path,
                                                   const std::vector<const StreamInfo*>& inputs,
                                                   const PipelineOptions& options);

/// The pipeline that `--model` stands for: the stream's samples are cut into the windows that the model takes,
/// converted to the type of its input tensor where that differs, and run. `info` describes the model.
Expected<std::unique_ptr<Algorithm>> make_model_pipeline(const ModelOptions& model, const StreamInfo& input,
                                                         ModelInfo& info);

}  // namespace sds
