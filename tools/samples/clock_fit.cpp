#include "clock_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "median.hpp"
#include "sds/format/utc_follower.hpp"

namespace sds {

namespace {

constexpr double kScatterOfMad = 1.4826;  // standard deviation of a normal distribution by its MAD
constexpr double kTwoSigma = 1.96;
constexpr double kNoClockPpm = 30'000;
constexpr std::size_t kFewPairs = 5;
constexpr double kLeastScatterNs = 1e6;
constexpr double kScatterOfFewNs = 10e6;

// A point of the fit: all relative to the first pair, so that doubles are exact enough.
struct Point {
  double ticks = 0;
  double clock_ns = 0;
  double utc_ns = 0;
};

std::vector<Point> choose_points(std::span<const ClockPair> pairs, bool monotonic) {
  const std::size_t count = std::min(pairs.size(), max_fit_pairs);
  std::vector<Point> points;
  const auto since = [](std::uint64_t a, std::uint64_t b) {
    return static_cast<double>(static_cast<std::int64_t>(a - b));
  };
  for (std::size_t i = 0; i < count; ++i) {
    const ClockPair& pair = pairs[count == 1 ? 0 : i * (pairs.size() - 1) / (count - 1)];
    const ClockPair& first = pairs.front();
    const double utc = since(pair.utc_ns, first.utc_ns);
    points.push_back(
        {since(pair.tick, first.tick), monotonic ? since(pair.monotonic_ns, first.monotonic_ns) : utc, utc});
  }
  return points;
}

// Nanoseconds of residuals about their median, as a standard deviation.
double scatter_of(std::vector<double> residuals) {
  const double middle = median(residuals);
  for (double& r : residuals) r = std::abs(r - middle);
  return kScatterOfMad * median(std::move(residuals));
}

std::vector<double> residuals_of(const std::vector<Point>& points, double ns_per_tick, double Point::*value) {
  std::vector<double> residuals;
  residuals.reserve(points.size());
  for (const auto& p : points) residuals.push_back(p.*value - ns_per_tick * p.ticks);
  return residuals;
}

struct Slope {
  double ns_per_tick = 0;
  double uncertainty = std::numeric_limits<double>::infinity();
};

// Theil's and Sen's slope of clock_ns over ticks; no slope (infinitely uncertain) where all ticks are the same.
Slope robust_slope(const std::vector<Point>& points, double nominal) {
  std::vector<double> slopes;
  for (std::size_t i = 0; i < points.size(); ++i)
    for (std::size_t k = i + 1; k < points.size(); ++k)
      if (const double ticks = points[k].ticks - points[i].ticks; ticks != 0)
        slopes.push_back((points[k].clock_ns - points[i].clock_ns) / ticks);
  if (slopes.empty()) return {nominal, std::numeric_limits<double>::infinity()};
  std::sort(slopes.begin(), slopes.end());
  const std::size_t n = slopes.size();
  Slope slope{n % 2 != 0 ? slopes[n / 2] : (slopes[n / 2 - 1] + slopes[n / 2]) / 2, 0};
  const auto count = static_cast<double>(points.size());
  // Sen's interval: by the variance of Kendall's statistic.
  const double reach = kTwoSigma * std::sqrt(count * (count - 1) * (2 * count + 5) / 18);
  const double half = (static_cast<double>(n) - reach) / 2;
  const auto low = static_cast<std::size_t>(std::max(0.0, std::floor(half)));
  slope.uncertainty = std::max(slope.ns_per_tick - slopes[low], slopes[n - 1 - low] - slope.ns_per_tick);
  // And no less than a straight line through such stamps can be known.
  const double scatter = std::max(scatter_of(residuals_of(points, slope.ns_per_tick, &Point::clock_ns)),
                                  points.size() < kFewPairs ? kScatterOfFewNs : kLeastScatterNs);
  double mean = 0;
  for (const auto& p : points) mean += p.ticks / count;
  double spread = 0;
  for (const auto& p : points) spread += (p.ticks - mean) * (p.ticks - mean);
  slope.uncertainty = std::max(slope.uncertainty, kTwoSigma * scatter / std::sqrt(spread));
  return slope;
}

// Half the width of the interval between the order statistics that the median lies between with 95 %.
double uncertainty_of_median(std::vector<double> values) {
  const double middle = median(values);
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  const auto low = static_cast<std::size_t>(std::max(0.0, std::floor((count - kTwoSigma * std::sqrt(count)) / 2 - 1)));
  return std::max(middle - values[low], values[values.size() - 1 - low] - middle);
}

std::uint64_t add_ns(std::uint64_t utc_ns, long double more) {
  return utc_ns + static_cast<std::uint64_t>(std::llround(std::clamp(more, -9.0e18L, 9.0e18L)));
}

void judge_rate(ClockFit& fit) {
  const double ppm = std::abs(fit.rate_ppm);
  fit.real_time = fit.pairs < 2 || ppm < kNoClockPpm ||
                  (fit.rate_uncertainty_ppm > max_rate_uncertainty_ppm && ppm - fit.rate_uncertainty_ppm < kNoClockPpm);
  if (fit.pairs < 2) {
    fit.why_not = "there is one clock pair only";
  } else if (!fit.real_time) {
    fit.why_not = "no clock is off by so much, so the recording was not made in real time";
  } else if (!(fit.rate_uncertainty_ppm <= max_rate_uncertainty_ppm)) {
    fit.why_not = "its clock pairs are too few, or too close together, to tell";
  } else if (ppm <= fit.rate_uncertainty_ppm) {
    fit.why_not = fmt::format("within {:.1f} ppm it is the nominal one", fit.rate_uncertainty_ppm);
  }
  fit.rate_applied = fit.why_not.empty();
  if (fit.rate_applied) {
    fit.rate_bound_ppm = fit.rate_uncertainty_ppm;
  } else {
    const double most = std::abs(fit.rate_ppm) + fit.rate_uncertainty_ppm;
    const bool usual = !(std::abs(fit.rate_ppm) - fit.rate_uncertainty_ppm > usual_rate_ppm);
    fit.rate_bound_ppm = usual ? std::min(most, usual_rate_ppm) : most;
  }
}

}  // namespace

std::uint64_t ClockFit::utc_ns_at(long double ticks) const {
  return add_ns(utc_ns, static_cast<long double>(ns_per_tick) * (ticks - static_cast<long double>(tick)));
}

double ClockFit::uncertainty_s_at(long double ticks) const {
  const double away_s = 1e-9 * ns_per_tick * std::abs(static_cast<double>(ticks - static_cast<long double>(tick)));
  const double by_rate_s = 1e-6 * rate_bound_ppm * away_s;
  // A rate that is left out is no chance error: it adds up.
  return rate_applied ? std::hypot(offset_uncertainty_s, by_rate_s) : offset_uncertainty_s + by_rate_s;
}

ClockFit fit_clock(std::span<const ClockPair> pairs, const Frequency& frequency) {
  ClockFit fit;
  fit.monotonic = std::all_of(pairs.begin(), pairs.end(), [](const ClockPair& p) { return p.monotonic_ns != 0; });
  const auto points = choose_points(pairs, fit.monotonic);
  fit.pairs = points.size();
  const double nominal = 1e9 * frequency.denominator / frequency.numerator;
  const Slope slope = robust_slope(points, nominal);
  fit.rate_ppm = (slope.ns_per_tick / nominal - 1) * 1e6;
  fit.rate_uncertainty_ppm = slope.uncertainty / nominal * 1e6;
  judge_rate(fit);
  fit.ns_per_tick = fit.rate_applied ? slope.ns_per_tick : nominal;
  const auto offsets = residuals_of(points, fit.ns_per_tick, &Point::utc_ns);
  const double scatter = std::max(scatter_of(offsets), points.size() < kFewPairs ? kScatterOfFewNs : kLeastScatterNs);
  const auto count = static_cast<double>(points.size());
  // Of a normal distribution's median of n values: 1.25 times as far off as their mean.
  fit.offset_uncertainty_s =
      1e-9 * std::max(kTwoSigma * 1.25 * scatter / std::sqrt(count), uncertainty_of_median(offsets));
  double middle = 0;
  for (const auto& point : points) middle += point.ticks / count;
  middle = std::round(middle);
  fit.tick = pairs.front().tick + static_cast<std::uint64_t>(static_cast<std::int64_t>(middle));
  fit.utc_ns = add_ns(pairs.front().utc_ns,
                      static_cast<long double>(median(offsets)) + static_cast<long double>(fit.ns_per_tick) * middle);
  return fit;
}

namespace {

std::optional<RecordingClock> best_clock(const Recording& recording, const Frequency* only) {
  if (!recording.sdsz()) return std::nullopt;
  const auto& streams = recording.sdsz()->streams();
  std::optional<RecordingClock> best;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (streams[i].clocks.empty()) continue;
    const Frequency ticks = recording.streams()[i].tick_frequency();
    if (only != nullptr && ticks != *only) continue;
    RecordingClock clock{fit_clock(streams[i].clocks, ticks), ticks};
    // A stream without metadata, whose tick frequency is a guess, has a clock that runs in no real time.
    const bool better =
        !best || (clock.fit.real_time != best->fit.real_time ? clock.fit.real_time : clock.fit.pairs > best->fit.pairs);
    if (better) best = std::move(clock);
  }
  return best;
}

constexpr double kApartS = 0.1;

// The clock of the streams that count so, and what of the recording it tells of.
struct CounterClock {
  RecordingClock clock;
  std::uint64_t first_tick = 0;  // of its pairs
  std::uint64_t last_tick = 0;
  double interval_s = 0;  // the longest of a stream's blocks: by so much its stamps may come late
};

std::optional<CounterClock> counter_clock(const Recording& recording, const Frequency& ticks) {
  const auto best = best_clock(recording, &ticks);
  if (!best || !best->fit.real_time) return std::nullopt;
  CounterClock counter{*best, best->fit.tick, best->fit.tick, 0};
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    if (recording.streams()[i].tick_frequency() != ticks) continue;
    const SdszStream& stream = recording.sdsz()->streams()[i];
    for (const auto& pair : stream.clocks) {
      counter.first_tick = std::min(counter.first_tick, pair.tick);
      counter.last_tick = std::max(counter.last_tick, pair.tick);
    }
    std::uint64_t blocks = 0;
    std::uint64_t span = 0;
    for (const auto& entry : stream.data) {
      blocks += entry.header.block_count;
      span += entry.header.last_tick - std::min(entry.header.first_tick, entry.header.last_tick);
    }
    if (blocks > stream.data.size())
      counter.interval_s = std::max(counter.interval_s, static_cast<double>(span) / ticks.hz() /
                                                            static_cast<double>(blocks - stream.data.size()));
  }
  return counter;
}

