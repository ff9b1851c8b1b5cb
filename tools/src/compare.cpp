#include "sds/tools/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace sds {

namespace {

// Blocks of a stream, one in hand.
class Side {
 public:
  Side(std::unique_ptr<BlockCursor> cursor, Frequency frequency) : cursor_(std::move(cursor)), frequency_(frequency) {}
  Expected<void> advance() {
    auto block = cursor_->next();
    if (!block) return fail(block);
    has_ = block->has_value();
    if (has_) block_ = **block;
    return {};
  }
  [[nodiscard]] bool has() const { return has_; }
  [[nodiscard]] const BlockView& block() const { return block_; }
  [[nodiscard]] Instant instant() const { return {block_.tick, frequency_}; }
  [[nodiscard]] const BlockCursor& cursor() const { return *cursor_; }

 private:
  std::unique_ptr<BlockCursor> cursor_;
  Frequency frequency_;
  BlockView block_;
  bool has_ = false;
};

class ValueComparer {
 public:
  ValueComparer(const Metadata& metadata, const CompareOptions& options, StreamComparison& result)
      : metadata_(metadata), result_(result) {
    for (const auto& channel : metadata.channels) {
      result.channels.push_back({channel.name, 0, 0, 0, 0, {}});
      const auto found = options.absolute.find(channel.name);
      tolerances_.push_back({found == options.absolute.end() ? 0 : found->second, options.relative});
    }
    sums_.resize(metadata.channels.size());
  }

  void compare(const BlockView& a, const BlockView& b, double time) {
    const std::size_t samples = a.data.size() / metadata_.sample_bytes;
    for (std::size_t s = 0; s < samples; ++s)
      for (std::size_t c = 0; c < metadata_.channels.size(); ++c)
        compare_channel(c, a.data.data() + s * metadata_.sample_bytes, b.data.data() + s * metadata_.sample_bytes,
                        {a.tick, time, s, 0, 0, 0});
    // Bytes behind the last whole sample have no meaning, but must be the same.
    const std::size_t rest = samples * metadata_.sample_bytes;
    if (std::memcmp(a.data.data() + rest, b.data.data() + rest, a.data.size() - rest) != 0) {
      ++result_.size_mismatches;
      if (!result_.first_size_mismatch) result_.first_size_mismatch = a.tick;
    }
  }

  void count_identical(const BlockView& block) {
    const std::size_t samples = block.data.size() / metadata_.sample_bytes;
    for (std::size_t c = 0; c < metadata_.channels.size(); ++c)
      result_.channels[c].values += samples * metadata_.channels[c].count();
  }

  void finish() {
    for (std::size_t c = 0; c < sums_.size(); ++c)
      if (result_.channels[c].values > 0)
        result_.channels[c].mean_difference = sums_[c] / static_cast<double>(result_.channels[c].values);
  }

 private:
  void compare_channel(std::size_t c, const std::byte* a, const std::byte* b, FirstDifference where) {
    const Channel& channel = metadata_.channels[c];
    ChannelComparison& result = result_.channels[c];
    for (std::size_t i = 0; i < channel.count(); ++i) {
      ++result.values;
      const double va = raw_value(channel, a, i) * channel.scale + channel.offset;
      const double vb = raw_value(channel, b, i) * channel.scale + channel.offset;
      if (va == vb || (std::isnan(va) && std::isnan(vb))) continue;
      const double difference =
          std::isnan(va) || std::isnan(vb) ? std::numeric_limits<double>::infinity() : std::abs(va - vb);
      result.max_difference = std::max(result.max_difference, difference);
      sums_[c] += difference;
      if (difference <= tolerances_[c].absolute ||
          difference <= tolerances_[c].relative * std::max(std::abs(va), std::abs(vb)))
        continue;
      ++result.different;
      if (result.first) continue;
      where.element = i;
      where.a = va;
      where.b = vb;
      result.first = where;
    }
  }

