#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kissfft/kiss_fftr.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>
#include <optional>
#include <set>

#include "channel_values.hpp"
#include "duration_text.hpp"
#include "exports.hpp"
#include "label_file.hpp"
#include "plot.hpp"
#include "query.hpp"
#include "scratch_folder.hpp"
#include "sds/format/stream_losses.hpp"
#include "sds/format/worker_pool.hpp"
#include "time_span.hpp"

namespace sds {

namespace {

constexpr std::size_t kMaxSeries = 64;  // of one stream
constexpr std::size_t kFft = 512;

// Smallest and largest value in each of a plot's columns.
class Envelope {
 public:
  Envelope(double begin, double end, std::size_t columns)
      : begin_(begin), scale_(static_cast<double>(columns) / (end - begin)), columns_(columns) {
    first_.assign(columns, std::numeric_limits<double>::quiet_NaN());
    interrupted_.assign(columns, false);
    low_.assign(columns, std::numeric_limits<float>::infinity());
    high_.assign(columns, -std::numeric_limits<float>::infinity());
  }
  void add(double time, double value) { add(time, value, value); }
  void add(double time, double low, double high) {
    if (!std::isfinite(low) || !std::isfinite(high)) {
      interrupt();
      return;
    }
    const double at = (time - begin_) * scale_;
    if (!(at >= 0) || at >= static_cast<double>(columns_)) return;
    const auto column = static_cast<std::size_t>(at);
    if (interrupt_ && std::isnan(first_[column])) interrupted_[column] = true;
    interrupt_ = false;
    if (std::isnan(first_[column]) || time < first_[column]) first_[column] = time;
    low_[column] = std::min(low_[column], static_cast<float>(low));
    high_[column] = std::max(high_[column], static_cast<float>(high));
  }
  /// There is no line from what was added to what is added next.
  void interrupt() { interrupt_ = true; }
  void finish(PlotSeries& series) const {
    for (std::size_t c = 0; c < columns_; ++c) {
      if (std::isnan(first_[c])) continue;
      if (interrupted_[c] && !series.times.empty()) {
        series.times.push_back((series.times.back() + first_[c]) / 2);
        series.low.push_back(std::numeric_limits<float>::quiet_NaN());
        series.high.push_back(std::numeric_limits<float>::quiet_NaN());
      }
      series.times.push_back(first_[c]);
      series.low.push_back(low_[c]);
      series.high.push_back(high_[c]);
    }
  }

 private:
  double begin_;
  double scale_;
  std::size_t columns_;
  std::vector<double> first_;
  std::vector<float> low_;
  std::vector<float> high_;
  std::vector<bool> interrupted_;  // before the column
  bool interrupt_ = false;
};

// One Fourier transform for each column, of the samples from its beginning on: Hann window, levels in dB of the squared
// magnitude.
class SpectrogramMaker {
 public:
  SpectrogramMaker(double begin, double end, std::size_t columns, double rate)
      : begin_(begin),
        step_((end - begin) / static_cast<double>(columns)),
        plan_(kiss_fftr_alloc(kFft, 0, nullptr, nullptr), kiss_fftr_free) {
    if (!plan_) throw std::bad_alloc();
    result_.columns = columns;
    result_.rows = kFft / 2;
    result_.max_hz = rate / 2;
    result_.db.assign(columns * result_.rows, std::numeric_limits<float>::quiet_NaN());
    window_.resize(kFft);
    for (std::size_t i = 0; i < kFft; ++i)
      window_[i] = static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / kFft));
    pending_.reserve(kFft);
  }
  void add(double time, double value) {
    if (pending_.empty()) {
      const double at = (time - begin_) / step_;
      if (!(at >= 0) || at >= static_cast<double>(result_.columns)) return;
      const auto column = static_cast<std::size_t>(at);
      if (any_ && column <= column_) return;
      column_ = column;
      any_ = true;
    }
    pending_.push_back(std::isfinite(value) ? static_cast<float>(value) : 0.0f);
    if (pending_.size() == kFft) transform();
  }
  PlotSpectrogram finish() {
    // Where a column is shorter than a transform, the one before stands for it.
    for (std::size_t c = 1; c < result_.columns; ++c)
      if (std::isnan(result_.db[c]))
        for (std::size_t r = 0; r < result_.rows; ++r)
          result_.db[r * result_.columns + c] = result_.db[r * result_.columns + c - 1];
    return std::move(result_);
  }

