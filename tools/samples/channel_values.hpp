// The values of channels, many at a time: raw numbers in their own type, or physical ones as doubles.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sds/format/exact_value.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

/// One value of a sample: an element of a channel.
struct ChannelRef {
  std::size_t channel = 0;  ///< in the metadata
  std::size_t element = 0;

  /// "ax", "scores[2]", "grid[1][3]"
  [[nodiscard]] std::string name(const Metadata& metadata) const;
};

/// Every element of every channel, in the metadata's order.
std::vector<ChannelRef> all_values(const Metadata& metadata);

/// The values called `name`: "ax" (all its elements if it is an array), "scores[2]" or "grid[1][3]". Empty if there is
/// none.
std::vector<ChannelRef> find_values(const Metadata& metadata, const std::string& name);

/// Values called `names`, or all; a name that the stream does not have is an error that lists those it has.
Expected<std::vector<ChannelRef>> choose_values(const Metadata& metadata, const std::vector<std::string>& names);

/// Holds all integers of 64 bits, and sums of many of them.
__extension__ using WholeNumber = __int128;

/// The stored value, where it is a whole number that is not beyond all comparison with integers of 64 bits.
std::optional<WholeNumber> whole_value(const Channel& channel, const std::byte* sample, std::size_t element);

/// Writes raw * scale + offset of one value of `count` samples, `stride` bytes apart, to `out`.
void physical_values(const Channel& channel, std::size_t element, const std::byte* samples, std::size_t count,
                     std::size_t stride, double* out);

/// The same with all digits, of a channel whose values need_all_digits().
void physical_values(const Channel& channel, std::size_t element, const std::byte* samples, std::size_t count,
                     std::size_t stride, ExactNumber* out);
/// Whether doubles do not tell the channel's physical values apart: it is_wide() and not scaled. Scaled values are
/// doubles.
bool need_all_digits(const Channel& channel);
/// Whether its physical values are integers: stored ones that are not scaled.
bool is_whole(const Channel& channel);

/// The type that `raw_values` writes: the channel's own; 24-bit numbers and bit-fields widened to what holds them.
ScalarType packed_type(const Channel& channel);

/// Writes the raw values of all elements of a channel, sample after sample, as little-endian `packed_type`.
void raw_values(const Channel& channel, const std::byte* samples, std::size_t count, std::size_t stride,
                std::byte* out);

}  // namespace sds
