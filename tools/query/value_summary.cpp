// sds stats: count, extremes and mean of every value, from the index where it has them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <unordered_set>
#include <variant>

#include "channel_values.hpp"
#include "moments.hpp"
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

// By the number of the stream, in file order; the index is read once. Empty where there is none.
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

// Infinite where values are, and not a number where these are of both signs; of one sign of NaN, whatever a machine
// makes of it.
double sum_of_infinite(double a, double b) {
  const double sum = (std::isinf(a) ? a : 0) + (std::isinf(b) ? b : 0);
  return std::isnan(sum) ? std::numeric_limits<double>::quiet_NaN() : sum;
}

// Of values that are read.
template <class Number>
class ReadValues {
 public:
  void add(const Channel& channel, std::size_t element, const SampleRun& run, std::size_t sample_bytes) {
    std::array<Number, 256> some;
    for (std::size_t k = 0; k < run.count; k += some.size()) {
      const std::size_t count = std::min(some.size(), run.count - k);
      physical_values(channel, element, run.data + k * sample_bytes, count, sample_bytes, some.data());
      for (std::size_t i = 0; i < count; ++i) add(some[i]);
    }
  }
  void tell(ValueSummary& summary) const {
    summary.count = count_;
    summary.nan_count = nan_count_;
    summary.min = min_;
    summary.max = max_;
    if (count_ == 0) return;
    const bool all_finite = finite_.count() == count_;
    summary.mean = all_finite ? finite_.mean() : sum_of_infinite(rounded(min_), rounded(max_));
    summary.deviation = all_finite ? finite_.deviation() : std::numeric_limits<double>::quiet_NaN();
  }
  [[nodiscard]] Extremes extremes() const { return {min_, max_}; }

 private:
  void add(const Number& value) {
    const double nearest = rounded(value);
    if (std::isnan(nearest)) {
      ++nan_count_;
      return;
    }
    if (count_++ == 0) min_ = max_ = value;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
    if (std::isfinite(nearest)) finite_.add(value);
  }

  std::uint64_t count_ = 0;
  std::uint64_t nan_count_ = 0;
  Number min_ = 0.0;
  Number max_ = 0.0;
  Moments<Number> finite_;
};

using AnyReadValues = std::variant<ReadValues<double>, ReadValues<ExactNumber>>;

AnyReadValues values_to_read(const Channel& channel) {
  return need_all_digits(channel) ? AnyReadValues(ReadValues<ExactNumber>()) : AnyReadValues(ReadValues<double>());
}

// Whether a whole number that is rounded to this double may be another one.
bool may_be_rounded(double value) { return std::abs(value) >= 0x1p53; }

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
    ranges[v].wide = need_all_digits(channel);
  }
  return ranges;
}

void add_statistics(ColumnStatistics& all, const ColumnStatistics& more) {
  if (more.count > 0) {
    all.min = all.count == 0 ? more.min : std::min(all.min, more.min);
    all.max = all.count == 0 ? more.max : std::max(all.max, more.max);
  }
  all.count += more.count;
  all.nan_count += more.nan_count;
  all.sum += more.sum;
}

std::optional<ValueSummary> physical_summary(const Channel& channel, const ColumnStatistics& statistics) {
  ValueSummary summary;
  summary.whole = is_whole(channel);
  summary.count = statistics.count;
  summary.nan_count = statistics.nan_count;
  if (statistics.count == 0) return summary;
  const double a = channel.is_raw() ? statistics.min : statistics.min * channel.scale + channel.offset;
  const double b = channel.is_raw() ? statistics.max : statistics.max * channel.scale + channel.offset;
  if (std::isnan(a) || std::isnan(b)) return std::nullopt;  // how many are is not known
  summary.min = std::min(a, b);
  summary.max = std::max(a, b);
  if (!std::isfinite(a) || !std::isfinite(b)) {
    summary.mean = sum_of_infinite(a, b);
    return summary;
  }
  const auto count = static_cast<double>(statistics.count);
  const double sum = channel.is_raw() ? statistics.sum : statistics.sum * channel.scale + channel.offset * count;
  if (!std::isfinite(sum)) return std::nullopt;  // more than a double holds
  summary.mean = sum / count;
  return summary;
}

