#include "compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "channel_values.hpp"
#include "duration_text.hpp"
#include "sds/format/exact_value.hpp"
#include "sds/format/stream_losses.hpp"
#include "value_difference.hpp"

namespace sds {

namespace {

// Blocks of a stream, one in hand, and what is lost between them.
class Side {
 public:
  Side(const Recording& recording, std::size_t stream, std::unique_ptr<BlockCursor> cursor, Frequency frequency)
      : cursor_(std::move(cursor)),
        frequency_(frequency),
        losses_(recording, stream),
        states_losses_(recording.sdsz() != nullptr) {}
  Expected<void> advance() {
    if (has_) {
      last_tick_ = block_.tick;
      ++number_;
    }
    auto block = cursor_->next();
    if (!block) return fail(block);
    has_ = block->has_value();
    if (has_) block_ = **block;
    note_losses();
    return {};
  }
  [[nodiscard]] bool states_losses() const { return states_losses_; }
  // The first loss since the last call.
  std::optional<StatedLoss> take_loss() { return std::exchange(loss_, std::nullopt); }
  [[nodiscard]] bool has() const { return has_; }
  [[nodiscard]] const BlockView& block() const { return block_; }
  [[nodiscard]] std::uint64_t number() const { return number_; }  // of the block
  [[nodiscard]] Instant instant() const { return {block_.tick, frequency_}; }

 private:
  void note_losses() {
    for (const auto& lost : has_ ? losses_.before(block_) : losses_.at_end())
      if (lost.known && !loss_) loss_ = {last_tick_, has_ ? std::optional(block_.tick) : std::nullopt, lost.reason};
  }

  std::unique_ptr<BlockCursor> cursor_;
  Frequency frequency_;
  StreamLosses losses_;
  bool states_losses_;
  BlockView block_;
  std::uint64_t number_ = 0;
  bool has_ = false;
  std::optional<std::uint64_t> last_tick_;
  std::optional<StatedLoss> loss_;
};

// A channel in both recordings: each has its own type, scale and place in a sample.
struct ChannelPair {
  ChannelPair(const Channel& in_a, const Channel& in_b) : a(&in_a), b(&in_b), difference(in_a, in_b) {}

  const Channel* a;
  const Channel* b;
  ValueDifference difference;
  Tolerance tolerance;
  double sum = 0;                               // of differences
  double sum_beyond = 0;                        // of those beyond the tolerance
  std::optional<std::uint64_t> last_different;  // number of the sample
};

double tolerance_of(const ChannelPair& pair, const std::map<std::string, double>& by_channel, double of_all) {
  auto found = by_channel.find(pair.a->name);
  if (found == by_channel.end()) found = by_channel.find(pair.b->name);
  return found == by_channel.end() ? of_all : found->second;
}

std::vector<const Channel*> channels_called(const Metadata& metadata, const std::string& name) {
  std::vector<const Channel*> called;
  for (const auto& channel : metadata.channels)
    if (channel.name == name) called.push_back(&channel);
  return called;
}

// Channels of the chosen names, or of equal ones, of several of one name the first with the first; what is left over
// goes into the result.
std::vector<ChannelPair> pair_channels(const Metadata& a, const Metadata& b, const CompareOptions& options,
                                       StreamComparison& result) {
  const auto fits = [](const Channel* in_a, const Channel* in_b) {
    return in_a != nullptr && in_b != nullptr && in_a->count() == in_b->count();
  };
  auto names = options.channels;
  if (names.empty()) {
    std::set<std::string> known;
    for (const auto* side : {&a, &b})
      for (const auto& channel : side->channels)
        if (known.insert(channel.name).second) names.emplace_back(channel.name, channel.name);
  }
  std::vector<ChannelPair> pairs;
  for (const auto& chosen : names) {
    const auto all_a = channels_called(a, chosen.first);
    const auto all_b = channels_called(b, chosen.second);
    for (std::size_t i = 0; i < std::max(all_a.size(), all_b.size()); ++i) {
      const Channel* in_a = i < all_a.size() ? all_a[i] : nullptr;
      const Channel* in_b = i < all_b.size() ? all_b[i] : nullptr;
      if (fits(in_a, in_b)) {
        pairs.emplace_back(*in_a, *in_b);
        continue;
      }
      const bool both = in_a != nullptr && in_b != nullptr;
      const auto called = [&](const Channel& channel) {
        return both ? fmt::format("{} of {} elements", channel.name, channel.count()) : channel.name;
      };
      if (in_a != nullptr) result.channels_only_a.push_back(called(*in_a));
      if (in_b != nullptr) result.channels_only_b.push_back(called(*in_b));
    }
  }
  return pairs;
}

class ValueComparer {
 public:
  ValueComparer(const Metadata& a, const Metadata& b, const CompareOptions& options, const Frequency& frequency,
                StreamComparison& result)
      : a_(a),
        b_(b),
        frequency_(frequency),
        result_(result),
        pairs_(pair_channels(a, b, options, result)),
        argmax_(options.argmax) {
    for (auto& pair : pairs_) {
      ChannelComparison& channel = result.channels.emplace_back();
      channel.name = pair.a->name;
      channel.channel_a = static_cast<std::size_t>(pair.a - a.channels.data());
      channel.channel_b = static_cast<std::size_t>(pair.b - b.channels.data());
      pair.tolerance = {tolerance_of(pair, options.absolute, options.absolute_all),
                        tolerance_of(pair, options.relative, options.relative_all)};
      same_ = same_ && pair.a->type == pair.b->type && pair.a->bits == pair.b->bits &&
              pair.a->bit_offset == pair.b->bit_offset && pair.a->byte_offset == pair.b->byte_offset &&
              pair.a->scale == pair.b->scale && pair.a->offset == pair.b->offset;
    }
    same_ = same_ && a.sample_bytes == b.sample_bytes && pairs_.size() == a.channels.size() &&
            pairs_.size() == b.channels.size();
  }

