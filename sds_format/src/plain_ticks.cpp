#include "sds/format/plain_ticks.hpp"

#include <fmt/format.h>

#include <limits>

namespace sds {

void PlainTicks::add(std::uint64_t tick) {
  const std::uint64_t read = read_.next(static_cast<std::uint32_t>(tick));
  if (blocks_ == 0) {
    first_tick_ = tick;
  } else if (tick - last_tick_ != read - last_read_ && steps_++ == 0) {
    first_ = {blocks_, tick, static_cast<std::int64_t>(tick - last_tick_),
              static_cast<std::int64_t>(read - last_read_)};
  }
  last_tick_ = tick;
  last_read_ = read;
  ++blocks_;
}

std::vector<std::string> PlainTicks::notes() const {
  std::vector<std::string> notes;
  if (first_tick_ > std::numeric_limits<std::uint32_t>::max())
    notes.push_back(
        fmt::format("its first block is at tick {}; a plain file holds the lowest 32 bits only, and read again it "
                    "begins at tick {}",
                    first_tick_, static_cast<std::uint32_t>(first_tick_)));
  if (steps_ > 0)
    notes.push_back(
        fmt::format("block {} is at tick {}, {} after the one before it; a plain file holds the lowest 32 bits only, "
                    "and read again the step is one of {} ({} such step{} in all)",
                    first_.block, first_.tick, first_.step, first_.read_step, steps_, steps_ == 1 ? "" : "s"));
  return notes;
}

}  // namespace sds
