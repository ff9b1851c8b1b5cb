// The sections of a `.sdsz`, found without a reader of the project's.
#pragma once

#include <string_view>
#include <vector>

#include "sds/format/sdsz_index.hpp"

namespace sds::test {

/// From header to header, by their layout in FORMAT.md, up to the first that is damaged.
inline std::vector<IndexEntry> sections_of(std::string_view file) {
  std::vector<IndexEntry> found;
  for (std::size_t at = 0; at < file.size(); at = found.back().end()) {
    const auto header = SectionHeader::decode(as_bytes(file.substr(at)));
    if (!header) break;
    found.push_back({*header, at});
  }
  return found;
}

/// Those of one kind.
inline std::vector<IndexEntry> sections_of(std::string_view file, SectionKind kind) {
  auto found = sections_of(file);
  std::erase_if(found, [&](const IndexEntry& section) { return section.header.kind != kind; });
  return found;
}

}  // namespace sds::test