  /// True if equal bytes mean equal values.
  [[nodiscard]] bool same_layout() const { return same_; }

  void compare(const Side& side_a, const Side& side_b) {
    const BlockView& a = side_a.block();
    const BlockView& b = side_b.block();
    FirstDifference where;
    where.tick = a.tick;
    where.block_a = side_a.number();
    where.block_b = side_b.number();
    const std::size_t samples = a.data.size() / a_.sample_bytes;
    if (samples != b.data.size() / b_.sample_bytes) return note_mismatch(a.tick);
    for (std::size_t s = 0; s < samples; ++s) {
      const std::byte* in_a = a.data.data() + s * a_.sample_bytes;
      const std::byte* in_b = b.data.data() + s * b_.sample_bytes;
      where.sample = s;
      for (std::size_t c = 0; c < pairs_.size(); ++c) compare_channel(c, in_a, in_b, where);
      if (argmax_) compare_leaders(in_a, in_b);
    }
    samples_ += samples;
    // Bytes behind the last whole sample have no meaning, but must be the same.
    const ByteView rest_a = a.data.subspan(samples * a_.sample_bytes);
    const ByteView rest_b = b.data.subspan(samples * b_.sample_bytes);
    if (!std::equal(rest_a.begin(), rest_a.end(), rest_b.begin(), rest_b.end())) note_mismatch(a.tick);
  }

  void count_identical(const BlockView& block) {
    const std::size_t samples = block.data.size() / a_.sample_bytes;
    for (std::size_t c = 0; c < pairs_.size(); ++c) result_.channels[c].values += samples * pairs_[c].a->count();
    samples_ += samples;
    if (!argmax_) return;
    result_.decisions += samples;
    result_.agreeing += samples;
  }

  /// Blocks are missing here: what differs on both sides of it are two stretches.
  void break_stretches() { samples_ += kApart; }

  void note_mismatch(std::uint64_t tick) {
    ++result_.size_mismatches;
    if (!result_.first_size_mismatch) result_.first_size_mismatch = tick;
  }

  void finish() {
    const auto mean = [](double sum, std::uint64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0; };
    for (std::size_t c = 0; c < pairs_.size(); ++c) {
      ChannelComparison& channel = result_.channels[c];
      channel.mean_difference = mean(pairs_[c].sum, channel.values);
      channel.mean_beyond = mean(pairs_[c].sum_beyond, channel.different);
    }
  }

 private:
  static double value(const Channel& channel, const std::byte* sample, std::size_t i) {
    return raw_value(channel, sample, i) * channel.scale + channel.offset;
  }

