#include "windows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "class_cover.hpp"
#include "not_finite.hpp"

namespace sds {

Expected<WindowBreaks> WindowBreaks::of(const Recording& recording, std::size_t stream, const OnProgress& on_progress) {
  auto breaks = BreakFinder::of(recording, stream, on_progress);
  if (!breaks) return fail(breaks);
  return WindowBreaks(std::move(*breaks), recording, stream);
}

bool WindowBreaks::before(const SampleRun& samples, const Metadata& metadata) {
  end_ = samples.times[0] + static_cast<double>(samples.count) / metadata.sample_frequency->hz();
  return std::exchange(broken_, false);
}

std::string window_class(const LabelFile& labels, const std::vector<std::string>& streams, double begin, double end,
                         double least_share) {
  const auto covered = covered_seconds(labels, streams, {{begin, end}});
  std::string most = class_with_most(covered);
  if (most.empty() || covered.at(most) < least_share * (end - begin) - 1e-9) return "";
  return most;
}

void append_values(const SampleRun& samples, std::size_t at, std::size_t count, const Metadata& metadata,
                   const std::vector<ChannelRef>& values, std::vector<float>& rows) {
  std::vector<double> column(count);
  const std::size_t width = values.size();
  const std::size_t have = rows.size();
  rows.resize(have + count * width);
  for (std::size_t v = 0; v < width; ++v) {
    physical_values(metadata.channels[values[v].channel], values[v].element, samples.data + at * metadata.sample_bytes,
                    count, metadata.sample_bytes, column.data());
    for (std::size_t k = 0; k < count; ++k) rows[have + k * width + v] = static_cast<float>(column[k]);
  }
}

Expected<void> cut_windows(const DatasetItem& item, const WindowOptions& options, const std::filesystem::path& scratch,
                           RecordingWindows& windows, const OnProgress& on_progress) {
  auto recording = options.open ? options.open(item.path) : Recording::open(item.path);
  if (!recording) return fail(recording);
  std::size_t index = 0;
  if (!options.streams.empty()) {
    auto found = recording->find_stream(options.streams.front());
    if (!found) return fail(found);
    index = *found;
  } else if (recording->streams().size() != 1) {
    return fail(ErrorCode::usage,
                "the recording has several streams: choose one with -s, or several for windows of all of them",
                item.path);
  }
  auto breaks = WindowBreaks::of(*recording, index, on_progress);
  if (!breaks) return fail(breaks);
  SampleOptions sample_options;
  sample_options.on_block = [&](const BlockView& block) { breaks->see(block); };
  auto reader = SampleReader::open(*recording, index, sample_options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  const std::string& stream = recording->streams()[index].id;
  if (!metadata.sample_frequency)
    return fail(ErrorCode::usage, fmt::format("stream {} has no sample-frequency: windows need one", stream),
                item.path);
  auto values = choose_values(metadata, options.channels);
  if (!values) return fail(values);
  WindowTensor& tensor = windows.tensors.emplace_back();
  tensor.values = scratch;
  for (const auto& ref : *values) tensor.channels.push_back(ref.name(metadata));
  const double rate = metadata.sample_frequency->hz();
  tensor.samples = static_cast<std::size_t>(std::llround(options.window_s * rate));
  const auto stride = static_cast<std::size_t>(std::llround(options.stride_s * rate));
  if (tensor.samples == 0 || stride == 0)
    return fail(ErrorCode::usage, fmt::format("a window or stride is shorter than a sample at {} Hz", rate), item.path);
  const std::size_t row = values->size();
  if (tensor.samples * row > max_window_values)
    return fail(ErrorCode::limit, "a window of more than 4 million values", item.path);
  auto labels = labels_of(*recording);
  if (!labels) return fail(labels);
  auto sink = OutputFile::create(tensor.values, IfExists::overwrite);
  if (!sink) return fail(sink);
  std::vector<float> window;  // samples without a gap
  std::vector<double> times;  // theirs: by their blocks' ticks, whatever the sensor's true rate is
  std::size_t skip = 0;       // samples until the next window begins, where the stride is longer than the window
  NotFinite not_finite;       // in windows
  Bytes out;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    if (breaks->before(samples, metadata)) {
      window.clear();
      times.clear();
      skip = 0;
    }
    std::size_t at = 0;
    while (at < samples.count) {
      const std::size_t skipped = std::min(skip, samples.count - at);
      skip -= skipped;
      at += skipped;
      if (at == samples.count) break;
      const std::size_t have = times.size();
      const std::size_t n = std::min(tensor.samples - have, samples.count - at);
      append_values(samples, at, n, metadata, *values, window);
      times.insert(times.end(), samples.times.begin() + static_cast<std::ptrdiff_t>(at),
                   samples.times.begin() + static_cast<std::ptrdiff_t>(at + n));
      at += n;
      if (have + n < tensor.samples) break;
      const double begin = times.front();
      const double end = times.back() + 1 / rate;
      std::string name = window_class(*labels, {stream}, begin, end, options.min_label_share);
      if (name.empty()) ++windows.unlabelled;
      if (!name.empty() || options.keep_unlabelled) {
        out.clear();
        for (const float value : window) append_le(out, value);
        not_finite.see(std::span<const float>(window));
        if (auto done = (*sink)->append(out); !done) return done;
        windows.classes.push_back(std::move(name));
        windows.begins.push_back(begin);
      }
      if (stride < tensor.samples) {
        window.erase(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(stride * row));
        times.erase(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(stride));
      } else {
        window.clear();
        times.clear();
        skip = stride - tensor.samples;
      }
    }
  }
  for (const auto& notes : {reader->notes(), reader->notes_of_losses("cut out, no window reaches across")})
    for (const auto& note : notes) windows.notes.push_back(item.name + ": " + note);
  if (not_finite.any()) windows.notes.push_back(item.name + ": " + not_finite.text(stream) + " in windows");
  return (*sink)->close();
}

}  // namespace sds
