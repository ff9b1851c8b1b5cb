// An input buffer as a device has it: static, larger than most blocks, and what earlier blocks left behind a block is
// still there. An algorithm that reads behind its block is not stopped, as it is not on the device, but noticed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sds::host {

/// Used by one thread, and by its signal handlers.
class DeviceBuffer {
 public:
  /// Of so many bytes, all 0. False if there is no memory.
  bool create(std::size_t bytes);
  [[nodiscard]] bool exists() const { return region_ != nullptr; }
  /// Copies a block to its start, which is where the result points to: blocks of one size stay in one place. What lies
  /// behind the block is watched from then on, until the next call; what lies behind the buffer must not be touched.
  std::uint8_t* place(const std::uint8_t* block, std::size_t bytes);
  /// So many bytes behind the block's end lies the last that was touched since place(); 0 if none was. Exact where an
  /// instruction touches one byte, else to the first that it touches there. On machines other than x86_64 that is not
  /// the last touch but the first.
  [[nodiscard]] std::size_t passed() const { return passed_; }
  /// False if bytes before the buffer's start were written since place().
  [[nodiscard]] bool front_lives() const;
  /// All 0 again.
  void clear();

  /// For the handler of SIGSEGV: true if the access may go on. `context` is the handler's.
  bool take_fault(std::uintptr_t address, void* context);
  /// For the handler of SIGTRAP: true if it was the end of an access that went on.
  bool take_trap(void* context);
  /// How far an address lies before the guard in front of the buffer ends, counted from the start: 0 if it is not
  /// there.
  [[nodiscard]] std::size_t before_start(std::uintptr_t address) const;
  /// How far an address lies behind the buffer's end: 0 if it is not there.
  [[nodiscard]] std::size_t behind_end(std::uintptr_t address) const;

 private:
  [[nodiscard]] std::size_t front_bytes() const;
  void watch(bool on);
  [[nodiscard]] std::uint8_t* tail() const { return start_ + block_bytes_; }

  std::uint8_t* region_ = nullptr;  // a guard lies in front of it
  std::size_t region_bytes_ = 0;
  std::size_t page_ = 0;
  std::uint8_t* start_ = nullptr;  // of the buffer: where a block ends, a page ends
  std::size_t bytes_ = 0;
  std::size_t block_bytes_ = 0;
  volatile std::size_t passed_ = 0;
  volatile bool stepping_ = false;
  volatile bool watched_ = false;
};

}  // namespace sds::host
