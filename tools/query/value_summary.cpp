// sds stats: count, extremes and mean of every value, from the index where it has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "channel_values.hpp"
#include "query.hpp"
#include "sample_reader.hpp"

namespace sds {

namespace {

// What the index says of one value in a section; null where it says nothing (bit-fields, wide arrays, other layouts).
const ColumnStatistics* statistics_of_value(const Channel& channel, std::size_t element, const Layout& layout,
                                            const std::vector<ColumnStatistics>& statistics) {
  if (channel.bits != 0) return nullptr;
  const std::size_t offset = channel.byte_offset + element * size_of(channel.type);
  const ColumnStatistics* found = nullptr;
  std::size_t at = 0;
  for (const auto& column : layout.columns) {
    if (column.elements != 1) continue;
    if (column.byte_offset == offset && column.type == channel.type && at < statistics.size()) found = &statistics[at];
    ++at;
  }
  return at == statistics.size() ? found : nullptr;
}

// By stream, in file order; the index is read once. Empty where there is none.
std::map<std::uint32_t, std::vector<IndexedStatistics>> statistics_of_all(const Recording& recording) {
  std::map<std::uint32_t, std::vector<IndexedStatistics>> all;
  if (!recording.sdsz()) return all;
  auto done = for_each_statistics(
      *recording.sdsz()->file(), [&](const IndexEntry& section, std::span<const ColumnStatistics> statistics) {
        all[section.header.stream].push_back({section.offset, std::vector(statistics.begin(), statistics.end())});
      });
  if (!done) all.clear();
  for (auto& [stream, sections] : all)
    std::sort(sections.begin(), sections.end(),
              [](const auto& a, const auto& b) { return a.section_offset < b.section_offset; });
  return all;
}

// Sums about the first finite value, so that an offset does not cost precision.
struct Moments {
  std::uint64_t count = 0;
  std::uint64_t nan_count = 0;
  std::optional<double> first;
  double min = 0;
  double max = 0;
  double sum = 0;
  double squares = 0;
  long double sum_of_large = 0;  // whose squares a double has no room for
  long double squares_of_large = 0;
  std::optional<double> infinite;  // or not a number, of both signs
  void add(double value) {
    if (std::isnan(value)) {
      ++nan_count;
      return;
    }
    if (count++ == 0) min = max = value;
    min = std::min(min, value);
    max = std::max(max, value);
    if (std::isinf(value)) {
      infinite = infinite.value_or(0) + value;
      return;
    }
    if (!first) first = value;
    const double d = value - *first;
    if (std::abs(d) < 1e120) {
      sum += d;
      squares += d * d;
    } else {
      const long double large = static_cast<long double>(value) - *first;
      sum_of_large += large;
      squares_of_large += large * large;
    }
  }
  [[nodiscard]] long double mean_about_first() const { return (sum + sum_of_large) / static_cast<long double>(count); }
  [[nodiscard]] double mean() const {
    return infinite ? *infinite : static_cast<double>(mean_about_first() + first.value_or(0));
  }
  [[nodiscard]] double deviation() const {
    if (infinite) return std::numeric_limits<double>::quiet_NaN();
    const long double about = mean_about_first();
    return static_cast<double>(
        std::sqrt(std::max(0.0L, (squares + squares_of_large) / static_cast<long double>(count) - about * about)));
  }
};

}  // namespace

std::vector<ValueRange> ranges_of_section(const Metadata& metadata, const Layout& layout,
                                          const std::vector<ColumnStatistics>& statistics,
                                          const std::vector<ChannelRef>& values) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<ValueRange> ranges(values.size(), ValueRange{-infinity, infinity, true});
  for (std::size_t v = 0; v < values.size(); ++v) {
    const Channel& channel = metadata.channels[values[v].channel];
    const ColumnStatistics* s = statistics_of_value(channel, values[v].element, layout, statistics);
    if (s == nullptr) continue;
    if (s->count == 0) {
      ranges[v] = {infinity, -infinity, true};  // only NaN
      continue;
    }
    const double a = channel.is_raw() ? s->min : s->min * channel.scale + channel.offset;
    const double b = channel.is_raw() ? s->max : s->max * channel.scale + channel.offset;
    if (!std::isnan(a) && !std::isnan(b)) ranges[v] = {std::min(a, b), std::max(a, b), s->nan_count > 0};
  }
  return ranges;
}