Expected<std::map<std::size_t, Extremes>> rounded_extremes(const Recording& recording, std::size_t stream,
                                                           const std::vector<ChannelRef>& values,
                                                           const std::vector<IndexedStatistics>& statistics,
                                                           const OnProgress& on_progress) {
  const Metadata& metadata = *recording.streams()[stream].metadata;
  const Layout& layout = recording.sdsz()->streams()[stream].layout;
  const auto& sections = recording.sdsz()->streams()[stream].data;
  // Of a value: what the index says, and the offsets of the sections that have what it rounds.
  struct Rounded {
    ColumnStatistics all;
    std::vector<std::uint64_t> with_min;
    std::vector<std::uint64_t> with_max;
  };
  std::map<std::size_t, Rounded> rounded_ones;
  std::unordered_set<std::uint64_t> wanted;
  for (std::size_t v = 0; v < values.size(); ++v) {
    const Channel& channel = metadata.channels[values[v].channel];
    if (!is_wide(channel)) continue;
    const auto in_section = [&](const IndexedStatistics& section) {
      return statistics_of_value(channel, values[v].element, layout, section.statistics);
    };
    Rounded of_value;
    for (const auto& section : statistics)
      if (const auto* found = in_section(section)) add_statistics(of_value.all, *found);
    for (const auto& section : statistics) {
      const auto* found = in_section(section);
      if (found == nullptr || found->count == 0) continue;
      if (may_be_rounded(found->min) && found->min == of_value.all.min)
        of_value.with_min.push_back(section.section_offset);
      if (may_be_rounded(found->max) && found->max == of_value.all.max)
        of_value.with_max.push_back(section.section_offset);
    }
    if (of_value.with_min.empty() && of_value.with_max.empty()) continue;
    for (const auto* offsets : {&of_value.with_min, &of_value.with_max})
      wanted.insert(offsets->begin(), offsets->end());
    rounded_ones.emplace(v, std::move(of_value));
  }
  std::map<std::size_t, Extremes> extremes;
  if (rounded_ones.empty()) return extremes;
  std::unordered_set<std::uint64_t> unread = wanted;
  SampleOptions options;
  options.sections = [&](const IndexEntry& section) { return wanted.contains(section.offset); };
  options.on_block = [&](const BlockView& block) {
    const auto behind = std::upper_bound(
        sections.begin(), sections.end(), block.ordinal,
        [](std::uint64_t ordinal, const IndexEntry& section) { return ordinal < section.header.first_block; });
    if (behind != sections.begin()) unread.erase(std::prev(behind)->offset);
  };
  auto reader = SampleReader::open(recording, stream, options, on_progress);
  if (!reader) return fail(reader);
  std::map<std::size_t, ReadValues<ExactNumber>> read;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    for (const auto& [v, of_value] : rounded_ones)
      read[v].add(metadata.channels[values[v].channel], values[v].element, **run, metadata.sample_bytes);
  }
  const auto all_read = [&](const std::vector<std::uint64_t>& offsets) {
    return std::none_of(offsets.begin(), offsets.end(), [&](std::uint64_t offset) { return unread.contains(offset); });
  };
  const ExactNumber unknown(std::numeric_limits<double>::quiet_NaN());
  for (const auto& [v, of_value] : rounded_ones) {
    const Extremes found = read[v].extremes();
    Extremes& told = extremes[v];
    // One that is no more than a double was not looked for.
    told.min = !all_read(of_value.with_min) ? unknown : of_value.with_min.empty() ? of_value.all.min : found.min;
    told.max = !all_read(of_value.with_max) ? unknown : of_value.with_max.empty() ? of_value.all.max : found.max;
  }
  return extremes;
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
      summary.whole = is_whole(metadata.channels[ref.channel]);
      of_stream.push_back(summary);
    }
    bool from_index = !exact && recording.sdsz() && !recording.sdsz()->streams()[index].log_needed;
    if (from_index) {
      const SdszStream& packed = recording.sdsz()->streams()[index];
      const auto& statistics = indexed[packed.number];
      from_index = statistics.size() == packed.data.size();
      std::vector<ColumnStatistics> all(values.size());
      for (std::size_t i = 0; from_index && i < statistics.size(); ++i)
        for (std::size_t v = 0; v < values.size() && from_index; ++v) {
          const ColumnStatistics* found = statistics_of_value(metadata.channels[values[v].channel], values[v].element,
                                                              packed.layout, statistics[i].statistics);
          from_index = found != nullptr;
          if (from_index) add_statistics(all[v], *found);
        }
      for (std::size_t v = 0; v < values.size() && from_index; ++v) {
        const auto summary = physical_summary(metadata.channels[values[v].channel], all[v]);
        from_index = summary.has_value();
        if (!from_index) break;
        of_stream[v].count = summary->count;
        of_stream[v].nan_count = summary->nan_count;
        of_stream[v].min = summary->min;
        of_stream[v].max = summary->max;
        of_stream[v].mean = summary->mean;
      }
      for (auto& summary : of_stream) summary.from_index = from_index;
      const auto exact_ones = from_index ? rounded_extremes(recording, index, values, statistics, on_progress)
                                         : Expected<std::map<std::size_t, Extremes>>();
      if (!exact_ones) return fail(exact_ones);
      for (const auto& [v, extremes] : *exact_ones) {
        if (!need_all_digits(metadata.channels[values[v].channel])) continue;
        of_stream[v].min = extremes.min;
        of_stream[v].max = extremes.max;
      }
    }
    if (!from_index) {
      SampleOptions options;
      options.within = within.of(index);
      auto reader = SampleReader::open(recording, index, options, on_progress);
      if (!reader) return fail(reader);
      std::vector<AnyReadValues> read;
      read.reserve(values.size());
      for (const auto& ref : values) read.push_back(values_to_read(metadata.channels[ref.channel]));
      for (;;) {
        auto run = reader->next();
        if (!run) return fail(run);
        if (*run == nullptr) break;
        for (std::size_t v = 0; v < values.size(); ++v) {
          const auto& ref = values[v];
          std::visit(
              [&](auto& of_value) {
                of_value.add(metadata.channels[ref.channel], ref.element, **run, metadata.sample_bytes);
              },
              read[v]);
        }
      }
      for (std::size_t v = 0; v < values.size(); ++v)
        std::visit([&](const auto& of_value) { of_value.tell(of_stream[v]); }, read[v]);
    }
    summaries.insert(summaries.end(), of_stream.begin(), of_stream.end());
  }
  return summaries;
}

}  // namespace sds
