#include "class_number.hpp"

#include <fmt/format.h>

#include <cmath>

#include "channel_values.hpp"

namespace sds {

std::string class_of(const Channel& channel, const std::byte* sample, const std::vector<std::string>& names) {
  const auto name_of = [&](auto number) {
    const bool has_name = number >= 0 && number < static_cast<decltype(number)>(names.size());
    return has_name ? names[static_cast<std::size_t>(number)] : fmt::format("class {}", number);
  };
  const auto stored = channel.is_raw() ? whole_value(channel, sample, 0) : std::nullopt;
  if (stored) return name_of(*stored);
  const double value = raw_value(channel, sample, 0) * channel.scale + channel.offset;
  return std::trunc(value) == value ? name_of(value) : fmt::format("class {}", value);
}

Expected<const Channel*> class_number_channel(const Metadata& metadata, const std::string& needed) {
  if (const auto values = all_values(metadata).size(); values != 1)
    return fail(ErrorCode::bad_input, fmt::format("the output {} has {} values: with '{}' it has one, the number of a "
                                                  "class ('judge:' chooses another output)",
                                                  metadata.name, values, needed));
  return &metadata.channels[0];
}

}  // namespace sds
