#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "not_finite.hpp"
#include "windows.hpp"

namespace sds {

namespace {

// Samples of one stream without a gap or loss between them, from `first_run` on; `span` begins where no earlier one of
// its samples reaches.
struct Stretch {
  std::uint64_t first_run = 0;
  TimeSpan span;
};

// A stream that takes part.
struct Part {
  std::size_t index = 0;
  std::vector<ChannelRef> values;
  std::vector<Stretch> stretches;
  std::uint64_t samples = 0;  // that it has
};

// The channels of a stream that are called by these names: "ax", or "Imu.ax" for one of several streams.
Expected<std::vector<ChannelRef>> values_of(const StreamInfo& stream, const std::vector<std::string>& names,
                                            std::vector<bool>& found) {
  if (names.empty()) return all_values(*stream.metadata);
  std::vector<ChannelRef> values;
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto here = find_values(*stream.metadata, names[i]);
    if (here.empty() && names[i].starts_with(stream.id + "."))
      here = find_values(*stream.metadata, names[i].substr(stream.id.size() + 1));
    if (!here.empty()) found[i] = true;
    values.insert(values.end(), here.begin(), here.end());
  }
  if (values.empty())
    return fail(ErrorCode::usage, fmt::format("no channel of stream {} is chosen with --channel", stream.id));
  return values;
}

Expected<std::vector<Part>> parts_of(const Recording& recording, const WindowOptions& options) {
  std::vector<Part> parts;
  std::vector<bool> found(options.channels.size());
  for (const auto& id : options.streams) {
    auto index = recording.find_stream(id);
    if (!index) return fail(index);
    const StreamInfo& stream = recording.streams()[*index];
    if (std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return part.index == *index; }))
      return fail(ErrorCode::usage, fmt::format("stream {} is named twice", stream.id));
    if (auto why = why_no_samples(stream))
      return fail(ErrorCode::bad_input, fmt::format("stream {}: {}", stream.id, *why), stream.path);
    if (!stream.metadata->sample_frequency)
      return fail(ErrorCode::usage, fmt::format("stream {} has no sample-frequency: windows need one", stream.id));
    auto values = values_of(stream, options.channels, found);
    if (!values) return fail(values);
    parts.push_back({*index, std::move(*values), {}, 0});
  }
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!found[i])
      return fail(ErrorCode::usage, fmt::format("no channel '{}' in any of the streams", options.channels[i]));
  return parts;
}

// Where a stream has samples without a gap. Times that go back, behind a loss for instance, are not told twice.
Expected<void> find_stretches(const Recording& recording, Part& part, const OnProgress& on_progress) {
  auto breaks = WindowBreaks::of(recording, part.index, on_progress);
  if (!breaks) return fail(breaks);
  SampleOptions options;
  options.on_block = [&](const BlockView& block) { breaks->see(block); };
  auto reader = SampleReader::open(recording, part.index, options, on_progress);
  if (!reader) return fail(reader);
  double until = -std::numeric_limits<double>::infinity();
  for (std::uint64_t run = 0;; ++run) {
    auto samples = reader->next();
    if (!samples) return fail(samples);
    if (*samples == nullptr) return {};
    if (breaks->before(**samples, reader->metadata()) || part.stretches.empty()) {
      const double begin = std::max((*samples)->times[0], until);
      part.stretches.push_back({run, {begin, begin}});
    }
    part.samples += (*samples)->count;
    part.stretches.back().span.end = std::max(part.stretches.back().span.end, breaks->end());
    until = part.stretches.back().span.end;
  }
}

// Where all streams have samples without a gap.
TimeRanges common_stretches(const std::vector<Part>& parts) {
  TimeRanges common = all_time;
  for (const auto& part : parts) {
    TimeRanges ranges;
    for (const auto& stretch : part.stretches)
      if (stretch.span.begin < stretch.span.end) ranges.push_back(stretch.span);
    common = both(common, ranges);
  }
  return common;
}

