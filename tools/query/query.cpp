#include "query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "time_span.hpp"

namespace sds {

namespace {

// A channel of the condition, found in the recording.
struct Bound {
  std::size_t stream = 0;
  ChannelRef value;
};

Expected<std::vector<Bound>> bind(const Recording& recording, const Condition& condition) {
  std::vector<Bound> bound;
  for (const auto& name : condition.channels()) {
    std::vector<Bound> found;
    std::string where;
    bool array = false;
    for (std::size_t s = 0; s < recording.streams().size(); ++s) {
      const StreamInfo& stream = recording.streams()[s];
      if (why_no_samples(stream)) continue;
      std::vector<ChannelRef> values = find_values(*stream.metadata, name);
      if (name.starts_with(stream.id + "."))
        for (const auto& ref : find_values(*stream.metadata, name.substr(stream.id.size() + 1))) values.push_back(ref);
      array = array || values.size() > 1;
      if (values.empty()) continue;
      found.push_back({s, values.front()});
      where += (where.empty() ? "" : ", ") + stream.id + "." + name;
    }
    if (array) return fail(ErrorCode::usage, fmt::format("'{}' is an array: say which element, as {}[0]", name, name));
    if (found.size() > 1)
      return fail(ErrorCode::usage, fmt::format("'{}' could be one of {}: put the stream before it", name, where));
    if (found.empty()) {
      std::string there;
      for (const auto& stream : recording.streams())
        if (stream.metadata)
          for (const auto& channel : stream.metadata->channels)
            if (there.size() < 300) there += fmt::format("{}{}.{}", there.empty() ? "" : ", ", stream.id, channel.name);
      return fail(ErrorCode::usage, fmt::format("no channel '{}'; there is: {}", name, there.empty() ? "none" : there),
                  recording.path());
    }
    bound.push_back(found.front());
  }
  return bound;
}

// The streams below each node; nodes that stand before a node are below it or beside it.
std::vector<std::set<std::size_t>> streams_below(const Condition& condition, const std::vector<Bound>& bound) {
  std::vector<std::set<std::size_t>> below(condition.nodes().size());
  for (std::size_t i = 0; i < below.size(); ++i) {
    const auto& node = condition.nodes()[i];
    if (node.kind == Condition::Kind::number) continue;
    if (node.kind == Condition::Kind::channel) {
      below[i].insert(bound[node.channel].stream);
      continue;
    }
    below[i] = below[node.left];
    below[i].insert(below[node.right].begin(), below[node.right].end());
  }
  return below;
}

class Evaluation {
 public:
  Evaluation(const Recording& recording, const Condition& condition, std::vector<Bound> bound,
             const QueryOptions& options, const OnProgress& on_progress, QueryResult& result)
      : recording_(recording),
        condition_(condition),
        bound_(std::move(bound)),
        below_(streams_below(condition, bound_)),
        options_(options),
        on_progress_(on_progress),
        result_(result) {}

  /// When node `root` is true, or if `negated` not true. `not` is about samples: of several streams it goes down to
  /// each, so that it is nothing where a stream has none.
  Expected<TimeRanges> ranges(std::size_t root, bool negated = false) {
    const auto& node = condition_.nodes()[root];
    if (below_[root].empty())
      return fail(ErrorCode::usage, "a part of the condition is about no channel: it is always true, or never");
    if (below_[root].size() == 1) return of_stream(root, negated, *below_[root].begin());
    if (is_comparison(node.kind))
      return fail(ErrorCode::usage,
                  "a comparison takes channels of one stream; 'and', 'or' and 'not' join several streams");
    if (node.kind == Condition::Kind::logical_not) return ranges(node.left, !negated);
    auto left = ranges(node.left, negated);
    if (!left) return left;
    auto right = ranges(node.right, negated);
    if (!right) return right;
    return (node.kind == Condition::Kind::logical_and) != negated ? both(*left, *right) : either(*left, *right);
  }

 private:
  // A section of which the index says enough: it is not read, or what is read of it is no news.
  struct KnownSection {
    std::uint64_t first_block = 0;
    double begin = 0;
    double end = 0;  // where the next section begins: what holds at its end does so up to there
    bool always = false;
    bool read = false;
  };

