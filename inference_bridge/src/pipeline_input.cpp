#include "pipeline_input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace sds::pipeline {

namespace {
constexpr std::size_t kMaxWaitingBytes = std::size_t{64} << 20;  // of a stream that is ahead of the first one

// Whether values of the channel need more than a float.
bool is_wide(const Channel& channel) {
  return channel.bits != 0 ? channel.bits > 24 : is_wider_than_float(channel.type);
}

void keep_one_if_equal(std::vector<double>& values) {
  if (std::equal(values.begin() + 1, values.end(), values.begin())) values.resize(1);
}
}  // namespace

Expected<FrameType> Source::bind(const StreamInfo& stream) {
  id_ = stream.id;
  type_.tick_frequency = stream.tick_frequency();
  if (!stream.metadata) {
    // Without metadata a block is a row of bytes of any number.
    type_.type = ScalarType::u8;
    return type_;
  }
  metadata_ = *stream.metadata;
  const auto& channels = metadata_->channels;
  type_.type = channels[0].type;
  for (const auto& channel : channels) {
    if (channel.type != type_.type || channel.bits != 0 || size_of(channel.type) == 3) as_physical_ = true;
    for (std::size_t i = 0; i < channel.count(); ++i) {
      type_.names.push_back(channel.count() == 1 ? channel.name : fmt::format("{}[{}]", channel.name, i));
      type_.scale.push_back(channel.scale);
      type_.offset.push_back(channel.offset);
    }
  }
  type_.columns = type_.names.size();
  type_.scale.erase(type_.scale.begin());
  type_.offset.erase(type_.offset.begin());
  if (as_physical_) {
    type_.type = std::any_of(channels.begin(), channels.end(), is_wide) ? ScalarType::f64 : ScalarType::f32;
    type_.scale = {1.0};
    type_.offset = {0.0};
  }
  keep_one_if_equal(type_.scale);
  keep_one_if_equal(type_.offset);
  if (metadata_->sample_frequency) {
    const std::uint64_t above =
        std::uint64_t{type_.tick_frequency.numerator} * metadata_->sample_frequency->denominator;
    const std::uint64_t below =
        std::uint64_t{type_.tick_frequency.denominator} * metadata_->sample_frequency->numerator;
    const std::uint64_t common = std::gcd(above, below);
    type_.ticks_numerator = above / common;
    type_.ticks_denominator = below / common;
  }
  return type_;
}

Expected<ByteView> Source::rows(ByteView block) {
  if (!metadata_) return block;
  if (block.size() % metadata_->sample_bytes != 0)
    return fail(ErrorCode::bad_input, fmt::format("a block of {} bytes is no whole number of samples of {} bytes",
                                                  block.size(), metadata_->sample_bytes));
  if (!as_physical_) return block;
  const std::size_t width = size_of(type_.type);
  physical_.resize(block.size() / metadata_->sample_bytes * type_.row_bytes());
  std::byte* out = physical_.data();
  for (; !block.empty(); block = block.subspan(metadata_->sample_bytes))
    for (const auto& channel : metadata_->channels)
      for (std::size_t i = 0; i < channel.count(); ++i, out += width)
        store_value(type_.type, raw_value(channel, block.data(), i) * channel.scale + channel.offset, out);
  return ByteView(physical_);
}

Expected<FrameType> Alignment::bind(const std::vector<Source>& sources) {
  bool is_wide = false;
  stored_ = true;
  for (const auto& source : sources) {
    is_wide = is_wide || is_wider_than_float(source.type().type);
    stored_ = stored_ && source.type().type == sources[0].type().type;
  }
  stored_ = stored_ && is_wide;
  FrameType out = sources[0].type();
  if (!stored_) out.type = is_wide ? ScalarType::f64 : ScalarType::f32;
  type_ = out.type;
  out.columns = 0;
  out.scale.clear();
  out.offset.clear();
  out.names.clear();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const FrameType& in = sources[i].type();
    if (in.ticks_numerator == 0)
      return fail(ErrorCode::bad_input,
                  "streams can only be joined if their metadata have a sample-frequency: their samples need times");
    out.columns += in.columns;
    for (std::size_t c = 0; c < in.columns; ++c) {
      out.names.push_back(fmt::format("{}.{}", i, c < in.names.size() ? in.names[c] : std::to_string(c)));
      out.scale.push_back(stored_ ? in.scale_of(c) : 1.0);
      out.offset.push_back(stored_ ? in.offset_of(c) : 0.0);
    }
    types_.push_back(in);
    ids_.push_back(sources[i].id());
  }
  keep_one_if_equal(out.scale);
  keep_one_if_equal(out.offset);
  others_.resize(sources.size());
  return out;
}

