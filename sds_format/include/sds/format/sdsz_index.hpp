// The index of a `.sdsz` recording: where each section is and what it holds. A cache, not the truth: when it is lost
// or damaged, the same entries come from walking the section headers.
#pragma once

#include <vector>

#include "sds/format/file.hpp"
#include "sds/format/section.hpp"
#include "sds/format/statistics.hpp"

namespace sds {

struct IndexEntry {
  SectionHeader header;
  std::uint64_t offset = 0;  ///< of the section's header in the file
};

/// A stretch of a file that could not be read, and what is known to be lost with it.
struct Damage {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::string reason;
};

/// Collects entries while a recording is written, and gives them out in pieces of bounded size.
class IndexBuilder {
 public:
  void add(const IndexEntry& entry, const std::vector<ColumnStatistics>& statistics);
  /// Bytes collected since the last take().
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }
  /// The payload of an index section: u64 offset of the previous index section (0 if none), u32 entries, then per
  /// entry the 64-byte header, u64 offset, u32 statistics count and the statistics.
  Bytes take(std::uint64_t previous_index_offset);

 private:
  Bytes pending_;
  std::uint32_t entries_ = 0;
};

/// The sections of a recording in file order.
struct SectionTable {
  std::vector<IndexEntry> entries;
  std::vector<Damage> damages;  ///< stretches without valid sections
  bool complete = false;        ///< there is a footer: the recording was closed cleanly
  bool from_index = false;      ///< read from the index; false: by walking the file
  std::uint64_t end = 0;        ///< file size that was looked at
};

/// Reads the index through the footer, or walks the file if there is none or `walk` is asked for.
Expected<SectionTable> load_sections(const InputFile& file, bool walk);

/// The statistics that the index holds, per entry of its data sections: (section offset, statistics).
struct IndexedStatistics {
  std::uint64_t section_offset = 0;
  std::vector<ColumnStatistics> statistics;
};
Expected<std::vector<IndexedStatistics>> load_statistics(const InputFile& file, std::uint32_t stream);

/// Payload of the footer section: u64 offset of the last index section, u64 number of sections before the footer.
struct Footer {
  static constexpr std::size_t payload_bytes = 16;
  std::uint64_t last_index = 0;
  std::uint64_t section_count = 0;
};

}  // namespace sds
