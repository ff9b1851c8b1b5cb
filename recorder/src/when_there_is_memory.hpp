// What the recorder does where memory is short.
#pragma once

#include <chrono>
#include <new>
#include <thread>

#include "sds/format/error.hpp"

namespace sds {

/// What an exception says. Needs memory, but for a lack of it.
inline Error error_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return no_memory();
  return {ErrorCode::io, error.what(), {}, {}};
}

/// Makes a call that returns Expected<void>; a lack of memory is a failure like others.
template <class Call>
Expected<void> with_memory(Call call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return tl::unexpected<Error>(no_memory());
  }
}

/// How soon what failed for lack of memory is tried again.
constexpr std::chrono::milliseconds kMemoryLook{20};

/// Makes the call again and again, a moment apart, until it throws no std::bad_alloc.
template <class Call>
auto when_there_is_memory(Call call) {
  for (;;) {
    try {
      return call();
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(kMemoryLook);
    }
  }
}

}  // namespace sds
