#include "stages.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "sds/format/exact_value.hpp"
#include "sds/format/limits.hpp"

namespace sds::pipeline {

namespace {

tl::unexpected<Error> misfit(std::string message) { return fail(ErrorCode::bad_input, std::move(message)); }

// Collects rows and emits windows of them. The tick of a window is that of its last row.
class WindowStage final : public Stage {
 public:
  WindowStage(std::size_t length, std::size_t stride) : length_(length), stride_(stride) {}

  Expected<FrameType> bind(const FrameType& in) override {
    in_ = in;
    if (length_ * in.row_bytes() > limits::max_block_bytes)
      return misfit(fmt::format("a window of {} rows of {} bytes is larger than 32 MiB", length_, in.row_bytes()));
    FrameType out = in;
    out.rows = length_;
    return out;
  }

  bool waits_for_more() const override { return true; }
  Expected<void> push(const Frame& frame, const Emit& emit) override {
    const std::size_t row_bytes = in_.row_bytes();
    const std::size_t rows = frame.data.size() / row_bytes;
    std::size_t row = 0;
    while (row < rows) {
      if (skip_ > 0) {  // a stride longer than the window leaves rows out
        const std::size_t skipped = std::min(skip_, rows - row);
        skip_ -= skipped;
        row += skipped;
        continue;
      }
      const std::size_t missing = length_ - rows_.size() / row_bytes;
      const std::size_t taken = std::min(missing, rows - row);
      take_times(frame, row, taken);
      append_bytes(rows_, frame.data.subspan(row * row_bytes, taken * row_bytes));
      row += taken;
      if (taken < missing) return {};
      const RowTime& last = times_.back();
      const std::uint64_t tick = in_.tick_of(last.tick, last.row + (length_ - 1 - last.at));
      if (auto emitted = emit({tick, rows_, frame.block, times_}); !emitted) return emitted;
      if (stride_ >= length_) {
        rows_.clear();
        times_.clear();
        skip_ = stride_ - length_;
        continue;
      }
      drop_times(stride_);
      rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(stride_ * row_bytes));
    }
    return {};
  }

  Expected<void> reset() override {
    rows_.clear();
    times_.clear();
    skip_ = 0;
    return {};
  }

 private:
  // Of the frame's rows from `begin` that are about to be appended.
  void take_times(const Frame& frame, std::size_t begin, std::size_t count) {
    const std::size_t at = rows_.size() / in_.row_bytes();
    const RowTime whole{0, frame.tick, 0};
    const std::span<const RowTime> times = frame.times.empty() ? std::span(&whole, 1) : frame.times;
    for (std::size_t i = 0; i < times.size(); ++i) {
      if (times[i].at >= begin + count) break;
      if (i + 1 < times.size() && times[i + 1].at <= begin) continue;
      const std::size_t first = std::max(times[i].at, begin);
      times_.push_back({at + first - begin, times[i].tick, times[i].row + (first - times[i].at)});
    }
  }

  // Of the first rows; others stay.
  void drop_times(std::size_t rows) {
    std::size_t gone = 0;  // entries that are of no row that stays
    while (gone + 1 < times_.size() && times_[gone + 1].at <= rows) ++gone;
    times_.erase(times_.begin(), times_.begin() + static_cast<std::ptrdiff_t>(gone));
    for (auto& time : times_) {
      if (time.at < rows) time.row += rows - time.at;
      time.at -= std::min(time.at, rows);
    }
  }

  std::size_t length_;
  std::size_t stride_;
  FrameType in_;
  Bytes rows_;
  std::vector<RowTime> times_;  // of rows_
  std::size_t skip_ = 0;
};

// Frames as rows: a window over them, told as one row.
class StackStage final : public Stage {
 public:
  StackStage(std::size_t count, std::size_t stride) : count_(count), window_(count, stride) {}

