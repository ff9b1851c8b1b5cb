#include "event_match.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

namespace sds {

namespace {

__extension__ using Wider = __int128;

constexpr std::int64_t kNanoseconds = 1'000'000'000;

// Whether a + shift (ns) lies before b, at it, behind it.
std::strong_ordering compare_shifted(const Instant& a, std::int64_t shift, const Instant& b) {
  const auto parts = [](const Instant& i) {  // whole seconds, and what is left times the frequency's numerator
    const Wider scaled = static_cast<Wider>(i.tick) * i.frequency.denominator;
    return std::pair{scaled / i.frequency.numerator, scaled % i.frequency.numerator};
  };
  auto [whole_a, rest_a] = parts(a);
  const auto [whole_b, rest_b] = parts(b);
  Wider whole = whole_a - whole_b + shift / kNanoseconds;
  // The fractions are below a second each, and so are the shift's nanoseconds: three seconds decide.
  if (whole > 3 || whole < -3) return whole <=> Wider{0};
  const Wider na = a.frequency.numerator;
  const Wider nb = b.frequency.numerator;
  const Wider difference =
      (whole * na * nb + rest_a * nb - rest_b * na) * kNanoseconds + shift % kNanoseconds * na * nb;
  return difference <=> Wider{0};
}

std::int64_t as_shift(std::uint64_t ns) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(ns, std::numeric_limits<std::int64_t>::max()));
}

double seconds_from(const Instant& a, const Instant& b) {
  if (a.frequency == b.frequency) {
    const bool is_behind = b.tick >= a.tick;
    const double distance = seconds(is_behind ? b.tick - a.tick : a.tick - b.tick, a.frequency);
    return is_behind ? distance : -distance;
  }
  return seconds(b.tick, b.frequency) - seconds(a.tick, a.frequency);
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(part) / static_cast<double>(whole);
}

// Of one class. `labels` are by begin, `events` by time.
class Matcher {
 public:
  Matcher(std::span<const EventLabel> labels, std::span<const FoundEvent> events, std::int64_t tolerance)
      : labels_(labels), events_(events), tolerance_(tolerance) {}

  EventScore match(const std::vector<std::size_t>& labels, const std::vector<std::size_t>& events, EventMatch& result) {
    EventScore score;
    score.labels = labels.size();
    score.found = events.size();
    std::priority_queue open(
        [&](std::size_t a, std::size_t b) {  // the one that ends first is at the top; of equals the first
          const auto order = compare(labels_[a].end, labels_[b].end);
          return std::is_neq(order) ? std::is_gt(order) : a > b;
        },
        std::vector<std::size_t>());
    std::size_t next = 0;
    for (const std::size_t e : events) {
      const Instant& at = events_[e].at;
      while (next < labels.size() && std::is_lteq(compare_shifted(labels_[labels[next]].begin, -tolerance_, at)))
        open.push(labels[next++]);
      while (!open.empty() && std::is_lt(compare_shifted(labels_[open.top()].end, tolerance_, at))) {
        result.missed.push_back(open.top());
        open.pop();
      }
      if (open.empty()) {
        result.wrong.push_back(e);
        continue;
      }
      const double onset = seconds_from(labels_[open.top()].begin, at);
      result.right.emplace_back(open.top(), e);
      open.pop();
      ++score.right;
      score.onset_sum_s += onset;
      score.largest_onset_s = std::max(score.largest_onset_s, std::abs(onset));
    }
    for (; !open.empty(); open.pop()) result.missed.push_back(open.top());
    result.missed.insert(result.missed.end(), labels.begin() + static_cast<std::ptrdiff_t>(next), labels.end());
    return score;
  }

 private:
  std::span<const EventLabel> labels_;
  std::span<const FoundEvent> events_;
  std::int64_t tolerance_;
};

}  // namespace

EventScore& EventScore::operator+=(const EventScore& other) {
  labels += other.labels;
  found += other.found;
  right += other.right;
  onset_sum_s += other.onset_sum_s;
  largest_onset_s = std::max(largest_onset_s, other.largest_onset_s);
  return *this;
}

double EventScore::precision() const { return share(right, found); }
double EventScore::recall() const { return share(right, labels); }
double EventScore::f1() const { return share(2 * right, found + labels); }
double EventScore::mean_onset_s() const {
  return right == 0 ? std::numeric_limits<double>::quiet_NaN() : onset_sum_s / static_cast<double>(right);
}

EventScore EventMatch::all() const {
  EventScore sum;
  for (const auto& [name, score] : by_class) sum += score;
  return sum;
}

bool are_farther_apart(const Instant& a, const Instant& b, std::uint64_t ns) {
  return std::is_lt(compare_shifted(a, as_shift(ns), b)) || std::is_lt(compare_shifted(b, as_shift(ns), a));
}

EventMatch match_events(std::span<const EventLabel> labels, std::span<const FoundEvent> events,
                        std::uint64_t tolerance_ns) {
  struct OfClass {
    std::vector<std::size_t> labels;
    std::vector<std::size_t> events;
  };
  std::map<std::string, OfClass> classes;
  for (std::size_t i = 0; i < labels.size(); ++i) classes[labels[i].name].labels.push_back(i);
  for (std::size_t i = 0; i < events.size(); ++i) classes[events[i].name].events.push_back(i);
  const std::int64_t tolerance = as_shift(tolerance_ns);
  EventMatch result;
  for (auto& [name, of] : classes) {
    std::stable_sort(of.labels.begin(), of.labels.end(), [&](std::size_t a, std::size_t b) {
      return std::is_lt(compare(labels[a].begin, labels[b].begin));
    });
    std::stable_sort(of.events.begin(), of.events.end(),
                     [&](std::size_t a, std::size_t b) { return std::is_lt(compare(events[a].at, events[b].at)); });
    result.by_class[name] = Matcher(labels, events, tolerance).match(of.labels, of.events, result);
  }
  std::sort(result.missed.begin(), result.missed.end());
  std::sort(result.wrong.begin(), result.wrong.end());
  return result;
}

}  // namespace sds
