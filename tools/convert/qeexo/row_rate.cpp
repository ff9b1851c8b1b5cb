#include "row_rate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sds {

namespace {

constexpr std::size_t kMostRows = 100'000;
constexpr double kNear = 0.01;         // as far from the mean rate another one may be
constexpr double kToleranceS = 0.001;  // what is as good as the best one: times of rows are milliseconds

// A row without a gap since `run` began: when, and how many samples were before it since then.
struct Place {
  std::size_t run;
  double after_s;
  double samples;
};

// How far the first samples of rows lie apart within their rows at most, where a sample lasts so long: rows begin
// wherever somebody cut, samples one after the other.
double spread(const std::vector<Place>& places, double sample_s) {
  double most = 0;
  double earliest = 0;
  double latest = 0;
  std::size_t run = 0;
  for (const auto& place : places) {
    if (place.run != run) earliest = latest = 0;
    run = place.run;
    const double late = place.samples * sample_s - place.after_s;
    earliest = std::min(earliest, late);
    latest = std::max(latest, late);
    most = std::max(most, latest - earliest);
  }
  return most;
}

// How long a sample lasts where that is least: the spread is convex in it.
double best_duration(const std::vector<Place>& places, double mean_s) {
  double low = mean_s * (1 - kNear);
  double high = mean_s * (1 + kNear);
  for (int i = 0; i < 60; ++i) {
    const double a = low + (high - low) / 3;
    const double b = high - (high - low) / 3;
    if (spread(places, a) <= spread(places, b)) {
      high = b;
    } else {
      low = a;
    }
  }
  return (low + high) / 2;
}

// How long a sample may last at most, or at least, with which all rows have their samples; `fits` does.
double last_that_fits(const std::vector<Place>& places, double fits, double beyond, double interval_s) {
  for (int i = 0; i < 40; ++i) {
    const double middle = (fits + beyond) / 2;
    (spread(places, middle) <= interval_s ? fits : beyond) = middle;
  }
  return fits;
}

}  // namespace

void RowRate::add(double begin_s, std::size_t samples) {
  if (rows_.size() < kMostRows) rows_.push_back({begin_s, samples});
}

std::optional<RowRate::Found> RowRate::rate(double interval_s) const {
  std::vector<double> steps;
  for (std::size_t i = 1; i < rows_.size(); ++i)
    if (const double step = rows_[i].begin_s - rows_[i - 1].begin_s; step > 0) steps.push_back(step);
  if (steps.empty()) return std::nullopt;
  std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
  const double longest = 1.5 * steps[steps.size() / 2] + interval_s * 1.001;  // without a gap
  std::vector<Place> places;
  double time = 0;
  double samples = 0;
  double begin = rows_.front().begin_s;
  Place place{};
  for (std::size_t i = 1; i < rows_.size(); ++i) {
    const double step = rows_[i].begin_s - rows_[i - 1].begin_s;
    if (step <= 0 || step > longest) {
      begin = rows_[i].begin_s;
      place = {place.run + 1, 0, 0};
      continue;
    }
    place.after_s = rows_[i].begin_s - begin;
    place.samples += static_cast<double>(rows_[i - 1].samples);
    places.push_back(place);
    samples += static_cast<double>(rows_[i - 1].samples);
    time += step;
  }
  if (places.empty()) return std::nullopt;
  const double best = best_duration(places, time / samples);
  const double least = spread(places, best);
  if (least > interval_s * 1.001) return std::nullopt;
  // The number with the fewest digits that is as good.
  for (int exponent = 8; exponent >= -9; --exponent) {
    const double unit = std::pow(10.0, exponent);
    const double digits = std::round(1 / best / unit);
    if (digits < 1 || spread(places, 1 / (digits * unit)) > least + kToleranceS) continue;
    auto rate = Frequency::parse(fmt::format("{:.0f}e{}", digits, exponent));
    if (!rate) return std::nullopt;
    return Found{*rate, 1 / last_that_fits(places, best, 2 * best, interval_s * 1.001),
                 1 / last_that_fits(places, best, best / 2, interval_s * 1.001)};
  }
  return std::nullopt;
}

}  // namespace sds
