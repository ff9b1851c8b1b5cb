// The index of a `.sdsz` recording: where each section is and what it holds. A cache, not the truth: when it is lost
// or damaged, the same entries come from walking the section headers.
#pragma once

#include <functional>
#include <vector>

#include "sds/format/byte_source.hpp"
#include "sds/format/damage.hpp"
#include "sds/format/section.hpp"
#include "sds/format/statistics.hpp"

namespace sds {

struct IndexEntry {
  SectionHeader header;
  std::uint64_t offset = 0;  ///< of the section's header in the file

  [[nodiscard]] std::uint64_t payload_offset() const { return offset + header.size(); }
  [[nodiscard]] std::uint64_t end() const { return offset + header.section_bytes(); }
};

/// A known loss inside a stream: noted while recording.
struct Gap {
  std::uint64_t after_tick = 0;    ///< tick of the stream's last block before it; 0 if there is none
  std::string reason;              ///< for people
  std::uint64_t before_block = 0;  ///< ordinal of the first block behind it
};

/// The same instant on the stream's clock and on the recorder's: when the block of that tick was received.
struct ClockPair {
  std::uint64_t tick = 0;
  std::uint64_t utc_ns = 0;        ///< since 1970
  std::uint64_t monotonic_ns = 0;  ///< of a clock that is never set; 0: not known

  bool operator==(const ClockPair&) const = default;
};

/// Payloads of gap and clock sections.
Bytes encode_gap(const std::string& reason);
Bytes encode_clock(const ClockPair& pair);

/// Collects entries while a recording is written, and gives them out in pieces of bounded size.
class IndexBuilder {
 public:
  /// `facts`: the decompressed payload of a gap or clock section, so that a reader need not look for it; else empty.
  /// If it throws (std::bad_alloc), nothing was added.
  void add(const IndexEntry& entry, const std::vector<ColumnStatistics>& statistics, ByteView facts);
  /// Bytes collected since the last clear().
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }
  /// The payload of an index section over what was collected (FORMAT.md, "Index").
  [[nodiscard]] Bytes payload(std::uint64_t previous_index_offset) const;
  void clear();

 private:
  Bytes pending_;
  std::uint32_t entries_ = 0;
};

/// What a gap or clock section says, and where it stands.
struct GapEntry {
  std::uint32_t stream = 0;
  std::uint8_t version = 0;  ///< of the section
  std::uint64_t offset = 0;
  Gap gap;
};
struct ClockEntry {
  std::uint32_t stream = 0;
  std::uint64_t offset = 0;
  ClockPair pair;
  std::uint64_t next_block = 0;  ///< ordinal of the stream's next block then; 0 in version 1
};

/// A place in the file where sections are missing, of whatever kind and stream.
struct LostSections {
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> count;  ///< how many, where the numbers of those around them say so
  std::string reason;
};

/// The sections of a recording in the order in which they were written.
struct SectionTable {
  std::vector<IndexEntry> entries;  ///< without gap, clock, index and footer sections
  std::vector<GapEntry> gaps;
  std::vector<ClockEntry> clocks;
  std::vector<Damage> damages;     ///< stretches without valid sections, sections that do not belong
  std::vector<LostSections> lost;  ///< in the order of the file
  std::uint64_t sections = 0;      ///< of all kinds
  bool complete = false;           ///< there is a footer: the recording was closed cleanly
  bool from_index = false;         ///< read from the index; false: by walking the file
  std::uint64_t end = 0;           ///< file size that was looked at
  std::uint64_t recording = 0;     ///< id in the section headers; 0 in version 1
  /// The end of a file without footer that holds no valid section: what its writer was at when it was last seen.
  Damage unfinished;
};

struct LoadOptions {
  bool walk = false;        ///< do not go by the index
  bool with_index = false;  ///< with `walk`: take from the index sections whose headers are damaged
  bool verify = false;      ///< with `walk`: check the payloads of index sections, too
};

/// Reads the index through the footer, or walks the file if there is none or `walk` is asked for. Behind damage it
/// searches for the next valid header. Sections of another recording, and those that stand twice, are damage.
/// Fails with ErrorCode::limit for more than limits::max_sections sections.
Expected<SectionTable> load_sections(const ByteSource& file, const LoadOptions& options);

/// The statistics that the index holds, per entry of a stream's data sections.
struct IndexedStatistics {
  std::uint64_t section_offset = 0;
  std::vector<ColumnStatistics> statistics;
};
/// In file order. Fails if the recording has no sound index.
Expected<std::vector<IndexedStatistics>> load_statistics(const ByteSource& file, std::uint32_t stream);

/// Reads the index once and calls `take` for each data section of any stream, in no particular order.
Expected<void> for_each_statistics(
    const ByteSource& file,
    const std::function<void(const IndexEntry& section, std::span<const ColumnStatistics> statistics)>& take);

/// Payload of the footer section: u64 offset of the last index section, u64 number of sections before the footer.
struct Footer {
  static constexpr std::size_t payload_bytes = 16;
  std::uint64_t last_index = 0;
  std::uint64_t section_count = 0;
};

}  // namespace sds
