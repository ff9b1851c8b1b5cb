#include "sds/bridge/algorithm.hpp"

#include <fmt/format.h>

#include <utility>

namespace sds {

void AlgorithmResult::fails_with(std::string why) {
  status = -1;
  has_number = false;
  message = std::move(why);
}

std::string AlgorithmResult::describe_failure() const {
  if (!has_number) return message;
  return fmt::format("the algorithm returned {}{}{}", status, message.empty() ? "" : ": ", message);
}

std::filesystem::path program_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

std::filesystem::path find_algorithm_library(const std::filesystem::path& name, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::path found = name.is_absolute() ? name : folder / name;
  if (std::filesystem::exists(found, error) || name.has_parent_path()) return found;
  const auto beside = (program_path().parent_path() / "../lib" / name).lexically_normal();
  return std::filesystem::exists(beside, error) ? beside : found;
}

Expected<AlgorithmResult> Algorithm::execute(const AlgorithmInput& input) {
  if (auto submitted = submit(input); !submitted) return fail(submitted);
  return take();
}

}  // namespace sds
