// What every caller of a FileSystem does about signals.
#pragma once

#include <cerrno>

namespace sds {

/// Repeats `call`, which returns -errno where it fails, for as long as a signal interrupts it.
template <class Call>
auto retry(Call call) {
  for (;;)
    if (const auto done = call(); done != -EINTR) return done;
}

}  // namespace sds