 private:
  void transform() {
    for (std::size_t i = 0; i < kFft; ++i) pending_[i] *= window_[i];
    std::vector<kiss_fft_cpx> bins(kFft / 2 + 1);
    kiss_fftr(plan_.get(), pending_.data(), bins.data());
    for (std::size_t r = 0; r < result_.rows; ++r) {
      const double power = static_cast<double>(bins[r].r) * bins[r].r + static_cast<double>(bins[r].i) * bins[r].i;
      result_.db[r * result_.columns + column_] = static_cast<float>(10 * std::log10(power + 1e-12));
    }
    pending_.clear();
  }

  double begin_;
  double step_;
  std::unique_ptr<kiss_fftr_state, void (*)(void*)> plan_;
  PlotSpectrogram result_;
  std::vector<float> window_;
  std::vector<float> pending_;
  std::size_t column_ = 0;
  bool any_ = false;
};

// Sections that have a loss inside, or more time than their blocks take: a gap.
std::vector<bool> sections_with_gaps(const SdszStream& packed) {
  std::vector<double> steps;
  for (const auto& section : packed.data)
    if (const SectionHeader& h = section.header; h.block_count > 1)
      steps.push_back(static_cast<double>(h.last_tick - h.first_tick) / static_cast<double>(h.block_count - 1));
  std::vector<bool> with(packed.data.size(), false);
  if (steps.empty()) return with;
  std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
  const double usual = steps[steps.size() / 2];
  for (std::size_t i = 0; i < packed.data.size(); ++i) {
    const SectionHeader& h = packed.data[i].header;
    const double needed = usual * static_cast<double>(h.block_count - 1);
    with[i] = (h.block_count > 1 && static_cast<double>(h.last_tick - h.first_tick) > 1.05 * needed + usual / 2 + 2) ||
              std::any_of(packed.gaps.begin(), packed.gaps.end(), [&](const Gap& gap) {
                return gap.before_block > h.first_block && gap.before_block < h.first_block + h.block_count;
              });
  }
  return with;
}

// The samples of a stream, or of some of its sections, into the envelopes. `spectrogram` may be null.
Expected<void> envelopes_from_samples(const Recording& recording, std::size_t index,
                                      const std::vector<ChannelRef>& values, SampleOptions options,
                                      std::vector<Envelope>& envelopes, SpectrogramMaker* spectrogram,
                                      std::vector<std::string>& notes, Executor* executor,
                                      const OnProgress& on_progress) {
  StreamLosses losses(recording, index);
  bool lost = false;
  options.on_block = [&](const BlockView& block) { lost = !losses.before(block).empty() || lost; };
  auto reader = SampleReader::open(recording, index, options, on_progress, executor);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  const double rate = metadata.sample_frequency ? metadata.sample_frequency->hz() : 0;
  std::vector<double> column;
  std::optional<double> expected;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    const double length = rate > 0 ? static_cast<double>(samples.count) / rate : 0;
    // As windows see it, who read once: more than half a block off.
    if (lost || (rate > 0 && expected &&
                 std::abs(samples.times[0] - *expected) > std::max(0.5 * length, 2 / metadata.tick_frequency.hz())))
      for (auto& envelope : envelopes) envelope.interrupt();
    lost = false;
    expected = samples.times[0] + length;
    column.resize(samples.count);
    for (std::size_t v = 0; v < values.size(); ++v) {
      physical_values(metadata.channels[values[v].channel], values[v].element, samples.data, samples.count,
                      metadata.sample_bytes, column.data());
      for (std::size_t k = 0; k < column.size(); ++k) envelopes[v].add(samples.times[k], column[k]);
      if (spectrogram != nullptr && v == 0)
        for (std::size_t k = 0; k < column.size(); ++k) spectrogram->add(samples.times[k], column[k]);
    }
  }
  for (const auto& note : reader->notes()) notes.push_back(note);
  return {};
}