  Expected<FrameType> bind(const FrameType& in) override {
    if (in.rows == 0) return misfit("only windows can be stacked, not a stream's blocks: put a window stage before it");
    FrameType flat = in;
    flat.columns = in.elements();
    flat.rows = 1;
    flat.names.clear();
    flat.ticks_numerator = 0;
    if (in.scale.size() > 1 || in.offset.size() > 1)
      return misfit("columns of different scales cannot be stacked: put a convert stage before it");
    if (auto bound = window_.bind(flat); !bound) return bound;
    flat.columns *= count_;
    return flat;
  }
  bool waits_for_more() const override { return true; }
  Expected<void> push(const Frame& frame, const Emit& emit) override {
    // A frame is a row, and its time that of the frame.
    return window_.push({frame.tick, frame.data, frame.block, {}}, [&](const Frame& out) {
      return emit({out.tick, out.data, out.block, {}});
    });
  }
  Expected<void> reset() override { return window_.reset(); }

 private:
  std::size_t count_;
  WindowStage window_;
};

class SelectStage final : public Stage {
 public:
  explicit SelectStage(std::vector<std::string> names) : names_(std::move(names)) {}

  Expected<FrameType> bind(const FrameType& in) override {
    in_ = in;
    FrameType out = in;
    out.columns = names_.size();
    out.names = names_;
    out.scale.clear();
    out.offset.clear();
    for (const auto& name : names_) {
      const auto found = std::find(in.names.begin(), in.names.end(), name);
      if (found == in.names.end())
        return misfit(fmt::format("there is no column '{}'; there is: {}", name, fmt::join(in.names, ", ")));
      columns_.push_back(static_cast<std::size_t>(found - in.names.begin()));
      out.scale.push_back(in.scale_of(columns_.back()));
      out.offset.push_back(in.offset_of(columns_.back()));
    }
    if (std::equal(out.scale.begin() + 1, out.scale.end(), out.scale.begin())) out.scale.resize(1);
    if (std::equal(out.offset.begin() + 1, out.offset.end(), out.offset.begin())) out.offset.resize(1);
    return out;
  }

  Expected<void> push(const Frame& frame, const Emit& emit) override {
    const std::size_t width = size_of(in_.type);
    const std::size_t rows = frame.data.size() / in_.row_bytes();
    selected_.resize(rows * columns_.size() * width);
    std::byte* out = selected_.data();
    for (std::size_t r = 0; r < rows; ++r)
      for (const std::size_t c : columns_) {
        const ByteView value = frame.data.subspan(r * in_.row_bytes() + c * width, width);
        out = std::copy(value.begin(), value.end(), out);
      }
    return emit({frame.tick, selected_, frame.block, frame.times});
  }

  Expected<void> reset() override { return {}; }

 private:
  std::vector<std::string> names_;
  std::vector<std::size_t> columns_;
  FrameType in_;
  Bytes selected_;
};

class ConvertStage final : public Stage {
 public:
  explicit ConvertStage(const Conversion& conversion) : to_(conversion) {}

  Expected<FrameType> bind(const FrameType& in) override {
    in_ = in;
    rounds_quotient_ = !is_float(to_.type) && to_.zero_point != 0;
    FrameType out = in;
    out.type = to_.type;
    out.scale = {to_.scale};
    out.offset = {-to_.zero_point * to_.scale};
    return out;
  }

  Expected<void> push(const Frame& frame, const Emit& emit) override {
    const std::size_t from = size_of(in_.type);
    const std::size_t to = size_of(to_.type);
    const std::size_t count = frame.data.size() / from;
    converted_.resize(count * to);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t column = i % in_.columns;
      const double physical = physical_value(in_, frame.data.data() + i * from, column);
      store_value(to_.type, stored(physical * to_.gain + to_.bias), converted_.data() + i * to);
    }
    return emit({frame.tick, converted_, frame.block, frame.times});
  }

  Expected<void> reset() override { return {}; }

 private:
  [[nodiscard]] double stored(double physical) const {
    const double quotient =
        to_.in_float ? static_cast<float>(physical) / static_cast<float>(to_.scale) : physical / to_.scale;
    return (rounds_quotient_ ? std::round(quotient) : quotient) + to_.zero_point;
  }

