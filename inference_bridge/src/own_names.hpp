// A library's variable `signal` is another thing than the C library's function of this name. On a device its own is
// meant; where it is loaded, the loader would take that of the program that loads it.
#pragma once

namespace sds {

/// dlopen(), all at once, with the library's names looked for in itself, then in the program, then in the libraries
/// that both use; so are those of the libraries that it brings along. While their constructors run, the program's are
/// not found. The run-time libraries of sanitizers refuse this order: there it is the loader's.
void* load_with_own_names(const char* path);

}  // namespace sds
