// Numbers as text for CSV: the shortest that reads back as the same number, fast.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "sds/format/exact_value.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

/// Longest text of one number.
inline constexpr std::size_t max_number_chars = 32;

/// Writes the shortest text that reads back as `value` at `out` (room for max_number_chars) and returns its end.
/// Not a number is "nan", infinities "inf" and "-inf".
char* write_number(char* out, double value);
char* write_number(char* out, float value);

/// A value for people: a whole one (is_whole()) with all digits, "?" where these are not known, others with so many.
std::string value_text(const ExactNumber& value, bool whole, int digits = 6);

/// Texts of 8- and 16-bit values, of which there are few: each one's is made once. Channels that mean the same by a
/// value share them, and how much memory they take is bounded. One for all channels of an export; it must outlive them.
class TextCaches {
 public:
  struct Text {
    std::array<char, 23> text;
    std::uint8_t length;  // 0: not made yet
  };
  /// Of one way to write values. Gets its room when it has been asked often enough to be worth it.
  struct Cache {
    std::size_t values = 0;
    std::uint32_t asked = 0;
    std::vector<Text> texts;
  };
  /// Null where there is none for such a channel.
  Cache* of(const Channel& channel);

 private:
  static constexpr std::size_t max_caches = 16;
  std::map<std::tuple<ScalarType, std::uint64_t, std::uint64_t>, Cache> caches_;  // type, and bits of scale and offset
};

/// Writes the physical values of one channel: raw * scale + offset, or the raw value where that is the same number.
/// Floats that need no scaling are written as floats: 0.1, not 0.10000000149011612.
class ChannelText {
 public:
  ChannelText(const Channel& channel, TextCaches& caches);
  /// Writes element `index` of the channel in `sample` at `out`; returns its end.
  char* write(char* out, const std::byte* sample, std::size_t index);

 private:
  char* write_slow(char* out, const std::byte* sample, std::size_t index) const;
  char* write_small(char* out, const std::byte* sample, std::size_t index);

  Channel channel_;
  bool whole_ = false;  // integers without scale
  TextCaches::Cache* cache_ = nullptr;
};

}  // namespace sds
