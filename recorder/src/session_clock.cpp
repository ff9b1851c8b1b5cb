#include "sds/recorder/session_clock.hpp"

namespace sds {

namespace {

constexpr std::uint64_t kRange = std::uint64_t{1} << 32;
// From here on the time of arrival decides. Half the range would do if no clock were faster than it says.
constexpr std::uint64_t kDoubtful = kRange / 4;

std::uint64_t ticks_in(std::uint64_t ns, const Frequency& frequency) {
  // Whole seconds first: every product stays below 2^64 for 68 years.
  const std::uint64_t seconds = ns / 1'000'000'000u;
  const std::uint64_t rest = ns % 1'000'000'000u;
  const std::uint64_t whole = seconds * frequency.numerator / frequency.denominator;
  return whole + rest * frequency.numerator / frequency.denominator / 1'000'000'000u;
}

std::uint64_t nearest(std::uint64_t centre, std::uint32_t timeslot) {
  const auto step = static_cast<std::int32_t>(timeslot - static_cast<std::uint32_t>(centre));
  const std::uint64_t tick = centre + static_cast<std::uint64_t>(std::int64_t{step});
  return step < 0 && tick > centre ? tick + kRange : tick;  // before 0
}

}  // namespace

SessionClock::DomainId SessionClock::domain(const Frequency& frequency) {
  for (DomainId id = 0; id < domains_.size(); ++id)
    if (domains_[id].frequency == frequency) return id;
  domains_.push_back({frequency, {}, {}});
  return domains_.size() - 1;
}

std::uint64_t SessionClock::tick(DomainId id, std::uint32_t timeslot, const Arrival& arrival) {
  Domain& domain = domains_[id];
  std::uint64_t tick = timeslot;
  if (domain.newest) {
    std::uint64_t centre = *domain.newest;
    if (arrival.prompt && domain.reference && arrival.monotonic_ns > domain.reference->monotonic_ns) {
      const std::uint64_t expected =
          domain.reference->tick + ticks_in(arrival.monotonic_ns - domain.reference->monotonic_ns, domain.frequency);
      if (expected > centre && expected - centre >= kDoubtful) centre = expected;
    }
    tick = nearest(centre, timeslot);
  }
  if (!domain.newest || tick >= *domain.newest) {
    domain.newest = tick;
    if (arrival.prompt) domain.reference = Received{tick, arrival.monotonic_ns};
  }
  return tick;
}

}  // namespace sds