// How far `b` stands ahead of `a`, in seconds, where `b` is at `tick`, beyond what is not known; 0 if it may be
// nothing.
double ahead_at(const CounterClock& a, const CounterClock& b, std::uint64_t tick) {
  const auto at = static_cast<long double>(tick);
  const auto utc_ns = b.clock.fit.utc_ns_at(at);
  const auto there =
      static_cast<long double>(static_cast<std::int64_t>(utc_ns - a.clock.fit.utc_ns)) / a.clock.fit.ns_per_tick +
      static_cast<long double>(a.clock.fit.tick);
  const auto ahead = static_cast<double>(at / b.clock.ticks.hz() - there / a.clock.ticks.hz());
  const double unknown =
      kApartS + a.interval_s + b.interval_s + a.clock.fit.uncertainty_s_at(there) + b.clock.fit.uncertainty_s_at(at);
  return std::abs(ahead) > unknown ? ahead : 0;
}

}  // namespace

std::optional<RecordingClock> clock_of(const Recording& recording) { return best_clock(recording, nullptr); }

std::optional<RecordingClock> clock_of(const Recording& recording, const Frequency& frequency) {
  auto own = best_clock(recording, &frequency);
  return own ? own : best_clock(recording, nullptr);
}

std::vector<std::string> clocks_apart(const Recording& recording) {
  std::vector<std::string> texts;
  std::vector<Frequency> seen;
  std::optional<CounterClock> first;
  for (const auto& stream : recording.streams()) {
    const Frequency ticks = stream.tick_frequency();
    if (std::find(seen.begin(), seen.end(), ticks) != seen.end()) continue;
    seen.push_back(ticks);
    const auto counter = counter_clock(recording, ticks);
    if (!counter) continue;
    if (!first) {
      first = counter;
      continue;
    }
    double ahead = 0;
    for (const std::uint64_t tick : {counter->clock.fit.tick, counter->first_tick, counter->last_tick})
      if (const double there = ahead_at(*first, *counter, tick); std::abs(there) > std::abs(ahead)) ahead = there;
    if (ahead == 0) continue;
    texts.push_back(
        fmt::format("ticks of {} Hz are {:.3f} s {} those of {} Hz: times of their streams cannot be compared",
                    ticks.hz(), std::abs(ahead), ahead > 0 ? "ahead of" : "behind", first->clock.ticks.hz()));
  }
  return texts;
}

