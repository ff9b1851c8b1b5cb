#include "difference_picture.hpp"

#include <fmt/format.h>

#include <deque>

#include "channel_values.hpp"

namespace sds {

namespace {

constexpr std::size_t kAround = 60;      // samples
constexpr std::size_t kMaxPictures = 4;  // of a test

struct Line {
  std::vector<double> times;
  std::vector<double> values;
};

// Where the first difference is, on one side.
struct Place {
  std::size_t channel;
  std::size_t element;
  std::uint64_t block;
  std::uint64_t sample;
};

// The samples of a channel from some before a place to as many behind it.
Expected<Line> samples_around(const Recording& recording, const std::string& id, const Place& where) {
  const auto index = recording.find_stream(id);
  if (!index) return fail(index);
  const StreamInfo& stream = recording.streams()[*index];
  if (!stream.metadata) return fail(ErrorCode::bad_input, "no metadata");
  const Metadata& metadata = *stream.metadata;
  const Channel& channel = metadata.channels[where.channel];
  auto cursor = recording.cursor(*index);
  if (!cursor) return fail(cursor);
  std::deque<std::pair<double, double>> kept;
  std::size_t behind = 0;
  bool is_found = false;
  for (std::uint64_t number = 0; behind <= kAround; ++number) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    const std::size_t samples = (*block)->data.size() / metadata.sample_bytes;
    for (std::size_t s = 0; s < samples && behind <= kAround; ++s) {
      const std::byte* sample = (*block)->data.data() + s * metadata.sample_bytes;
      const double value = raw_value(channel, sample, where.element) * channel.scale + channel.offset;
      const double time = metadata.sample_frequency
                              ? seconds((*block)->tick, metadata.tick_frequency, s, *metadata.sample_frequency)
                              : seconds((*block)->tick, metadata.tick_frequency);
      kept.emplace_back(time, value);
      is_found = is_found || (number == where.block && s == where.sample);
      if (is_found) ++behind;
      if (!is_found && kept.size() > kAround) kept.pop_front();
    }
  }
  Line line;
  for (const auto& [time, value] : kept) {
    line.times.push_back(time);
    line.values.push_back(value);
  }
  return line;
}

}  // namespace

std::vector<DifferencePicture> difference_pictures(const Recording& expected, const Recording& came,
                                                   const RecordingComparison& comparison) {
  std::vector<DifferencePicture> pictures;
  for (const auto& s : comparison.streams)
    for (const auto& c : s.channels) {
      if (!c.first || pictures.size() == kMaxPictures) continue;
      auto a = samples_around(expected, s.a, {c.channel_a, c.first->element, c.first->block_a, c.first->sample});
      auto b = samples_around(came, s.b, {c.channel_b, c.first->element, c.first->block_b, c.first->sample});
      if (!a || !b) continue;
      pictures.push_back({fmt::format("{}.{}", s.a, c.name), c.first->seconds, std::move(a->times),
                          std::move(a->values), std::move(b->times), std::move(b->values)});
    }
  return pictures;
}

}  // namespace sds