// Fills the envelopes from the index; false if it does not hold what is needed, or too little of it.
Expected<bool> envelopes_from_index(const Recording& recording, std::size_t index,
                                    const std::vector<ChannelRef>& values, double begin, double end,
                                    std::size_t columns, std::vector<Envelope>& envelopes,
                                    std::vector<std::string>& notes, Executor* executor,
                                    const OnProgress& on_progress) {
  if (!recording.sdsz() || recording.sdsz()->streams()[index].log_needed) return false;
  const SdszStream& packed = recording.sdsz()->streams()[index];
  const Frequency ticks = recording.streams()[index].tick_frequency();
  std::size_t within = 0;
  for (const auto& section : packed.data)
    if (seconds(section.header.last_tick, ticks) >= begin && seconds(section.header.first_tick, ticks) < end) ++within;
  if (within < columns / 2) return false;
  auto statistics = load_statistics(*recording.sdsz()->file(), packed.number);
  if (!statistics || statistics->size() != packed.data.size()) return false;
  for (std::size_t i = 0; i < packed.data.size(); ++i)
    for (const auto& range :
         ranges_of_section(*recording.streams()[index].metadata, packed.layout, (*statistics)[i].statistics, values))
      if (std::isinf(range.low) && std::isinf(range.high) && range.low < range.high) return false;
  const auto with_gaps = sections_with_gaps(packed);
  double step = 0;  // from block to block, of the section before
  for (std::size_t i = 0; i < packed.data.size(); ++i) {
    const SectionHeader& header = packed.data[i].header;
    const double before = i > 0 ? static_cast<double>(packed.data[i - 1].header.last_tick) : 0;
    const bool lost = std::any_of(packed.gaps.begin(), packed.gaps.end(),
                                  [&](const Gap& gap) { return i > 0 && gap.before_block == header.first_block; });
    if (lost || (i > 0 && step > 0 && static_cast<double>(header.first_tick) - before > 1.5 * step + 2))
      for (auto& envelope : envelopes) envelope.interrupt();
    step = header.block_count > 1
               ? static_cast<double>(header.last_tick - header.first_tick) / static_cast<double>(header.block_count - 1)
               : 0;
    if (with_gaps[i]) {
      SampleOptions options;
      options.within = {{begin, end}};
      options.sections = [at = packed.data[i].offset](const IndexEntry& entry) { return entry.offset == at; };
      if (auto done = envelopes_from_samples(recording, index, values, options, envelopes, nullptr, notes, executor,
                                             on_progress);
          !done)
        return fail(done);
      step = 0;
      continue;
    }
    const auto ranges =
        ranges_of_section(*recording.streams()[index].metadata, packed.layout, (*statistics)[i].statistics, values);
    const double first = seconds(header.first_tick, ticks);
    const double last = seconds(header.last_tick, ticks);
    for (std::size_t v = 0; v < values.size(); ++v) {
      if (ranges[v].low > ranges[v].high) {  // only NaN
        envelopes[v].interrupt();
        continue;
      }
      // A section may cover several columns.
      const double width = (end - begin) / static_cast<double>(columns);
      for (double t = std::max(first, begin); t <= last && t < end; t += width)
        envelopes[v].add(t, ranges[v].low, ranges[v].high);
      if (first == last) envelopes[v].add(first, ranges[v].low, ranges[v].high);
    }
  }
  return true;
}

std::string time_text(const Plot& plot) {
  return fmt::format("{} to {} s", seconds_text(plot.begin), seconds_text(plot.end));
}

// What became of a stream.
enum class Drawn { yes, no, has_nothing_then };