  void compare_channel(std::size_t c, const std::byte* a, const std::byte* b, const FirstDifference& where) {
    ChannelPair& pair = pairs_[c];
    ChannelComparison& result = result_.channels[c];
    for (std::size_t i = 0; i < pair.a->count(); ++i) {
      ++result.values;
      const double va = value(*pair.a, a, i);
      const double vb = value(*pair.b, b, i);
      const double difference = pair.difference.of(a, b, i, va, vb);
      if (difference == 0) continue;
      result.max_difference = std::max(result.max_difference, difference);
      pair.sum += difference;
      if (std::isfinite(difference) && (difference <= pair.tolerance.absolute ||
                                        difference <= pair.tolerance.relative * std::max(std::abs(va), std::abs(vb))))
        continue;
      ++result.different;
      result.max_beyond = std::max(result.max_beyond, difference);
      pair.sum_beyond += difference;
      note_stretch(pair, result, where, difference);
      if (result.first) continue;
      FirstDifference& first = result.first.emplace(where);
      first.seconds = time_of(where);
      first.element = i;
      first.a = va;
      first.b = vb;
      first.exact_a = pair.difference.digits_of_a(a, i);
      first.exact_b = pair.difference.digits_of_b(b, i);
    }
  }

  [[nodiscard]] double time_of(const FirstDifference& where) const {
    return a_.sample_frequency ? seconds(where.tick, frequency_, where.sample, *a_.sample_frequency)
                               : seconds(where.tick, frequency_);
  }

  void note_stretch(ChannelPair& pair, ChannelComparison& result, const FirstDifference& where, double difference) {
    const std::uint64_t sample = samples_ + where.sample;
    const bool goes_on = pair.last_different && sample - *pair.last_different < kApart;
    pair.last_different = sample;
    if (!goes_on && ++result.stretch_count <= ChannelComparison::max_stretches)
      result.stretches.push_back({where.tick, where.tick, time_of(where), 0, 0, 0});
    if (result.stretch_count > ChannelComparison::max_stretches) return;
    DifferentStretch& stretch = result.stretches.back();
    stretch.to_tick = where.tick;
    stretch.to_s = time_of(where);
    ++stretch.values;
    stretch.max_difference = std::max(stretch.max_difference, difference);
  }

  // Which of all values is the largest: the class that scores decide for. As the stage `argmax` of pipelines has it:
  // the first of equals, and never what is no number.
  struct Leader {
    std::optional<std::size_t> position;
    StoredValue largest;
    void look_at(std::size_t at, const Channel& channel, const std::byte* sample, std::size_t i) {
      const StoredValue value{exact_value(channel, sample, i), channel.scale, channel.offset};
      if (std::isnan(value.physical()) || (position && !is_above(value, largest))) return;
      position = at;
      largest = value;
    }
  };
  void compare_leaders(const std::byte* a, const std::byte* b) {
    std::size_t position = 0;
    Leader in_a;
    Leader in_b;
    for (const auto& pair : pairs_)
      for (std::size_t i = 0; i < pair.a->count(); ++i, ++position) {
        in_a.look_at(position, *pair.a, a, i);
        in_b.look_at(position, *pair.b, b, i);
      }
    ++result_.decisions;
    result_.agreeing += in_a.position == in_b.position ? 1 : 0;
  }

  static constexpr std::uint64_t kApart = 10;  // samples from one stretch to the next

