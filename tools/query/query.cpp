#include "query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "held_spans.hpp"
#include "sds/format/if_damaged.hpp"
#include "section_samples.hpp"

namespace sds {

namespace {

constexpr double infinity_s = std::numeric_limits<double>::infinity();

// A channel of the condition, found in the recording.
struct Bound {
  std::size_t stream = 0;
  ChannelRef value;
};

Expected<std::vector<Bound>> bind(const Recording& recording, const Condition& condition) {
  auto all = choose_streams(recording, {});
  if (!all) return fail(all);
  if (auto there = need_values(recording, *all); !there) return fail(there);
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
  // A section of which the index says enough: whatever is read of it, its samples hold, or none does.
  struct KnownSection {
    std::uint64_t first_block = 0;
    std::uint64_t end_block = 0;
    SectionSamples samples;
    bool always = false;
  };

  // Which sections of a stream must be read for a part of the condition, and what the others add.
  struct Sections {
    std::unordered_set<std::uint64_t> unread;  // their offsets
    std::vector<KnownSection> known;           // in the order of the stream
    std::uint64_t matches = 0;                 // samples of those that always hold and are not read
  };

  // What the index tells of a stream's sections.
  struct Index {
    const std::vector<IndexEntry>& sections;
    std::unordered_map<std::uint64_t, std::vector<ColumnStatistics>> statistics;  // by offset
    SectionTimes times;

    // Whether a section has a sample, if that is known.
    [[nodiscard]] std::optional<bool> has_samples(const IndexEntry& section) const {
      const auto known = statistics.find(section.offset);
      if (known == statistics.end() || known->second.empty()) return std::nullopt;
      return known->second.front().count + known->second.front().nan_count > 0;
    }
  };

  // `in_part`: those that lie outside of the time that was asked for need not be read.
  Expected<Sections> judge_sections(std::size_t root, bool negated, std::size_t stream,
                                    const std::vector<ChannelRef>& values, bool in_part, QueryPlanEntry& plan) {
    Sections judged;
    if (!recording_.sdsz()) return judged;
    const SdszStream& packed = recording_.sdsz()->streams()[stream];
    Index index{packed.data, {}, SectionTimes(recording_, stream)};
    if (auto statistics = load_statistics(*recording_.sdsz()->file(), packed.number))
      for (auto& entry : *statistics) index.statistics[entry.section_offset] = std::move(entry.statistics);
    const SectionFilter in_time = in_part ? time_filter(recording_, stream, options_.within) : SectionFilter();
    const std::vector<double> behind = earliest_behind(packed, index.times);
    std::uint64_t next_block = 0;
    bool closed = true;  // nothing holds where a section begins: one that never does ends nothing
    for (std::size_t i = 0; i < packed.data.size(); ++i) {
      const IndexEntry& section = packed.data[i];
      ++plan.sections;
      closed = closed && section.header.first_block == next_block;
      next_block = section.header.end_block();
      const bool empty = index.has_samples(section) == false;
      Verdict verdict = empty ? Verdict::never : verdict_of(root, negated, stream, values, index, section);
      const bool sorted = (section.header.flags & SectionHeader::flag_unsorted) == 0;
      if (sorted && in_time && !in_time(section)) {
        auto holds = holds_in_part(index, i);
        if (!holds) return fail(holds);
        if (!*holds) verdict = Verdict::never;
      }
      std::optional<SectionSamples> samples;
      const bool ends_nothing = empty || (verdict == Verdict::never && closed);
      if (verdict != Verdict::maybe && !ends_nothing) {
        auto found = index.times.of(section, verdict == Verdict::always ? behind[i] : infinity_s);
        if (!found && is_unread(found.error())) return fail(found);
        if (found) samples = *found;
        if (!found) verdict = Verdict::maybe;  // who reads it tells the damage
      }
      if (verdict == Verdict::maybe) closed = false;
      if (samples) closed = verdict == Verdict::never;
      if (samples)
        judged.known.push_back({section.header.first_block, next_block, *samples, verdict == Verdict::always});
      // Of a part of the time, the samples are counted: a section may reach beyond it.
      if (verdict == Verdict::maybe || (verdict == Verdict::always && options_.within != all_time)) {
        ++plan.sections_read;
        plan.bytes_read += section.header.raw_bytes;
        continue;
      }
      judged.unread.insert(section.offset);
      if (verdict == Verdict::never) {
        ++plan.sections_never;
        continue;
      }
      ++plan.sections_always;
      const auto& first = index.statistics[section.offset].front();
      judged.matches += first.count + first.nan_count;
    }
    return judged;
  }

  // By the statistics of a section that has samples.
  [[nodiscard]] Verdict verdict_of(std::size_t root, bool negated, std::size_t stream,
                                   const std::vector<ChannelRef>& values, const Index& index,
                                   const IndexEntry& section) const {
    const auto known = index.statistics.find(section.offset);
    if (known == index.statistics.end() || known->second.empty() ||
        (section.header.flags & SectionHeader::flag_unsorted) != 0)
      return Verdict::maybe;
    const auto of_values = ranges_of_section(*recording_.streams()[stream].metadata,
                                             recording_.sdsz()->streams()[stream].layout, known->second, values);
    std::vector<ValueRange> ranges(condition_.channels().size());
    for (std::size_t c = 0, v = 0; c < ranges.size(); ++c)
      if (bound_[c].stream == stream) ranges[c] = of_values[v++];
    const Verdict verdict = condition_.verdict(root, ranges);
    if (!negated || verdict == Verdict::maybe) return verdict;
    return verdict == Verdict::always ? Verdict::never : Verdict::always;
  }

  // For each section, in seconds, what no sample behind it is earlier than.
  static std::vector<double> earliest_behind(const SdszStream& packed, const SectionTimes& times) {
    std::vector<double> earliest(packed.data.size(), infinity_s);
    double found = infinity_s;
    auto piece = packed.log.rbegin();
    for (std::size_t i = packed.data.size(); i-- > 0;) {
      const SectionHeader& header = packed.data[i].header;
      for (; piece != packed.log.rend() && piece->first_block >= header.end_block(); ++piece)
        found = piece->unsorted ? 0 : std::min(found, times.time({piece->first_tick.value_or(0), 0}));
      earliest[i] = found;
      const bool sorted = (header.flags & SectionHeader::flag_unsorted) == 0;
      found = sorted ? std::min(found, times.time({header.first_tick, 0})) : 0;
    }
    return earliest;
  }

  // Whether what a section's last sample says, which holds until the next sample, may hold in the time asked for.
  [[nodiscard]] Expected<bool> holds_in_part(Index& index, std::size_t at) const {
    const double begin = index.times.time({index.sections[at].header.first_tick, 0});
    for (std::size_t next = at + 1; next < index.sections.size(); ++next) {
      const IndexEntry& section = index.sections[next];
      const auto has_samples = index.has_samples(section);
      if (has_samples == false) continue;
      // Its first sample has a block's time.
      const bool sorted = (section.header.flags & SectionHeader::flag_unsorted) == 0;
      if (has_samples == true && sorted &&
          !overlaps(options_.within, begin, index.times.time({section.header.last_tick, 0})))
        return false;
      auto samples = index.times.of(section);
      if (!samples && is_unread(samples.error())) return fail(samples);
      if (!samples) return true;
      if (*samples) return overlaps(options_.within, begin, index.times.time((*samples)->first));
    }
    return overlaps(options_.within, begin, infinity_s);
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
    auto sections = judge_sections(root, negated, stream, values, in_part, plan);
    if (!sections) return fail(sections);
    found.matches = sections->matches;
    if (!recording_.sdsz()) plan.bytes_read = plan.bytes;
    SampleOptions options;  // of all times: what was before a part may hold in it
    std::uint64_t block_ordinal = 0;
    options.on_block = [&](const BlockView& block) { block_ordinal = block.ordinal; };
    if (!sections->unread.empty())
      options.sections = [&](const IndexEntry& section) { return sections->unread.count(section.offset) == 0; };
    auto reader = SampleReader::open(recording_, stream, options, on_progress_);
    if (!reader) return fail(reader);
    HeldSpans held(recording_, stream);
    const bool part = options_.within != all_time;
    Evaluator evaluator(*this, stream, values, reader->metadata());
    auto next_known = sections->known.begin();
    std::uint64_t known_until = 0;  // blocks up to there are of sections that are known
    const auto pass_sections = [&](std::uint64_t block) -> Expected<void> {
      for (; next_known != sections->known.end() && next_known->first_block <= block; ++next_known) {
        if (auto added = held.add(next_known->samples, next_known->always); !added) return added;
        known_until = next_known->end_block;
      }
      return {};
    };
    for (;;) {
      auto run = reader->next();
      if (!run) return fail(run);
      if (*run == nullptr) break;
      const SampleRun& samples = **run;
      const auto hits = evaluator.holds(root, negated, samples);
      for (std::size_t k = 0; k < samples.count; ++k)
        if (hits[k] != 0 && (!part || contains(options_.within, samples.times[k]))) ++found.matches;
      if (auto passed = pass_sections(block_ordinal); !passed) return fail(passed);
      if (block_ordinal < known_until) continue;
      if (auto added = held.add(samples, hits); !added) return fail(added);
    }
    if (auto passed = pass_sections(std::numeric_limits<std::uint64_t>::max()); !passed) return fail(passed);
    found.notes = reader->notes();
    auto ranges = held.finish();
    if (!ranges) return fail(ranges);
    found.ranges = std::move(*ranges);
    return found;
  }

  // Evaluates the condition for samples of one stream. Keeps its buffers.
  class Evaluator {
   public:
    Evaluator(const Evaluation& of, std::size_t stream, const std::vector<ChannelRef>& values, const Metadata& metadata)
        : condition_(of.condition_),
          values_(values),
          metadata_(metadata),
          columns_(values.size()),
          wide_columns_(values.size()) {
      for (std::size_t c = 0, v = 0; c < of.bound_.size(); ++c)
        if (of.bound_[c].stream == stream) value_of_.emplace_back(c, v++);
      of_condition_.resize(of.bound_.size());
      wide_of_condition_.resize(of.bound_.size());
    }

    // Valid until the next call.
    std::span<const std::uint8_t> holds(std::size_t root, bool negated, const SampleRun& samples) {
      for (std::size_t v = 0; v < values_.size(); ++v) {
        const Channel& channel = metadata_.channels[values_[v].channel];
        decode(channel, values_[v].element, samples, columns_[v]);
        if (need_all_digits(channel)) decode(channel, values_[v].element, samples, wide_columns_[v]);
      }
      for (const auto& [c, v] : value_of_) {
        of_condition_[c] = columns_[v].data();
        wide_of_condition_[c] = wide_columns_[v].empty() ? nullptr : wide_columns_[v].data();
      }
      condition_.evaluate(root, of_condition_, wide_of_condition_, samples.count, hits_);
      if (negated)
        for (auto& hit : hits_) hit = hit == 0 ? 1 : 0;
      return hits_;
    }

   private:
    template <class Number>
    void decode(const Channel& channel, std::size_t element, const SampleRun& samples, std::vector<Number>& column) {
      column.resize(samples.count);
      physical_values(channel, element, samples.data, samples.count, metadata_.sample_bytes, column.data());
    }

    const Condition& condition_;
    const std::vector<ChannelRef>& values_;
    const Metadata& metadata_;
    std::vector<std::pair<std::size_t, std::size_t>> value_of_;  // the condition's channels, and which value each is
    std::vector<std::vector<double>> columns_;
    std::vector<std::vector<ExactNumber>> wide_columns_;
    std::vector<const double*> of_condition_;
    std::vector<const ExactNumber*> wide_of_condition_;
    std::vector<std::uint8_t> hits_;
  };

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
