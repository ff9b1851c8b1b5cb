// What waits for others asks whether it still should.
#pragma once

namespace sds {

/// True where the program is to end, by Ctrl-C for instance: as the function says that it gave, once, before it made
/// threads; without one false.
bool wants_to_end();
void set_wants_to_end(bool (*function)());

}  // namespace sds