// The begins of all windows in `common`, and their classes.
Expected<void> place_windows(const Recording& recording, const std::vector<Part>& parts, const TimeRanges& common,
                             const WindowOptions& options, RecordingWindows& windows) {
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  std::vector<std::string> streams;
  std::uint64_t most = 0;
  for (const auto& part : parts) {
    streams.push_back(recording.streams()[part.index].id);
    most = std::max(most, part.samples);
  }
  std::uint64_t all = 0;
  for (const auto& span : common)
    for (std::uint64_t k = 0;; ++k) {
      const double begin = span.begin + static_cast<double>(k) * options.stride_s;
      if (begin + options.window_s > span.end + time_tolerance(span.end)) break;
      if (++all > most) return fail(ErrorCode::usage, "the stride gives more windows than samples", recording.path());
      auto name = window_class(*labels, streams, begin, begin + options.window_s, options.min_label_share);
      if (name.empty()) ++windows.unlabelled;
      if (name.empty() && !options.keep_unlabelled) continue;
      windows.classes.push_back(std::move(name));
      windows.begins.push_back(begin);
    }
  return {};
}

// Hands out the samples of a stream, one window after the other.
class WindowFiller {
 public:
  WindowFiller(const std::vector<double>& begins, double length, std::size_t row, ByteSink& sink, WindowTensor& tensor)
      : begins_(begins), length_(length), row_(row), sink_(sink), tensor_(tensor) {}

  /// Takes the samples from `from` on.
  Expected<void> add(const SampleRun& samples, const Metadata& metadata, const std::vector<ChannelRef>& values,
                     double from) {
    if (tensor_.counts.size() == begins_.size()) return {};
    // Nothing before the next window will be asked for.
    from = std::max(from, begins_[tensor_.counts.size()]);
    const auto first = std::lower_bound(samples.times.begin(), samples.times.end(), from - time_tolerance(from));
    if (first == samples.times.end()) return {};
    // Blocks that all have one time, for instance: there is no end of them in a window.
    if (held_ > 2 * max_window_values) return fail(ErrorCode::limit, "a window of more than 4 million values");
    Held& run = runs_.emplace_back();
    run.times.assign(first, samples.times.end());
    append_values(samples, samples.count - run.times.size(), run.times.size(), metadata, values, run.rows);
    held_ += run.rows.size();
    return {};
  }

  /// Writes all windows that end by `time`: nothing before it is still to come.
  Expected<void> write_until(double time) {
    for (std::size_t next = tensor_.counts.size(); next < begins_.size(); ++next) {
      const double begin = begins_[next] - time_tolerance(begins_[next]);
      const double end = begins_[next] + length_ - time_tolerance(begins_[next] + length_);
      if (end > time) break;
      std::size_t count = 0;
      Bytes out;
      for (const Held& run : runs_) {
        const auto from = std::lower_bound(run.times.begin(), run.times.end(), begin) - run.times.begin();
        const auto to = std::lower_bound(run.times.begin(), run.times.end(), end) - run.times.begin();
        const auto rows = std::span(run.rows).subspan(static_cast<std::size_t>(from) * row_,
                                                      static_cast<std::size_t>(to - from) * row_);
        for (const float value : rows) append_le(out, value);
        not_finite_.see(rows);
        count += static_cast<std::size_t>(to - from);
      }
      if (auto done = sink_.append(out); !done) return done;
      tensor_.counts.push_back(static_cast<std::uint32_t>(count));
      if (next + 1 < begins_.size()) drop_before(begins_[next + 1]);
    }
    return {};
  }
  [[nodiscard]] const NotFinite& not_finite() const { return not_finite_; }
  void forget() {
    runs_.clear();
    held_ = 0;
  }

 private:
  // Samples of a block that windows to come may have: their times, ascending, and their values.
  struct Held {
    std::vector<double> times;
    std::vector<float> rows;
  };

  void drop_before(double time) {
    while (!runs_.empty() && runs_.front().times.back() < time - time_tolerance(time)) {
      held_ -= runs_.front().rows.size();
      runs_.pop_front();
    }
  }

  const std::vector<double>& begins_;
  double length_;
  std::size_t row_;
  ByteSink& sink_;
  WindowTensor& tensor_;
  std::deque<Held> runs_;
  std::size_t held_ = 0;  // values in them
  NotFinite not_finite_;
};

