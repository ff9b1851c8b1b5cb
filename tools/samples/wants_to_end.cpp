#include "wants_to_end.hpp"

#include <utility>

namespace sds {

namespace {

bool (*asked)() = nullptr;

}  // namespace

bool wants_to_end() { return asked != nullptr && asked(); }

void set_wants_to_end(bool (*function)()) { asked = function; }

Expected<Recording> open_until_end(std::span<const std::filesystem::path> paths, Recording::Options options) {
  options.stop = wants_to_end;
  return Recording::open(paths, options);
}

Expected<Recording> open_until_end(const std::filesystem::path& path, Recording::Options options) {
  return open_until_end(std::span(&path, 1), std::move(options));
}

}  // namespace sds
