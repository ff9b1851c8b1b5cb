#include "sds/recorder/plain_labels.hpp"

#include "sds/format/names.hpp"

namespace sds {

std::uint32_t PlainLabels::next(const std::filesystem::path& directory, const std::string& first_stream) {
  const std::lock_guard lock(mutex_);
  std::uint32_t label = last_ ? *last_ + 1 : 0;
  std::error_code ignored;
  if (!last_)
    for (;; ++label) {
      auto path = directory / SdsFileName{first_stream, std::to_string(label), false}.to_string();
      if (std::filesystem::exists(path, ignored)) continue;
      if (!std::filesystem::exists(path.replace_extension(".labels.yml"), ignored)) break;
    }
  last_ = label;
  return label;
}

}  // namespace sds
