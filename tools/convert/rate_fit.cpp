#include "rate_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

namespace sds {

namespace {

struct Interval {
  double low = 0;
  double high = 0;
  [[nodiscard]] bool empty() const { return !(low <= high); }
};

Interval both(const Interval& a, const Interval& b) { return {std::max(a.low, b.low), std::min(a.high, b.high)}; }

Interval inverse(const Interval& i) { return {1 / i.high, 1 / i.low}; }

struct Candidate {
  Frequency rate;
  double rarity = std::numeric_limits<double>::infinity();  // log10 of how many of its kind a Hz has there
};

std::optional<Frequency> decimal(double value, int digits) {
  auto parsed = Frequency::parse(fmt::format("{:.{}f}", value, std::max(0, digits)));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

// The decimal with the fewest digits in the interval; of several the one nearest to its middle.
std::optional<std::pair<Frequency, int>> shortest_decimal(const Interval& within) {
  const double middle = (within.low + within.high) / 2;
  for (int digits = -9; digits <= 15; ++digits) {
    const double step = std::pow(10.0, -digits);
    const double value = digits < 0 ? std::round(middle / step) * step
                                    : std::round(middle * std::pow(10.0, digits)) / std::pow(10.0, digits);
    if (!(value > 0) || value < within.low || value > within.high) continue;
    if (const auto found = decimal(value, digits)) return std::pair{*found, digits};
  }
  return std::nullopt;
}

// The fraction with the smallest denominator in the interval, by the continued fraction that its ends share; where that
// needs more than 31 bits, the last convergent of theirs that does not.
std::optional<Frequency> simplest_fraction(Interval within) {
  constexpr double kMost = 2147483647.0;
  struct Convergent {
    double above = 1;
    double below = 0;
  };
  Convergent before{0, 1};
  Convergent last{1, 0};
  double low = within.low;
  double high = within.high;
  for (int terms = 0; terms < 64; ++terms) {
    const double whole = std::floor(low);
    const bool apart = whole == low || std::floor(high) != whole;
    const double term = apart ? (whole == low ? whole : whole + 1) : whole;
    const Convergent next{term * last.above + before.above, term * last.below + before.below};
    if (next.above > kMost || next.below > kMost) break;
    before = last;
    last = next;
    if (apart) break;
    const double high_rest = 1 / (low - whole);
    low = 1 / (high - whole);
    high = high_rest;
    if (!std::isfinite(high)) break;
  }
  if (last.below < 1 || last.above < 1) return std::nullopt;
  const auto above = static_cast<std::uint32_t>(last.above);
  const auto below = static_cast<std::uint32_t>(last.below);
  const auto common = std::gcd(above, below);
  return Frequency{above / common, below / common};
}

// Points (i, t) of one stretch, by the convex hull that their extremes over every line lie on.
class Stretch {
 public:
  void add(double time) {
    const Point point{static_cast<double>(count_++), time};
    extend(upper_, point, 1);
    extend(lower_, point, -1);
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] double mean_period() const {
    return (upper_.back().t - upper_.front().t) / static_cast<double>(count_ - 1);
  }
  /// How far the samples lie apart from an even grid of this period, from the earliest to the latest.
  [[nodiscard]] double spread(double period) const {
    double most = -std::numeric_limits<double>::infinity();
    double least = -most;
    for (const Point& p : upper_) most = std::max(most, p.t - p.i * period);
    for (const Point& p : lower_) least = std::min(least, p.t - p.i * period);
    return most - least;
  }
  /// The periods with a spread of at most `width`: of a convex function, an interval.
  [[nodiscard]] Interval periods(double width) const {
    const double mean = mean_period();
    const double reach = (spread(mean) + width) / static_cast<double>(count_ - 1);
    double low = mean - reach;
    double high = mean + reach;
    for (int n = 0; n < 120; ++n) {
      const double a = low + (high - low) / 3;
      const double b = high - (high - low) / 3;
      (spread(a) < spread(b) ? high : low) = spread(a) < spread(b) ? b : a;
    }
    const double best = (low + high) / 2;
    if (spread(best) > width) return {1, 0};
    const auto edge = [&](double inside, double outside) {
      for (int n = 0; n < 100; ++n) {
        const double half = (inside + outside) / 2;
        (spread(half) <= width ? inside : outside) = half;
      }
      return inside;
    };
    return {edge(best, mean - reach), edge(best, mean + reach)};
  }

 private:
  struct Point {
    double i;
    double t;
  };
  static void extend(std::vector<Point>& hull, Point point, int side) {
    while (hull.size() >= 2) {
      const Point& a = hull[hull.size() - 2];
      const Point& b = hull[hull.size() - 1];
      if (side * ((b.i - a.i) * (point.t - a.t) - (b.t - a.t) * (point.i - a.i)) < 0) break;
      hull.pop_back();
    }
    hull.push_back(point);
  }
  std::vector<Point> upper_;
  std::vector<Point> lower_;
  std::size_t count_ = 0;
};

// Stretches between gaps, the longest one first; none if too few of the steps lie in them.
std::vector<Stretch> stretches_of(std::span<const double> times, double usual, double slack) {
  std::vector<Stretch> found(1);
  std::size_t within = 0;
  for (std::size_t k = 0; k < times.size(); ++k) {
    const double step = k == 0 ? 0 : times[k] - times[k - 1];
    if (k > 0 && (step > 1.5 * usual + slack || step < -slack)) {
      found.emplace_back();
    } else if (k > 0) {
      ++within;
    }
    found.back().add(times[k] - times[0]);
  }
  if (5 * within < 4 * (times.size() - 1)) return {};
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.count() > b.count(); });
  return found;
}

// The periods that fit the longest stretch, and the others as far as they agree.
Interval periods_of(const std::vector<Stretch>& stretches, double width) {
  constexpr std::size_t kMostStretches = 1000;
  if (stretches.empty() || stretches.front().count() < 3) return {1, 0};
  Interval all = stretches.front().periods(width);
  if (all.empty() || all.high <= 0) return {1, 0};
  for (std::size_t s = 1; s < std::min(stretches.size(), kMostStretches) && stretches[s].count() >= 3; ++s)
    if (const Interval agreed = both(all, stretches[s].periods(width)); !agreed.empty()) all = agreed;
  return all;
}

// The mean rate where about equally many samples have each time, as 24 to 26 in every second. The first and the last
// time may have less.
std::optional<Frequency> rate_by_counts(std::span<const double> times) {
  struct Run {
    double samples;
    double length;  // up to the next time
  };
  std::vector<Run> runs;
  double count = 1;
  for (std::size_t k = 1; k < times.size(); ++k, ++count) {
    if (times[k] == times[k - 1]) continue;
    runs.push_back({count, times[k] - times[k - 1]});
    count = 0;
  }
  if (runs.size() < 3) return std::nullopt;
  runs.erase(runs.begin());
  std::vector<double> rates;
  rates.reserve(runs.size());
  for (const auto& run : runs) rates.push_back(run.samples / run.length);
  std::nth_element(rates.begin(), rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2), rates.end());
  const double usual = rates[rates.size() / 2];
  double samples = 0;
  double length = 0;
  std::size_t alike = 0;
  for (const auto& run : runs) {
    if (std::abs(run.samples - usual * run.length) > 1 + 0.1 * usual * run.length) continue;
    ++alike;
    samples += run.samples;
    length += run.length;
  }
  if (!(length > 0) || 5 * alike < 4 * runs.size()) return std::nullopt;
  return simplest_rate((samples - 1) / length, (samples + 1) / length);
}

}  // namespace

