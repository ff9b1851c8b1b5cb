// Makes 64-bit ticks of the 32-bit timeslots of one device session. Streams that count at the same frequency share the
// device's counter, so they are unwrapped together: one that starts after a wrap-around stands behind the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "sds/format/time.hpp"
#include "sds/recorder/arrival.hpp"

namespace sds {

/// The rule: the tick of a timeslot is the one congruent to it modulo 2^32 that is nearest to the newest tick of its
/// domain. Where by the time of arrival a quarter of the counter's range or more has passed since that tick was
/// received, it is the one nearest to the tick expected from that time; arrivals that are not prompt say nothing about
/// time. The first block of a domain has its timeslot as tick. A timeslot that would stand before tick 0 is taken to
/// stand behind: what came before it stays as it is. Pure: the same calls give the same ticks.
class SessionClock {
 public:
  using DomainId = std::size_t;

  /// The domain of streams that count at `frequency`.
  DomainId domain(const Frequency& frequency);

  /// The tick of the next block that was received.
  std::uint64_t tick(DomainId domain, std::uint32_t timeslot, const Arrival& arrival);

 private:
  struct Received {
    std::uint64_t tick = 0;
    std::uint64_t monotonic_ns = 0;
  };
  struct Domain {
    Frequency frequency;
    std::optional<std::uint64_t> newest;
    std::optional<Received> reference;  // the newest tick that came promptly
  };
  std::vector<Domain> domains_;
};

}  // namespace sds
