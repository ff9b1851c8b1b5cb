// How long a run of equal values holds, where times of samples cross or the clock steps back within it (docs/time.md).
#pragma once

#include <algorithm>
#include <cstdint>

namespace sds {

/// Each sample holds until the next one, or, where that is earlier, for one interval. Where blocks of a fast sensor
/// overlap, what several samples hold at once counts once; on both sides of a step of the clock back it counts for
/// each.
class HeldRun {
 public:
  /// With its first value.
  void begin(double time) {
    *this = {};
    begin_ = piece_ = reach_ = time;
  }
  /// Another value of the run.
  void go_on(double time) {
    piece_ = std::min(piece_, time);
    if (steps_back_ == 0) begin_ = piece_;
  }
  /// The next sample is earlier than the one before it, which is over at `over`.
  void cross(double over) { reach_ = std::max(reach_, over); }
  /// The clock steps back to the next sample, at `time`.
  void step_back(double over, double time) {
    before_s_ = seconds(over);
    piece_ = reach_ = time;
    ++steps_back_;
  }
  /// Up to the next other value, or to where the last sample is over.
  [[nodiscard]] double seconds(double until) const { return before_s_ + std::max(until, reach_) - piece_; }
  [[nodiscard]] double begin() const { return begin_; }
  [[nodiscard]] std::uint64_t steps_back() const { return steps_back_; }

 private:
  double begin_ = 0;
  double piece_ = 0;     // where it begins behind the last step back
  double reach_ = 0;     // how far samples of that piece hold whose next one is earlier
  double before_s_ = 0;  // how long it held before that
  std::uint64_t steps_back_ = 0;
};

}  // namespace sds
