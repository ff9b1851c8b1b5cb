#include "sds/bridge/pipeline.hpp"

#include <fmt/format.h>

#include <deque>
#include <utility>

#include "pipeline_file.hpp"
#include "pipeline_input.hpp"
#include "stage_clock.hpp"

namespace sds {

namespace {

using namespace pipeline;

class Pipeline final : public Algorithm, private Observer {
 public:
  Expected<void> bind(Plan plan, const std::vector<const StreamInfo*>& inputs, const std::filesystem::path& path) {
    inputs_ = plan.inputs;
    stages_ = std::move(plan.stages);
    clock_.restart(stages_.size() + 2);
    is_broken_.resize(stages_.size());
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
      stages_[i].stage->report_to(*this, i);
      works_here_.push_back(stages_[i].stage->works_elsewhere() ? 0 : 1);
      emits_.emplace_back([this, i](const Frame& out) { return pass_on(i, out); });
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
    executes_from_ = find_executes_from();
    return {};
  }

  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<OutputPort>& outputs() const override { return outputs_; }

  Expected<void> reset() override {
    clock_.restart(stages_.size() + 2);
    alignment_.reset();
    restarts_ = 0;
    has_executed_ = false;
    waiting_.assign(stages_.size(), Waiting::for_a_frame);
    return restart();
  }
  // What others have in hand stays: samples hold until the next one, also across a gap.
  Expected<void> note_gap() override { return restart(); }
  std::uint64_t restarts() const override { return restarts_; }
  bool has_executed() const override {
    return has_executed_ && std::count(waiting_.begin(), waiting_.end(), Waiting::for_more) == 0;
  }

  bool can_submit(std::size_t bytes) const override {
    const std::size_t waiting = blocks_.size() - (taken_ ? 1 : 0);
    return waiting == 0 || (!failure_ && waiting < kMaxBlocks && bytes_on_the_way_ + bytes <= kMaxBytes);
  }

  Expected<void> submit(const AlgorithmInput& input) override {
    forget_taken();
    if (failure_ && blocks_.empty()) return tl::unexpected<Error>(failure_->error);
    if (sources_.size() > 1 || sources_[input.port].converts() || (!times_by_stage_ && works_here_[0] != 0))
      clock_.switch_to(input_account());
    blocks_.emplace_back();
    Block& block = blocks_.back();
    block.number = next_block_++;
    block.tick = input.tick;
    block.bytes = input.data.size();
    bytes_on_the_way_ += block.bytes;
    // The results of blocks before the one that it died on are still to be had: take() will tell.
    note_error(push_block(input, block), block.number);
    clock_.switch_to(StageClock::stopped);
    block.duration += clock_.close_total(input_account());
    return {};
  }

  Expected<AlgorithmResult> take() override {
    forget_taken();
    Block& block = blocks_.front();
    // Also behind a stage that has ended: it has put out what came before that.
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (!stages_[i].stage->is_due(block.number)) continue;
      clock_.switch_to(waiting_account());
      note_error(stages_[i].stage->drain(block.number, emits_[i]), block.number);
    }
    clock_.switch_to(StageClock::stopped);
    if (times_by_stage_) clock_.close_total(waiting_account());
    if (is_lost(block)) return tl::unexpected<Error>(failure_->error);
    taken_ = true;
    return result_of(block);
  }

  AlgorithmResult result_before_end() const override {
    return blocks_.empty() || !is_lost(blocks_.front()) ? AlgorithmResult() : result_of(blocks_.front());
  }

  void poison_outputs(std::uint8_t byte) override {
    for (auto& stage : stages_) stage.stage->poison_outputs(byte);
  }
  void ask_while_waiting(const std::function<Expected<void>()>& ask) override {
    for (auto& stage : stages_) stage.stage->ask_while_waiting(ask);
  }

  Expected<void> finish() override {
    for (auto& stage : stages_)
      if (auto done = stage.stage->finish(); !done) return done;
    return {};
  }

