// Libraries that bring dozens of others along (HDF5: curl, Kerberos, LDAP ...) would cost each start of a program more
// time than all else. What sdskit calls of one is a table of its functions, in two forms: linked into whatever links
// sds::tools, and as a module, a shared library that has this table and no code, for the program `sds`, which loads it
// when a command needs it.
#pragma once

#include <cstddef>

namespace sds {

/// What a module has under the name `sdskit_module`. By version and size a module of another build is told.
struct Module {
  const char* version = nullptr;
  std::size_t table_bytes = 0;
  const void* table = nullptr;
};

extern "C" const Module sdskit_module;

template <class Table>
constexpr Module module_of(const Table& table) {
  return {SDSKIT_VERSION, sizeof table, &table};
}

}  // namespace sds
