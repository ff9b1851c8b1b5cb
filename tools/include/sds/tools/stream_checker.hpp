// Looks at the blocks of one stream, once, in order, in memory that does not grow with their number.
#pragma once

#include <map>
#include <vector>

#include "sds/format/block.hpp"
#include "sds/tools/check.hpp"

namespace sds {

/// The largest deviation of a sequence t[0], t[1], ... from the straight line through its first and last value, found
/// in one pass: the farthest point lies on the convex hull, and only the hull is kept.
class DeviationFinder {
 public:
  void add(std::uint64_t index, std::int64_t value);
  /// The index and the size of the largest |t[n] - (t[0] + n * (t[last] - t[0]) / last)|, rounded to whole ticks.
  [[nodiscard]] Finding largest() const;

 private:
  struct Point {
    std::int64_t x;
    std::int64_t y;
  };
  static void extend(std::vector<Point>& hull, Point point, int side);
  std::vector<Point> upper_;
  std::vector<Point> lower_;
};

/// Counts the steps from block to block of one stream, and tells which are gaps: those of more than one and a half
/// usual ones, and more than two ticks longer than one, for that much is rounding of the device's clock. The usual step
/// is the median, which gaps do not move. Every command that speaks of gaps in time between blocks means these.
class StepCounter {
 public:
  /// Of block number `block` from the one before it.
  void add(std::uint64_t step, std::uint64_t block);
  [[nodiscard]] Finding longest() const;
  [[nodiscard]] Finding gaps() const;

 private:
  [[nodiscard]] std::uint64_t median() const;
  // How often each step was seen, and where first; the longest max_steps of them.
  static constexpr std::size_t max_steps = 4096;
  std::map<std::uint64_t, Finding> steps_;
  std::map<std::uint64_t, Finding>::iterator last_ = steps_.end();
};

class StreamChecker {
 public:
  StreamChecker(const StreamInfo& stream, const CheckOptions& options);
  StreamChecker(const StreamChecker&) = delete;
  StreamChecker& operator=(const StreamChecker&) = delete;
  void add(const BlockView& block);
  [[nodiscard]] StreamCheck finish();

 private:
  StreamCheck result_;
  std::size_t sample_bytes_ = 0;
  std::uint64_t previous_tick_ = 0;
  std::uint32_t previous_timeslot_ = 0;
  DeviationFinder deviation_;
  StepCounter steps_;
};

}  // namespace sds
