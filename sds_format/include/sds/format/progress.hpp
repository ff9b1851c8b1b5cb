// How long work says how far it is, and learns that it should stop.
#pragma once

#include <cstdint>
#include <functional>

#include "sds/format/error.hpp"

namespace sds {

/// Called with the number of bytes handled since the last call; an error (ErrorCode::interrupted) stops the work,
/// which then removes what it left half done. May be empty.
using OnProgress = std::function<Expected<void>(std::uint64_t bytes)>;

inline Expected<void> report(const OnProgress& on_progress, std::uint64_t bytes) {
  return on_progress ? on_progress(bytes) : Expected<void>{};
}

}  // namespace sds
