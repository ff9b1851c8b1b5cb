#include "judged_output.hpp"

#include <fmt/format.h>

namespace sds {

Expected<std::size_t> judged_output(const Recording& outputs, const std::string& name, const std::string& without) {
  auto index = name.empty() ? Expected<std::size_t>(0) : outputs.find_stream(name);
  if (!index) return index;
  const StreamInfo& stream = outputs.streams()[*index];
  if (!stream.metadata)
    return fail(ErrorCode::bad_input, fmt::format("the output {} has no metadata: {}", stream.id, without));
  return index;
}

}  // namespace sds