namespace {

constexpr std::size_t kMostUtcSteps = 20;  // told: a hostile recording has a million
// The same step, as two streams have it: stamps of one moment are a microsecond apart.
constexpr double kSameStepS = 0.1;

struct UtcStep {
  double seconds = 0;
  double after_s = 0;  // on the device's clock
  double before_s = 0;

  [[nodiscard]] bool is(const UtcStep& other) const {
    return std::abs(other.seconds - seconds) < kSameStepS && other.after_s < before_s && after_s < other.before_s;
  }
};

struct TimedPair {
  ClockPair pair;
  Frequency ticks;
};

// Of pairs of one monotonic clock. Times are told by the counter of the first one: those of other frequencies may stand
// elsewhere.
std::vector<UtcStep> steps_of(std::vector<TimedPair> pairs) {
  std::erase_if(pairs, [](const TimedPair& timed) { return timed.pair.monotonic_ns == 0; });
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const TimedPair& a, const TimedPair& b) { return a.pair.monotonic_ns < b.pair.monotonic_ns; });
  std::vector<UtcStep> steps;
  UtcFollower utc;
  std::size_t counted = 0;  // the last pair of that counter
  double before_s = 0;
  for (std::size_t k = 0; k < pairs.size() && steps.size() <= kMostUtcSteps; ++k) {
    const ClockPair& pair = pairs[k].pair;
    if (pairs[k].ticks == pairs[0].ticks) counted = k;
    const ClockPair& at = pairs[counted].pair;
    const double at_s = static_cast<double>(at.tick) / pairs[0].ticks.hz() +
                        1e-9 * static_cast<double>(pair.monotonic_ns - at.monotonic_ns);
    if (const auto step_ns = utc.step(pair.utc_ns, pair.monotonic_ns))
      steps.push_back({1e-9 * static_cast<double>(*step_ns), before_s, at_s});
    if (utc.is_steady()) before_s = at_s;
  }
  return steps;
}

}  // namespace

