#include "row_rate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "rate_fit.hpp"

namespace sds {

namespace {

constexpr std::size_t kMostRows = 100'000;
constexpr double kToleranceS = 0.001;  // what is as good as the best one: times of rows are milliseconds
constexpr double kRounding = 1.001;    // of an interval

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

struct Durations {
  double shortest = 0;
  double longest = std::numeric_limits<double>::infinity();
};

// How long a sample may last as far as the first and the last row of each run know.
Durations by_ends_of_runs(const std::vector<Place>& places, double interval_s) {
  Durations all;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i + 1 < places.size() && places[i + 1].run == places[i].run) continue;
    all.shortest = std::max(all.shortest, (places[i].after_s - interval_s) / places[i].samples);
    all.longest = std::min(all.longest, (places[i].after_s + interval_s) / places[i].samples);
  }
  return all;
}

// How long a sample lasts where the spread is least: it is convex in it.
double best_duration(const std::vector<Place>& places, Durations within) {
  for (int i = 0; i < 100; ++i) {
    const double a = within.shortest + (within.longest - within.shortest) / 3;
    const double b = within.longest - (within.longest - within.shortest) / 3;
    (spread(places, a) <= spread(places, b) ? within.longest : within.shortest) =
        spread(places, a) <= spread(places, b) ? b : a;
  }
  return (within.shortest + within.longest) / 2;
}

// How long a sample may last at most, or at least, with which all rows have their samples; `fits` does.
double last_that_fits(const std::vector<Place>& places, double fits, double beyond, double interval_s) {
  if (spread(places, beyond) <= interval_s) return beyond;
  for (int i = 0; i < 60; ++i) {
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
  const double fits_within = interval_s * kRounding;
  const double longest = 1.5 * steps[steps.size() / 2] + fits_within;  // without a gap
  std::vector<Place> places;
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
  }
  if (places.empty()) return std::nullopt;
  const Durations within = by_ends_of_runs(places, fits_within);
  if (within.shortest > within.longest) return std::nullopt;
  const double best = best_duration(places, within);
  const double least = spread(places, best);
  if (least > fits_within) return std::nullopt;
  const auto rates_within = [&](double spread_s) {
    return std::pair{1 / last_that_fits(places, best, within.longest, spread_s),
                     1 / last_that_fits(places, best, within.shortest, spread_s)};
  };
  const auto as_good = rates_within(std::min(least + kToleranceS, fits_within));
  const auto rate = simplest_rate(as_good.first, std::min(as_good.second, 2 / best));
  if (!rate) return std::nullopt;
  const auto fit = rates_within(fits_within);
  return Found{*rate, fit.first, fit.second};
}

}  // namespace sds