  Conversion to_;
  FrameType in_;
  // Half away from zero before the zero point is added; without one, storing rounds.
  bool rounds_quotient_ = false;
  Bytes converted_;
};

// What the stages that look at scores have in common: a frame as physical values.
class ScoreStage : public Stage {
 protected:
  Expected<void> bind_scores(const FrameType& in) {
    if (in.rows != 1) return misfit(fmt::format("it takes one row of scores, and gets {}", in.to_string()));
    in_ = in;
    scores_.resize(in.columns);
    return {};
  }
  const std::vector<double>& scores(const Frame& frame) {
    const std::size_t width = size_of(in_.type);
    for (std::size_t c = 0; c < in_.columns; ++c) scores_[c] = physical_value(in_, frame.data.data() + c * width, c);
    return scores_;
  }
  [[nodiscard]] StoredValue stored(const Frame& frame, std::size_t column) const {
    return {load_exact(in_.type, frame.data.data() + column * size_of(in_.type)), in_.scale_of(column),
            in_.offset_of(column)};
  }
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  // The largest, the first of equals; what is no number leads nowhere: `none` if none is a number. (An optional of it
  // costs as much as all of the rest.)
  [[nodiscard]] std::size_t leader(const Frame& frame) {
    if (in_.type == ScalarType::u64 || in_.type == ScalarType::i64) return exact_leader(frame);
    std::size_t best = none;
    const auto& values = scores(frame);
    for (std::size_t c = 0; c < values.size(); ++c)
      if (!std::isnan(values[c]) && (best == none || values[c] > values[best])) best = c;
    return best;
  }
  // Of integers that doubles do not tell apart.
  [[nodiscard]] std::size_t exact_leader(const Frame& frame) const {
    std::size_t best = 0;
    StoredValue largest = stored(frame, 0);
    for (std::size_t c = 1; c < in_.columns; ++c) {
      const StoredValue value = stored(frame, c);
      if (!is_above(value, largest)) continue;
      best = c;
      largest = value;
    }
    return best;
  }
  Expected<FrameType> bind_to_class(const FrameType& in) {
    if (auto bound = bind_scores(in); !bound) return fail(bound);
    if (in.columns > 256) return misfit(fmt::format("{} classes are more than a uint8_t can number", in.columns));
    FrameType out;
    out.rows = 1;
    out.names = {"class"};
    out.tick_frequency = in.tick_frequency;
    return out;
  }
  FrameType in_;

 private:
  std::vector<double> scores_;
};

class ArgmaxStage final : public ScoreStage {
 public:
  Expected<FrameType> bind(const FrameType& in) override { return bind_to_class(in); }
  Expected<void> push(const Frame& frame, const Emit& emit) override {
    const std::size_t found = leader(frame);
    if (found == none) {
      observer_->note_failure(number_, frame.block, "argmax: none of the scores is a number");
      return {};
    }
    const auto best = static_cast<std::byte>(found);
    return emit({frame.tick, ByteView(&best, 1), frame.block, {}});
  }
  Expected<void> reset() override { return {}; }
};

class SmoothStage final : public ScoreStage {
 public:
  explicit SmoothStage(std::size_t count) : count_(count) {}

  Expected<FrameType> bind(const FrameType& in) override {
    if (auto bound = bind_scores(in); !bound) return fail(bound);
    if (count_ * in.columns > (limits::max_block_bytes / sizeof(double)))
      return misfit(fmt::format("{} frames of {} values to smooth are more than 32 MiB", count_, in.columns));
    FrameType out = in;
    out.type = ScalarType::f32;
    out.scale = {1.0};
    out.offset = {0.0};
    return out;
  }
  Expected<void> push(const Frame& frame, const Emit& emit) override {
    last_.push_back(scores(frame));
    if (last_.size() > count_) last_.pop_front();
    mean_.resize(in_.columns * sizeof(float));
    for (std::size_t c = 0; c < in_.columns; ++c) {
      double sum = 0;  // anew each time: a running sum would depend on all that came before
      for (const auto& scores : last_) sum += scores[c];
      store_value(ScalarType::f32, sum / static_cast<double>(last_.size()), mean_.data() + c * sizeof(float));
    }
    return emit({frame.tick, mean_, frame.block, {}});
  }
  Expected<void> reset() override {
    last_.clear();
    return {};
  }

