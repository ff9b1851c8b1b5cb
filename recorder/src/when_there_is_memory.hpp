// For threads that have nobody to tell that memory is short.
#pragma once

#include <chrono>
#include <new>
#include <thread>

namespace sds {

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
