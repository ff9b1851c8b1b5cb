// Numbers as text for CSV: the shortest that reads back as the same number, fast.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sds/format/metadata.hpp"

namespace sds {

/// Longest text of one number.
inline constexpr std::size_t max_number_chars = 32;

/// Writes the shortest text that reads back as `value` at `out` (room for max_number_chars) and returns its end.
/// Not a number is "nan", infinities "inf" and "-inf".
char* write_number(char* out, double value);
char* write_number(char* out, float value);

/// Writes the physical values of one channel: raw * scale + offset, or the raw value where that is the same number.
/// Floats that need no scaling are written as floats: 0.1, not 0.10000000149011612.
class ChannelText {
 public:
  explicit ChannelText(const Channel& channel);
  /// Writes element `index` of the channel in `sample` at `out`; returns its end.
  char* write(char* out, const std::byte* sample, std::size_t index);

 private:
  char* write_slow(char* out, const std::byte* sample, std::size_t index) const;

  // 8- and 16-bit channels have few values: each one's text is made once. 24 bytes hold the text and its length.
  struct CachedText {
    std::array<char, 23> text;
    std::uint8_t length;  // 0: not made yet
  };
  Channel channel_;
  bool whole_ = false;  // integers without scale
  std::vector<CachedText> cache_;
};

}  // namespace sds
