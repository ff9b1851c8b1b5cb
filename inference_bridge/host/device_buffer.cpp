#include "device_buffer.hpp"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace sds::host {

namespace {

#if defined(__x86_64__)
constexpr long long kTrapFlag = 0x100;  // of x86's flags: stop behind the next instruction
#endif
constexpr std::size_t kFrontBytes = 8;  // before the buffer's start that are looked at, where there are as many
constexpr int kFront = 0xC5;            // what they hold

}  // namespace

bool DeviceBuffer::create(std::size_t bytes) {
  page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  bytes_ = bytes;
  // A page for the start that is not aligned, one that the end shares with the guard, and the guard.
  region_bytes_ = (bytes + page_ - 1) / page_ * page_ + 3 * page_;
  void* mapped = mmap(nullptr, page_ + region_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED || mprotect(mapped, page_, PROT_NONE) != 0) return false;
  region_ = static_cast<std::uint8_t*>(mapped) + page_;
  start_ = region_;
  return true;
}

std::uint8_t* DeviceBuffer::place(const std::uint8_t* block, std::size_t bytes) {
  const std::size_t pages = (bytes + page_ - 1) / page_;
  std::uint8_t* start = region_ + pages * page_ - bytes;
  if (start != start_ || bytes != block_bytes_) {
    watch(false);
    std::memmove(start, start_, bytes_);
    start_ = start;
    block_bytes_ = bytes;
  }
  if (!watched_) watch(true);
  passed_ = 0;
  std::memcpy(start_, block, bytes);
  std::memset(start_ - front_bytes(), kFront, front_bytes());
  return start_;
}

std::size_t DeviceBuffer::front_bytes() const {
  return std::min(kFrontBytes, static_cast<std::size_t>(start_ - region_));
}

bool DeviceBuffer::front_lives() const {
  return std::all_of(start_ - front_bytes(), start_, [](std::uint8_t byte) { return byte == kFront; });
}

void DeviceBuffer::clear() {
  watch(false);
  std::memset(region_, 0, region_bytes_);
}

void DeviceBuffer::watch(bool on) {
  const std::size_t from = on ? static_cast<std::size_t>(tail() - region_) : 0;
  mprotect(region_ + from, region_bytes_ - from, on ? PROT_NONE : PROT_READ | PROT_WRITE);
  watched_ = on;
}

std::size_t DeviceBuffer::before_start(std::uintptr_t address) const {
  if (region_ == nullptr) return 0;
  const auto guard_end = reinterpret_cast<std::uintptr_t>(region_);
  if (address >= guard_end || address < guard_end - page_) return 0;
  return reinterpret_cast<std::uintptr_t>(start_) - address;
}

std::size_t DeviceBuffer::behind_end(std::uintptr_t address) const {
  if (region_ == nullptr) return 0;
  const auto end = reinterpret_cast<std::uintptr_t>(start_ + bytes_);
  const auto limit = reinterpret_cast<std::uintptr_t>(region_ + region_bytes_);
  return address >= end && address < limit ? address - end + 1 : 0;
}

bool DeviceBuffer::take_fault(std::uintptr_t address, void* context) {
  const auto begin = reinterpret_cast<std::uintptr_t>(tail());
  const auto end = reinterpret_cast<std::uintptr_t>(start_ + bytes_);
  if (region_ == nullptr || !watched_ || address < begin || address >= end) return false;
  if (address - begin + 1 > passed_) passed_ = address - begin + 1;
  // Open for this one instruction, which may reach over a page's end.
  watch(false);
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
  stepping_ = true;
#else
  (void)context;
#endif
  return true;
}

bool DeviceBuffer::take_trap(void* context) {
  if (!stepping_) return false;
  stepping_ = false;
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
#else
  (void)context;
#endif
  watch(true);
  return true;
}

}  // namespace sds::host