std::optional<Frequency> simplest_rate(double low_hz, double high_hz) {
  if (!(low_hz > 0) || !(high_hz >= low_hz) || !std::isfinite(high_hz)) return std::nullopt;
  const Interval rates{low_hz, high_hz};
  const double log_hz = std::log10((low_hz + high_hz) / 2);
  Candidate best;
  const auto consider = [&](const Frequency& rate, double rarity) {
    if (rarity < best.rarity) best = {rate, rarity};
  };
  if (const auto found = shortest_decimal(rates)) consider(found->first, found->second);
  // A Hz has about 0.3 q^2 fractions with denominators of up to q.
  if (const auto found = simplest_fraction(rates))
    consider(*found, found->denominator == 1 ? 0 : std::log10(0.3) + 2 * std::log10(found->denominator));
  // Rates are what people choose: a round period has to be ten times rarer.
  if (const auto found = shortest_decimal(inverse(rates)))
    consider({found->first.denominator, found->first.numerator}, found->second - 2 * log_hz + 1);
  return std::isfinite(best.rarity) ? std::optional(best.rate) : std::nullopt;
}

void RateFit::add(double time_s) {
  largest_ = std::max(largest_, std::abs(time_s));
  if (times_.size() < max_times) times_.push_back(time_s);
  // A double of seconds since 1970 is good to a quarter of a microsecond; near 0 a picosecond is nobody's.
  static constexpr std::array powers{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
  for (; digits_ <= most_digits; ++digits_) {
    const double power = powers[static_cast<std::size_t>(digits_)];
    const double units = time_s * power;
    if (std::abs(units - std::round(units)) <= std::max(1e-12 * power, 4e-16 * std::abs(units))) break;
  }
}

std::optional<double> RateFit::unit_s() const {
  return digits_ > most_digits ? std::nullopt : std::optional(std::pow(10.0, -digits_));
}

std::optional<Frequency> RateFit::rate() const {
  if (times_.size() < 3) return std::nullopt;
  std::vector<double> steps(times_.size() - 1);
  for (std::size_t k = 0; k < steps.size(); ++k) steps[k] = times_[k + 1] - times_[k];
  std::vector<double> sorted = steps;
  std::sort(sorted.begin(), sorted.end());
  const double usual = sorted[(sorted.size() - 1) / 2];
  const double resolution = 2 * std::numeric_limits<double>::epsilon() * largest_;
  const double unit = unit_s().value_or(0);
  const auto alike = std::upper_bound(sorted.begin(), sorted.end(), usual + resolution) -
                     std::lower_bound(sorted.begin(), sorted.end(), usual - resolution);

  // Steps that are all the same, and can be told from their neighbours, were not rounded.
  const auto stretches = stretches_of(times_, usual, 2 * unit + resolution);
  if (unit > 0 && usual > 0 && resolution < unit / 8 && 5 * alike >= 4 * static_cast<std::ptrdiff_t>(steps.size()) &&
      !stretches.empty() && stretches.front().spread(usual) <= resolution)
    if (const auto period = decimal(usual, digits_)) return Frequency{period->denominator, period->numerator};

  // Steps that are alike tell the spacing within a block, whatever the clock that its begin is of: surely where times
  // have all their digits, and else if the rest does not contradict them.
  std::optional<Interval> exact;
  if (usual > std::max(10 * resolution, 5 * unit) && 2 * alike >= static_cast<std::ptrdiff_t>(steps.size()))
    exact = Interval{usual - resolution, usual + resolution};
  const bool all_digits = unit < 1e-7;

  // Where nearly all steps are alike, one that is a unit longer is a sample that is missing; elsewhere it is rounding.
  const double digits = std::max(unit, 1e-9) + resolution;
  const bool even = 20 * alike >= 19 * static_cast<std::ptrdiff_t>(steps.size());
  struct Tolerance {
    double width;
    double slack;
  };
  for (const auto& [width, slack] : {Tolerance{digits, 2 * digits},
                                     {digits, even ? resolution : 2 * digits},
                                     {1e-6 + resolution, 2e-6},
                                     {1e-3 + resolution, 2e-3}}) {
    if (width < digits) continue;
    if (width > digits && !exact && width > usual) break;
    const Interval periods = periods_of(stretches_of(times_, usual, slack), width);
    if (periods.empty()) continue;
    // What fits within the times' own rounding needs no clock to explain it.
    const Interval agreed = exact && width > digits ? both(periods, *exact) : periods;
    const Interval rates = inverse(!agreed.empty() ? agreed : all_digits ? *exact : periods);
    if (const auto rate = simplest_rate(rates.low, rates.high)) return rate;
  }
  if (exact && all_digits) return simplest_rate(1 / exact->high, 1 / exact->low);

  // Nothing fits: a clock that wanders, or times of arrival. Four fifths of the steps are near the usual one.
  const double near = 0.1 * usual + unit + resolution;
  const auto nearby = std::upper_bound(sorted.begin(), sorted.end(), usual + near) -
                      std::lower_bound(sorted.begin(), sorted.end(), usual - near);
  // Where several have one time, their numbers tell.
  if (unit > 0 && usual == 0) return rate_by_counts(times_);
  if (stretches.empty() || usual < 2 * unit || usual <= 0 || 5 * nearby < 4 * static_cast<std::ptrdiff_t>(steps.size()))
    return std::nullopt;
  const Stretch& longest = stretches.front();
  const double mean = longest.mean_period();
  const double off = std::max(0.1 * longest.spread(mean), digits) / static_cast<double>(longest.count() - 1);
  return simplest_rate(1 / (mean + off), 1 / std::max(mean - off, mean / 2));
}

}  // namespace sds
