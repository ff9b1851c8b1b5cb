#include "pipeline_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "feature_plan.hpp"
#include "sds/format/names.hpp"
#include "sds/format/yaml_map.hpp"

namespace sds::pipeline {

namespace {

// Reads a pipeline file. Paths in it are relative to its folder.
class PlanReader {
 public:
  PlanReader(const std::filesystem::path& path, const PipelineOptions& options)
      : folder_(path.parent_path()), options_(options) {}

  Plan read(const YAML::Node& root, bool with_stages) {
    YamlMap top(root, "the file");
    const YAML::Node node = top.need("pipeline");
    top.finish();
    YamlMap map(node, "'pipeline'");
    Plan plan;
    plan.name = stream_name(map.need("name"), "name");
    (void)map.string("description", "");
    const YAML::Node inputs = map.need("input");
    plan.inputs = yaml_strings(inputs, "input");
    if (plan.inputs.empty() || plan.inputs.size() > 64) yaml_problem(inputs, "'input:' must name 1 to 64 streams");
    const YAML::Node stages = map.need("stages");
    map.finish();
    if (!stages.IsSequence() || stages.size() == 0)
      yaml_problem(stages, "'stages:' must be a list of at least one stage");
    if (!with_stages) return plan;
    std::set<std::string> recorded;
    for (const auto& stage : stages) {
      plan.stages.push_back(read_stage(stage));
      const std::string& record = plan.stages.back().record;
      if (!record.empty() && !recorded.insert(record).second)
        yaml_problem(stage, fmt::format("two stages record a stream '{}'", record));
    }
    if (plan.stages.back().record.empty() && recorded.contains(plan.name))
      yaml_problem(stages, fmt::format("an inner stage records a stream of the pipeline's own name '{}'", plan.name));
    return plan;
  }

 private:
  static std::string stream_name(const YAML::Node& node, const std::string& key) {
    std::string name = yaml_string(node, key);
    if (auto ok = check_stream_name(name); !ok) yaml_problem(node, ok.error().message);
    return name;
  }

  PlannedStage read_stage(const YAML::Node& node) {
    YamlMap map(node, "a stage");
    PlannedStage planned;
    planned.line = node.Mark().line + 1;
    if (const auto record = map.find("record"); record.IsDefined()) planned.record = stream_name(record, "record");
    static constexpr const char* kinds[] = {"window", "stack",  "select",   "convert",   "fft",
                                            "mfe",    "mfcc",   "filter",   "features",  "model",
                                            "argmax", "smooth", "debounce", "algorithm", "worker"};
    for (const char* kind : kinds) {
      const YAML::Node what = map.find(kind);
      if (!what.IsDefined()) continue;
      if (planned.stage != nullptr) yaml_problem(node, "one stage does one thing: this one has two");
      planned.stage = make(kind, what, map);
      planned.name = kind;
      if (planned.name == "model" || planned.name == "algorithm")
        planned.name += " " + std::filesystem::path(what.Scalar()).filename().string();
    }
    map.finish();
    if (planned.stage == nullptr) yaml_problem(node, fmt::format("a stage needs one of: {}", fmt::join(kinds, ", ")));
    return planned;
  }

  StagePtr make(const std::string& kind, const YAML::Node& node, YamlMap& stage) {
    if (kind == "select") return make_select_of(node);
    if (is_feature_stage(kind)) return make_feature_stage(kind, node);
    if (kind == "argmax") return make_argmax_of(node);
    if (kind == "model") return make_model_of(node, stage);
    if (kind == "algorithm") return make_library(node, stage);
    if (kind == "worker") return make_worker(node, stage);
    YamlMap map(node, fmt::format("stage '{}'", kind));
    StagePtr made;
    constexpr std::uint64_t kMax = 1u << 24;
    if (kind == "window") {
      const auto length = yaml_integer(map.need("length"), "length", 1, kMax);
      made = make_window(length, map.integer("stride", length, 1, kMax));
    } else if (kind == "stack") {
      const auto count = yaml_integer(map.need("count"), "count", 1, kMax);
      made = make_stack(count, map.integer("stride", 1, 1, kMax));
    } else if (kind == "smooth") {
      made = make_smooth(yaml_integer(map.need("count"), "count", 1, 100000));
    } else if (kind == "convert") {
      Conversion c;
      c.type = type_of(map.need("to"));
      c.scale = map.number("scale", 1.0);
      c.zero_point = map.number("zero-point", 0.0);
      c.gain = map.number("gain", 1.0);
      c.bias = map.number("bias", 0.0);
      if (c.scale == 0) yaml_problem(node, "'scale: 0' loses everything");
      if (!holds(c.type, c.zero_point))
        yaml_problem(node, fmt::format("'zero-point: {}' is no {}", c.zero_point, map.string("to", "")));
      made = make_convert(c);
    } else {
      Debounce d;
      d.threshold = yaml_exact_number(map.need("threshold"), "threshold");
      d.count = map.integer("count", 1, 1, 100000);
      d.hold = map.integer("hold", 0, 0, 1000000);
      d.ignore = map.strings("ignore");
      made = make_debounce(std::move(d));
    }
    map.finish();
    return made;
  }

  static bool holds(ScalarType type, double value) {
    if (is_float(type)) return true;
    const double beyond = std::ldexp(1.0, static_cast<int>(8 * size_of(type)) - (is_signed(type) ? 1 : 0));
    return value <= beyond - 1 && value >= (is_signed(type) ? -beyond : 0.0);
  }

