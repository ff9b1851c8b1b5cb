#include "wants_to_end.hpp"

#include <utility>

namespace sds {

namespace {

bool (*asked)() = nullptr;
void (*teller)(const std::string&) = nullptr;

}  // namespace

bool wants_to_end() { return asked != nullptr && asked(); }

void set_wants_to_end(bool (*function)()) { asked = function; }

void tell_wait(const std::string& what) {
  if (teller != nullptr) teller(what);
}

void set_tell_wait(void (*function)(const std::string& what)) { teller = function; }

Expected<Recording> open_until_end(std::span<const std::filesystem::path> paths, Recording::Options options) {
  options.stop = wants_to_end;
  return Recording::open(paths, options);
}

Expected<Recording> open_until_end(const std::filesystem::path& path, Recording::Options options) {
  return open_until_end(std::span(&path, 1), std::move(options));
}

}  // namespace sds
