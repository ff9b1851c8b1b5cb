// Outputs carry the ticks of their inputs, and a metadata file that names no `tick-frequency:` means 1000 Hz: without a
// word of it, the outputs of a recording in microseconds would last a thousand times too long.
#pragma once

#include <optional>
#include <string>

#include "sds/format/time.hpp"

namespace sds {

/// `yaml`, metadata that can be parsed, with a `tick-frequency:` line of this frequency where it has none; nothing else
/// changes. Nothing if the text is written in a way that leaves no place for it.
std::optional<std::string> with_tick_frequency(const std::string& yaml, const Frequency& frequency);

}  // namespace sds
