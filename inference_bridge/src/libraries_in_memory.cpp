#include "libraries_in_memory.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstddef>

#include "dynamic_section.hpp"

namespace sds {

namespace {

int add_object(dl_phdr_info* info, std::size_t, void* all) {
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i)
    if (const auto& part = info->dlpi_phdr[i]; part.p_type == PT_DYNAMIC)
      static_cast<LibrariesInMemory*>(all)->insert(reinterpret_cast<const void*>(info->dlpi_addr + part.p_vaddr));
  return 0;
}

void add_used(void* library, LibrariesInMemory& used) {
  link_map* loaded = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, &loaded) != 0 || !used.insert(loaded->l_ld).second) return;
  const DynamicSection section(loaded->l_addr, loaded->l_ld);
  const char* names = section.at<char>(DT_STRTAB);
  section.for_each([&](const ElfW(Dyn) & entry) {
    if (entry.d_tag != DT_NEEDED || names == nullptr) return;
    // By this name it was found before, wherever it lies.
    void* needed = dlopen(names + entry.d_un.d_val, RTLD_LAZY | RTLD_NOLOAD);
    if (needed == nullptr) return;
    add_used(needed, used);
    dlclose(needed);
  });
}

}  // namespace

LibrariesInMemory libraries_in_memory() {
  LibrariesInMemory all;
  dl_iterate_phdr(add_object, &all);
  return all;
}

LibrariesInMemory libraries_used_by(void* library) {
  LibrariesInMemory used;
  add_used(library, used);
  return used;
}

}  // namespace sds