Expected<Alignment::Joined> Alignment::push(std::size_t port, std::uint64_t tick, ByteView rows) {
  const FrameType& type = types_[port];
  joined_.clear();
  Joined joined;
  // No block to come begins earlier than this one.
  forget_before(type, tick);
  if (port != 0) {
    Other& mine = others_[port];
    const auto behind = std::find_if(mine.blocks.rbegin(), mine.blocks.rend(),
                                     [tick](const Block& block) { return block.tick <= tick; });
    mine.blocks.insert(behind.base(), Block{tick, 0, 0, Bytes(rows.begin(), rows.end())});
    mine.bytes += rows.size();
    if (mine.bytes > kMaxWaitingBytes)
      return fail(ErrorCode::limit, fmt::format("stream {} is more than 64 MiB ahead of {}, the pipeline's first input",
                                                ids_[port], ids_[0]));
    return joined;
  }
  const std::size_t count = rows.size() / type.row_bytes();
  for (std::size_t r = 0; r < count; ++r) {
    const RowTime time{0, tick, r};
    bool all = true;
    bool is_too_old = false;
    for (std::size_t other = 1; other < others_.size(); ++other) {
      advance(other, type, time);
      const Row& newest = others_[other].newest;
      all = all && !newest.bytes.empty();
      is_too_old =
          is_too_old || (!newest.bytes.empty() && std::is_gt(compare_times(types_[other], newest.time, type, time)));
    }
    if (is_too_old) ++joined.too_old;
    if (!all || is_too_old) continue;  // or another stream has not begun
    if (joined_.empty()) joined.first = time;
    append_row(0, rows.data() + r * type.row_bytes(), joined_);
    for (std::size_t other = 1; other < others_.size(); ++other) append_bytes(joined_, others_[other].newest.bytes);
  }
  joined.rows = joined_;
  return joined;
}

void Alignment::reset() {
  for (auto& other : others_) other = {};
}

void Alignment::advance(std::size_t index, const FrameType& type, const RowTime& time) {
  Other& other = others_[index];
  const std::size_t row_bytes = types_[index].row_bytes();
  const std::byte* newest = nullptr;
  for (auto& block : other.blocks) {
    if (std::is_gt(compare_times(types_[index], {0, block.tick, 0}, type, time))) break;
    const std::size_t count = block.rows.size() / row_bytes;
    const std::size_t before = block.next;
    while (block.next < count && std::is_lteq(compare_times(types_[index], {0, block.tick, block.next}, type, time)))
      ++block.next;
    if (block.next == before) continue;
    const RowTime last{0, block.tick, block.next - 1};
    const bool has_one = newest != nullptr || !other.newest.bytes.empty();
    if (has_one && std::is_lt(compare_times(types_[index], last, types_[index], other.newest.time))) continue;
    newest = block.rows.data() + last.row * row_bytes;
    other.newest.time = last;
  }
  if (newest == nullptr) return;
  other.newest.bytes.clear();
  append_row(index, newest, other.newest.bytes);
}

// Of the rows up to this time only the newest is needed from now on.
void Alignment::forget_before(const FrameType& type, std::uint64_t tick) {
  for (std::size_t index = 1; index < others_.size(); ++index) {
    Other& other = others_[index];
    for (auto& block : other.blocks) block.next = block.begin;
    other.newest = other.oldest;
    advance(index, type, {0, tick, 0});
    other.oldest = other.newest;
    for (auto& block : other.blocks) block.begin = block.next;
    const auto is_over = [&](const Block& block) {
      return block.begin == block.rows.size() / types_[index].row_bytes();
    };
    for (const auto& block : other.blocks)
      if (is_over(block)) other.bytes -= block.rows.size();
    std::erase_if(other.blocks, is_over);
  }
}

void Alignment::append_row(std::size_t port, const std::byte* row, Bytes& to) const {
  const FrameType& type = types_[port];
  if (stored_) return append_bytes(to, ByteView(row, type.row_bytes()));
  const std::size_t width = size_of(type_);
  const std::size_t at = to.size();
  to.resize(at + type.columns * width);
  for (std::size_t c = 0; c < type.columns; ++c)
    store_value(type_, physical_value(type, row + c * size_of(type.type), c), to.data() + at + c * width);
}

}  // namespace sds::pipeline