std::vector<std::string> utc_steps(const Recording& recording) {
  if (!recording.sdsz()) return {};
  // What was merged has the clocks of several servers, or of one before and after it was switched off.
  const bool merged = !recording.sdsz()->session().get("sessions").value_or("").empty();
  std::vector<UtcStep> steps;
  std::vector<TimedPair> pairs;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    for (const auto& pair : recording.sdsz()->streams()[i].clocks)
      pairs.push_back({pair, recording.streams()[i].tick_frequency()});
    if (!merged && i + 1 < recording.streams().size()) continue;
    for (const auto& step : steps_of(std::exchange(pairs, {})))
      if (std::none_of(steps.begin(), steps.end(), [&](const UtcStep& known) { return known.is(step); }))
        steps.push_back(step);
    if (steps.size() > kMostUtcSteps) break;
  }
  std::vector<std::string> texts;
  const bool more = steps.size() > kMostUtcSteps;
  if (more) steps.resize(kMostUtcSteps);
  texts.reserve(steps.size());
  for (const auto& step : steps)
    texts.push_back(
        fmt::format("UTC went {:+.3f} s against the monotonic clock between {:.3f} s and {:.3f} s: it was set, or the "
                    "server's machine slept",
                    step.seconds, step.after_s, step.before_s));
  if (more) texts.push_back("UTC stepped more often than is told");
  return texts;
}

std::vector<std::string> utc_steps_in_fit(const Recording& recording) {
  std::vector<std::string> texts = utc_steps(recording);
  for (auto& text : texts) text += "; its clock is fitted by the UTC of most of its clock pairs";
  return texts;
}

}  // namespace sds
