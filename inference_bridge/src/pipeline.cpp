#include "sds/bridge/pipeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <numeric>

#include "sds/bridge/yaml_map.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "stages.hpp"

namespace sds {

namespace {

using namespace pipeline;

struct PlannedStage {
  StagePtr stage;
  std::string record;  // name of the stream that it is recorded as; empty: it is not
  int line = 0;
};

struct Plan {
  std::string name;
  std::vector<std::string> inputs;
  std::vector<PlannedStage> stages;
};

// Turns a stream's blocks into rows: as they are where all channels have one type, else as floats of physical values.
class Source {
 public:
  Expected<FrameType> bind(const StreamInfo& stream) {
    type_.tick_frequency = stream.tick_frequency();
    if (!stream.metadata) {
      // Without metadata a block is a row of bytes of any number.
      type_.type = ScalarType::u8;
      return type_;
    }
    metadata_ = *stream.metadata;
    const auto& channels = metadata_->channels;
    type_.type = channels[0].type;
    for (const auto& channel : channels) {
      if (channel.type != type_.type || channel.bits != 0 || size_of(channel.type) == 3) as_floats_ = true;
      for (std::size_t i = 0; i < channel.count(); ++i) {
        type_.names.push_back(channel.count() == 1 ? channel.name : fmt::format("{}[{}]", channel.name, i));
        type_.scale.push_back(channel.scale);
        type_.offset.push_back(channel.offset);
      }
    }
    type_.columns = type_.names.size();
    type_.scale.erase(type_.scale.begin());
    type_.offset.erase(type_.offset.begin());
    if (as_floats_) {
      type_.type = ScalarType::f32;
      type_.scale = {1.0};
      type_.offset = {0.0};
    }
    for (auto* values : {&type_.scale, &type_.offset})
      if (std::equal(values->begin() + 1, values->end(), values->begin())) values->resize(1);
    if (metadata_->sample_frequency) {
      const std::uint64_t above =
          std::uint64_t{type_.tick_frequency.numerator} * metadata_->sample_frequency->denominator;
      const std::uint64_t below =
          std::uint64_t{type_.tick_frequency.denominator} * metadata_->sample_frequency->numerator;
      const std::uint64_t common = std::gcd(above, below);
      type_.ticks_numerator = above / common;
      type_.ticks_denominator = below / common;
    }
    return type_;
  }

  // The rows of a block; valid until the next call.
  Expected<ByteView> rows(ByteView block) {
    if (!metadata_) return block;
    if (block.size() % metadata_->sample_bytes != 0)
      return fail(ErrorCode::bad_input, fmt::format("a block of {} bytes is no whole number of samples of {} bytes",
                                                    block.size(), metadata_->sample_bytes));
    if (!as_floats_) return block;
    floats_.clear();
    for (; !block.empty(); block = block.subspan(metadata_->sample_bytes))
      for (const auto& channel : metadata_->channels)
        for (std::size_t i = 0; i < channel.count(); ++i)
          append_le(floats_, static_cast<float>(raw_value(channel, block.data(), i) * channel.scale + channel.offset));
    return ByteView(floats_);
  }

  [[nodiscard]] const FrameType& type() const { return type_; }

 private:
  FrameType type_;
  std::optional<Metadata> metadata_;
  bool as_floats_ = false;
  Bytes floats_;
};

// Several streams become one: each row of the first one, and beside it the newest row of every other stream that is not
// later than it, among the blocks that have been delivered: what a device would have had in hand at that moment.
class Alignment {
 public:
  Expected<FrameType> bind(std::vector<Source>& sources) {
    FrameType out = sources[0].type();
    out.type = ScalarType::f32;
    out.columns = 0;
    out.scale = {1.0};
    out.offset = {0.0};
    out.names.clear();
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const FrameType& in = sources[i].type();
      if (in.ticks_numerator == 0)
        return fail(ErrorCode::bad_input,
                    "streams can only be joined if their metadata have a sample-frequency: their samples need times");
      out.columns += in.columns;
      for (std::size_t c = 0; c < in.columns; ++c)
        out.names.push_back(fmt::format("{}.{}", i, c < in.names.size() ? in.names[c] : std::to_string(c)));
      types_.push_back(in);
    }
    waiting_.resize(sources.size());
    newest_.resize(sources.size());
    return out;
  }

