// What ProcessAlgorithm and sds-algorithm-host say to each other: fixed records over a socket, blocks in shared memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sds::host {

inline constexpr int socket_descriptor = 3;
inline constexpr int memory_descriptor = 4;
inline constexpr std::size_t page_bytes = 65536;  // a multiple of every page size in use
inline constexpr std::size_t max_buffer_bytes = std::size_t{32} << 20;

// The shared memory: control page, guard, input, guard, output, guard. A buffer of n bytes is the last n bytes of its
// area, so that the byte behind it is in the guard.
inline constexpr std::size_t input_end = 2 * page_bytes + max_buffer_bytes;
inline constexpr std::size_t output_end = input_end + page_bytes + max_buffer_bytes;
inline constexpr std::size_t memory_bytes = output_end + page_bytes;

enum class Call : std::uint32_t { init = 1, reset = 2, execute = 3 };

struct Request {
  Call call = Call::init;
  std::uint32_t input_bytes = 0;
  std::uint32_t output_bytes = 0;
};

struct Reply {
  std::int32_t result = 0;
  std::uint32_t loaded = 0;  // init: 1 if the library could be loaded
};

// At the start of the shared memory: what the host saw last.
struct Control {
  std::uint32_t fault_signal;    // 0: none
  std::uint32_t fault_is_write;  // 0 no, 1 yes, 2 not known on this machine
  std::uint64_t fault_offset;    // in the shared memory; max value: outside of it
  char message[1024];            // why the library could not be loaded
};

}  // namespace sds::host
