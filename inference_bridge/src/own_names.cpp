#include "own_names.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dynamic_section.hpp"

namespace sds {

#if defined(RTLD_DEEPBIND) && !defined(SDSKIT_SANITIZED)

namespace {

using Address = ElfW(Addr);

// A program or library in memory.
class LoadedObject {
 public:
  explicit LoadedObject(const dl_phdr_info& info) : base_(info.dlpi_addr) {
    for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
      const auto& part = info.dlpi_phdr[i];
      const Range range{base_ + part.p_vaddr, base_ + part.p_vaddr + part.p_memsz};
      if (part.p_type == PT_LOAD) parts_.push_back(range);
      if (part.p_type == PT_GNU_RELRO) read_only_ = range;
      if (part.p_type == PT_DYNAMIC) dynamic_ = {base_, reinterpret_cast<const ElfW(Dyn)*>(range.begin)};
    }
  }

  [[nodiscard]] bool has(Address address) const {
    return std::any_of(parts_.begin(), parts_.end(), [&](const Range& part) { return part.has(address); });
  }
  bool operator==(const LoadedObject& other) const { return base_ == other.base_ && dynamic_ == other.dynamic_; }

  // Hands each place that holds the address of something of another object to `look`: its name, and the place.
  template <class Look>
  void for_each_foreign_name(const Look& look) const {
    const auto* symbols = dynamic_.at<ElfW(Sym)>(DT_SYMTAB);
    const auto* names = dynamic_.at<char>(DT_STRTAB);
    if (symbols == nullptr || names == nullptr) return;
    for (const auto& [table, bytes] :
         {std::pair{DT_RELA, dynamic_.value(DT_RELASZ)}, std::pair{DT_JMPREL, dynamic_.value(DT_PLTRELSZ)}}) {
      if (table == DT_JMPREL && dynamic_.value(DT_PLTREL) != DT_RELA) continue;
      const auto* entries = dynamic_.at<ElfW(Rela)>(table);
      for (std::size_t i = 0; entries != nullptr && i < bytes / sizeof *entries; ++i) {
        const auto& symbol = symbols[entries[i].r_info >> (sizeof(Address) == 8 ? 32 : 8)];
        if (symbol.st_name == 0 || symbol.st_shndx != SHN_UNDEF || (symbol.st_info & 0xF) == STT_TLS ||
            entries[i].r_addend != 0)
          continue;
        look(names + symbol.st_name, reinterpret_cast<Address*>(base_ + entries[i].r_offset));
      }
    }
  }

  // What the loader has made read-only is that again afterwards.
  void write(Address* place, Address address) const {
    const auto page = static_cast<Address>(sysconf(_SC_PAGESIZE));
    void* start = reinterpret_cast<void*>(reinterpret_cast<Address>(place) / page * page);
    if (!read_only_.has(reinterpret_cast<Address>(place))) {
      *place = address;
    } else if (mprotect(start, page, PROT_READ | PROT_WRITE) == 0) {
      *place = address;
      mprotect(start, page, PROT_READ);
    }
  }

 private:
  struct Range {
    Address begin = 0;
    Address end = 0;
    [[nodiscard]] bool has(Address address) const { return begin <= address && address < end; }
  };

  Address base_;
  std::vector<Range> parts_;
  Range read_only_;
  DynamicSection dynamic_;
};

// The program first.
std::vector<LoadedObject> loaded_objects() {
  std::vector<LoadedObject> objects;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* all) {
        static_cast<std::vector<LoadedObject>*>(all)->emplace_back(*info);
        return 0;
      },
      &objects);
  return objects;
}

// What the program has in place of a library's goes before that: handlers of signals, and what the linker has copied.
void take_from_program(const LoadedObject& library, const std::vector<LoadedObject>& before) {
  library.for_each_foreign_name([&](const char* name, Address* place) {
    const auto has_it = [&](const LoadedObject& object) { return object.has(*place); };
    if (std::none_of(before.begin(), before.end(), has_it)) return;
    const auto found = reinterpret_cast<Address>(dlsym(RTLD_DEFAULT, name));
    if (found != *place && before.front().has(found)) library.write(place, found);
  });
}

}  // namespace

void* load_with_own_names(const char* path) {
  const auto before = loaded_objects();
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (library == nullptr) return nullptr;
  for (const auto& object : loaded_objects())
    if (std::find(before.begin(), before.end(), object) == before.end()) take_from_program(object, before);
  return library;
}

#else

void* load_with_own_names(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }

#endif

}  // namespace sds