 private:
  std::size_t count_;
  std::deque<std::vector<double>> last_;
  Bytes mean_;
};

class DebounceStage final : public ScoreStage {
 public:
  explicit DebounceStage(Debounce debounce) : rule_(std::move(debounce)) {}

  Expected<FrameType> bind(const FrameType& in) override {
    for (const auto& name : rule_.ignore) {
      const auto found = std::find(in.names.begin(), in.names.end(), name);
      if (found == in.names.end())
        return misfit(fmt::format("there is no class '{}' to ignore; there is: {}", name, fmt::join(in.names, ", ")));
      ignored_.push_back(static_cast<std::size_t>(found - in.names.begin()));
    }
    return bind_to_class(in);
  }
  bool may_keep_silent() const override { return true; }
  Expected<void> push(const Frame& frame, const Emit& emit) override {
    const std::size_t leading = leader(frame);
    const std::size_t best = leading == none ? 0 : leading;
    const bool counts = leading != none && reaches(stored(frame, best)) &&
                        std::find(ignored_.begin(), ignored_.end(), best) == ignored_.end();
    in_a_row_ = counts ? (best == candidate_ ? in_a_row_ + 1 : 1) : 0;
    candidate_ = best;
    if (held_ > 0) {
      --held_;
      return {};
    }
    if (in_a_row_ < rule_.count) return {};
    held_ = rule_.hold;
    in_a_row_ = 0;
    const auto found = static_cast<std::byte>(best);
    return emit({frame.tick, ByteView(&found, 1), frame.block, {}});
  }
  Expected<void> reset() override {
    in_a_row_ = held_ = candidate_ = 0;
    return {};
  }

 private:
  // Counts are compared with all digits of the threshold. Scores are floats, or made of integers with a scale that is
  // one: the float 0.7 reaches a threshold of 0.7. Not where a float does not tell them from their neighbours.
  [[nodiscard]] bool reaches(const StoredValue& score) const {
    if (!is_float(in_.type) && score.scale == 1 && score.offset == 0) return score.raw >= rule_.threshold;
    if (is_told_by_float(score))
      return static_cast<float>(score.physical()) >= static_cast<float>(rule_.threshold.rounded());
    return score.physical() >= rule_.threshold.rounded();
  }
  [[nodiscard]] bool is_told_by_float(const StoredValue& score) const {
    if (is_float(in_.type)) return in_.type == ScalarType::f32 && score.offset == 0;
    const double largest = std::max(std::abs(score.physical()), std::abs(rule_.threshold.rounded()));
    return std::abs(score.scale) > largest * std::numeric_limits<float>::epsilon();
  }

  Debounce rule_;
  std::vector<std::size_t> ignored_;
  std::size_t candidate_ = 0;
  std::size_t in_a_row_ = 0;
  std::size_t held_ = 0;
};

// Runs an algorithm on each frame and passes one of its outputs on. Frames run ahead: while an algorithm works on one,
// the stages before it prepare the next.
class ExecuteStage : public Stage {
 public:
  Expected<void> push(const Frame& frame, const Emit& emit) override {
    if (!has_ended_ && !algorithm_->can_submit(frame.data.size()))
      if (auto made = make_room(frame, emit); !made) return made;
    if (has_ended_) return {};  // what comes behind its end is not asked for
    AlgorithmInput input;
    input.tick = frame.tick;
    input.frequency = out_.tick_frequency;
    input.data = frame.data;
    on_the_way_.push_back({frame.tick, {}, frame.block, {}});
    auto submitted = algorithm_->submit(input);
    if (!submitted) on_the_way_.pop_back();
    return submitted;
  }

  Expected<void> drain(std::uint64_t block, const Emit& emit) override {
    while (is_due(block))
      if (auto taken = take(emit); !taken) return taken;
    return {};
  }

