// What a program or library in memory tells the loader of itself.
#pragma once

#include <link.h>

#include <cstdint>

namespace sds {

class DynamicSection {
 public:
  DynamicSection() = default;
  /// `base`: what is added to the addresses in its file.
  DynamicSection(ElfW(Addr) base, const ElfW(Dyn) * entries) : base_(base), entries_(entries) {}

  bool operator==(const DynamicSection&) const = default;

  template <class Look>
  void for_each(const Look& look) const {
    for (const auto* entry = entries_; entry != nullptr && entry->d_tag != DT_NULL; ++entry) look(*entry);
  }
  /// 0 where there is none.
  [[nodiscard]] ElfW(Addr) value(std::int64_t tag) const {
    ElfW(Addr) found = 0;
    for_each([&](const ElfW(Dyn) & entry) {
      if (entry.d_tag == tag && found == 0) found = entry.d_un.d_val;
    });
    return found;
  }
  /// The loader has made addresses of offsets, where it could write them.
  template <class T>
  [[nodiscard]] const T* at(std::int64_t tag) const {
    const ElfW(Addr) found = value(tag);
    if (found == 0) return nullptr;
    return reinterpret_cast<const T*>(found < base_ ? base_ + found : found);
  }

 private:
  ElfW(Addr) base_ = 0;
  const ElfW(Dyn) * entries_ = nullptr;
};

}  // namespace sds