Expected<std::vector<ValueSummary>> summarize_values(const Recording& recording,
                                                     const std::vector<std::size_t>& streams, bool exact,
                                                     const StreamTimes& within, const OnProgress& on_progress) {
  std::vector<ValueSummary> summaries;
  exact = exact || within != StreamTimes();
  auto indexed = exact ? std::map<std::uint32_t, std::vector<IndexedStatistics>>() : statistics_of_all(recording);
  for (const std::size_t index : streams) {
    const StreamInfo& stream = recording.streams()[index];
    if (why_no_samples(stream)) continue;
    const Metadata& metadata = *stream.metadata;
    const auto values = all_values(metadata);
    static constexpr std::size_t max_values = 4096;
    if (values.size() > max_values)
      return fail(ErrorCode::limit,
                  fmt::format("stream {} has {} values a sample, more than {}", stream.id, values.size(), max_values),
                  stream.path);
    std::vector<ValueSummary> of_stream;
    for (const auto& ref : values) {
      ValueSummary summary;
      summary.stream = stream.id;
      summary.name = ref.name(metadata);
      summary.unit = metadata.channels[ref.channel].unit;
      of_stream.push_back(summary);
    }
    bool from_index = !exact && recording.sdsz() && !recording.sdsz()->streams()[index].log_needed;
    if (from_index) {
      const auto& statistics = indexed[static_cast<std::uint32_t>(index)];
      const SdszStream& packed = recording.sdsz()->streams()[index];
      from_index = statistics.size() == packed.data.size();
      std::vector<double> sums(values.size());
      for (std::size_t i = 0; from_index && i < statistics.size(); ++i) {
        const auto& entry = statistics[i];
        const auto ranges = ranges_of_section(metadata, packed.layout, entry.statistics, values);
        for (std::size_t v = 0; v < values.size() && from_index; ++v) {
          const Channel& channel = metadata.channels[values[v].channel];
          const ColumnStatistics* found =
              statistics_of_value(channel, values[v].element, packed.layout, entry.statistics);
          if (found == nullptr) {
            from_index = false;
            break;
          }
          ValueSummary& summary = of_stream[v];
          summary.nan_count += found->nan_count;
          if (found->count == 0) continue;
          summary.min = summary.count == 0 ? ranges[v].low : std::min(summary.min, ranges[v].low);
          summary.max = summary.count == 0 ? ranges[v].high : std::max(summary.max, ranges[v].high);
          summary.count += found->count;
          sums[v] += channel.is_raw() ? found->sum
                                      : found->sum * channel.scale + channel.offset * static_cast<double>(found->count);
        }
      }
      for (std::size_t v = 0; v < values.size(); ++v)
        if (of_stream[v].count > 0) of_stream[v].mean = sums[v] / static_cast<double>(of_stream[v].count);
      // A sum of finite values may be more than a double holds.
      from_index = from_index && std::none_of(of_stream.begin(), of_stream.end(), [](const ValueSummary& s) {
                     return !std::isfinite(s.mean) && std::isfinite(s.min) && std::isfinite(s.max);
                   });
      for (auto& summary : of_stream) summary.from_index = from_index;
    }
    if (!from_index) {
      SampleOptions options;
      options.within = within.of(index);
      auto reader = SampleReader::open(recording, index, options, on_progress);
      if (!reader) return fail(reader);
      std::vector<Moments> moments(values.size());
      std::vector<double> column;
      for (;;) {
        auto run = reader->next();
        if (!run) return fail(run);
        if (*run == nullptr) break;
        column.resize((*run)->count);
        for (std::size_t v = 0; v < values.size(); ++v) {
          physical_values(metadata.channels[values[v].channel], values[v].element, (*run)->data, (*run)->count,
                          metadata.sample_bytes, column.data());
          for (const double value : column) moments[v].add(value);
        }
      }
      for (std::size_t v = 0; v < values.size(); ++v) {
        const Moments& m = moments[v];
        ValueSummary& summary = of_stream[v];
        summary.count = m.count;
        summary.nan_count = m.nan_count;
        summary.min = m.min;
        summary.max = m.max;
        if (m.count == 0) continue;
        summary.mean = m.mean();
        summary.deviation = m.deviation();
      }
    }
    summaries.insert(summaries.end(), of_stream.begin(), of_stream.end());
  }
  return summaries;
}

}  // namespace sds
