// Clock offsets of an XDF stream: what its device's time lacked to the recorder's, measured every few seconds. They
// become one line for each part between resets of the device's clock. What is a reset, which samples belong to a part
// and how its line is fitted is as pyxdf has it, so that times are the same in both; times are not evened out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sds {

/// A measurement: at `time_s` of the device's clock, `value_s` was to be added.
struct ClockOffset {
  double time_s = 0;
  double value_s = 0;
};

/// What is to be added to times of a part.
struct OffsetLine {
  double centre_s = 0;  ///< the device's time at which it is `value_s`
  double value_s = 0;
  double slope = 0;  ///< seconds a second

  [[nodiscard]] double at(double time_s) const { return value_s + slope * (time_s - centre_s); }
};

/// The line with the least Huber loss: squares up to 0.1 ms, beyond that only as much as its distance, so that some
/// late measurements move it little. Level where the offsets, of which there is one at least, have one time.
OffsetLine fit_offsets(std::span<const ClockOffset> offsets);

/// Tells the synchronized time of one sample after the other, in the order of the file.
class OffsetClock {
 public:
  OffsetClock() = default;  ///< no offsets: times stay what they are
  /// `offsets` in the order of the file.
  explicit OffsetClock(std::span<const ClockOffset> offsets);

  double synchronized(double time_s);
  /// Resets that samples were behind, so far.
  [[nodiscard]] std::size_t resets() const { return resets_; }

 private:
  struct Part {
    double begin_s = 0;  // of its first and last measurement
    double end_s = 0;
    OffsetLine line;
  };
  std::vector<Part> parts_;
  std::size_t part_ = 0;  // the current one
  std::size_t resets_ = 0;
  bool started_ = false;
};

}  // namespace sds
