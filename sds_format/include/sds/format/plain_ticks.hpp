// What is lost of 64-bit ticks when a stream is written as a plain `.sds`: that holds their lowest 32 bits, and whoever
// reads it unwraps them by TickUnwrapper's rule. Everything that writes plain files says it with this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sds/format/time.hpp"

namespace sds {

/// Follows the ticks of one stream, from its first block.
class PlainTicks {
 public:
  void add(std::uint64_t tick);
  /// As sentences without the file's name; none if the file, read again, gives the same ticks.
  [[nodiscard]] std::vector<std::string> notes() const;

 private:
  struct Step {
    std::uint64_t block = 0;
    std::uint64_t tick = 0;
    std::int64_t step = 0;
    std::int64_t read_step = 0;
  };
  TickUnwrapper read_;
  std::uint64_t blocks_ = 0;
  std::uint64_t first_tick_ = 0;
  std::uint64_t last_tick_ = 0;
  std::uint64_t last_read_ = 0;
  Step first_;  // the first step that reads as another
  std::uint64_t steps_ = 0;
};

}  // namespace sds