  const Metadata& metadata_;
  StreamComparison& result_;
  std::vector<Tolerance> tolerances_;
  std::vector<double> sums_;
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

void note_tolerances_without_channel(const Metadata& metadata, const CompareOptions& options,
                                     StreamComparison& result) {
  for (const auto& [name, value] : options.absolute) {
    const auto is_named = [&, &wanted = name](const Channel& channel) { return channel.name == wanted; };
    if (std::none_of(metadata.channels.begin(), metadata.channels.end(), is_named))
      result.notes.push_back(fmt::format("there is no channel '{}' for the tolerance given", name));
  }
}

Expected<StreamComparison> compare_streams(const Recording& ra, std::size_t ia, const Recording& rb, std::size_t ib,
                                           const CompareOptions& options, const OnProgress& on_progress) {
  const StreamInfo& sa = ra.streams()[ia];
  const StreamInfo& sb = rb.streams()[ib];
  StreamComparison result;
  result.a = sa.id;
  result.b = sb.id;
  auto ca = ra.cursor(ia);
  if (!ca) return fail(ca);
  auto cb = rb.cursor(ib);
  if (!cb) return fail(cb);
  Side a(std::move(*ca), sa.tick_frequency());
  Side b(std::move(*cb), sb.metadata ? sb.tick_frequency() : sa.tick_frequency());
  const Metadata metadata = sa.metadata ? *sa.metadata : sb.metadata ? *sb.metadata : bytes_metadata();
  if (!sa.metadata && !sb.metadata) result.notes.push_back("no metadata: compared as bytes");
  if (sa.metadata && sb.metadata && sa.metadata->sample_bytes != sb.metadata->sample_bytes)
    result.notes.push_back("the metadata describe different samples; the first is used");
  note_tolerances_without_channel(metadata, options, result);
  ValueComparer values(metadata, options, result);
  if (auto ok = a.advance(); !ok) return fail(ok);
  if (auto ok = b.advance(); !ok) return fail(ok);
  std::uint64_t unreported = 0;
  while (a.has() || b.has()) {
    const auto order = !a.has()   ? std::strong_ordering::greater
                       : !b.has() ? std::strong_ordering::less
                                  : compare(a.instant(), b.instant());
    if (order == std::strong_ordering::less) {
      if (result.only_a++ == 0) result.first_only_a = a.block().tick;
      unreported += a.block().data.size() + 8;
      if (auto ok = a.advance(); !ok) return fail(ok);
      continue;
    }
    if (order == std::strong_ordering::greater) {
      if (result.only_b++ == 0) result.first_only_b = b.block().tick;
      if (auto ok = b.advance(); !ok) return fail(ok);
      continue;
    }
    ++result.blocks;
    const ByteView da = a.block().data;
    const ByteView db = b.block().data;
    if (da.size() != db.size()) {
      if (result.size_mismatches++ == 0) result.first_size_mismatch = a.block().tick;
    } else if (std::equal(da.begin(), da.end(), db.begin())) {
      ++result.identical;
      values.count_identical(a.block());
    } else {
      values.compare(a.block(), b.block(), seconds(a.block().tick, sa.tick_frequency()));
    }
    unreported += da.size() + 8;
    if (auto ok = a.advance(); !ok) return fail(ok);
    if (auto ok = b.advance(); !ok) return fail(ok);
    if (unreported < (1u << 18)) continue;
    if (auto go_on = report(on_progress, std::exchange(unreported, 0)); !go_on) return fail(go_on);
  }
  values.finish();
  for (const auto* side : {&a, &b})
    for (const auto& damage : side->cursor().damages())
      result.notes.push_back(fmt::format("{}: at byte {}: {}", side == &a ? "A" : "B", damage.offset, damage.reason));
  return result;
}

}  // namespace

bool StreamComparison::equal() const {
  return only_a == 0 && only_b == 0 && size_mismatches == 0 &&
         std::all_of(channels.begin(), channels.end(), [](const auto& channel) { return channel.different == 0; });
}

bool RecordingComparison::equal() const {
  return only_a.empty() && only_b.empty() &&
         std::all_of(streams.begin(), streams.end(), [](const auto& stream) { return stream.equal(); });
}

Expected<RecordingComparison> compare_recordings(const Recording& a, const Recording& b, const CompareOptions& options,
                                                 const OnProgress& on_progress) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  RecordingComparison result;
  if (!options.streams.empty()) {
    for (const auto& [id_a, id_b] : options.streams) {
      auto in_a = a.find_stream(id_a);
      if (!in_a) return fail(in_a);
      auto in_b = b.find_stream(id_b);
      if (!in_b) return fail(in_b);
      pairs.emplace_back(*in_a, *in_b);
    }
  } else if (a.streams().size() == 1 && b.streams().size() == 1) {
    pairs.emplace_back(0, 0);
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
  for (const auto& [in_a, in_b] : pairs) {
    auto compared = compare_streams(a, in_a, b, in_b, options, on_progress);
    if (!compared) return fail(compared);
    result.streams.push_back(std::move(*compared));
  }
  return result;
}

}  // namespace sds
