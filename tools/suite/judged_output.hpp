// The output that a test judges.
#pragma once

#include "sds/format/recording.hpp"

namespace sds {

/// The stream of this name, or, without one, the first; an error where it has no metadata: `without`, what that means.
Expected<std::size_t> judged_output(const Recording& outputs, const std::string& name, const std::string& without);

}  // namespace sds
