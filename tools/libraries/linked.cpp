// The tables of programs that link the libraries.
#include "archive_functions.hpp"
#include "hdf5_functions.hpp"
#include "sound_functions.hpp"

namespace sds {

namespace {

template <class Table>
constexpr Table linked_table;

}  // namespace

Expected<const ArchiveFunctions*> archive_functions() { return &linked_table<ArchiveFunctions>; }
Expected<const Hdf5Functions*> hdf5_functions() { return &linked_table<Hdf5Functions>; }
Expected<const SoundFunctions*> sound_functions() { return &linked_table<SoundFunctions>; }

}  // namespace sds
