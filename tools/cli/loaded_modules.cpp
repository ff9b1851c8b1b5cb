// The tables of the program `sds`: from modules that are loaded once a command needs them. A module is looked for where
// it was installed with the program, and nowhere else.
#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "archive_functions.hpp"
#include "hdf5_functions.hpp"
#include "module.hpp"
#include "sds/bridge/algorithm.hpp"
#include "sound_functions.hpp"

namespace sds {

namespace {

// The loader's reason, which begins with the path where that is what it cannot load.
std::string loader_says(const std::filesystem::path& path) {
  std::string reason = dlerror();
  if (reason.starts_with(path.string() + ": ")) reason.erase(0, path.string().size() + 2);
  return reason;
}

// The module stays until the program ends, as a library does that is linked. Its names need no precedence over the
// program's, as those of an algorithm do (load_with_own_names()): it has but one.
Expected<const void*> load_table(const char* name, std::size_t bytes) {
  const std::filesystem::path program = program_path();
  if (program.empty())
    return fail(ErrorCode::io, "/proc does not tell where sds is, and so where its modules are", name);
  const auto path = (program.parent_path() / SDSKIT_MODULE_FOLDER / name).lexically_normal();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(ErrorCode::io, "a part of sdskit cannot be loaded: " + loader_says(path), path);
  const auto* module = static_cast<const Module*>(dlsym(library, "sdskit_module"));
  if (module == nullptr) return fail(ErrorCode::io, "is no module of sdskit", path);
  if (module->version != std::string_view(SDSKIT_VERSION) || module->table_bytes != bytes)
    return fail(ErrorCode::io, "is of another build of sdskit than the program", path);
  return module->table;
}

template <class Table>
Expected<const Table*> load_module(const char* name) {
  return load_table(name, sizeof(Table)).map([](const void* table) { return static_cast<const Table*>(table); });
}

}  // namespace

Expected<const ArchiveFunctions*> archive_functions() {
  static const auto table = load_module<ArchiveFunctions>("archive.so");
  return table;
}

Expected<const Hdf5Functions*> hdf5_functions() {
  static const auto table = load_module<Hdf5Functions>("hdf5.so");
  return table;
}

Expected<const SoundFunctions*> sound_functions() {
  static const auto table = load_module<SoundFunctions>("sound.so");
  return table;
}

}  // namespace sds
