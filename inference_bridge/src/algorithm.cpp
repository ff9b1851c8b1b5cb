#include "sds/bridge/algorithm.hpp"

#include <fmt/format.h>

namespace sds {

std::string AlgorithmResult::describe_failure() const {
  if (status == INT32_MIN && !message.empty()) return message;
  return fmt::format("the algorithm returned {}{}{}", status, message.empty() ? "" : ": ", message);
}

Expected<AlgorithmResult> Algorithm::execute(const AlgorithmInput& input) {
  if (auto submitted = submit(input); !submitted) return fail(submitted);
  return take();
}

}  // namespace sds