  const Metadata& a_;
  const Metadata& b_;
  Frequency frequency_;  // of the ticks
  StreamComparison& result_;
  std::vector<ChannelPair> pairs_;
  bool argmax_;
  bool same_ = true;
  std::uint64_t samples_ = 0;  // of the blocks so far
};

// Without metadata a block is bytes.
Metadata bytes_metadata() {
  Metadata metadata;
  Channel channel;
  channel.name = "bytes";
  metadata.channels.push_back(channel);
  metadata.sample_bytes = 1;
  return metadata;
}

// Each side's own; where one has none, that of the other.
std::pair<Metadata, Metadata> layouts_of(const StreamInfo& a, const StreamInfo& b) {
  const Metadata in_a = a.metadata ? *a.metadata : b.metadata ? *b.metadata : bytes_metadata();
  return {in_a, b.metadata ? *b.metadata : in_a};
}

// Between two common blocks a loss of one side must be one of the other.
void compare_losses(Side& a, Side& b, StreamComparison& result) {
  auto in_a = a.take_loss();
  auto in_b = b.take_loss();
  if (in_a.has_value() == in_b.has_value()) return;
  if (!a.states_losses() || !b.states_losses()) {
    const std::string note = "losses are not compared: a plain .sds states none";
    if (std::count(result.notes.begin(), result.notes.end(), note) == 0) result.notes.push_back(note);
    return;
  }
  if (in_a && result.losses_only_a++ == 0) result.first_loss_only_a = std::move(in_a);
  if (in_b && result.losses_only_b++ == 0) result.first_loss_only_b = std::move(in_b);
}

Expected<StreamComparison> compare_streams(const Recording& ra, std::size_t ia, const Recording& rb, std::size_t ib,
                                           const CompareOptions& options, const OnProgress& on_progress) {
  const StreamInfo& sa = ra.streams()[ia];
  const StreamInfo& sb = rb.streams()[ib];
  StreamComparison result;
  // Each side's own; where one has no metadata, that of the other.
  const Frequency frequency = sa.metadata || !sb.metadata ? sa.tick_frequency() : sb.tick_frequency();
  result.a = sa.id;
  result.b = sb.id;
  auto ca = ra.cursor(ia);
  if (!ca) return fail(ca);
  auto cb = rb.cursor(ib);
  if (!cb) return fail(cb);
  Side a(ra, ia, std::move(*ca), frequency);
  Side b(rb, ib, std::move(*cb), sb.metadata ? sb.tick_frequency() : frequency);
  const auto [metadata_a, metadata_b] = layouts_of(sa, sb);
  if (!sa.metadata && !sb.metadata) result.notes.push_back("no metadata: compared as bytes");
  CompareOptions stream_options = options;
  if (!sa.metadata && !sb.metadata) stream_options.absolute_all = stream_options.relative_all = 0;
  ValueComparer values(metadata_a, metadata_b, stream_options, frequency, result);
  if (auto ok = a.advance(); !ok) return fail(ok);
  if (auto ok = b.advance(); !ok) return fail(ok);
  std::uint64_t unreported = 0;
  while (a.has() || b.has()) {
    const auto order = !a.has()   ? std::strong_ordering::greater
                       : !b.has() ? std::strong_ordering::less
                                  : compare(a.instant(), b.instant());
    if (order == std::strong_ordering::less) {
      values.break_stretches();
      if (result.only_a++ == 0) result.first_only_a = a.block().tick;
      unreported += a.block().data.size() + 8;
      if (auto ok = a.advance(); !ok) return fail(ok);
      continue;
    }
    if (order == std::strong_ordering::greater) {
      values.break_stretches();
      if (result.only_b++ == 0) result.first_only_b = b.block().tick;
      if (auto ok = b.advance(); !ok) return fail(ok);
      continue;
    }
    ++result.blocks;
    compare_losses(a, b, result);
    const ByteView da = a.block().data;
    const ByteView db = b.block().data;
    if (values.same_layout() && da.size() != db.size()) {
      values.note_mismatch(a.block().tick);
    } else if (values.same_layout() && std::equal(da.begin(), da.end(), db.begin())) {
      ++result.identical;
      values.count_identical(a.block());
    } else {
      values.compare(a, b);
    }
    unreported += da.size() + 8;
    if (auto ok = a.advance(); !ok) return fail(ok);
    if (auto ok = b.advance(); !ok) return fail(ok);
    if (unreported < (1u << 18)) continue;
    if (auto go_on = report(on_progress, std::exchange(unreported, 0)); !go_on) return fail(go_on);
  }
  compare_losses(a, b, result);
  values.finish();
  return result;
}

}  // namespace

namespace {

// The sign of what is no number says nothing.
std::string number_text(double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); }

}  // namespace

std::string FirstDifference::text_a() const { return exact_a.empty() ? number_text(a) : exact_a; }
std::string FirstDifference::text_b() const { return exact_b.empty() ? number_text(b) : exact_b; }

std::span<const DifferentStretch> ChannelComparison::told() const {
  constexpr std::size_t kMaxTold = 5;
  if (stretch_count == 1 && stretches[0].values == 1) return {};
  return std::span(stretches).first(std::min(stretches.size(), kMaxTold));
}

