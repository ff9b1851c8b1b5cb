// What waits for others, or reads what may take long, asks whether it still should.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "sds/format/recording.hpp"

namespace sds {

/// True where the program is to end, by Ctrl-C for instance: as the function says that it gave, once, before it made
/// threads; without one false.
bool wants_to_end();
void set_wants_to_end(bool (*function)());

/// Tells the user that something is waited for; how, the program says, once. Without that nothing is told.
void tell_wait(const std::string& what);
void set_tell_wait(void (*function)(const std::string& what));

/// Recording::open(), which ends, as reading the recording does, with ErrorCode::interrupted where the program is to
/// end.
Expected<Recording> open_until_end(std::span<const std::filesystem::path> paths, Recording::Options options);
Expected<Recording> open_until_end(const std::filesystem::path& path, Recording::Options options = {});

}  // namespace sds
