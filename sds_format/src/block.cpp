#include "sds/format/block.hpp"

#include <fmt/format.h>

#include "sds/format/limits.hpp"

namespace sds {

Expected<void> check_block_size(std::uint64_t bytes) {
  if (bytes <= limits::max_block_bytes) return {};
  return fail(ErrorCode::limit, fmt::format("a block of {} bytes; at most {}", bytes, limits::max_block_bytes));
}

}  // namespace sds
