// What reports say of damage, and of recordings without an end.
#pragma once

#include <optional>
#include <string>

#include "sds/format/recording.hpp"

namespace sds {

/// "at byte 1234: <reason>"; the reason alone where no place in the file is known.
std::string damage_text(const Damage& damage);

/// True if all of it is known to have cost nothing, as the exit code says it.
bool nothing_is_lost(const std::vector<Damage>& damages);

/// Of a recording that was made of one that had lost whole streams (`lost-streams` in its session): that it had.
std::optional<std::string> lost_streams_text(const Recording& recording);

/// False for a `.sdsz` that has no end, and a plain `.sds` that is being recorded: why_not_closed() says why, or the
/// missing end is damage.
bool is_closed(const Recording& recording);

/// Of a `.sdsz` that has no end, but a log, or a writer: that it was not closed, and what follows from that. (Else the
/// missing end is damage.)
std::optional<std::string> why_not_closed(const Recording& recording);

}  // namespace sds
