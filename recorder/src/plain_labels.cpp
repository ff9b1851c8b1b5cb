#include "sds/recorder/plain_labels.hpp"

#include "sds/format/names.hpp"
#include "watched_file.hpp"

namespace sds {

std::uint32_t PlainLabels::next(const std::filesystem::path& directory, const std::string& first_stream) {
  const std::lock_guard lock(mutex_);
  std::uint32_t label = last_ ? *last_ + 1 : 0;
  std::error_code ignored;
  const auto path_of = [&](const char* extension) {
    auto path = directory / SdsFileName{first_stream, std::to_string(label), false}.to_string();
    return path.replace_extension(extension);
  };
  const auto is_there = [&](const char* extension) { return std::filesystem::exists(path_of(extension), ignored); };
  // Labels beside a packed recording are that one's, whenever; what another server is recording keeps its name.
  const auto is_taken = [&] {
    if (!last_) return is_there(".sds") || is_there(".labels.yml");
    return (is_there(".labels.yml") && is_there(".sdsz")) || is_being_recorded(path_of(".sds"));
  };
  while (is_taken()) ++label;
  last_ = label;
  return label;
}

}  // namespace sds
