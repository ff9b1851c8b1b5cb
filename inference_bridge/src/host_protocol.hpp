// What ProcessAlgorithm and sds-algorithm-host say to each other: requests, blocks and results in shared memory. The
// socket carries nothing but a wake-up for the parent, so that an algorithm that closes it does no harm.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "loaded_library.hpp"
#include "sds/sds_algorithm.h"

namespace sds::host {

inline constexpr int socket_descriptor = 3;
inline constexpr int memory_descriptor = 4;
inline constexpr std::size_t page_bytes = 65536;  // a multiple of every page size in use
inline constexpr std::size_t max_buffer_bytes = std::size_t{32} << 20;
inline constexpr std::size_t max_ports = SDS_ALGORITHM_MAX_PORTS;
inline constexpr std::size_t buffers = 1 + max_ports;  // of a slot: the input, and an output for each port

// The shared memory: the control record, then 128 slots for blocks and outputs of up to 64 KiB, then one slot for
// larger ones. A slot is a row of buffers, each followed by a guard. A buffer of n bytes is the last n bytes of its
// area, so that the byte behind it is in the guard. Only pages that are used take memory.
inline constexpr std::size_t small_slots = 128;
inline constexpr std::size_t big_slot = small_slots;
inline constexpr std::size_t control_bytes = 4 * page_bytes;
inline constexpr std::size_t small_buffer_bytes = page_bytes;

constexpr std::size_t buffer_bytes(std::size_t slot) {
  return slot == big_slot ? max_buffer_bytes : small_buffer_bytes;
}
constexpr std::size_t slot_begin(std::size_t slot) {
  return control_bytes + page_bytes + slot * buffers * (small_buffer_bytes + page_bytes);
}
// The end of a slot's buffer: 0 is the input, 1 + n the output of port n.
constexpr std::size_t buffer_end(std::size_t slot, std::size_t buffer) {
  return slot_begin(slot) + buffer * (buffer_bytes(slot) + page_bytes) + buffer_bytes(slot);
}
inline constexpr std::size_t memory_bytes = buffer_end(big_slot, buffers - 1) + page_bytes;

enum class Call : std::uint32_t { init = 1, reset = 2, execute = 3 };

struct Request {
  Call call = Call::init;
  std::uint32_t count = 0;               // execute: so many slots
  std::uint8_t slots[small_slots] = {};  // in the order of their blocks
};

// Why the child has ended itself.
enum class Verdict : std::uint32_t {
  none = 0,
  fault,           // a signal that says where
  forked,          // it called fork(): a copy of it would go on as if it were the original
  wrote_records,   // what lies in the control record was written over
  wrote_before,    // bytes before the start of a buffer were written over
  set_handler,     // it set a handler for the signals by which accesses past a buffer show
  did_not_return,  // it left a call by other ways than returning
};

struct Slot {
  std::uint64_t tick;
  std::uint32_t numerator;
  std::uint32_t denominator;
  std::uint32_t input_port;
  std::uint32_t input_bytes;
  std::uint32_t output_bytes[max_ports];  // before: capacity, afterwards: what was written
  std::int32_t status;
  OutputFault output_fault;    // told instead of the status
  std::uint32_t passed_bytes;  // so far behind the block's end the algorithm went, in the device's buffer
  std::uint64_t duration_ns;
};

// At the start of the shared memory. The child can write all of it at any time: the parent copies each value once, and
// checks the copy.
struct Control {
  std::atomic<std::uint32_t> requested;  // number of the newest request; the child sleeps on it as a futex
  Request request;
  std::atomic<std::uint32_t> answered;   // number of the newest request that is done
  std::atomic<std::uint32_t> begun;      // executions of the present request that have been begun
  std::atomic<std::uint32_t> completed;  // ... and that have returned
  StartCall start_call;                  // the one that is being made, while it starts
  std::uint32_t init_failed;             // 1: `message` says why
  Verdict verdict;
  std::uint32_t fault_is_write;      // 0 no, 1 yes, 2 not known on this machine
  std::uint32_t fault_is_stack;      // 1: at the stack pointer
  std::uint64_t fault_offset;        // in the shared memory; max value: outside of it
  std::uint64_t fault_before;        // bytes before the start of a device's buffer; 0: not there
  std::uint64_t fault_behind;        // bytes behind the end of a device's buffer; 0: not there
  char message[1024];                // why the library could not be used
  char configuration[32768];         // in: for create()
  char arm_output_name[64];          // in
  std::uint32_t arm_output_bytes;    // in
  std::uint64_t input_buffer_bytes;  // in: of the device's buffer for each input; 0: blocks are all there is
  std::uint64_t memory_limit;        // in: bytes of data, 0: none
  std::uint32_t input_count;         // out, with the names
  std::uint32_t output_count;
  std::uint32_t has_arms_functions;  // 1: it does
  char input_names[max_ports][64];
  char output_names[max_ports][64];
  std::uint32_t output_max_bytes[max_ports];
  Slot slots[small_slots + 1];
};
static_assert(sizeof(Control) <= control_bytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4);

// Bytes before the start of a buffer, where there is room for them: they show whether it was written before its start.
inline constexpr std::size_t canary_bytes = 8;
inline constexpr unsigned char canary = 0xC5;

}  // namespace sds::host
