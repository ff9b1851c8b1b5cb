// Models in inference engines: TensorFlow Lite Micro, LiteRT, ONNX Runtime. Each runs in a worker with a Python
// environment of its own, which `sds-install-engines` makes.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "sds/bridge/algorithm.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

struct TensorInfo {
  std::string name;
  std::string dtype;  ///< numpy's name: "int8", "float32"
  std::vector<std::uint32_t> shape;
  std::uint32_t bytes = 0;
  std::vector<double> scale;       ///< real value = (stored - zero_point) * scale; empty: not quantised
  std::vector<double> zero_point;  ///< one for all elements, or one for each channel
  [[nodiscard]] std::size_t elements() const;
  [[nodiscard]] std::optional<ScalarType> type() const;
  /// "int8 [1, 1960]"
  [[nodiscard]] std::string to_string() const;
};

/// Arm's Vela compiler's expectation of the model on an Ethos-U.
struct NpuEstimate {
  std::string accelerator;
  std::string system;
  double cycles = 0;
  double seconds = 0;  ///< of one inference
  double sram_kib = 0;
  double flash_kib = 0;
  double macs = 0;
  int npu_operators = 0;
  int cpu_operators = 0;  ///< that the NPU cannot run
  std::vector<std::string> fallbacks;
};

struct ModelInfo {
  std::string engine;  ///< with its version
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::map<std::string, int> operators;        ///< name to count; empty where the engine does not tell
  std::map<std::string, std::uint64_t> arena;  ///< bytes, by part ("total"); TensorFlow Lite Micro only
  std::uint64_t model_bytes = 0;
  std::optional<NpuEstimate> npu;
};

struct ModelOptions {
  std::filesystem::path model;
  std::string engine = "tflm";  ///< see engine_names()
  bool describe = false;        ///< have `arena` filled in
  std::string npu;              ///< Vela's name of an accelerator to estimate for: "ethos-u55-128"
  std::chrono::milliseconds timeout{30000};
  std::function<Expected<void>()> ask;  ///< see LibraryOptions
};

const std::vector<std::string>& engine_names();

/// "onnx" for an .onnx model, else "tflm".
std::string default_engine(const std::filesystem::path& model);

/// Loads a model into an engine. A block must hold the model's input tensors, one behind the other. An engine that is
/// not installed is ErrorCode::unsupported, with the command that installs it; so is a model that it cannot run.
Expected<std::unique_ptr<Algorithm>> start_model(const ModelOptions& options, ModelInfo& info);

/// The Python interpreter that sdskit's own workers run in, if it has been installed.
std::optional<std::filesystem::path> engine_python();

}  // namespace sds