  // Takes rows of stream `port`; those of stream 0 come out joined. The tick of the first that does is set.
  ByteView push(std::size_t port, std::uint64_t tick, ByteView rows, std::uint64_t& first_tick) {
    const FrameType& type = types_[port];
    const std::size_t count = rows.size() / type.row_bytes();
    joined_.clear();
    for (std::size_t r = 0; r < count; ++r) {
      std::vector<float> values;
      for (std::size_t c = 0; c < type.columns; ++c)
        values.push_back(static_cast<float>(
            load_value(type.type, rows.data() + r * type.row_bytes() + c * size_of(type.type)) * type.scale_of(c) +
            type.offset_of(c)));
      const Instant time{type.tick_of(tick, r), type.tick_frequency};
      if (port != 0) {
        waiting_[port].push_back({time, std::move(values)});
        if (waiting_[port].size() > kMaxWaiting) waiting_[port].pop_front();
        continue;
      }
      if (!catch_up(time)) continue;  // another stream has not begun
      if (joined_.empty()) first_tick = time.tick;
      for (const float v : values) append_le(joined_, v);
      for (std::size_t other = 1; other < newest_.size(); ++other)
        for (const float v : newest_[other]) append_le(joined_, v);
    }
    return joined_;
  }

  void reset() {
    for (auto& rows : waiting_) rows.clear();
    for (auto& row : newest_) row.clear();
  }

 private:
  static constexpr std::size_t kMaxWaiting = 1u << 20;
  struct Row {
    Instant time;
    std::vector<float> values;
  };

  bool catch_up(const Instant& time) {
    bool all = true;
    for (std::size_t other = 1; other < waiting_.size(); ++other) {
      auto& rows = waiting_[other];
      while (!rows.empty() && compare(rows.front().time, time) != std::strong_ordering::greater) {
        newest_[other] = std::move(rows.front().values);
        rows.pop_front();
      }
      all = all && !newest_[other].empty();
    }
    return all;
  }

  std::vector<FrameType> types_;
  std::vector<std::deque<Row>> waiting_;
  std::vector<std::vector<float>> newest_;
  Bytes joined_;
};

class Pipeline final : public Algorithm, private Observer {
 public:
  Expected<void> bind(Plan plan, const std::vector<const StreamInfo*>& inputs, const std::filesystem::path& path) {
    inputs_ = plan.inputs;
    stages_ = std::move(plan.stages);
    if (stages_.back().record.empty()) stages_.back().record = plan.name;
    for (const auto* stream : inputs) {
      sources_.emplace_back();
      if (auto bound = sources_.back().bind(*stream); !bound) return fail(bound);
    }
    FrameType type = sources_[0].type();
    if (sources_.size() > 1) {
      auto joined = alignment_.bind(sources_);
      if (!joined) {
        joined.error().path = path;
        return fail(joined);
      }
      type = std::move(*joined);
    }
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      stages_[i].stage->report_to(*this);
      auto bound = stages_[i].stage->bind(type);
      if (!bound) {
        Error error = bound.error();
        if (error.code == ErrorCode::bad_input && error.path.empty()) {
          error.path = path;
          // The stage of a plain --model comes from no file.
          if (stages_[i].line > 0) error.message = fmt::format("line {}: {}", stages_[i].line, error.message);
        }
        return tl::unexpected<Error>(std::move(error));
      }
      type = std::move(*bound);
      ports_.push_back(-1);
      if (stages_[i].record.empty()) continue;
      ports_.back() = static_cast<int>(outputs_.size());
      const auto bytes = static_cast<std::uint32_t>(type.elements() * size_of(type.type));
      outputs_.push_back({stages_[i].record, bytes, type.to_yaml(stages_[i].record)});
    }
    return {};
  }

  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<OutputPort>& outputs() const override { return outputs_; }

  Expected<void> reset() override {
    if (failure_) return tl::unexpected<Error>(*failure_);
    blocks_.clear();
    taken_ = false;
    bytes_on_the_way_ = 0;
    alignment_.reset();
    for (auto& stage : stages_)
      if (auto done = stage.stage->reset(); !done) return done;
    return {};
  }
  Expected<void> note_gap() override { return reset(); }

  bool can_submit(std::size_t bytes) const override {
    const std::size_t waiting = blocks_.size() - (taken_ ? 1 : 0);
    return waiting == 0 || (waiting < kMaxBlocks && bytes_on_the_way_ + bytes <= kMaxBytes && !failure_);
  }

  Expected<void> submit(const AlgorithmInput& input) override {
    if (failure_) return tl::unexpected<Error>(*failure_);
    forget_taken();
    const auto start = std::chrono::steady_clock::now();
    blocks_.emplace_back();
    Block& block = blocks_.back();
    block.number = next_block_++;
    block.tick = input.tick;
    block.bytes = input.data.size();
    bytes_on_the_way_ += block.bytes;
    auto done = push_block(input, block);
    blocks_.back().duration += std::chrono::steady_clock::now() - start;
    // The results of blocks before the one that it died on are still to be had: take() will tell.
    if (!done) failure_ = done.error();
    return {};
  }

