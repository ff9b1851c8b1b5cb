#include "support/no_memory.hpp"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace {
thread_local long allocations_left = -1;  // of this thread, before one fails; negative: none does

constexpr long kNever = std::numeric_limits<long>::max();
std::atomic<long> left_elsewhere{kNever};  // of all threads that are not spared
thread_local bool spared_thread = false;

void* allocate(std::size_t size) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  if (left_elsewhere.load(std::memory_order_relaxed) != kNever && !spared_thread && left_elsewhere-- == 0)
    throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
// All of a kind, or a sanitizer sees memory of one given back to another.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace sds::test {

NoMemory::NoMemory(long spared) { allocations_left = spared; }
NoMemory::~NoMemory() { allocations_left = -1; }
bool NoMemory::happened() { return allocations_left < 0; }

NoMemoryElsewhere::NoMemoryElsewhere(long spared) {
  spared_thread = true;
  left_elsewhere = spared;
}
NoMemoryElsewhere::~NoMemoryElsewhere() {
  left_elsewhere = kNever;
  spared_thread = false;
}
bool NoMemoryElsewhere::happened() { return left_elsewhere < 0; }

}  // namespace sds::test
