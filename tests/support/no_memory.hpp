// Allocations that fail on demand, in a program that is built with no_memory.cpp.
#pragma once

namespace sds::test {

/// The allocation after `spared` others of this thread fails; those behind it succeed again.
class NoMemory {
 public:
  explicit NoMemory(long spared);
  ~NoMemory();
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
  /// True once it has failed.
  static bool happened();
};

/// The same for the allocations of all threads but this one.
class NoMemoryElsewhere {
 public:
  explicit NoMemoryElsewhere(long spared);
  ~NoMemoryElsewhere();
  NoMemoryElsewhere(const NoMemoryElsewhere&) = delete;
  NoMemoryElsewhere& operator=(const NoMemoryElsewhere&) = delete;
  static bool happened();
};

}  // namespace sds::test