  Expected<AlgorithmResult> take() override {
    forget_taken();
    Block& block = blocks_.front();
    for (std::size_t i = 0; i < stages_.size() && !failure_; ++i) {
      auto done = stages_[i].stage->drain(block.number, [&, i](const Frame& out) { return pass_on(i, out); });
      if (!done) failure_ = done.error();
    }
    if (failure_ && !is_complete(block)) return tl::unexpected<Error>(*failure_);
    taken_ = true;
    AlgorithmResult result;
    result.duration = block.duration;
    if (block.failed) {
      result.status = -1;
      result.message = block.message;
      return result;
    }
    for (const auto& p : block.produced)
      result.outputs.push_back({p.port, ByteView(block.kept).subspan(p.begin, p.bytes), p.ticks_later});
    return result;
  }

  std::uint64_t peak_memory() const override {
    std::uint64_t sum = 0;
    for (const auto& stage : stages_) sum += stage.stage->peak_memory();
    return sum;
  }

 private:
  static constexpr std::size_t kMaxBlocks = 16;
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;

  struct Produced {
    std::uint32_t port;
    std::size_t begin;
    std::size_t bytes;
    std::uint64_t ticks_later;
  };

  // A block whose results are being gathered.
  struct Block {
    std::uint64_t number = 0;
    std::uint64_t tick = 0;
    std::size_t bytes = 0;
    Bytes kept;
    std::vector<Produced> produced;
    bool failed = false;
    std::string message;
    std::chrono::nanoseconds duration{0};
  };

  Block& block_of(std::uint64_t number) { return blocks_[number - blocks_.front().number]; }

  void note_failure(std::uint64_t number, const std::string& message) override {
    Block& block = block_of(number);
    if (!block.failed) block.message = message;
    block.failed = true;
  }
  void note_duration(std::uint64_t number, std::chrono::nanoseconds duration) override {
    block_of(number).duration += duration;
  }

  void forget_taken() {
    if (!taken_) return;
    taken_ = false;
    bytes_on_the_way_ -= blocks_.front().bytes;
    blocks_.pop_front();
  }

  [[nodiscard]] bool is_complete(const Block& block) const {
    for (const auto& stage : stages_)
      if (const auto oldest = stage.stage->oldest(); oldest && *oldest <= block.number) return false;
    return true;
  }

  Expected<void> push_block(const AlgorithmInput& input, Block& block) {
    auto rows = sources_[input.port].rows(input.data);
    if (!rows) {
      note_failure(block.number, rows.error().message);
      return {};
    }
    Frame frame{input.tick, *rows, block.number};
    if (sources_.size() > 1) frame.data = alignment_.push(input.port, input.tick, *rows, frame.tick);
    return frame.data.empty() ? Expected<void>{} : push(0, frame);
  }

  Expected<void> push(std::size_t stage, const Frame& frame) {
    return stages_[stage].stage->push(frame, [&, stage](const Frame& out) { return pass_on(stage, out); });
  }

  Expected<void> pass_on(std::size_t stage, const Frame& out) {
    if (ports_[stage] >= 0) {
      Block& block = block_of(out.block);
      block.produced.push_back({static_cast<std::uint32_t>(ports_[stage]), block.kept.size(), out.data.size(),
                                out.tick >= block.tick ? out.tick - block.tick : 0});
      append_bytes(block.kept, out.data);
    }
    return stage + 1 < stages_.size() ? push(stage + 1, out) : Expected<void>{};
  }

