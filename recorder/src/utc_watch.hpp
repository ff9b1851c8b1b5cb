// Says in the log where UTC steps while a device is recorded.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "sds/format/utc_follower.hpp"
#include "sds/recorder/arrival.hpp"

namespace sds {

class UtcWatch {
 public:
  void look(const std::string& device, const Arrival& arrival) {
    const auto step_ns = utc_.step(arrival.utc_ns, arrival.monotonic_ns);
    if (!step_ns) return;
    spdlog::warn("time     {}: UTC went {:+.3f} s against the monotonic clock: it was set, or this machine slept",
                 device, 1e-9 * static_cast<double>(*step_ns));
  }

 private:
  UtcFollower utc_;
};

}  // namespace sds
