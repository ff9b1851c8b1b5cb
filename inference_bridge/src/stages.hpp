// The stages of a pipeline. Each is bound once to the kind of frames that it gets, and then fed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "frames.hpp"
#include "sds/bridge/engine.hpp"

namespace sds::pipeline {

/// Takes a frame on to whatever comes next. An error means that something crashed or hung: it is over.
using Emit = std::function<Expected<void>(const Frame&)>;

/// Where stages report what does not go on to the next one.
struct Observer {
  virtual ~Observer() = default;
  /// The stage could not work on a frame of a block: what comes out of it next does not follow what came before.
  virtual void note_failure(std::size_t stage, std::uint64_t block, const std::string& message) = 0;
  /// The stage's algorithm did not survive a block: nothing behind this block can be had.
  virtual void note_end(std::uint64_t block) = 0;
  /// The stage is about to wait, for the sake of a block; what is returned goes into resume() when it does not any
  /// more.
  virtual std::size_t pause(std::uint64_t block) = 0;
  virtual void resume(std::size_t paused) = 0;
  /// The algorithm of this stage ran so long for a frame of a block.
  virtual void note_duration(std::size_t stage, std::uint64_t block, std::chrono::nanoseconds duration) = 0;
};

class Stage {
 public:
  virtual ~Stage() = default;
  void report_to(Observer& observer, std::size_t number) {
    observer_ = &observer;
    number_ = number;
  }
  /// Fixes the kind of frames that come in, and says which come out; the message says what does not fit.
  virtual Expected<FrameType> bind(const FrameType& in) = 0;
  /// A stage that runs an algorithm may keep frames on their way to it; it emits them later, in order.
  virtual Expected<void> push(const Frame& frame, const Emit& emit) = 0;
  /// Emits all that is on its way for blocks up to this one.
  virtual Expected<void> drain(std::uint64_t /*block*/, const Emit& /*emit*/) { return {}; }
  /// True if a frame of a block up to this one is on its way.
  [[nodiscard]] virtual bool is_due(std::uint64_t /*block*/) const { return false; }
  /// True if its work is done elsewhere, and told by note_duration(): what it takes here is handing over and waiting.
  [[nodiscard]] virtual bool works_elsewhere() const { return false; }
  /// True if it works on every frame that it gets, and may have nothing to put out all the same.
  [[nodiscard]] virtual bool may_keep_silent() const { return works_elsewhere(); }
  /// True if it puts nothing out before it has got several frames.
  [[nodiscard]] virtual bool waits_for_more() const { return false; }
  /// See Algorithm.
  virtual Expected<void> finish() { return {}; }
  /// Forgets all frames so far.
  virtual Expected<void> reset() = 0;
  [[nodiscard]] virtual std::uint64_t peak_memory() const { return 0; }
  /// See Algorithm.
  virtual void poison_outputs(std::uint8_t /*byte*/) {}
  virtual void ask_while_waiting(const std::function<Expected<void>()>& /*ask*/) {}

 protected:
  Observer* observer_ = nullptr;
  std::size_t number_ = 0;  // by which the observer knows it
};

using StagePtr = std::unique_ptr<Stage>;

/// Windows of `length` rows, every `stride` rows; the tick of a window is that of its last row.
StagePtr make_window(std::size_t length, std::size_t stride);
/// Windows of `count` frames, every `stride` frames, their elements one behind the other in one row.
StagePtr make_stack(std::size_t count, std::size_t stride);
/// Only the columns of these names.
StagePtr make_select(std::vector<std::string> names);

struct Conversion {
  ScalarType type = ScalarType::f32;
  double scale = 1.0;  ///< of the result: physical value = (stored - zero_point) * scale
  double zero_point = 0.0;
  double gain = 1.0;  ///< the result's physical value = physical value * gain + bias
  double bias = 0.0;
  /// Divides in single precision, as TensorFlow Lite Micro's Quantize does: ties come out as they do there.
  bool in_float = false;
};
StagePtr make_convert(const Conversion& conversion);
/// The number of the column with the largest value, the first of equals, as one uint8. NaN is never the largest; a
/// frame of nothing else fails.
StagePtr make_argmax();
/// The mean of the last `count` frames' physical values, as floats; of fewer at the beginning.
StagePtr make_smooth(std::size_t count);

struct Debounce {
  ExactNumber threshold = 0.5;
  std::size_t count = 1;            ///< frames in a row in which a class must lead with at least the threshold
  std::size_t hold = 0;             ///< frames after a detection in which there is no other
  std::vector<std::string> ignore;  ///< classes that are no detection
};
/// One uint8, the number of a class, each time a class is detected; nothing in between.
StagePtr make_debounce(Debounce debounce);

struct StartedModel {
  std::unique_ptr<Algorithm> algorithm;
  ModelInfo info;
};

struct ModelStage {
  ModelOptions options;
  std::optional<StartedModel> started;  ///< absent: binding the stage starts it
  std::vector<std::string> labels;      ///< of the output's elements
  std::size_t output = 0;               ///< which output tensor goes on
  bool quantise = false;  ///< also where the types are the same: convert physical values by the tensor's scale
};
StagePtr make_model(ModelStage model);

struct AlgorithmStage {
  std::string what;  ///< for messages
  std::function<Expected<std::unique_ptr<Algorithm>>()> start;
  std::string port;  ///< name of the output that goes on; empty: the first
  FrameType output;  ///< rows and columns of its blocks
};
StagePtr make_algorithm_stage(AlgorithmStage algorithm);

}  // namespace sds::pipeline
