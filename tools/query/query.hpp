// When was a condition true? Reads only the sections of a `.sdsz` whose statistics leave that open.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "channel_values.hpp"
#include "condition.hpp"
#include "sample_reader.hpp"

namespace sds {

struct QueryOptions {
  TimeRanges within = all_time;
  double merge_gap_s = 0;     ///< matches that are at most so far apart are one
  double min_duration_s = 0;  ///< after that, shorter matches are none
};

/// What was read of one stream for a part of the condition.
struct QueryPlanEntry {
  std::string stream;
  std::uint64_t sections = 0;         ///< of the stream; 0: it has none (plain file, write-ahead log)
  std::uint64_t sections_read = 0;    ///< statistics left it open
  std::uint64_t sections_always = 0;  ///< true throughout by the statistics
  std::uint64_t sections_never = 0;   ///< false throughout, or outside of the times asked for
  std::uint64_t bytes = 0;            ///< as plain `.sds`
  std::uint64_t bytes_read = 0;
};

struct QueryResult {
  TimeRanges ranges;                 ///< seconds of the recording's clock
  std::uint64_t matches = 0;         ///< samples for which it was true, before gaps are merged; 0 over several streams
  std::vector<std::string> streams;  ///< ids of those that the condition is about
  std::vector<QueryPlanEntry> plan;
  std::vector<std::string> notes;
};

/// A sample's values hold until the next sample of its stream; the last one for as long as the step before it. Within
/// a comparison all channels are of one stream; comparisons of several streams are joined by time. More than
/// `max_query_ranges` changes are an error (ErrorCode::limit).
inline constexpr std::size_t max_query_ranges = 2'000'000;
Expected<QueryResult> query(const Recording& recording, const Condition& condition, const QueryOptions& options,
                            const OnProgress& on_progress);

/// Count, extremes and mean of one value; the standard deviation where the samples were read.
struct ValueSummary {
  std::string stream;
  std::string name;
  std::string unit;
  std::uint64_t count = 0;
  std::uint64_t nan_count = 0;
  ExactNumber min = 0.0;  ///< not a number: its digits are lost, as they are of the other one
  ExactNumber max = 0.0;
  bool whole = false;  ///< is_whole()
  double mean = 0;     ///< the nearest double, as the deviation is
  std::optional<double> deviation;
  bool from_index = false;
};

/// Statistics of several sections together.
void add_statistics(ColumnStatistics& all, const ColumnStatistics& more);
/// What they say of a channel of one element, in its physical units; nothing where they do not tell: a sum that is more
/// than a double holds, values that a scale of 0 makes no numbers of.
std::optional<ValueSummary> physical_summary(const Channel& channel, const ColumnStatistics& statistics);

/// Of every value of the chosen streams: from the index's statistics where that is enough, by reading where it is not
/// (plain files, open recordings, wide arrays, bit-fields) or where `exact` asks for the deviation. `within`: of the
/// samples of each stream at these times, which are read.
Expected<std::vector<ValueSummary>> summarize_values(const Recording& recording,
                                                     const std::vector<std::size_t>& streams, bool exact,
                                                     const StreamTimes& within, const OnProgress& on_progress);

/// Extremes of stored values with all digits.
struct Extremes {
  ExactNumber min;
  ExactNumber max;
};
/// Those of `values` that `statistics`, of all sections of a stream, say in doubles that may be rounded, by their index
/// in `values`: the sections that can have them are read. Not a number where such a section is
/// damaged: the digits are not known.
Expected<std::map<std::size_t, Extremes>> rounded_extremes(const Recording& recording, std::size_t stream,
                                                           const std::vector<ChannelRef>& values,
                                                           const std::vector<IndexedStatistics>& statistics,
                                                           const OnProgress& on_progress);

/// For a section of a stream: the range of each of `values`, physical; anything where there are no statistics.
std::vector<ValueRange> ranges_of_section(const Metadata& metadata, const Layout& layout,
                                          const std::vector<ColumnStatistics>& statistics,
                                          const std::vector<ChannelRef>& values);

}  // namespace sds
