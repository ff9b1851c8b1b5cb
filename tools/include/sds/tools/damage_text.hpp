// What reports say of damage, and of recordings without an end.
#pragma once

#include <optional>
#include <string>

#include "sds/format/recording.hpp"

namespace sds {

/// "at byte 1234: <reason>"; the reason alone where no place in the file is known.
std::string damage_text(const Damage& damage);

/// Of a `.sdsz` that has no end, but a log: that it was not closed, and what follows from that. (Without a log the
/// missing end is damage.)
std::optional<std::string> why_not_closed(const Recording& recording);

/// What a copy of such a recording has as a gap at the end of every stream.
inline constexpr const char* not_closed_gap =
    "the recording was not closed: what came after its last flush is not known";

}  // namespace sds
