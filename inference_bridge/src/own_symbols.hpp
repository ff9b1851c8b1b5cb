// A library's variable `signal` is another thing than the C library's function of this name. On a device its own is
// meant; where it is loaded, the loader would take that of the program that loads it.
#pragma once

namespace sds {

/// Whether a variable or function that the library at `path` defines for all has the name of one of this program or of
/// the libraries it is linked with. What is no library of this machine has none.
bool has_names_of_others(const char* path);

}  // namespace sds
