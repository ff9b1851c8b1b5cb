#include "sds/tools/csv_export.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sds/tools/value_text.hpp"

namespace sds {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += c;
    out += c;
  }
  out += '"';
  return out;
}

std::string header_row(const Metadata& metadata) {
  std::string row = "timeslot";
  for (const auto& channel : metadata.channels) {
    if (channel.count() == 1) {
      row += "," + quoted(channel.name);
      continue;
    }
    for (std::uint32_t y = 0; y < channel.dim_y; ++y)
      for (std::uint32_t x = 0; x < channel.dim_x; ++x)
        row += "," + quoted(channel.dim_y == 1 ? fmt::format("{}[{}]", channel.name, x)
                                               : fmt::format("{}[{}][{}]", channel.name, y, x));
  }
  return row + "\n";
}

// Writes rows into a buffer that goes to the sink when it is full.
class CsvWriter {
 public:
  CsvWriter(const Metadata& metadata, ByteSink& sink) : metadata_(metadata), sink_(sink) {
    for (const auto& channel : metadata.channels) {
      texts_.emplace_back(channel);
      values_ += channel.count();
    }
    const std::string header = header_row(metadata);
    buffer_.resize(kBufferBytes + (values_ + 1) * (max_number_chars + 1) + header.size());
    end_ = std::copy(header.begin(), header.end(), buffer_.data());
  }

  Expected<void> row(double time, const std::byte* sample) {
    end_ = write_number(end_, time);
    for (std::size_t c = 0; c < texts_.size(); ++c) {
      const std::size_t count = metadata_.channels[c].count();
      for (std::size_t i = 0; i < count; ++i) {
        *end_++ = ',';
        end_ = texts_[c].write(end_, sample, i);
      }
    }
    *end_++ = '\n';
    return used() >= kBufferBytes ? flush() : Expected<void>{};
  }

  Expected<void> flush() {
    const std::size_t bytes = used();
    written_ += bytes;
    end_ = buffer_.data();
    return sink_.append(as_bytes({buffer_.data(), bytes}));
  }
  [[nodiscard]] std::uint64_t written() const { return written_; }

 private:
  [[nodiscard]] std::size_t used() const { return static_cast<std::size_t>(end_ - buffer_.data()); }

  const Metadata& metadata_;
  ByteSink& sink_;
  std::vector<ChannelText> texts_;
  std::size_t values_ = 0;
  std::vector<char> buffer_;
  char* end_ = nullptr;
  std::uint64_t written_ = 0;
};

// Times of the samples of one block. For `interpolate` the next block's tick is needed.
struct BlockTimes {
  std::uint64_t tick = 0;
  std::uint64_t next_tick = 0;
  std::size_t samples = 0;
};

class Exporter {
 public:
  Exporter(const StreamInfo& stream, const Metadata& metadata, const CsvOptions& options, ByteSink& sink)
      : metadata_(metadata),
        options_(options),
        times_(options.times),
        tick_frequency_(stream.tick_frequency()),
        writer_(metadata, sink) {
    if (times_ == SampleTimes::metadata) times_ = metadata.sample_frequency ? SampleTimes::rate : SampleTimes::block;
    if (metadata.sample_frequency) rate_ = *metadata.sample_frequency;
  }

  [[nodiscard]] bool interpolates() const { return times_ == SampleTimes::interpolate; }

  Expected<void> block(const BlockTimes& times, const std::byte* data) {
    for (std::size_t k = 0; k < times.samples; ++k) {
      const double time = sample_time(times, k);
      if (options_.start && time < *options_.start) continue;
      if (options_.stop && time >= *options_.stop) continue;
      ++rows_;
      if (auto done = writer_.row(time, data + k * metadata_.sample_bytes); !done) return done;
    }
    return {};
  }

  Expected<void> flush() { return writer_.flush(); }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  [[nodiscard]] std::uint64_t written() const { return writer_.written(); }
  void set_origin(std::uint64_t tick) { origin_ = options_.normalize ? tick : 0; }

 private:
  [[nodiscard]] double sample_time(const BlockTimes& times, std::size_t k) const {
    // A block before the first one (descending timeslots) has a negative time when normalised.
    if (times.tick < origin_) return -seconds(origin_ - times.tick, tick_frequency_) + offset_in_block(times, k);
    const std::uint64_t tick = times.tick - origin_;
    if (times_ == SampleTimes::rate) return seconds(tick, tick_frequency_, k, rate_);
    return k == 0 ? seconds(tick, tick_frequency_) : seconds(tick, tick_frequency_) + offset_in_block(times, k);
  }