  bool is_due(std::uint64_t block) const override { return !on_the_way_.empty() && on_the_way_.front().block <= block; }
  bool works_elsewhere() const override { return true; }

  Expected<void> finish() override { return algorithm_->finish(); }
  Expected<void> reset() override {
    on_the_way_.clear();
    return has_ended_ ? Expected<void>{} : algorithm_->reset();
  }
  std::uint64_t peak_memory() const override { return algorithm_->peak_memory(); }
  void poison_outputs(std::uint8_t byte) override { algorithm_->poison_outputs(byte); }
  void ask_while_waiting(const std::function<Expected<void>()>& ask) override { algorithm_->ask_while_waiting(ask); }

 protected:
  std::unique_ptr<Algorithm> algorithm_;
  std::uint32_t port_ = 0;
  FrameType out_;

 private:
  Expected<void> make_room(const Frame& frame, const Emit& emit) {
    const std::size_t paused = observer_->pause(frame.block);
    Expected<void> taken;
    while (taken && !has_ended_ && !algorithm_->can_submit(frame.data.size())) taken = take(emit);
    observer_->resume(paused);
    return taken;
  }

  Expected<void> take(const Emit& emit) {
    auto result = algorithm_->take();
    if (!result) {
      end_at(on_the_way_.front().block);
      return fail(result);
    }
    const Frame frame = on_the_way_.front();
    on_the_way_.pop_front();
    observer_->note_duration(number_, frame.block, result->duration);
    if (result->status != 0) {
      observer_->note_failure(number_, frame.block, result->describe_failure());
      return {};
    }
    for (const auto& output : result->outputs) {
      if (output.port != port_) continue;
      if (out_.rows != 0 && output.data.size() != out_.elements() * size_of(out_.type)) {
        observer_->note_failure(
            number_, frame.block,
            fmt::format("an output of {} bytes, where {} was expected", output.data.size(), out_.to_string()));
        continue;
      }
      if (auto emitted = emit({frame.tick, output.data, frame.block, {}}); !emitted) return emitted;
    }
    return {};
  }

  void end_at(std::uint64_t block) {
    has_ended_ = true;
    on_the_way_.clear();
    observer_->note_end(block);
  }

  std::deque<Frame> on_the_way_;  // without their data
  bool has_ended_ = false;
};

class RunModelStage final : public ExecuteStage {
 public:
  explicit RunModelStage(ModelStage model) : model_(std::move(model)) {}

  Expected<FrameType> bind(const FrameType& in) override {
    if (!model_.started) {
      ModelInfo described;
      auto algorithm = start_model(model_.options, described);
      if (!algorithm) return fail(algorithm);
      model_.started = StartedModel{std::move(*algorithm), std::move(described)};
    }
    algorithm_ = std::move(model_.started->algorithm);
    const ModelInfo& info = model_.started->info;
    const std::string name = model_.options.model.filename().string();
    if (info.inputs.size() != 1)
      return misfit(fmt::format("{} has {} inputs; a stage has one", name, info.inputs.size()));
    const TensorInfo& tensor = info.inputs[0];
    const auto type = tensor.type();
    if (!type) return misfit(fmt::format("{} takes {}, a type that streams do not have", name, tensor.to_string()));
    if (in.elements() != tensor.elements())
      return misfit(fmt::format("{} takes {}, which is {} values; it gets {}, which is {}", name, tensor.to_string(),
                                tensor.elements(), in.to_string(),
                                in.rows == 0 ? "any number" : std::to_string(in.elements())));
    if (in.type != *type || model_.quantise)
      if (auto bound = bind_conversion(in, tensor, *type, name); !bound) return fail(bound);
    return bind_output(in, info, name);
  }

  Expected<void> push(const Frame& frame, const Emit& emit) override {
    if (!convert_) return ExecuteStage::push(frame, emit);
    return convert_->push(frame, [&](const Frame& converted) { return ExecuteStage::push(converted, emit); });
  }

