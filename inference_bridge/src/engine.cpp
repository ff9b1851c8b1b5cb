#include "sds/bridge/engine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "sds/format/limits.hpp"

namespace sds {

namespace {

namespace fs = std::filesystem;

// Where the Python files of this build or installation are.
std::optional<fs::path> worker_script() {
  std::error_code error;
  const auto here = program_path().parent_path();
  for (const auto& folder : {here / "../python", here / "../libexec/sdskit/python"})
    if (fs::exists(folder / "engine_worker.py", error)) return fs::weakly_canonical(folder / "engine_worker.py", error);
  return std::nullopt;
}

TensorInfo parse_tensor(const nlohmann::json& json) {
  TensorInfo tensor;
  tensor.name = json.at("name");
  tensor.dtype = json.at("dtype");
  tensor.shape = json.at("shape").get<std::vector<std::uint32_t>>();
  tensor.bytes = json.at("bytes");
  if (json.contains("scale")) {
    tensor.scale = json.at("scale").get<std::vector<double>>();
    tensor.zero_point = json.at("zero_point").get<std::vector<double>>();
  }
  return tensor;
}

NpuEstimate parse_npu(const nlohmann::json& json) {
  NpuEstimate npu;
  npu.accelerator = json.value("accelerator", "");
  npu.system = json.value("system", "");
  npu.cycles = json.value("cycles", 0.0);
  npu.seconds = json.value("seconds", 0.0);
  npu.sram_kib = json.value("sram_kib", 0.0);
  npu.flash_kib = json.value("flash_kib", 0.0);
  npu.macs = json.value("macs", 0.0);
  npu.npu_operators = json.value("npu_operators", 0);
  npu.cpu_operators = json.value("cpu_operators", 0);
  npu.fallbacks = json.value("fallbacks", std::vector<std::string>{});
  return npu;
}

Expected<ModelInfo> parse_info(const std::string& greeting) {
  try {
    const auto json = nlohmann::json::parse(greeting);
    ModelInfo info;
    info.engine = json.at("engine");
    for (const auto& entry : json.at("inputs")) info.inputs.push_back(parse_tensor(entry));
    for (const auto& entry : json.at("outputs")) info.outputs.push_back(parse_tensor(entry));
    info.operators = json.value("operators", std::map<std::string, int>{});
    info.arena = json.value("arena", std::map<std::string, std::uint64_t>{});
    info.model_bytes = json.value("model_bytes", std::uint64_t{0});
    if (json.contains("npu")) info.npu = parse_npu(json["npu"]);
    return info;
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::bad_input, fmt::format("the engine describes its model wrongly: {}", error.what()));
  }
}

std::string package_of(const std::string& engine) { return engine == "litert-ref" ? "litert" : engine; }

tl::unexpected<Error> not_installed(const std::string& engine) {
  return fail(ErrorCode::unsupported,
              fmt::format("the engine {} is not installed: run sds-install-engines {}", engine, package_of(engine)));
}

// Looked for in the environment's folder: starting an interpreter to ask would take longer than the model.
bool has_package(const fs::path& python, const std::string& engine) {
  const std::string folder = engine == "tflm" ? "tflite_micro" : engine == "onnx" ? "onnxruntime" : "ai_edge_litert";
  std::error_code error;
  for (const auto& version : fs::directory_iterator(python.parent_path().parent_path() / "lib", error))
    if (fs::exists(version.path() / "site-packages" / folder, error)) return true;
  return false;
}

}  // namespace

std::size_t TensorInfo::elements() const {
  std::size_t count = 1;
  for (const auto n : shape) count *= n;
  return count;
}

std::optional<ScalarType> TensorInfo::type() const {
  static const std::map<std::string, ScalarType> types{{"int8", ScalarType::i8},     {"uint8", ScalarType::u8},
                                                       {"int16", ScalarType::i16},   {"uint16", ScalarType::u16},
                                                       {"int32", ScalarType::i32},   {"uint32", ScalarType::u32},
                                                       {"int64", ScalarType::i64},   {"uint64", ScalarType::u64},
                                                       {"float32", ScalarType::f32}, {"float64", ScalarType::f64}};
  const auto found = types.find(dtype);
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

std::string TensorInfo::to_string() const { return fmt::format("{} [{}]", dtype, fmt::join(shape, ", ")); }

const std::vector<std::string>& engine_names() {
  static const std::vector<std::string> names{"tflm", "litert", "litert-ref", "onnx"};
  return names;
}

std::string default_engine(const fs::path& model) { return model.extension() == ".onnx" ? "onnx" : "tflm"; }

std::optional<fs::path> engine_python() {
  fs::path folder;
  if (const char* set = std::getenv("SDSKIT_ENGINES"); set != nullptr && *set != 0) {
    folder = set;
  } else if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != 0) {
    folder = fs::path(data) / "sdskit/engines";
  } else if (const char* home = std::getenv("HOME"); home != nullptr) {
    folder = fs::path(home) / ".local/share/sdskit/engines";
  }
  std::error_code error;
  const auto python = folder / "bin/python";
  return fs::exists(python, error) ? std::optional(python) : std::nullopt;
}

Expected<std::unique_ptr<Algorithm>> start_model(const ModelOptions& options, ModelInfo& info) {
  std::error_code error;
  const auto& names = engine_names();
  if (std::find(names.begin(), names.end(), options.engine) == names.end())
    return fail(ErrorCode::usage, fmt::format("no engine '{}'; there is: {}", options.engine, fmt::join(names, ", ")));
  if (!fs::is_regular_file(options.model, error)) return fail(ErrorCode::io, "no such model", options.model);
  const auto python = engine_python();
  if (!python || !has_package(*python, options.engine)) return not_installed(options.engine);
  const auto script = worker_script();
  if (!script) return fail(ErrorCode::io, "engine_worker.py is missing from this installation of sdskit");
  WorkerOptions worker;
  worker.command = {python->string(), "-B", script->string()};
  worker.configuration = nlohmann::json{
      {"engine", options.engine},
      {"model", fs::absolute(options.model, error).string()},
      {"describe", options.describe},
      {"npu", options.npu}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  worker.timeout = options.timeout;
  worker.ask = options.ask;
  // One thread: numpy's own would spin beside the engine, and sums must not depend on the number of cores.
  worker.environment = {"OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1"};
  std::string greeting;
  auto algorithm = start_worker_algorithm(worker, greeting);
  if (!algorithm) {
    // The engine names the model in full; the user knows it by the name that was given.
    std::string& message = algorithm.error().message;
    const std::string full = fs::absolute(options.model, error).string() + " ";
    if (message.starts_with(full)) message.erase(0, full.size());
    if (algorithm.error().code == ErrorCode::bad_input) algorithm.error().path = options.model;
    return fail(algorithm);
  }
  auto parsed = parse_info(greeting);
  if (!parsed) return fail(parsed);
  info = std::move(*parsed);
  return std::move(*algorithm);
}

}  // namespace sds