  std::vector<std::string> inputs_;
  std::vector<Source> sources_;
  Alignment alignment_;
  std::vector<PlannedStage> stages_;
  std::vector<int> ports_;  // of each stage, or -1
  std::vector<OutputPort> outputs_;
  std::deque<Block> blocks_;  // from the oldest whose results have not been forgotten
  std::uint64_t next_block_ = 0;
  std::size_t bytes_on_the_way_ = 0;
  bool taken_ = false;  // the results of the oldest block have been handed out
  std::optional<Error> failure_;
};

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
    static constexpr const char* kinds[] = {"window", "stack",  "select",   "convert",   "model",
                                            "argmax", "smooth", "debounce", "algorithm", "worker"};
    for (const char* kind : kinds) {
      const YAML::Node what = map.find(kind);
      if (!what.IsDefined()) continue;
      if (planned.stage != nullptr) yaml_problem(node, "one stage does one thing: this one has two");
      planned.stage = make(kind, what, map);
    }
    map.finish();
    if (planned.stage == nullptr) yaml_problem(node, fmt::format("a stage needs one of: {}", fmt::join(kinds, ", ")));
    return planned;
  }

  StagePtr make(const std::string& kind, const YAML::Node& node, YamlMap& stage) {
    if (kind == "select") return make_select(yaml_strings(node, "select"));
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
      made = make_convert(c);
    } else {
      Debounce d;
      d.threshold = yaml_number(map.need("threshold"), "threshold");
      d.count = map.integer("count", 1, 1, 100000);
      d.hold = map.integer("hold", 0, 0, 1000000);
      d.ignore = map.strings("ignore");
      made = make_debounce(std::move(d));
    }
    map.finish();
    return made;
  }

  static StagePtr make_argmax_of(const YAML::Node& node) {
    if (!node.IsNull() && !(node.IsMap() && node.size() == 0) && !(node.IsScalar() && node.Scalar() == "true"))
      yaml_problem(node, "'argmax:' has no settings: write 'argmax: true'");
    return make_argmax();
  }

  StagePtr make_model_of(const YAML::Node& node, YamlMap& stage) {
    ModelStage model;
    model.options.model = resolve(yaml_string(node, "model"));
    model.options.engine =
        stage.string("engine", options_.engine.empty() ? default_engine(model.options.model) : options_.engine);
    model.options.timeout = options_.timeout;
    model.labels = stage.strings("labels");
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
    AlgorithmStage made = read_output(stage, options.library.filename().string());
    options.arm_output = {"Out", static_cast<std::uint32_t>(made.output.elements() * size_of(made.output.type)), ""};
    made.start = [options] { return start_process_algorithm(options); };
    return make_algorithm_stage(std::move(made));
  }

  StagePtr make_worker(const YAML::Node& node, YamlMap& stage) {
    WorkerOptions options;
    options.command = yaml_strings(node, "worker");
    options.configuration = stage.string("config", "");
    options.timeout = options_.timeout;
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
    made.output.names = output.strings("labels");
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

Expected<std::vector<std::string>> pipeline_inputs(const std::filesystem::path& path) {
  Plan plan;
  auto read = read_yaml_file(path, [&](const YAML::Node& root) { plan = PlanReader(path, {}).read(root, false); });
  if (!read) return fail(read);
  return std::move(plan.inputs);
}

Expected<std::unique_ptr<Algorithm>> make_pipeline(const std::filesystem::path& path,
                                                   const std::vector<const StreamInfo*>& inputs,
                                                   const PipelineOptions& options) {
  Plan plan;
  auto read = read_yaml_file(path, [&](const YAML::Node& root) { plan = PlanReader(path, options).read(root, true); });
  if (!read) return fail(read);
  if (inputs.size() != plan.inputs.size())
    return fail(ErrorCode::usage,
                fmt::format("the pipeline reads {} streams, not {}", plan.inputs.size(), inputs.size()), path);
  auto made = std::make_unique<Pipeline>();
  if (auto bound = made->bind(std::move(plan), inputs, path); !bound) return fail(bound);
  return std::unique_ptr<Algorithm>(std::move(made));
}

Expected<std::unique_ptr<Algorithm>> make_model_pipeline(const ModelOptions& model, const StreamInfo& input,
                                                         ModelInfo& info) {
  // The model is started once only to learn how large a window it takes.
  ModelOptions look = model;
  auto looked = start_model(look, info);
  if (!looked) return fail(looked);
  Source source;
  auto type = source.bind(input);
  if (!type) return fail(type);
  Plan plan;
  plan.name = "Out";
  plan.inputs = {input.id};
  if (info.inputs.size() == 1 && info.inputs[0].elements() % type->columns == 0)
    plan.stages.push_back(
        {make_window(info.inputs[0].elements() / type->columns, info.inputs[0].elements() / type->columns), "", 0});
  ModelStage stage;
  stage.options = model;
  plan.stages.push_back({pipeline::make_model(std::move(stage)), "", 0});
  auto made = std::make_unique<Pipeline>();
  if (auto bound = made->bind(std::move(plan), {&input}, model.model); !bound) {
    if (bound.error().code == ErrorCode::bad_input)
      bound.error().message = fmt::format("stream {} does not fit: {}", input.id, bound.error().message);
    return fail(bound);
  }
  return std::unique_ptr<Algorithm>(std::move(made));
}

}  // namespace sds
