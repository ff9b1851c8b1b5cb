#include "own_symbols.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <span>

namespace sds {

namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

// A file in memory, for as long as this lives; what lies outside of it is empty.
class MappedFile {
 public:
  explicit MappedFile(const char* path) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    struct stat status {};
    if (fstat(descriptor, &status) == 0 && status.st_size > 0) {
      const auto size = static_cast<std::size_t>(status.st_size);
      void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (mapped != MAP_FAILED) bytes_ = {static_cast<const char*>(mapped), size};
    }
    close(descriptor);
  }
  ~MappedFile() {
    if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  template <class T>
  [[nodiscard]] std::span<const T> at(std::size_t offset, std::size_t bytes) const {
    if (offset > bytes_.size() || bytes > bytes_.size() - offset || offset % alignof(T) != 0) return {};
    return {reinterpret_cast<const T*>(bytes_.data() + offset), bytes / sizeof(T)};
  }

 private:
  std::span<const char> bytes_;
};

// Weak ones are left out: those are C++'s inline functions, of which any will do.
bool is_own(const Symbol& symbol) {
  const auto type = symbol.st_info & 0xF;
  return symbol.st_shndx != SHN_UNDEF && symbol.st_info >> 4 == STB_GLOBAL && (symbol.st_other & 3) == STV_DEFAULT &&
         (type == STT_OBJECT || type == STT_FUNC || type == STT_COMMON);
}

}  // namespace

bool has_names_of_others(const char* path) {
  const MappedFile file(path);
  const auto header = file.at<Header>(0, sizeof(Header));
  if (header.empty() || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return false;
  const auto sections = file.at<Section>(header[0].e_shoff, header[0].e_shnum * sizeof(Section));
  for (const auto& section : sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= sections.size()) continue;
    const auto names = file.at<char>(sections[section.sh_link].sh_offset, sections[section.sh_link].sh_size);
    if (names.empty() || names.back() != 0) continue;
    for (const auto& symbol : file.at<Symbol>(section.sh_offset, section.sh_size))
      if (is_own(symbol) && symbol.st_name < names.size() && dlsym(RTLD_DEFAULT, &names[symbol.st_name]) != nullptr)
        return true;
  }
  return false;
}

}  // namespace sds
