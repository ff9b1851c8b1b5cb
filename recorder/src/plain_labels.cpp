#include "sds/recorder/plain_labels.hpp"

#include "sds/format/names.hpp"

namespace sds {

std::uint32_t PlainLabels::next(const std::filesystem::path& directory, const std::string& first_stream) {
  const std::lock_guard lock(mutex_);
  std::uint32_t label = last_ ? *last_ + 1 : 0;
  std::error_code ignored;
  const auto is_there = [&](const char* extension) {
    auto path = directory / SdsFileName{first_stream, std::to_string(label), false}.to_string();
    return std::filesystem::exists(path.replace_extension(extension), ignored);
  };
  // Labels beside a packed recording are that one's, whenever.
  while (last_ ? is_there(".labels.yml") && is_there(".sdsz") : is_there(".sds") || is_there(".labels.yml")) ++label;
  last_ = label;
  return label;
}

}  // namespace sds
