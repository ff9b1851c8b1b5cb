// When bytes came from a device: the server's own stamp, taken on the receive thread.
#pragma once

#include <cstdint>

namespace sds {

struct Arrival {
  std::uint64_t utc_ns = 0;        ///< since 1970
  std::uint64_t monotonic_ns = 0;  ///< CLOCK_MONOTONIC: never set, never steps
  /// False: the device was held back (a full queue or disk) before these bytes were read, so that they may have waited
  /// for any time on their way, and the stamp is only the latest moment at which they can have come.
  bool prompt = true;

  bool operator==(const Arrival&) const = default;
};

/// The stamp of this moment.
Arrival stamp_now();

}  // namespace sds