  static StagePtr make_select_of(const YAML::Node& node) {
    auto names = yaml_strings(node, "select");
    if (names.empty()) yaml_problem(node, "'select:' must name some columns");
    refuse_repeated(node, "column", names);
    return make_select(std::move(names));
  }

  static StagePtr make_argmax_of(const YAML::Node& node) {
    if (!node.IsNull() && !(node.IsMap() && node.size() == 0) && !(node.IsScalar() && node.Scalar() == "true"))
      yaml_problem(node, "'argmax:' has no settings: write 'argmax: true'");
    return make_argmax();
  }

  // Values are named by them, so each has one of its own.
  static std::vector<std::string> labels_of(YamlMap& map) {
    auto labels = map.strings("labels");
    const std::set<std::string> different(labels.begin(), labels.end());
    for (const auto& label : different)
      if (std::count(labels.begin(), labels.end(), label) > 1)
        yaml_problem(map.node(), fmt::format("'labels:' names '{}' twice", label));
    return labels;
  }

  StagePtr make_model_of(const YAML::Node& node, YamlMap& stage) {
    ModelStage model;
    model.options.model = resolve(yaml_string(node, "model"));
    model.options.engine =
        stage.string("engine", options_.engine.empty() ? default_engine(model.options.model) : options_.engine);
    model.options.timeout = options_.timeout;
    model.options.ask = options_.ask;
    model.labels = labels_of(stage);
    const std::string input = stage.string("input", "");
    if (!input.empty() && input != "stored" && input != "physical")
      yaml_problem(node, fmt::format("'input: {}' must be stored or physical", input));
    model.quantise = input == "physical";
    model.output = stage.integer("output", 0, 0, 63);
    const auto& names = engine_names();
    if (std::find(names.begin(), names.end(), model.options.engine) == names.end())
      yaml_problem(node, fmt::format("no engine '{}'; there is: {}", model.options.engine, fmt::join(names, ", ")));
    return pipeline::make_model(std::move(model));
  }

  StagePtr make_library(const YAML::Node& node, YamlMap& stage) {
    LibraryOptions options;
    options.library = find_algorithm_library(yaml_string(node, "algorithm"), folder_);
    options.configuration = stage.string("config", "");
    options.timeout = options_.timeout;
    options.memory_limit = options_.memory_limit;
    options.fill_memory = options_.fill_memory;
    options.ask = options_.ask;
    AlgorithmStage made = read_output(stage, options.library.filename().string());
    options.arm_output = {"Out", static_cast<std::uint32_t>(made.output.elements() * size_of(made.output.type)), ""};
    made.start = [options]() -> Expected<std::unique_ptr<Algorithm>> {
      auto started = start_process_algorithm(options);
      if (started && (*started)->has_arms_functions() && !options.configuration.empty())
        return fail(ErrorCode::bad_input, "a library with Arm's three functions takes no configuration");
      return started;
    };
    return make_algorithm_stage(std::move(made));
  }

  StagePtr make_worker(const YAML::Node& node, YamlMap& stage) {
    WorkerOptions options;
    options.command = yaml_strings(node, "worker");
    options.configuration = stage.string("config", "");
    options.timeout = options_.timeout;
    options.ask = options_.ask;
    if (options.command.empty()) yaml_problem(node, "'worker:' must be a command");
    AlgorithmStage made = read_output(stage, options.command.front());
    made.start = [options] { return start_worker_algorithm(options); };
    return make_algorithm_stage(std::move(made));
  }

  // What comes out of an algorithm has no type of its own: the file says which.
  AlgorithmStage read_output(YamlMap& stage, std::string what) {
    AlgorithmStage made;
    made.what = std::move(what);
    YamlMap output(stage.need("output"), "'output'");
    made.port = output.string("port", "");
    made.output.type = type_of(output.need("type"));
    made.output.rows = 1;
    made.output.columns = output.integer("count", 1, 1, 1u << 24);
    made.output.scale = {output.number("scale", 1.0)};
    made.output.offset = {output.number("offset", 0.0)};
    made.output.names = labels_of(output);
    if (!made.output.names.empty() && made.output.names.size() != made.output.columns)
      yaml_problem(output.node(),
                   fmt::format("{} labels for {} values", made.output.names.size(), made.output.columns));
    output.finish();
    return made;
  }

  static ScalarType type_of(const YAML::Node& node) {
    static const std::vector<std::pair<std::string, ScalarType>> types{
        {"int8", ScalarType::i8},    {"uint8", ScalarType::u8},  {"int16", ScalarType::i16},
        {"uint16", ScalarType::u16}, {"int32", ScalarType::i32}, {"uint32", ScalarType::u32},
        {"float", ScalarType::f32},  {"double", ScalarType::f64}};
    std::string text = yaml_string(node, "type");
    if (text.ends_with("_t")) text.resize(text.size() - 2);
    for (const auto& [name, type] : types)
      if (name == text) return type;
    yaml_problem(node,
                 fmt::format("no type '{}'; there is: int8, uint8, int16, uint16, int32, uint32, float, double", text));
  }

  [[nodiscard]] std::filesystem::path resolve(const std::filesystem::path& path) const {
    return path.is_absolute() ? path : folder_ / path;
  }

  std::filesystem::path folder_;
  PipelineOptions options_;
};

}  // namespace

Expected<Plan> read_plan(const std::filesystem::path& path, const PipelineOptions& options, bool with_stages) {
  Plan plan;
  auto read =
      read_yaml_file(path, [&](const YAML::Node& root) { plan = PlanReader(path, options).read(root, with_stages); });
  if (!read) return fail(read);
  return plan;
}

}  // namespace sds::pipeline
