// When the samples of a section of a `.sdsz` are, told without decoding them: what a section's header says is of its
// blocks, which may be empty, or longer than the others.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "sds/format/data_section.hpp"
#include "sds/format/recording.hpp"

namespace sds {

/// Where a sample stands, which is what its time is made of.
struct SamplePlace {
  std::uint64_t tick = 0;   ///< of its block
  std::uint64_t index = 0;  ///< in its block
};

/// Of the samples of a section.
struct SectionSamples {
  SamplePlace first;  ///< in the order of the file, as the last one is
  SamplePlace last;
  std::optional<SamplePlace> overlapping;  ///< of those with an earlier one behind them, the one that is over last
};

/// Tells of the sections of one stream that has samples. Keeps its buffers; not thread-safe. `recording` must outlive
/// it.
class SectionTimes {
 public:
  SectionTimes(const Recording& recording, std::size_t stream);

  /// The section's samples; nothing if it has none. Timeslots and sizes are decoded where they have to be: where blocks
  /// differ in size, the clock steps back, or a sample may overlap one behind the section, none of which is before
  /// `earliest_behind` (in seconds). Fails where what is decoded is damaged.
  [[nodiscard]] Expected<std::optional<SectionSamples>> of(
      const IndexEntry& section, double earliest_behind = std::numeric_limits<double>::infinity());

  /// In seconds, as SampleReader tells it.
  [[nodiscard]] double time(const SamplePlace& at) const;
  /// Where a sample is over by the sample frequency, which the stream must have.
  [[nodiscard]] double over(const SamplePlace& at) const;
  [[nodiscard]] bool has_rate() const { return metadata_.sample_frequency.has_value(); }

 private:
  [[nodiscard]] Expected<std::optional<SectionSamples>> decoded(const IndexEntry& section);

  const SdszReader* reader_;
  const Metadata& metadata_;
  Frequency ticks_;
  DataSectionCoder coder_;
  BlockRun run_;
};

/// The size of each block of a section, if they are known to have one, by 24 bytes of it.
std::optional<std::uint64_t> equal_block_bytes(const SdszReader& reader, const IndexEntry& section);

}  // namespace sds
