#include "clock_offsets.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "median.hpp"

namespace sds {

namespace {

// pyxdf's parameters, by the names of pyxdf.load_xdf. "Standard deviations" are median absolute deviations there.
constexpr double kClockResetThresholdStds = 5;
constexpr double kClockResetThresholdSeconds = 5;
constexpr double kClockResetThresholdOffsetStds = 10;
constexpr double kClockResetThresholdOffsetSeconds = 1;
constexpr double kWinsorThreshold = 0.0001;  // seconds
constexpr int kFitSteps = 1000;

// Which of the steps between measurements are unlike the others.
class UnlikeOthers {
 public:
  UnlikeOthers(const std::vector<double>& steps, double deviations, double seconds)
      : median_(median(steps)), seconds_(seconds) {
    std::vector<double> off = steps;
    for (double& step : off) step = std::abs(step - median_);
    least_ = deviations * (median(std::move(off)) + std::numeric_limits<double>::epsilon());
  }
  bool operator()(double step) const {
    const double off = std::abs(step - median_);
    return off > least_ && off > seconds_;
  }

 private:
  double median_;
  double seconds_;
  double least_ = 0;
};

// The first offset of each part: the device's clock went back, or both the measurement came late and the offset jumped.
std::vector<std::size_t> begins_of_parts(std::span<const ClockOffset> offsets) {
  std::vector<std::size_t> begins{0};
  if (offsets.size() < 2) return begins;
  std::vector<double> times;
  std::vector<double> values;
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    times.push_back(offsets[i].time_s - offsets[i - 1].time_s);
    values.push_back(offsets[i].value_s - offsets[i - 1].value_s);
  }
  const UnlikeOthers late(times, kClockResetThresholdStds, kClockResetThresholdSeconds);
  const UnlikeOthers jumps(values, kClockResetThresholdOffsetStds, kClockResetThresholdOffsetSeconds);
  for (std::size_t i = 1; i < offsets.size(); ++i)
    if (times[i - 1] < 0 || (late(times[i - 1]) && jumps(values[i - 1]))) begins.push_back(i);
  return begins;
}

}  // namespace

OffsetLine fit_offsets(std::span<const ClockOffset> offsets) {
  const auto n = static_cast<double>(offsets.size());
  const ClockOffset first = offsets.front();
  OffsetLine line{first.time_s, first.value_s, 0};
  // From the first one on: a constant offset stays exactly what it is.
  double time_sum = 0;
  double value_sum = 0;
  for (const auto& o : offsets) {
    time_sum += o.time_s - first.time_s;
    value_sum += o.value_s - first.value_s;
  }
  line.centre_s += time_sum / n;
  line.value_s += value_sum / n;
  double spread = 0;
  double together = 0;
  for (const auto& o : offsets) {
    const double t = o.time_s - line.centre_s;
    spread += t * t;
    together += t * (o.value_s - line.value_s);
  }
  if (spread > 0) line.slope = together / spread;
  // Alternating direction method of multipliers (Boyd et al. 2011, 6.1.1, Huber fitting) with a penalty of 1, from the
  // line of least squares on. A dual is half of what the line misses its measurement by and the last dual, in units of
  // the threshold and at most 1; the line that the last duals less twice the new ones lie on is what it moves by. Where
  // outliers are so far off that it needs more steps, pyxdf stops there, too.
  std::vector<double> duals(offsets.size(), 0.0);
  for (int step = 1; step < kFitSteps; ++step) {
    double sum = 0;
    double slope = 0;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      const double missed = (line.at(offsets[i].time_s) - offsets[i].value_s) / kWinsorThreshold;
      const double dual = std::clamp((missed + duals[i]) / 2, -1.0, 1.0);
      const double move = duals[i] - 2 * dual;
      duals[i] = dual;
      sum += move;
      slope += move * (offsets[i].time_s - line.centre_s);
    }
    const OffsetLine before = line;
    line.value_s += kWinsorThreshold * sum / n;
    if (spread > 0) line.slope += kWinsorThreshold * slope / spread;
    if (line.value_s == before.value_s && line.slope == before.slope) break;
  }
  return line;
}

OffsetClock::OffsetClock(std::span<const ClockOffset> offsets) {
  if (offsets.empty()) return;
  const auto begins = begins_of_parts(offsets);
  for (std::size_t p = 0; p < begins.size(); ++p) {
    const std::size_t end = p + 1 < begins.size() ? begins[p + 1] : offsets.size();
    const auto part = offsets.subspan(begins[p], end - begins[p]);
    parts_.push_back({part.front().time_s, part.back().time_s, fit_offsets(part)});
  }
}

double OffsetClock::synchronized(double time_s) {
  if (parts_.empty()) return time_s;
  // A part lasts up to the first sample that is nearer to the next one's begin than to its own end.
  const std::size_t before = part_;
  while (part_ + 1 < parts_.size() &&
         !(std::abs(time_s - parts_[part_].end_s) < std::abs(time_s - parts_[part_ + 1].begin_s)))
    ++part_;
  if (started_ && part_ != before) ++resets_;
  started_ = true;
  return time_s + parts_[part_].line.at(time_s);
}

}  // namespace sds