std::string DifferentStretch::text() const {
  const bool is_one = values == 1;
  const std::string ticks =
      from_tick == to_tick ? fmt::format("tick {}", from_tick) : fmt::format("ticks {} to {}", from_tick, to_tick);
  const std::string when = from_s == to_s ? fmt::format("at {} s", seconds_text(from_s))
                                          : fmt::format("from {} s to {} s", seconds_text(from_s), seconds_text(to_s));
  return fmt::format("{} value{} {} ({}), by up to {:.6g}", values, is_one ? "" : "s", when, ticks, max_difference);
}

std::string StatedLoss::text() const {
  const std::string where = after_tick && before_tick
                                ? fmt::format("between the ticks {} and {}", *after_tick, *before_tick)
                            : after_tick  ? fmt::format("behind tick {}", *after_tick)
                            : before_tick ? fmt::format("before tick {}", *before_tick)
                                          : std::string("of the whole stream");
  return fmt::format("{} ({})", where, reason);
}

std::vector<std::pair<std::string, std::string>> name_pairs(const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& text : texts) {
    std::vector<std::string> names(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool is_escaped = text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '=' || text[i + 1] == '\\');
      if (text[i] == '=' && names.size() == 1) {
        names.emplace_back();
      } else {
        names.back() += is_escaped ? text[++i] : text[i];
      }
    }
    pairs.emplace_back(names.front(), names.back());
  }
  return pairs;
}

bool StreamComparison::equal() const {
  return only_a == 0 && only_b == 0 && size_mismatches == 0 && losses_only_a == 0 && losses_only_b == 0 &&
         channels_only_a.empty() && channels_only_b.empty() &&
         std::all_of(channels.begin(), channels.end(), [](const auto& channel) { return channel.different == 0; });
}

bool RecordingComparison::equal() const {
  return only_a.empty() && only_b.empty() &&
         std::all_of(streams.begin(), streams.end(), [](const auto& stream) { return stream.equal(); });
}

namespace {

Expected<void> refuse_named_twice(const char* what, const std::vector<std::pair<std::string, std::string>>& names) {
  std::set<std::pair<std::string, std::string>> known;
  for (const auto& [in_a, in_b] : names)
    if (!known.emplace(in_a, in_b).second)
      return fail(ErrorCode::usage, fmt::format("the {} '{}' is named twice", what,
                                                in_a == in_b ? in_a : fmt::format("{}={}", in_a, in_b)));
  return {};
}

using StreamPairs = std::vector<std::pair<std::size_t, std::size_t>>;

// Metadata that are there and cannot be read say what the bytes mean: bytes alone are not what is compared.
Expected<void> refuse_unreadable(const Recording& a, const Recording& b, const StreamPairs& pairs) {
  for (const auto& [in_a, in_b] : pairs)
    for (const StreamInfo* stream : {&a.streams()[in_a], &b.streams()[in_b]})
      if (stream->metadata_error) return tl::unexpected<Error>(*stream->metadata_error);
  return {};
}

// What a tolerance is for must be there, unless it is for others, too: the channel that it names, `is_there`, or, of
// that for all, metadata (`bytes_only`: there are none).
template <typename IsThere>
Expected<std::set<std::string>> idle_tolerances(const std::map<std::string, double>& by_channel, double of_all,
                                                const std::set<std::string>& may_be_idle, bool bytes_only,
                                                const IsThere& is_there) {
  std::set<std::string> idle;
  const bool all_is_idle = bytes_only && of_all > 0;
  if ((all_is_idle && !may_be_idle.contains(CompareOptions::all_channels)) ||
      (bytes_only && by_channel.contains("bytes")))
    return fail(ErrorCode::usage, "a tolerance needs metadata: without, bytes are compared");
  if (all_is_idle) idle.insert(CompareOptions::all_channels);
  for (const auto& [name, value] : by_channel) {
    if (is_there(name)) continue;
    if (!may_be_idle.contains(name))
      return fail(ErrorCode::usage, fmt::format("there is no channel '{}' for the tolerance given", name));
    idle.insert(name);
  }
  return idle;
}

// What the options name must be there; streams without any of the chosen channels are left out of `pairs`.
Expected<void> choose_channels(const Recording& a, const Recording& b, const CompareOptions& options,
                               StreamPairs& pairs, RecordingComparison& result) {
  if (pairs.empty()) return {};
  std::vector<std::pair<Metadata, Metadata>> layouts;
  for (const auto& [in_a, in_b] : pairs) layouts.push_back(layouts_of(a.streams()[in_a], b.streams()[in_b]));
  const auto has = [&](auto side, const std::string& name) {
    return std::any_of(layouts.begin(), layouts.end(),
                       [&](const auto& layout) { return !channels_called(layout.*side, name).empty(); });
  };
  using Layout = std::pair<Metadata, Metadata>;
  for (const auto& [name_a, name_b] : options.channels) {
    if (!has(&Layout::first, name_a))
      return fail(ErrorCode::usage, fmt::format("there is no channel '{}' in A", name_a));
    if (!has(&Layout::second, name_b))
      return fail(ErrorCode::usage, fmt::format("there is no channel '{}' in B", name_b));
  }
  const bool bytes_only = std::none_of(pairs.begin(), pairs.end(), [&](const auto& pair) {
    return a.streams()[pair.first].metadata || b.streams()[pair.second].metadata;
  });
  const auto is_compared = [&](const std::string& name) {
    const auto is_it = [&](const auto& pair) { return pair.first == name || pair.second == name; };
    return options.channels.empty() ? has(&Layout::first, name) || has(&Layout::second, name)
                                    : std::any_of(options.channels.begin(), options.channels.end(), is_it);
  };
  auto idle_absolute =
      idle_tolerances(options.absolute, options.absolute_all, options.absolute_may_be_idle, bytes_only, is_compared);
  if (!idle_absolute) return fail(idle_absolute);
  auto idle_relative =
      idle_tolerances(options.relative, options.relative_all, options.relative_may_be_idle, bytes_only, is_compared);
  if (!idle_relative) return fail(idle_relative);
  result.idle_absolute = std::move(*idle_absolute);
  result.idle_relative = std::move(*idle_relative);
  for (const auto* tolerances : {&options.absolute, &options.relative}) {
    for (const auto& [name_a, name_b] : options.channels)
      if (name_a != name_b && tolerances->contains(name_a) && tolerances->contains(name_b))
        return fail(ErrorCode::usage,
                    fmt::format("the tolerances for '{}' and for '{}' are of one pair of channels, {}={}", name_a,
                                name_b, name_a, name_b));
  }
  if (options.channels.empty()) return {};
  for (std::size_t i = pairs.size(); i-- > 0;)
    if (std::none_of(options.channels.begin(), options.channels.end(), [&](const auto& names) {
          return !channels_called(layouts[i].first, names.first).empty() ||
                 !channels_called(layouts[i].second, names.second).empty();
        }))
      pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(i));
  return {};
}

}  // namespace

