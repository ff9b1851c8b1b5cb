#include "libraries_in_memory.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

// As many as a GNU hash table lists; these stand last.
std::size_t count_symbols(const DynamicSection& section) {
  const auto* table = section.at<std::uint32_t>(DT_GNU_HASH);
  if (table == nullptr) return 0;
  const std::uint32_t buckets = table[0];
  const std::uint32_t first = table[1];
  const std::uint32_t* bucket = table + 4 + table[2] * (sizeof(ElfW(Addr)) / sizeof *table);
  const std::uint32_t* chain = bucket + buckets;
  const std::uint32_t last = buckets == 0 ? 0 : *std::max_element(bucket, bucket + buckets);
  if (last < first) return 0;
  std::uint32_t symbol = last;
  while ((chain[symbol - first] & 1) == 0) ++symbol;
  return symbol + 1;
}

bool has_shared_variables(const DynamicSection& section) {
  const auto* symbols = section.at<ElfW(Sym)>(DT_SYMTAB);
  if (symbols == nullptr) return false;
  return std::any_of(symbols, symbols + count_symbols(section), [](const ElfW(Sym) & symbol) {
    return symbol.st_info >> 4 == STB_GNU_UNIQUE && symbol.st_shndx != SHN_UNDEF;
  });
}

struct SharedVariables {
  const LibrariesInMemory& before;
  bool found = false;
};

int look_for_shared_variables(dl_phdr_info* info, std::size_t, void* search) {
  auto& shared = *static_cast<SharedVariables*>(search);
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_DYNAMIC) continue;
    const auto* entries = reinterpret_cast<const ElfW(Dyn)*>(info->dlpi_addr + part.p_vaddr);
    if (!shared.before.contains(entries) && has_shared_variables({info->dlpi_addr, entries})) shared.found = true;
  }
  return 0;
}

}  // namespace

bool new_ones_have_shared_variables(const LibrariesInMemory& before) {
  SharedVariables shared{before};
  dl_iterate_phdr(look_for_shared_variables, &shared);
  return shared.found;
}

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