  [[nodiscard]] double offset_in_block(const BlockTimes& times, std::size_t k) const {
    const double part = static_cast<double>(k) / static_cast<double>(times.samples);
    switch (times_) {
      case SampleTimes::rate:
        return static_cast<double>(k) / rate_.hz();
      case SampleTimes::interpolate:
        return times.next_tick <= times.tick ? 0.0 : part * seconds(times.next_tick - times.tick, tick_frequency_);
      default:
        return 0.0;
    }
  }

  const Metadata& metadata_;
  const CsvOptions& options_;
  SampleTimes times_;
  Frequency tick_frequency_;
  Frequency rate_;
  CsvWriter writer_;
  std::uint64_t origin_ = 0;
  std::uint64_t rows_ = 0;
};

}  // namespace

Expected<CsvReport> export_csv(const Recording& recording, std::size_t index, ByteSink& sink, const CsvOptions& options,
                               const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  if (stream.metadata_error) return tl::unexpected<Error>(*stream.metadata_error);
  if (!stream.metadata)
    return fail(ErrorCode::bad_input,
                fmt::format("stream {} has no metadata ({}.sds.yml, or name one with -y): its bytes cannot be decoded",
                            stream.id, stream.description.name),
                stream.path);
  const Metadata& metadata = *stream.metadata;
  if (metadata.image)
    return fail(ErrorCode::unsupported, fmt::format("stream {} holds images; CSV is for values and audio", stream.id),
                stream.path);
  if (options.times == SampleTimes::rate && !metadata.sample_frequency)
    return fail(ErrorCode::usage, fmt::format("the metadata of {} has no sample-frequency", stream.id), stream.path);
  auto cursor = recording.cursor(index);
  if (!cursor) return fail(cursor);
  Exporter exporter(stream, metadata, options, sink);
  CsvReport report;
  // To interpolate, a block is held back until its successor's time is known.
  Bytes held;
  BlockTimes held_times;
  bool any = false;
  bool any_held = false;
  std::uint64_t previous_distance = 0;
  std::uint64_t unreported = 0;
  for (;;) {
    auto block = (*cursor)->next();
    if (!block) return fail(block);
    if (!*block) break;
    const BlockView& b = **block;
    if (!any) exporter.set_origin(b.tick);
    any = true;
    if (b.data.size() % metadata.sample_bytes != 0) ++report.odd_blocks;
    const BlockTimes times{b.tick, b.tick, b.data.size() / metadata.sample_bytes};
    if (exporter.interpolates()) {
      if (any_held) {
        held_times.next_tick = b.tick;
        previous_distance = b.tick > held_times.tick ? b.tick - held_times.tick : 0;
        if (auto done = exporter.block(held_times, held.data()); !done) return fail(done);
      }
      held.assign(b.data.begin(), b.data.end());
      held_times = times;
      any_held = true;
    } else if (auto done = exporter.block(times, b.data.data()); !done) {
      return fail(done);
    }
    unreported += b.data.size() + 8;
    if (unreported < (1u << 18)) continue;
    if (auto go_on = sds::report(on_progress, std::exchange(unreported, 0)); !go_on) return fail(go_on);
  }
  if (any_held) {
    held_times.next_tick = held_times.tick + previous_distance;
    if (auto done = exporter.block(held_times, held.data()); !done) return fail(done);
  }
  if (auto done = exporter.flush(); !done) return fail(done);
  report.rows = exporter.rows();
  report.text_bytes = exporter.written();
  for (const auto& damage : (*cursor)->damages())
    report.notes.push_back(fmt::format("{}: at byte {}: {}", stream.id, damage.offset, damage.reason));
  if (const auto tail = (*cursor)->tail())
    report.notes.push_back(
        fmt::format("{}: the torn end is left out: at byte {}: {}", stream.id, tail->offset, tail->reason));
  if (report.odd_blocks > 0)
    report.notes.push_back(fmt::format("{}: {} blocks have bytes left over after their last whole sample of {} bytes",
                                       stream.id, report.odd_blocks, metadata.sample_bytes));
  return report;
}

}  // namespace sds