Expected<RecordingComparison> compare_recordings(const Recording& a, const Recording& b, const CompareOptions& options,
                                                 const OnProgress& on_progress) {
  if (auto once = refuse_named_twice("stream", options.streams); !once) return fail(once);
  if (auto once = refuse_named_twice("channel", options.channels); !once) return fail(once);
  StreamPairs pairs;
  RecordingComparison result;
  if (!options.streams.empty()) {
    for (const auto& [id_a, id_b] : options.streams) {
      auto in_a = a.find_stream(id_a);
      if (!in_a) return fail(in_a);
      auto in_b = b.find_stream(id_b);
      if (!in_b) return fail(in_b);
      pairs.emplace_back(*in_a, *in_b);
    }
  } else {
    for (std::size_t i = 0; i < a.streams().size(); ++i) {
      const auto match = std::find_if(b.streams().begin(), b.streams().end(),
                                      [&](const StreamInfo& s) { return s.id == a.streams()[i].id; });
      if (match == b.streams().end()) {
        result.only_a.push_back(a.streams()[i].id);
      } else {
        pairs.emplace_back(i, static_cast<std::size_t>(match - b.streams().begin()));
      }
    }
    for (std::size_t i = 0; i < b.streams().size(); ++i)
      if (std::none_of(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.second == i; }))
        result.only_b.push_back(b.streams()[i].id);
  }
  if (auto readable = refuse_unreadable(a, b, pairs); !readable) return fail(readable);
  if (auto chosen = choose_channels(a, b, options, pairs, result); !chosen) return fail(chosen);
  for (const auto& [in_a, in_b] : pairs) {
    auto compared = compare_streams(a, in_a, b, in_b, options, on_progress);
    if (!compared) return fail(compared);
    result.streams.push_back(std::move(*compared));
  }
  return result;
}

}  // namespace sds
