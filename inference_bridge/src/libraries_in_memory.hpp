// Which libraries are in memory, and which of them one uses: what stays there keeps its variables.
#pragma once

#include <set>

namespace sds {

/// Each by the address of its dynamic section.
using LibrariesInMemory = std::set<const void*>;

/// All of them, and the program.
LibrariesInMemory libraries_in_memory();

/// That with this handle of dlopen(), those that it is linked with, and what these are linked with.
LibrariesInMemory libraries_used_by(void* library);

/// Whether one that was not in memory before has variables that the loader gives all libraries in common: those of
/// C++ templates and inline functions (STB_GNU_UNIQUE). Where another library has them already, it gets these.
bool new_ones_have_shared_variables(const LibrariesInMemory& before);

}  // namespace sds