  // Which sections of a stream must be read for a part of the condition, and what the others add.
  struct Sections {
    std::unordered_set<std::uint64_t> unread;  // their offsets
    std::vector<KnownSection> known;           // in the order of the stream
    std::uint64_t matches = 0;                 // samples of those that always hold and are not read
  };

  // `in_part`: those that lie outside of the time that was asked for need not be read.
  Sections judge_sections(std::size_t root, bool negated, std::size_t stream, const std::vector<ChannelRef>& values,
                          bool in_part, QueryPlanEntry& plan) {
    Sections judged;
    if (!recording_.sdsz()) return judged;
    const SdszStream& packed = recording_.sdsz()->streams()[stream];
    const Frequency ticks = recording_.streams()[stream].tick_frequency();
    auto statistics = load_statistics(*recording_.sdsz()->file(), static_cast<std::uint32_t>(stream));
    std::unordered_map<std::uint64_t, const IndexedStatistics*> by_offset;
    if (statistics)
      for (const auto& entry : *statistics) by_offset[entry.section_offset] = &entry;
    const SectionFilter in_time = in_part ? time_filter(recording_, stream, options_.within) : SectionFilter();
    for (std::size_t i = 0; i < packed.data.size(); ++i) {
      const IndexEntry& section = packed.data[i];
      ++plan.sections;
      const double begin = seconds(section.header.first_tick, ticks);
      Verdict verdict = Verdict::maybe;
      const auto known = by_offset.find(section.offset);
      const bool sorted = (section.header.flags & SectionHeader::flag_unsorted) == 0;
      // What its last sample says holds until the next section begins.
      const bool holds_in_time = i + 1 == packed.data.size() ||
                                 overlaps(options_.within, begin, seconds(packed.data[i + 1].header.first_tick, ticks));
      if (sorted && in_time && !in_time(section) && !holds_in_time) {
        verdict = Verdict::never;
      } else if (sorted && known != by_offset.end()) {
        const auto of_values =
            ranges_of_section(*recording_.streams()[stream].metadata, packed.layout, known->second->statistics, values);
        std::vector<ValueRange> ranges(condition_.channels().size());
        for (std::size_t c = 0, v = 0; c < ranges.size(); ++c)
          if (bound_[c].stream == stream) ranges[c] = of_values[v++];
        verdict = condition_.verdict(root, ranges);
        if (negated && verdict != Verdict::maybe)
          verdict = verdict == Verdict::always ? Verdict::never : Verdict::always;
      }
      // The last section ends nobody knows where: its samples are looked at. And so is one before a step back.
      const std::uint64_t next_tick = i + 1 < packed.data.size() ? packed.data[i + 1].header.first_tick : 0;
      const bool has_end = next_tick > section.header.first_tick && next_tick >= section.header.last_tick;
      if (verdict == Verdict::always && (!has_end || runs_into(packed.data[i + 1], section, stream)))
        verdict = Verdict::maybe;
      KnownSection known_section{section.header.first_block, begin, seconds(next_tick, ticks),
                                 verdict == Verdict::always, false};
      // Of a part of the time, the samples are counted: a section may reach beyond it.
      if (verdict == Verdict::always && options_.within != all_time) {
        known_section.read = true;
        judged.known.push_back(known_section);
        verdict = Verdict::maybe;
      }
      if (verdict == Verdict::maybe) {
        ++plan.sections_read;
        plan.bytes_read += section.header.raw_bytes;
        continue;
      }
      judged.unread.insert(section.offset);
      judged.known.push_back(known_section);
      if (verdict == Verdict::never) {
        ++plan.sections_never;
        continue;
      }
      ++plan.sections_always;
      const auto& first = known->second->statistics.front();
      judged.matches += first.count + first.nan_count;
    }
    return judged;
  }

  // Whether the samples of a section's last block, if it is as long as the others, last beyond the begin of the next
  // one: its sensor is faster than the sample frequency says.
  [[nodiscard]] bool runs_into(const IndexEntry& next, const IndexEntry& section, std::size_t stream) const {
    const auto& metadata = recording_.streams()[stream].metadata;
    if (!metadata || !metadata->sample_frequency || metadata->sample_bytes == 0) return false;
    const Frequency ticks = recording_.streams()[stream].tick_frequency();
    const double samples = (static_cast<double>(section.header.raw_bytes) / section.header.block_count - 8) /
                           static_cast<double>(metadata->sample_bytes);
    const double end = seconds(section.header.last_tick, ticks) + samples / metadata->sample_frequency->hz();
    return end > seconds(next.header.first_tick, ticks) + time_tolerance(end);
  }

