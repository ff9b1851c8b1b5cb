#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "progress_line.hpp"
#include "report.hpp"
#include "sds/bridge/engine.hpp"

namespace sds::cli {

namespace {

struct ModelArguments {
  std::filesystem::path model;
  std::string engine;
  std::string npu;
  bool json = false;
};

void print_tensors(const char* title, const std::vector<TensorInfo>& tensors) {
  for (const auto& tensor : tensors) {
    fmt::print("{}  {:<18} {:>9}  {}", title, tensor.to_string(), fmt::format("{} B", grouped(tensor.bytes)),
               tensor.name);
    if (tensor.scale.size() == 1) fmt::print("  value = (stored - {}) * {:.6g}", tensor.zero_point[0], tensor.scale[0]);
    if (tensor.scale.size() > 1) fmt::print("  quantised by channel ({})", tensor.scale.size());
    fmt::print("\n");
  }
}

void print_npu(const NpuEstimate& npu) {
  fmt::print("npu        {} ({}), as Vela estimates it:\n", npu.accelerator, npu.system);
  fmt::print("             {} cycles, {} an inference, {} MACs\n", grouped(static_cast<std::uint64_t>(npu.cycles)),
             human_seconds(npu.seconds), grouped(static_cast<std::uint64_t>(npu.macs)));
  fmt::print("             {:.1f} KiB SRAM, {:.1f} KiB flash\n", npu.sram_kib, npu.flash_kib);
  fmt::print("             {} operators on the NPU, {} left to the CPU\n", npu.npu_operators, npu.cpu_operators);
  for (const auto& fallback : npu.fallbacks) fmt::print("             on the CPU: {}\n", fallback);
}

void print_text(const ModelArguments& o, const ModelInfo& info) {
  fmt::print("{}: {}\n", o.model.string(), human_bytes(info.model_bytes));
  fmt::print("engine     {}\n", info.engine);
  print_tensors("input    ", info.inputs);
  print_tensors("output   ", info.outputs);
  if (!info.operators.empty()) {
    std::vector<std::string> operators;
    for (const auto& [name, count] : info.operators)
      operators.push_back(count == 1 ? name : fmt::format("{} x {}", count, name));
    fmt::print("operators  {}\n", fmt::join(operators, ", "));
  }
  if (const auto total = info.arena.find("total"); total != info.arena.end()) {
    const auto part = [&](const char* name) {
      const auto found = info.arena.find(name);
      return found == info.arena.end() ? 0 : found->second;
    };
    fmt::print("arena      {} bytes: {} for tensors in use at the same time, {} that stay\n", grouped(total->second),
               grouped(part("head")), grouped(part("tail")));
  }
  if (info.npu) print_npu(*info.npu);
}

nlohmann::json to_json(const ModelInfo& info) {
  nlohmann::json json{
      {"engine", info.engine}, {"model_bytes", info.model_bytes},   {"operators", info.operators},
      {"arena", info.arena},   {"inputs", nlohmann::json::array()}, {"outputs", nlohmann::json::array()}};
  for (const auto* side : {"inputs", "outputs"})
    for (const auto& t : *side == 'i' ? info.inputs : info.outputs)
      json[side].push_back({{"name", t.name},
                            {"dtype", t.dtype},
                            {"shape", t.shape},
                            {"bytes", t.bytes},
                            {"scale", t.scale},
                            {"zero_point", t.zero_point}});
  if (info.npu)
    json["npu"] = {{"accelerator", info.npu->accelerator},
                   {"system", info.npu->system},
                   {"cycles", info.npu->cycles},
                   {"seconds", info.npu->seconds},
                   {"sram_kib", info.npu->sram_kib},
                   {"flash_kib", info.npu->flash_kib},
                   {"macs", info.npu->macs},
                   {"npu_operators", info.npu->npu_operators},
                   {"cpu_operators", info.npu->cpu_operators},
                   {"fallbacks", info.npu->fallbacks}};
  return json;
}

int run_info(const ModelArguments& o) {
  ModelOptions options;
  options.model = o.model;
  options.engine = o.engine.empty() ? default_engine(o.model) : o.engine;
  options.describe = true;
  options.npu = o.npu;
  options.ask = may_go_on;
  ModelInfo info;
  auto model = start_model(options, info);
  if (!model) return fail_with(model.error());
  if (o.json) {
    print_json(to_json(info));
  } else {
    print_text(o, info);
  }
  return 0;
}

}  // namespace

void add_model(Command& app, Run& run) {
  auto* command = app.add_subcommand("model", "Look at models");
  command->require_subcommand(1);
  auto* info = command->add_subcommand("info", "Inputs, outputs, quantisation, operators and memory of a model");
  auto o = std::make_shared<ModelArguments>();
  info->add_option("model", o->model, "The model (.tflite or .onnx)")->required()->type_name("FILE");
  info->add_option("--engine", o->engine, "tflm (default), litert, litert-ref or onnx")->type_name("ENGINE");
  info->add_option("--npu", o->npu, "Also estimate cycles and memory on this Arm NPU, for example ethos-u55-128")
      ->check(
          one_of({"ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512",
                  "ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048"}))
      ->type_name("NPU");
  info->add_flag("--json", o->json, "Report as JSON");
  info->footer(
      "Engines are installed with sds-install-engines. The arena is what TensorFlow Lite Micro allocates on this "
      "machine;\n"
      "a 32-bit target needs a little less.\n\nExample: sds model info data/motion/motion.tflite --npu ethos-u55-128");
  info->callback([o, &run] { run = [o] { return run_info(*o); }; });
}

}  // namespace sds::cli