Expected<Drawn> add_stream(Plot& plot, const Recording& recording, std::size_t index, const std::string& prefix,
                           bool into_existing, const PlotOptions& options, Executor* executor,
                           const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  if (const auto why = why_no_samples(stream)) {
    plot.notes.push_back(fmt::format("stream {} is left out: {}", stream.id, *why));
    return Drawn::no;
  }
  const Metadata& metadata = *stream.metadata;
  std::vector<ChannelRef> values;
  for (const auto& ref : all_values(metadata)) {
    const bool wanted = options.channels.empty() ||
                        std::any_of(options.channels.begin(), options.channels.end(), [&](const std::string& name) {
                          return name == metadata.channels[ref.channel].name || name == ref.name(metadata);
                        });
    if (wanted && values.size() < kMaxSeries) values.push_back(ref);
  }
  if (values.empty()) return Drawn::no;
  if (all_values(metadata).size() > kMaxSeries && options.channels.empty())
    plot.notes.push_back(
        fmt::format("stream {}: only the first {} values are drawn (--channel chooses others)", stream.id, kMaxSeries));
  std::vector<Envelope> envelopes(values.size(), Envelope(plot.begin, plot.end, options.columns));
  std::unique_ptr<SpectrogramMaker> spectrogram;
  auto from_index = envelopes_from_index(recording, index, values, plot.begin, plot.end, options.columns, envelopes,
                                         plot.notes, executor, on_progress);
  if (!from_index) return fail(from_index);
  if (!*from_index) {
    // Sound is what says so, or one value at a rate that only sound has.
    const bool sound = metadata.sample_frequency &&
                       (metadata.is_audio || (values.size() == 1 && metadata.sample_frequency->hz() >= 4000));
    if (options.spectrogram && sound && !into_existing)
      spectrogram = std::make_unique<SpectrogramMaker>(
          plot.begin, plot.end, std::min<std::size_t>(options.columns, 1000), metadata.sample_frequency->hz());
    SampleOptions sample_options;
    sample_options.within = {{plot.begin, plot.end}};
    if (auto done = envelopes_from_samples(recording, index, values, sample_options, envelopes, spectrogram.get(),
                                           plot.notes, executor, on_progress);
        !done)
      return fail(done);
    ++plot.streams_read;
  } else if (options.spectrogram && metadata.is_audio) {
    plot.notes.push_back(fmt::format(
        "stream {}: so much time is drawn from the index, without a spectrogram (--from and --to choose less)",
        stream.id));
  }
  const auto is_value = [](float value) { return !std::isnan(value); };
  std::vector<PlotSeries> drawn(values.size());
  std::vector<std::string> without;
  for (std::size_t v = 0; v < values.size(); ++v) {
    envelopes[v].finish(drawn[v]);
    if (std::none_of(drawn[v].low.begin(), drawn[v].low.end(), is_value)) without.push_back(values[v].name(metadata));
  }
  if (without.size() == values.size()) {
    plot.notes.push_back(fmt::format("{}{} has nothing to draw in {}", prefix, stream.id, time_text(plot)));
    return Drawn::has_nothing_then;
  }
  for (const auto& name : without)
    plot.notes.push_back(fmt::format("{}{}.{} has nothing to draw in {}", prefix, stream.id, name, time_text(plot)));
  // Of other recordings only what is compared goes into panels that are there.
  const std::size_t first_panel = into_existing ? 0 : plot.panels.size();
  std::optional<std::size_t> sound_panel;
  std::set<std::string> homeless;
  for (std::size_t v = 0; v < values.size(); ++v) {
    if (std::none_of(drawn[v].low.begin(), drawn[v].low.end(), is_value)) continue;
    const std::string& unit = metadata.channels[values[v].channel].unit;
    const std::string title = prefix + stream.id;
    auto panel = std::find_if(
        plot.panels.begin() + static_cast<std::ptrdiff_t>(first_panel), plot.panels.end(),
        [&](const PlotPanel& p) { return p.title == (into_existing ? stream.id : title) && p.unit == unit; });
    if (panel == plot.panels.end()) {
      if (into_existing && homeless.insert(unit).second)
        plot.notes.push_back(fmt::format("{}{} is left out: there is no panel of a stream {}{} that it could go into",
                                         prefix, values[v].name(metadata), stream.id,
                                         unit.empty() ? " without a unit" : " in " + unit));
      if (into_existing) continue;
      plot.panels.push_back({title, unit, {}});
      panel = std::prev(plot.panels.end());
    }
    PlotSeries series = std::move(drawn[v]);
    series.name = (into_existing ? prefix : "") + values[v].name(metadata);
    panel->series.push_back(std::move(series));
    if (v == 0) sound_panel = static_cast<std::size_t>(panel - plot.panels.begin());
  }
  if (spectrogram && sound_panel) {
    auto made = spectrogram->finish();
    made.panel = *sound_panel;
    plot.spectrograms.push_back(std::move(made));
  }
  return Drawn::yes;
}