Expected<void> fill_windows(const Recording& recording, const Part& part, const WindowOptions& options,
                            RecordingWindows& windows, WindowTensor& tensor, const OnProgress& on_progress) {
  auto reader = SampleReader::open(recording, part.index, {}, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  auto sink = OutputFile::create(tensor.values, IfExists::overwrite);
  if (!sink) return fail(sink);
  WindowFiller filler(windows.begins, options.window_s, part.values.size(), **sink, tensor);
  // A block may begin before the one before it ends, by up to two ticks before it begins.
  const double early = 2 / metadata.tick_frequency.hz();
  std::size_t stretch = 0;  // the next one
  double from = 0;
  for (std::uint64_t run = 0;; ++run) {
    auto samples = reader->next();
    if (!samples) return fail(samples);
    if (*samples == nullptr) break;
    if (stretch < part.stretches.size() && part.stretches[stretch].first_run == run) {
      from = part.stretches[stretch].span.begin;
      if (stretch > 0) {
        const double end = part.stretches[stretch - 1].span.end;
        if (auto done = filler.write_until(end + time_tolerance(end)); !done) return done;
        filler.forget();
      }
      ++stretch;
    } else if (auto done = filler.write_until((*samples)->times[0] - early); !done) {
      return done;
    }
    if (auto done = filler.add(**samples, metadata, part.values, from); !done) return done;
  }
  if (auto done = filler.write_until(std::numeric_limits<double>::infinity()); !done) return done;
  for (const auto& notes : {reader->notes(), reader->notes_of_losses("cut out, no window reaches across")})
    windows.notes.insert(windows.notes.end(), notes.begin(), notes.end());
  if (filler.not_finite().any()) windows.notes.push_back(filler.not_finite().text(tensor.stream) + " in windows");
  return (*sink)->close();
}

// What the sample-frequency gives is what a window is expected to have.
void tell_unusual(const WindowTensor& tensor, double expected, RecordingWindows& windows) {
  const auto least = static_cast<std::uint32_t>(std::floor(expected + 1e-6));
  const auto most = static_cast<std::uint32_t>(std::ceil(expected - 1e-6));
  WindowCounts& counts = windows.unusual.emplace_back();
  counts.stream = tensor.stream;
  counts.samples = tensor.samples;
  for (const std::uint32_t count : tensor.counts) {
    counts.fewer += count < least ? 1 : 0;
    counts.more += count > most ? 1 : 0;
    counts.largest = std::max<std::size_t>(counts.largest, count);
  }
  if (counts.fewer + counts.more == 0) return;
  const auto [low, high] = std::minmax_element(tensor.counts.begin(), tensor.counts.end());
  windows.notes.push_back(fmt::format(
      "{}: of {} windows {} have fewer samples than the sample-frequency gives, and {} more: {} to {}, not {} "
      "(count.{} has them, and what is missing is NaN)",
      tensor.stream, tensor.counts.size(), counts.fewer, counts.more, *low, *high, tensor.samples, tensor.stream));
}

}  // namespace

Expected<void> cut_joint_windows(const DatasetItem& item, const WindowOptions& options,
                                 const std::filesystem::path& scratch, RecordingWindows& windows,
                                 const OnProgress& on_progress) {
  auto recording = options.open ? options.open(item.path) : Recording::open(item.path);
  if (!recording) return fail(recording);
  auto parts = parts_of(*recording, options);
  if (!parts) return fail(parts.error().code, parts.error().message, item.path);
  for (auto& part : *parts) {
    const StreamInfo& stream = recording->streams()[part.index];
    const double rate = stream.metadata->sample_frequency->hz();
    WindowTensor& tensor = windows.tensors.emplace_back();
    tensor.stream = stream.id;
    tensor.values = scratch;
    tensor.values += fmt::format(".{}", windows.tensors.size());
    for (const auto& ref : part.values) tensor.channels.push_back(ref.name(*stream.metadata));
    if (options.window_s * rate * static_cast<double>(part.values.size()) > double{max_window_values})
      return fail(ErrorCode::limit, "a window of more than 4 million values", item.path);
    tensor.samples = std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(options.window_s * rate)));
    if (auto done = find_stretches(*recording, part, on_progress); !done) return done;
  }
  if (auto done = place_windows(*recording, *parts, common_stretches(*parts), options, windows); !done) return done;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const Part& part = (*parts)[i];
    if (auto done = fill_windows(*recording, part, options, windows, windows.tensors[i], on_progress); !done)
      return done;
    const double rate = recording->streams()[part.index].metadata->sample_frequency->hz();
    tell_unusual(windows.tensors[i], options.window_s * rate, windows);
  }
  for (auto& note : windows.notes) note.insert(0, item.name + ": ");
  return {};
}

}  // namespace sds