  void time_stages() override { times_by_stage_ = true; }
  std::vector<StageTimes> stage_times() const override {
    if (!times_by_stage_) return {};
    std::vector<StageTimes> times{{"input", clock_.total(input_account()), {}}};
    for (std::size_t i = 0; i < stages_.size(); ++i)
      times.push_back({stages_[i].name, clock_.total(i), clock_.durations(i)});
    times.push_back({"waiting", clock_.total(waiting_account()), {}});
    return times;
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
    std::int64_t ticks_later;
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

  static AlgorithmResult result_of(const Block& block) {
    AlgorithmResult result;
    result.duration = block.duration;
    if (block.failed) result.fails_with(block.message);
    for (const auto& p : block.produced)
      result.outputs.push_back({p.port, ByteView(block.kept).subspan(p.begin, p.bytes), p.ticks_later});
    return result;
  }

  Block& block_of(std::uint64_t number) { return blocks_[number - blocks_.front().number]; }

  void note_failure(std::size_t stage, std::uint64_t number, const std::string& message) override {
    fail_block(number, message);
    if (stage + 1 < stages_.size()) is_broken_[stage + 1] = 1;
  }
  void fail_block(std::uint64_t number, const std::string& message) {
    Block& block = block_of(number);
    if (!block.failed) block.message = message;
    block.failed = true;
  }
  void note_duration(std::size_t stage, std::uint64_t number, std::chrono::nanoseconds duration) override {
    block_of(number).duration += duration;
    if (times_by_stage_) clock_.add(stage, duration);
  }
  std::size_t pause(std::uint64_t number) override {
    const std::size_t running = clock_.switch_to(waiting_account());
    if (running == input_account()) block_of(number).duration += clock_.close_total(running);
    return running;
  }
  void resume(std::size_t paused) override { clock_.switch_to(paused); }

  // The clock has an account for each stage and these two. Without times by stage all work here is on that of the
  // input, and waiting on none.
  [[nodiscard]] std::size_t input_account() const { return stages_.size(); }
  [[nodiscard]] std::size_t waiting_account() const {
    return times_by_stage_ ? stages_.size() + 1 : StageClock::stopped;
  }

  Expected<void> restart() {
    if (failure_) return tl::unexpected<Error>(failure_->error);
    blocks_.clear();
    taken_ = false;
    bytes_on_the_way_ = 0;
    is_broken_.assign(stages_.size(), 0);
    for (auto& stage : stages_)
      if (auto done = stage.stage->reset(); !done) return done;
    return {};
  }

  void forget_taken() {
    if (!taken_) return;
    taken_ = false;
    bytes_on_the_way_ -= blocks_.front().bytes;
    blocks_.pop_front();
  }

  // What stands behind the last stage that runs something shows nothing without it. What a stage that waits for more, a
  // window, has got and not put out is not shown either: see has_executed().
  [[nodiscard]] std::size_t find_executes_from() const {
    std::size_t last = stages_.size() - 1;
    for (std::size_t i = 0; i < stages_.size(); ++i)
      if (works_here_[i] == 0) last = i;
    return stages_[last].stage->may_keep_silent() ? last : last + 1;
  }
  void note_arrival(std::size_t stage) {
    has_executed_ = has_executed_ || stage == executes_from_;
    if (stage < stages_.size() && waiting_[stage] == Waiting::for_a_frame && stages_[stage].stage->waits_for_more())
      waiting_[stage] = Waiting::for_more;
  }

  // A stage whose algorithm is gone has told the block; other errors end the run at the block at hand.
  void note_error(const Expected<void>& done, std::uint64_t block) {
    if (done) return;
    block = std::exchange(ended_at_, std::nullopt).value_or(block);
    if (!failure_ || block < failure_->block) failure_ = Failure{block, done.error()};
  }
  void note_end(std::uint64_t block) override { ended_at_ = block; }
  [[nodiscard]] bool is_lost(const Block& block) const { return failure_ && failure_->block <= block.number; }

  Expected<void> push_block(const AlgorithmInput& input, Block& block) {
    auto rows = sources_[input.port].rows(input.data);
    if (!rows) {
      fail_block(block.number, rows.error().message);
      is_broken_[0] = 1;
      return {};
    }
    Frame frame{input.tick, *rows, block.number, {}};
    RowTime first;
    if (sources_.size() > 1) {
      auto joined = alignment_.push(input.port, input.tick, *rows);
      if (!joined) return fail(joined);
      if (joined->too_old > 0) {
        fail_block(block.number,
                   fmt::format("{} of its samples are older than what others have been joined with", joined->too_old));
        is_broken_[0] = 1;
      }
      first = joined->first;
      frame.data = joined->rows;
      frame.tick = sources_[0].type().tick_of(first.tick, first.row);
      frame.times = {&first, 1};
    }
    return frame.data.empty() ? Expected<void>{} : push(0, frame);
  }

  // Frames before this one failed: from the stage on everything begins anew, behind what is on its way there.
  Expected<void> begin_anew(std::size_t from, std::uint64_t block) {
    is_broken_[from] = 0;
    ++restarts_;
    const std::size_t paused = pause(block);
    for (std::size_t i = from; i < stages_.size(); ++i) {
      if (auto drained = stages_[i].stage->drain(block, emits_[i]); !drained) return drained;
      if (auto done = stages_[i].stage->reset(); !done) return done;
      is_broken_[i] = 0;
    }
    resume(paused);
    return {};
  }

  Expected<void> push(std::size_t stage, const Frame& frame) {
    note_arrival(stage);
    if (is_broken_[stage] != 0)
      if (auto anew = begin_anew(stage, frame.block); !anew) return anew;
    if (times_by_stage_) return push_timed(stage, frame);
    // The clock runs while there is work here; handing over to what works elsewhere is not worth reading it.
    if (clock_.running() == StageClock::stopped && works_here_[stage] != 0) return push_from_elsewhere(stage, frame);
    return stages_[stage].stage->push(frame, emits_[stage]);
  }

  Expected<void> push_timed(std::size_t stage, const Frame& frame) {
    const bool works_here = works_here_[stage] != 0;
    const std::size_t before = clock_.switch_to(works_here ? stage : waiting_account());
    auto done = stages_[stage].stage->push(frame, emits_[stage]);
    // Behind the first stage the block is done.
    clock_.switch_to(stage > 0 ? before : StageClock::stopped);
    if (works_here) block_of(frame.block).duration += clock_.close(stage);
    return done;
  }

  Expected<void> push_from_elsewhere(std::size_t stage, const Frame& frame) {
    clock_.switch_to(input_account());
    auto done = stages_[stage].stage->push(frame, emits_[stage]);
    clock_.switch_to(StageClock::stopped);
    block_of(frame.block).duration += clock_.close_total(input_account());
    return done;
  }

  Expected<void> pass_on(std::size_t stage, const Frame& out) {
    waiting_[stage] = Waiting::for_nothing;
    if (ports_[stage] >= 0) {
      Block& block = block_of(out.block);
      block.produced.push_back({static_cast<std::uint32_t>(ports_[stage]), block.kept.size(), out.data.size(),
                                static_cast<std::int64_t>(out.tick - block.tick)});
      append_bytes(block.kept, out.data);
    }
    if (stage + 1 < stages_.size()) return push(stage + 1, out);
    note_arrival(stages_.size());
    return {};
  }

  std::vector<std::string> inputs_;
  std::vector<Source> sources_;
  Alignment alignment_;
  std::vector<PlannedStage> stages_;
  std::vector<Emit> emits_;        // of each stage: takes its frames on
  std::vector<char> works_here_;   // 1: in this process
  std::size_t executes_from_ = 0;  // a frame that has come to this stage, or out of all, was executed on
  bool has_executed_ = false;
  enum class Waiting : char { for_a_frame, for_more, for_nothing };
  std::vector<Waiting> waiting_;  // by stage: what it has not had, or not put out yet, since the reset
  bool times_by_stage_ = false;
  StageClock clock_;
  std::vector<int> ports_;  // of each stage, or -1
  std::vector<OutputPort> outputs_;
  std::deque<Block> blocks_;  // from the oldest whose results have not been forgotten
  std::uint64_t next_block_ = 0;
  std::size_t bytes_on_the_way_ = 0;
  bool taken_ = false;           // the results of the oldest block have been handed out
  std::vector<char> is_broken_;  // stages before which frames are missing
  std::uint64_t restarts_ = 0;
  // The first block whose results cannot be had. There may be an earlier one yet: stages fail independently.
  struct Failure {
    std::uint64_t block;
    Error error;
  };
  std::optional<Failure> failure_;
  std::optional<std::uint64_t> ended_at_;
};

}  // namespace

Expected<std::vector<std::string>> pipeline_inputs(const std::filesystem::path& path) {
  auto plan = read_plan(path, {}, false);
  if (!plan) return fail(plan);
  return std::move(plan->inputs);
}

Expected<std::unique_ptr<Algorithm>> make_pipeline(const std::filesystem::path& path,
                                                   const std::vector<const StreamInfo*>& inputs,
                                                   const PipelineOptions& options) {
  auto plan = read_plan(path, options, true);
  if (!plan) return fail(plan);
  if (inputs.size() != plan->inputs.size())
    return fail(ErrorCode::usage,
                fmt::format("the pipeline reads {} streams, not {}", plan->inputs.size(), inputs.size()), path);
  auto made = std::make_unique<Pipeline>();
  if (auto bound = made->bind(std::move(*plan), inputs, path); !bound) return fail(bound);
  return std::unique_ptr<Algorithm>(std::move(made));
}

Expected<std::unique_ptr<Algorithm>> make_model_pipeline(const ModelOptions& model, const StreamInfo& input,
                                                         ModelInfo& info) {
  auto algorithm = start_model(model, info);
  if (!algorithm) return fail(algorithm);
  Source source;
  auto type = source.bind(input);
  if (!type) return fail(type);
  Plan plan;
  plan.name = "Out";
  plan.inputs = {input.id};
  // A model of several inputs, or of no whole number of samples, is refused by its stage.
  if (info.inputs.size() == 1 && info.inputs[0].elements() % type->columns == 0) {
    const std::size_t rows = info.inputs[0].elements() / type->columns;
    plan.stages.push_back({make_window(rows, rows), "", 0, "window"});
  }
  ModelStage stage;
  stage.options = model;
  stage.started = StartedModel{std::move(*algorithm), info};
  plan.stages.push_back({pipeline::make_model(std::move(stage)), "", 0, "model " + model.model.filename().string()});
  auto made = std::make_unique<Pipeline>();
  if (auto bound = made->bind(std::move(plan), {&input}, model.model); !bound) {
    if (bound.error().code == ErrorCode::bad_input)
      bound.error().message = fmt::format("stream {} does not fit: {}", input.id, bound.error().message);
    return fail(bound);
  }
  return std::unique_ptr<Algorithm>(std::move(made));
}

}  // namespace sds
