// The payload of a data section: a run of blocks of one stream, taken apart into columns and put together again.
// Pure functions over memory; FORMAT.md has the byte layout.
#pragma once

#include <vector>

#include "sds/format/block.hpp"
#include "sds/format/column.hpp"
#include "sds/format/layout.hpp"
#include "sds/format/section.hpp"
#include "sds/format/statistics.hpp"

namespace sds {

/// A data section ready to be written: header (without sequence number), payload, and the columns' statistics.
struct EncodedSection {
  SectionHeader header;
  Bytes payload;
  std::vector<ColumnStatistics> statistics;  ///< per layout column of single elements; empty for opaque streams
};

/// Works on data sections; keeps its buffers between calls. Not thread-safe: one for each thread.
class DataSectionCoder {
 public:
  EncodedSection encode(const BlockRun& run, std::uint32_t stream, const Layout& layout, Level level);

  /// Rebuilds the blocks of a section into `run`. Checks the payload's checksum first; fails on any inconsistency.
  [[nodiscard]] Expected<void> decode(const SectionHeader& header, ByteView payload, const Layout& layout,
                                      BlockRun& run);

  /// The same without what the blocks hold: timeslots, sizes and jumps; `run.bytes` is empty.
  [[nodiscard]] Expected<void> decode_blocks(const SectionHeader& header, ByteView payload, BlockRun& run);

 private:
  [[nodiscard]] Expected<void> decode_into(const SectionHeader& header, ByteView payload, const Layout& layout,
                                           BlockRun& run);

  ColumnCoder coder_;
  Bytes columns_;  // all columns of a section, one behind the other
};

/// What a data section says about itself without being decoded.
struct DataSectionSummary {
  std::vector<ColumnHeader> columns;  ///< timeslots, sizes, rest, then the layout's columns
  std::vector<ColumnStatistics> statistics;
};
Expected<DataSectionSummary> summarize(ByteView payload);

/// True if all blocks of a section are known to have one size, by the first `head_bytes` of its payload.
inline constexpr std::size_t head_bytes = 24;
bool has_equal_blocks(ByteView payload_head);

}  // namespace sds
