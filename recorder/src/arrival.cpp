#include "sds/recorder/arrival.hpp"

#include <ctime>

namespace sds {

namespace {

std::uint64_t read_clock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

Arrival stamp_now() { return {read_clock(CLOCK_REALTIME), read_clock(CLOCK_MONOTONIC), true}; }

}  // namespace sds