  Expected<TimeRanges> of_stream(std::size_t root, bool negated, std::size_t stream) {
    const bool part = options_.within != all_time;
    auto found = read_stream(root, negated, stream, part);
    if (!found) return fail(found);
    // Where blocks are lost, what was long before the part may hold in it.
    const auto is_lost = [&](const Damage& damage) {
      return !damage.harmless && damage.blocks != 0 && damage.stream.value_or(stream) == stream;
    };
    const auto& damages = recording_.damages();
    if (part && std::any_of(damages.begin(), damages.end(), is_lost)) {
      found = read_stream(root, negated, stream, false);
      if (!found) return fail(found);
    }
    matches_ += found->matches;
    for (auto& note : found->notes) result_.notes.push_back(std::move(note));
    result_.plan.push_back(std::move(found->plan));
    return std::move(found->ranges);
  }

  struct Found {
    TimeRanges ranges;
    std::uint64_t matches = 0;
    QueryPlanEntry plan;
    std::vector<std::string> notes;
  };

  Expected<Found> read_stream(std::size_t root, bool negated, std::size_t stream, bool in_part) {
    std::vector<ChannelRef> values;
    for (const auto& b : bound_)
      if (b.stream == stream) values.push_back(b.value);
    Found found;
    QueryPlanEntry& plan = found.plan;
    plan.stream = recording_.streams()[stream].id;
    plan.bytes = recording_.streams()[stream].raw_bytes;
    Sections sections = judge_sections(root, negated, stream, values, in_part, plan);
    found.matches = sections.matches;
    if (!recording_.sdsz()) plan.bytes_read = plan.bytes;
    SampleOptions options;  // of all times: what was before a part may hold in it
    std::uint64_t block_ordinal = 0;
    options.on_block = [&](const BlockView& block) { block_ordinal = block.ordinal; };
    if (!sections.unread.empty())
      options.sections = [&](const IndexEntry& section) { return sections.unread.count(section.offset) == 0; };
    auto reader = SampleReader::open(recording_, stream, options, on_progress_);
    if (!reader) return fail(reader);
    const Metadata& metadata = reader->metadata();
    std::vector<TimeSpan> spans;
    std::size_t next_known = 0;              // the next of the sections that are known
    std::optional<TimeSpan> held;            // by one that always holds, up to what comes next
    std::optional<BlocksInTime> all_blocks;  // of a stream without a sample frequency
    std::vector<std::vector<double>> columns(values.size());
    std::vector<std::vector<ExactNumber>> wide_columns(values.size());
    std::vector<const double*> of_condition(condition_.channels().size());
    std::vector<const ExactNumber*> wide_of_condition(of_condition.size());
    std::vector<std::uint8_t> hits;
    std::optional<double> open;  // a run of matching samples began here
    double last_time = 0;
    std::uint64_t last_tick = 0;   // of its block
    std::uint64_t last_index = 0;  // of the sample in it
    bool any = false;
    // Where the sample at `last_time` is over: the double that a sample there would have for its time, or without a
    // sample frequency the mean step behind its own.
    const auto over = [&]() -> Expected<double> {
      if (metadata.sample_frequency)
        return seconds(last_tick, recording_.streams()[stream].tick_frequency(), last_index + 1,
                       *metadata.sample_frequency);
      if (!all_blocks) {
        auto blocks = blocks_in_time(recording_, stream);
        if (!blocks) return fail(blocks);
        all_blocks = *blocks;
      }
      return all_blocks->end_of_block(last_tick);
    };
    const auto close = [&](double end) -> Expected<void> {
      spans.push_back({*open, end});
      open.reset();
      if (spans.size() > max_query_ranges + sections.known.size())
        return fail(ErrorCode::limit,
                    fmt::format("the condition changes more than {} times: make it calmer", max_query_ranges));
      return {};
    };
    const auto close_when_over = [&]() -> Expected<void> {
      auto end = over();
      return end ? close(*end) : fail(end);
    };
    // Where a section is lost, what was true holds up to what is known next.
    const auto end_held = [&](double next) {
      if (held) spans.push_back({held->begin, std::max(held->end, next)});
      held.reset();
    };
    // Passes the sections up to a block; one that was not read ends what held in front of it.
    const auto pass_sections = [&](std::uint64_t block) -> Expected<void> {
      for (; next_known < sections.known.size() && sections.known[next_known].first_block <= block; ++next_known) {
        const KnownSection& section = sections.known[next_known];
        end_held(section.begin);
        if (open && !section.read)
          if (auto closed = section.begin < last_time ? close_when_over() : close(section.begin); !closed)
            return closed;
        if (section.always) held = TimeSpan{section.begin, section.end};
      }
      return {};
    };
    for (;;) {
      auto run = reader->next();
      if (!run) return fail(run);
      if (*run == nullptr) break;
      const SampleRun& samples = **run;
      for (std::size_t v = 0; v < values.size(); ++v) {
        columns[v].resize(samples.count);
        physical_values(metadata.channels[values[v].channel], values[v].element, samples.data, samples.count,
                        metadata.sample_bytes, columns[v].data());
        const Channel& channel = metadata.channels[values[v].channel];
        if (!need_all_digits(channel)) continue;
        wide_columns[v].resize(samples.count);
        physical_values(channel, values[v].element, samples.data, samples.count, metadata.sample_bytes,
                        wide_columns[v].data());
      }
      for (std::size_t c = 0, v = 0; c < bound_.size(); ++c) {
        if (bound_[c].stream != stream) continue;
        of_condition[c] = columns[v].data();
        wide_of_condition[c] = wide_columns[v].empty() ? nullptr : wide_columns[v].data();
        ++v;
      }
      condition_.evaluate(root, of_condition, wide_of_condition, samples.count, hits);
      if (negated)
        for (auto& hit : hits) hit = hit == 0 ? 1 : 0;
      if (auto passed = pass_sections(block_ordinal); !passed) return fail(passed);
      end_held(samples.times[0]);
      for (std::size_t k = 0; k < samples.count; ++k) {
        const double time = samples.times[k];
        if (any && time > last_time) {
          // A sample holds until the next one.
          if (open && hits[k] == 0)
            if (auto closed = close(time); !closed) return fail(closed);
        } else if (any && time < last_time && open) {
          if (auto closed = close_when_over(); !closed) return fail(closed);
        } else if (any && time == last_time && open && hits[k] == 0) {
          // Samples of one time: the last one of them holds.
          if (*open < time)
            if (auto closed = close(time); !closed) return fail(closed);
          open.reset();
        }
        if (hits[k] != 0) {
          if (contains(options_.within, time)) ++found.matches;
          if (!open) open = time;
        }
        last_time = time;
        last_tick = samples.tick;
        last_index = samples.first + k;
        any = true;
      }
    }
    if (auto passed = pass_sections(std::numeric_limits<std::uint64_t>::max()); !passed) return fail(passed);
    if (held) spans.push_back(*held);
    if (open)
      if (auto closed = close_when_over(); !closed) return fail(closed);
    found.notes = reader->notes();
    found.ranges = normalized(std::move(spans));
    return found;
  }