// Another recording: beneath (its own panels), or into those that are there.
Expected<void> add_other(Plot& plot, const Recording& other, bool into_existing, const PlotOptions& options,
                         Executor* executor, const OnProgress& on_progress) {
  bool any = false;
  bool nothing_then = false;
  for (std::size_t s = 0; s < other.streams().size(); ++s) {
    auto drawn =
        add_stream(plot, other, s, other.path().stem().string() + ": ", into_existing, options, executor, on_progress);
    if (!drawn) return fail(drawn);
    any = any || *drawn == Drawn::yes;
    nothing_then = nothing_then || *drawn == Drawn::has_nothing_then;
  }
  if (any || !nothing_then) return {};
  std::vector<std::size_t> all(other.streams().size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  auto spans = spans_text(other, all);
  if (!spans) return fail(spans);
  return fail(ErrorCode::bad_input, fmt::format("has nothing to draw in {}: {}", time_text(plot), *spans),
              other.path());
}

// Every channel that is named is in one of the streams.
Expected<void> find_channels(const Recording& recording, const std::vector<std::size_t>& streams,
                             const std::vector<std::string>& names) {
  std::vector<std::string> there;
  for (const std::size_t i : streams)
    if (const auto& metadata = recording.streams()[i].metadata)
      for (const auto& channel : metadata->channels) there.push_back(channel.name);
  for (const auto& name : names) {
    const bool is_there = std::any_of(streams.begin(), streams.end(), [&](std::size_t i) {
      const auto& metadata = recording.streams()[i].metadata;
      return metadata && !find_values(*metadata, name).empty();
    });
    if (!is_there)
      return fail(ErrorCode::usage,
                  fmt::format("no channel '{}'; there is: {}", name,
                              there.empty() ? "none" : fmt::format("{}", fmt::join(there, ", "))),
                  recording.path());
  }
  return {};
}

Expected<void> add_sound(Plot& plot, const Recording& recording, const std::vector<std::size_t>& streams) {
  for (const std::size_t index : streams) {
    const StreamInfo& stream = recording.streams()[index];
    if (!stream.metadata || !stream.metadata->is_audio || !stream.metadata->sample_frequency) continue;
    auto scratch = ScratchFolder::create();
    if (!scratch) return fail(scratch);
    const double bytes = (plot.end - plot.begin) * stream.metadata->sample_frequency->hz() *
                         static_cast<double>(stream.metadata->sample_bytes);
    if (bytes > 16e6) {
      plot.notes.push_back(
          fmt::format("stream {}: too long to be put into the page as sound (--from and --to choose less)", stream.id));
      return {};
    }
    ExportOptions options;
    options.samples.within = {{plot.begin, plot.end}};
    const auto path = scratch->path() / "sound.wav";
    auto report = export_audio(recording, index, path, options, {});
    if (!report) {
      plot.notes.push_back(fmt::format("stream {}: no sound: {}", stream.id, report.error().to_string()));
      return {};
    }
    auto wav = read_small_file(path, 32'000'000);
    if (!wav) return fail(wav);
    plot.wav = std::move(*wav);
    plot.wav_begin = plot.begin;
    return {};
  }
  return {};
}

}  // namespace

Expected<Plot> collect_plot(const Recording& recording, const std::vector<Recording>& below,
                            const std::vector<Recording>& with, const PlotOptions& options,
                            const OnProgress& on_progress) {
  Plot plot;
  plot.title = recording.path().filename().string();
  auto streams = choose_streams(recording, options.streams);
  if (!streams) return fail(streams);
  if (auto there = need_values(recording, *streams); !there) return fail(there);
  if (auto there = find_channels(recording, *streams, options.channels); !there) return fail(there);
  auto of_streams = time_span(recording, *streams);
  if (!of_streams) return fail(of_streams);
  const std::optional<TimeSpan>& span = *of_streams;
  if (!span) return fail(ErrorCode::bad_input, "there is no data to draw", recording.path());
  plot.begin = std::max(span->begin, options.from.value_or(span->begin));
  plot.end = std::min(span->end, options.to.value_or(span->end));
  if (!(plot.begin < plot.end))
    return fail(ErrorCode::usage,
                fmt::format("nothing lies between these times: the recording goes from {} to {} s",
                            seconds_text(span->begin), seconds_text(span->end)),
                recording.path());
  const auto pool = make_worker_pool(0);
  for (const std::size_t s : *streams)
    if (auto done = add_stream(plot, recording, s, "", false, options, pool.get(), on_progress); !done)
      return fail(done);
  for (const auto& other : with)
    if (auto done = add_other(plot, other, true, options, pool.get(), on_progress); !done) return fail(done);
  PlotOptions all = options;
  all.channels.clear();
  for (const auto& other : below)
    if (auto done = add_other(plot, other, false, all, pool.get(), on_progress); !done) return fail(done);
  if (plot.panels.empty()) return fail(ErrorCode::bad_input, "there is no stream of values to draw", recording.path());
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  if (auto note = note_of_rounded(*labels)) plot.notes.push_back(std::move(*note));
  for (const auto& label : labels->labels) {
    const PlotLabel drawn{label.name, std::max(plot.begin, labels->seconds_of(label.begin)),
                          std::min(plot.end, labels->seconds_of(label.end))};
    // One that is a moment long is drawn, too.
    if (drawn.begin > drawn.end || drawn.begin >= plot.end || (drawn.begin == drawn.end && label.begin < label.end))
      continue;
    if (plot.labels.size() >= 500) {
      plot.notes.push_back("only the first 500 labels are drawn");
      break;
    }
    plot.labels.push_back(drawn);
  }
  if (options.sound)
    if (auto done = add_sound(plot, recording, *streams); !done) return fail(done);
  return plot;
}

}  // namespace sds
