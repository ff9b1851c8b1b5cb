#include "pipeline_input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace sds::pipeline {

namespace {
constexpr std::size_t kMaxWaiting = 1u << 20;  // rows of a stream that is ahead of the first one
}  // namespace

Expected<FrameType> Source::bind(const StreamInfo& stream) {
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
    if (channel.type != type_.type || channel.bits != 0 || size_of(channel.type) == 3) as_floats_ = true;
    for (std::size_t i = 0; i < channel.count(); ++i) {
      type_.names.push_back(channel.count() == 1 ? channel.name : fmt::format("{}[{}]", channel.name, i));
      type_.scale.push_back(channel.scale);
      type_.offset.push_back(channel.offset);
    }
  }
  type_.columns = type_.names.size();
  type_.scale.erase(type_.scale.begin());
  type_.offset.erase(type_.offset.begin());
  if (as_floats_) {
    type_.type = ScalarType::f32;
    type_.scale = {1.0};
    type_.offset = {0.0};
  }
  for (auto* values : {&type_.scale, &type_.offset})
    if (std::equal(values->begin() + 1, values->end(), values->begin())) values->resize(1);
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
  if (!as_floats_) return block;
  floats_.clear();
  for (; !block.empty(); block = block.subspan(metadata_->sample_bytes))
    for (const auto& channel : metadata_->channels)
      for (std::size_t i = 0; i < channel.count(); ++i)
        append_le(floats_, static_cast<float>(raw_value(channel, block.data(), i) * channel.scale + channel.offset));
  return ByteView(floats_);
}

Expected<FrameType> Alignment::bind(const std::vector<Source>& sources) {
  FrameType out = sources[0].type();
  out.type = ScalarType::f32;
  out.columns = 0;
  out.scale = {1.0};
  out.offset = {0.0};
  out.names.clear();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const FrameType& in = sources[i].type();
    if (in.ticks_numerator == 0)
      return fail(ErrorCode::bad_input,
                  "streams can only be joined if their metadata have a sample-frequency: their samples need times");
    out.columns += in.columns;
    for (std::size_t c = 0; c < in.columns; ++c)
      out.names.push_back(fmt::format("{}.{}", i, c < in.names.size() ? in.names[c] : std::to_string(c)));
    types_.push_back(in);
  }
  waiting_.resize(sources.size());
  newest_.resize(sources.size());
  return out;
}

ByteView Alignment::push(std::size_t port, std::uint64_t tick, ByteView rows, std::uint64_t& first_tick) {
  const FrameType& type = types_[port];
  const std::size_t count = rows.size() / type.row_bytes();
  joined_.clear();
  for (std::size_t r = 0; r < count; ++r) {
    std::vector<float> values;
    for (std::size_t c = 0; c < type.columns; ++c)
      values.push_back(static_cast<float>(
          load_value(type.type, rows.data() + r * type.row_bytes() + c * size_of(type.type)) * type.scale_of(c) +
          type.offset_of(c)));
    const Instant time{type.tick_of(tick, r), type.tick_frequency};
    if (port != 0) {
      waiting_[port].push_back({time, std::move(values)});
      if (waiting_[port].size() > kMaxWaiting) waiting_[port].pop_front();
      continue;
    }
    if (!catch_up(time)) continue;  // another stream has not begun
    if (joined_.empty()) first_tick = time.tick;
    for (const float v : values) append_le(joined_, v);
    for (std::size_t other = 1; other < newest_.size(); ++other)
      for (const float v : newest_[other]) append_le(joined_, v);
  }
  return joined_;
}

void Alignment::reset() {
  for (auto& rows : waiting_) rows.clear();
  for (auto& row : newest_) row.clear();
}

bool Alignment::catch_up(const Instant& time) {
  bool all = true;
  for (std::size_t other = 1; other < waiting_.size(); ++other) {
    auto& rows = waiting_[other];
    while (!rows.empty() && compare(rows.front().time, time) != std::strong_ordering::greater) {
      newest_[other] = std::move(rows.front().values);
      rows.pop_front();
    }
    all = all && !newest_[other].empty();
  }
  return all;
}

}  // namespace sds::pipeline
