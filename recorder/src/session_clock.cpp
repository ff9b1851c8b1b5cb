#include "sds/recorder/session_clock.hpp"

#include <algorithm>
#include <utility>

namespace sds {

namespace {

constexpr std::int64_t kRange = std::int64_t{1} << 32;
constexpr std::int64_t kDrift = 64;               // the part of a time by which a counter may be wrong
constexpr std::int64_t kAhead = kRange / 16;      // of the counter, at most
constexpr std::int64_t kLate = kRange / 4;        // the first block of all, as the next of its stream shows it
constexpr std::int64_t kPrompt = kRange / 8;      // behind it, at most
constexpr std::int64_t kBackwards = kRange / 16;  // within a stream
constexpr std::int64_t kSteady = kRange / 16;
constexpr std::uint64_t kLikeBefore = 4;

std::int64_t ticks_in(std::uint64_t ns, const Frequency& frequency) {
  // Whole seconds first: every product stays below 2^64 for 68 years.
  const std::uint64_t seconds = ns / 1'000'000'000u;
  const std::uint64_t rest = ns % 1'000'000'000u;
  const std::uint64_t whole = seconds * frequency.numerator / frequency.denominator;
  return static_cast<std::int64_t>(whole + rest * frequency.numerator / frequency.denominator / 1'000'000'000u);
}

std::int64_t distance(std::int64_t from, std::uint32_t timeslot) {
  return static_cast<std::uint32_t>(timeslot - static_cast<std::uint32_t>(from));
}

// The first tick of `timeslot` from `from` on, the last one up to `to`, the nearest to `centre`.
std::int64_t first_from(std::int64_t from, std::uint32_t timeslot) { return from + distance(from, timeslot); }
std::int64_t last_up_to(std::int64_t to, std::uint32_t timeslot) { return first_from(to - kRange + 1, timeslot); }
std::int64_t nearest(std::int64_t centre, std::uint32_t timeslot) { return first_from(centre - kRange / 2, timeslot); }

}  // namespace

SessionClock::StreamId SessionClock::add_stream(const Frequency& frequency) {
  Stream stream;
  while (stream.domain < domains_.size() && domains_[stream.domain].frequency != frequency) ++stream.domain;
  if (stream.domain == domains_.size()) {
    domains_.emplace_back();
    domains_.back().frequency = frequency;
  }
  streams_.push_back(stream);
  return streams_.size() - 1;
}

SessionClock::Now SessionClock::now(const Domain& domain, const Arrival& arrival) {
  if (arrival.monotonic_ns <= domain.monotonic_ns) return {domain.counter, 0};
  const std::int64_t passed = ticks_in(arrival.monotonic_ns - domain.monotonic_ns, domain.frequency);
  return {domain.counter + passed, passed / kDrift};
}

// `ahead`: how far behind this block the last one stands that came with it.
std::int64_t SessionClock::read(const Domain& domain, const Stream& stream, std::uint32_t timeslot, std::int64_t ahead,
                                const Arrival& arrival) {
  if (!domain.started) return timeslot;
  const Now at = now(domain, arrival);
  const std::int64_t latest = at.counter + std::min(kRange / 2, kAhead + at.uncertainty);
  const std::int64_t late = last_up_to(latest - ahead, timeslot);
  if (!stream.last) return arrival.prompt ? late : std::min(late, nearest(domain.newest, timeslot));
  const std::int64_t next = first_from(*stream.last - kBackwards, timeslot);
  if (next == late) return next;
  if (next > late) return next + ahead - at.counter <= kLate + at.uncertainty ? next : late;
  const std::int64_t step = next - *stream.last;
  if (step >= 0 && stream.usual_step > 0 && stream.usual_step < kSteady &&
      static_cast<std::uint64_t>(step) <= kLikeBefore * stream.usual_step)
    return next;
  const bool came_promptly = at.counter - (late + ahead) <= std::min(kRange / 2, kPrompt + at.uncertainty);
  return arrival.prompt && came_promptly ? late : next;
}

// A counter that is slower than it says is followed downwards, too, by no more than its uncertainty.
void SessionClock::follow(Domain& domain, std::int64_t tick, const Arrival& arrival) {
  const Now at = now(domain, arrival);
  const bool shows_it = tick >= at.counter || (arrival.prompt && tick >= at.counter - at.uncertainty);
  if (!domain.started || shows_it) {
    domain.counter = tick;
    domain.monotonic_ns = arrival.monotonic_ns;
  }
  domain.newest = domain.started ? std::max(domain.newest, tick) : tick;
  domain.started = true;
}

bool SessionClock::in_doubt(StreamId id, const Arrival& arrival) const {
  const Stream& stream = streams_[id];
  const Domain& domain = domains_[stream.domain];
  return domain.started && (!stream.last || now(domain, arrival).counter - *stream.last >= kRange / 2);
}

void SessionClock::expect(StreamId id, std::span<const std::uint32_t> timeslots, const Arrival& arrival) {
  Stream& stream = streams_[id];
  stream.expected_count = timeslots.size();
  if (timeslots.empty()) return;
  std::int64_t ahead = 0;
  for (std::size_t i = 1; i < timeslots.size(); ++i)
    ahead += first_from(std::int64_t{timeslots[i - 1]} - kBackwards, timeslots[i]) - timeslots[i - 1];
  stream.expected = read(domains_[stream.domain], stream, timeslots[0], ahead, arrival);
  stream.expected_first = true;
}

std::uint64_t SessionClock::tick(StreamId id, std::uint32_t timeslot, const Arrival& arrival) {
  Stream& stream = streams_[id];
  Domain& domain = domains_[stream.domain];
  std::int64_t tick = 0;
  if (stream.expected_count > 0) {
    --stream.expected_count;
    tick =
        std::exchange(stream.expected_first, false) ? stream.expected : first_from(*stream.last - kBackwards, timeslot);
  } else {
    tick = read(domain, stream, timeslot, 0, arrival);
  }
  if (stream.last && tick > *stream.last) {
    const auto step = static_cast<std::uint64_t>(tick - *stream.last);
    stream.usual_step = std::max(step, stream.usual_step - stream.usual_step / 8);
  }
  stream.last = tick;
  follow(domain, tick, arrival);
  if (tick >= 0) return static_cast<std::uint64_t>(tick);
  ++stream.before_zero;
  return timeslot;
}

}  // namespace sds
