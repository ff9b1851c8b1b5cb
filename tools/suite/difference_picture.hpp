// What a channel did around the first value that differs, to be drawn.
#pragma once

#include "suite.hpp"

namespace sds {

/// Of the first channels that differ, what was expected and what came: up to 60 samples on either side of the first
/// difference. Nothing of a channel that cannot be read.
std::vector<DifferencePicture> difference_pictures(const Recording& expected, const Recording& came,
                                                   const RecordingComparison& comparison);

}  // namespace sds