 private:
  // The tensor's own quantisation, of the physical values.
  Expected<void> bind_conversion(const FrameType& in, const TensorInfo& tensor, ScalarType type,
                                 const std::string& name) {
    if (!is_float(type) && tensor.scale.size() != 1)
      return misfit(fmt::format("{} takes {} without a scale, and gets {}: put a convert stage before it", name,
                                tensor.to_string(), in.to_string()));
    Conversion conversion;
    conversion.type = type;
    if (!is_float(type)) {
      conversion.scale = tensor.scale[0];
      conversion.zero_point = tensor.zero_point[0];
      conversion.in_float = true;
    }
    convert_ = make_convert(conversion);
    if (auto bound = convert_->bind(in); !bound) return fail(bound);
    return {};
  }

  Expected<FrameType> bind_output(const FrameType& in, const ModelInfo& info, const std::string& name) {
    if (model_.output >= info.outputs.size())
      return misfit(fmt::format("{} has {} outputs; there is no number {}", name, info.outputs.size(), model_.output));
    const TensorInfo& tensor = info.outputs[model_.output];
    const auto type = tensor.type();
    if (!type) return misfit(fmt::format("{} gives {}, a type that streams do not have", name, tensor.to_string()));
    port_ = static_cast<std::uint32_t>(model_.output);
    out_.type = *type;
    out_.rows = 1;
    out_.columns = tensor.elements();
    out_.tick_frequency = in.tick_frequency;
    if (tensor.scale.size() == 1) {
      out_.scale = {tensor.scale[0]};
      out_.offset = {-tensor.zero_point[0] * tensor.scale[0]};
    }
    if (!model_.labels.empty() && model_.labels.size() != out_.columns)
      return misfit(fmt::format("{} labels for the {} values that {} gives", model_.labels.size(), out_.columns, name));
    out_.names = model_.labels;
    return out_;
  }

  ModelStage model_;
  StagePtr convert_;
};

class RunAlgorithmStage final : public ExecuteStage {
 public:
  explicit RunAlgorithmStage(AlgorithmStage algorithm) : stage_(std::move(algorithm)) {}

  Expected<FrameType> bind(const FrameType& in) override {
    auto started = stage_.start();
    if (!started) return fail(started);
    algorithm_ = std::move(*started);
    const auto& outputs = algorithm_->outputs();
    const auto found = stage_.port.empty() ? outputs.begin()
                                           : std::find_if(outputs.begin(), outputs.end(),
                                                          [&](const auto& o) { return o.name == stage_.port; });
    if (found == outputs.end())
      return misfit(stage_.port.empty() ? fmt::format("{} has no output", stage_.what)
                                        : fmt::format("{} has no output '{}'", stage_.what, stage_.port));
    port_ = static_cast<std::uint32_t>(found - outputs.begin());
    out_ = stage_.output;
    out_.tick_frequency = in.tick_frequency;
    return out_;
  }

 private:
  AlgorithmStage stage_;
};

}  // namespace

StagePtr make_window(std::size_t length, std::size_t stride) { return std::make_unique<WindowStage>(length, stride); }
StagePtr make_stack(std::size_t count, std::size_t stride) { return std::make_unique<StackStage>(count, stride); }
StagePtr make_select(std::vector<std::string> names) { return std::make_unique<SelectStage>(std::move(names)); }
StagePtr make_convert(const Conversion& conversion) { return std::make_unique<ConvertStage>(conversion); }
StagePtr make_argmax() { return std::make_unique<ArgmaxStage>(); }
StagePtr make_smooth(std::size_t count) { return std::make_unique<SmoothStage>(count); }
StagePtr make_debounce(Debounce debounce) { return std::make_unique<DebounceStage>(std::move(debounce)); }
StagePtr make_model(ModelStage model) { return std::make_unique<RunModelStage>(std::move(model)); }
StagePtr make_algorithm_stage(AlgorithmStage algorithm) {
  return std::make_unique<RunAlgorithmStage>(std::move(algorithm));
}

}  // namespace sds::pipeline