 public:
  [[nodiscard]] std::uint64_t matches() const { return matches_; }

 private:
  const Recording& recording_;
  const Condition& condition_;
  std::vector<Bound> bound_;
  std::vector<std::set<std::size_t>> below_;
  const QueryOptions& options_;
  const OnProgress& on_progress_;
  QueryResult& result_;
  std::uint64_t matches_ = 0;
};

}  // namespace

Expected<QueryResult> query(const Recording& recording, const Condition& condition, const QueryOptions& options,
                            const OnProgress& on_progress) {
  auto bound = bind(recording, condition);
  if (!bound) return fail(bound);
  QueryResult result;
  std::set<std::size_t> streams;
  for (const auto& b : *bound) streams.insert(b.stream);
  for (const std::size_t s : streams) result.streams.push_back(recording.streams()[s].id);
  Evaluation evaluation(recording, condition, std::move(*bound), options, on_progress, result);
  auto found = evaluation.ranges(condition.root());
  if (!found) return fail(found);
  if (streams.size() == 1) result.matches = evaluation.matches();
  result.ranges = normalized(both(*found, options.within), options.merge_gap_s);
  if (options.min_duration_s > 0)
    std::erase_if(result.ranges, [&](const TimeSpan& s) { return is_shorter(s, options.min_duration_s); });
  return result;
}

}  // namespace sds
