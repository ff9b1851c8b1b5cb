// sds resample: one stream at another sample rate.
#include <fmt/format.h>
#include <samplerate.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <utility>

#include "channel_values.hpp"
#include "edit.hpp"
#include "new_recording.hpp"
#include "not_finite.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sds/format/steps.hpp"
#include "session_ids.hpp"
#include "stream_copy.hpp"

namespace sds {

namespace {

// libsamplerate's buffer has room for thrice what the filter reaches at a rate 256 times lower; three reaches stay.
constexpr double kBufferReaches = 3 * 256 - 3;

// The filter computes in floats, up to 3.4e38, and its sums are some times as large as its input.
constexpr double kLargest = 1e37;

bool is_too_large(double value) { return std::isfinite(value) && std::abs(value) > kLargest; }

// Frames of the input that libsamplerate's filters reach to either side of an output, at rates that do not fall.
double filter_reach(ResampleQuality quality) {
  return quality == ResampleQuality::best ? 142.9 : quality == ResampleQuality::medium ? 45.7 : 19.27;
}

// One run without gaps, resampled and written block by block.
//
// The filter takes what is not there for zero, and so would begin and end at half the values. Each piece is therefore
// continued at both ends for as far as the filter reaches, turned by half a turn about its end sample (odd reflection):
// constants stay constants, ramps ramps. Edges of a sine of 1 Hz, from 100 to 50 Hz, are off by 0.01 % of its amplitude
// that way, 1 % by holding the end sample, 2 % by reflecting evenly; those of 15 Hz by 3, 15 and 30 %. The price: the
// nearer an output is to the end sample, the more it has of what the filter should have taken out.
class PieceResampler {
 public:
  PieceResampler(const Metadata& target, double ratio, SdszWriter& writer, SdszWriter::StreamId id, EditReport& report)
      : target_(target), ratio_(ratio), writer_(writer), id_(id), report_(report), channels_(target.channels.size()) {}
  ~PieceResampler() {
    if (state_ != nullptr) src_delete(state_);
  }
  PieceResampler(const PieceResampler&) = delete;
  PieceResampler& operator=(const PieceResampler&) = delete;

  Expected<void> open(ResampleQuality quality) {
    const int converter = quality == ResampleQuality::best     ? SRC_SINC_BEST_QUALITY
                          : quality == ResampleQuality::medium ? SRC_SINC_MEDIUM_QUALITY
                                                               : SRC_SINC_FASTEST;
    int error = 0;
    state_ = src_new(converter, static_cast<int>(channels_), &error);
    if (state_ == nullptr)
      return fail(ErrorCode::limit, fmt::format("{} channels cannot be resampled: {}", channels_, src_strerror(error)));
    // Two frames more: an output is between samples, and libsamplerate wants one behind.
    reach_ = static_cast<std::size_t>(std::ceil(filter_reach(quality) / std::min(1.0, ratio_))) + 2;
    buffer_frames_ = static_cast<std::uint64_t>(kBufferReaches * filter_reach(quality));
    // What is in front is gone through in whole steps, whatever the ratio: then the next output is the first sample's.
    lead_outputs_ = static_cast<std::size_t>(std::ceil(static_cast<double>(reach_) * std::min(1.0, ratio_)));
    return {};
  }

  void begin() {
    src_reset(state_);
    times_.clear();
    pushed_ = 0;
    written_ = 0;
    recent_.clear();
    lead_left_ = lead_outputs_;
    started_ = false;
    next_ = {};
    pending_.clear();
    active_ = true;
  }
  [[nodiscard]] bool active() const { return active_; }
  /// Pieces that were shorter than a sample at the new rate.
  [[nodiscard]] std::uint64_t without_output() const { return without_output_; }

  /// Takes frames whose first one is at `time`.
  Expected<void> push(const std::vector<float>& frames, double time) {
    times_.push_back({pushed_, time});
    pushed_ += frames.size() / channels_;
    recent_.insert(recent_.end(), frames.begin(), frames.end());
    if (!started_) return recent_.size() > reach_ * channels_ ? start() : Expected<void>();
    if (auto done = convert(frames, false); !done) return done;
    // The last ones are needed at the end.
    const std::size_t most = (reach_ + 1) * channels_;
    if (recent_.size() > most + most / 2)
      recent_.erase(recent_.begin(), recent_.end() - static_cast<std::ptrdiff_t>(most));
    return {};
  }

  /// Ends the piece.
  Expected<void> end() {
    if (!started_)
      if (auto done = start(); !done) return done;
    ending_ = true;
    auto done = continue_from(static_cast<std::ptrdiff_t>(recent_.size() / channels_));
    if (done) done = convert({}, true);
    ending_ = active_ = false;
    if (done) done = write_blocks(true);
    if (written_ == 0) ++without_output_;
    return done;
  }

 private:
  // The end in front, and what was pushed so far.
  Expected<void> start() {
    started_ = true;
    if (auto done = continue_from(-static_cast<std::ptrdiff_t>(reach_)); !done) return done;
    return convert(recent_, false);
  }

  // Converts what continues the piece: `reach_` frames from `first` on, counted from the first one in `recent_`. A
  // piece shorter than that is reflected again and again.
  Expected<void> continue_from(std::ptrdiff_t first) {
    const auto length = static_cast<std::ptrdiff_t>(recent_.size() / channels_);
    const std::ptrdiff_t span = std::max<std::ptrdiff_t>(1, length - 1);
    static constexpr std::size_t at_once = 1024;
    for (std::size_t done = 0; done < reach_;) {
      const std::size_t n = std::min(at_once, reach_ - done);
      continued_.clear();
      for (std::size_t k = 0; k < n; ++k) {
        const std::ptrdiff_t i = first + static_cast<std::ptrdiff_t>(done + k);
        const std::ptrdiff_t turns = i >= 0 ? i / span : -((span - 1 - i) / span);
        const std::ptrdiff_t rest = i - turns * span;
        const bool turned = turns % 2 != 0;
        for (std::size_t c = 0; c < channels_; ++c) {
          const double front = recent_[c];
          const double back = recent_[static_cast<std::size_t>(length - 1) * channels_ + c];
          const double rise = static_cast<double>(turns) * (back - front);
          const auto at = length == 1 ? 0 : static_cast<std::size_t>(turned ? span - rest : rest);
          const double value = recent_[at * channels_ + c];
          continued_.push_back(static_cast<float>(rise + (turned ? front + back - value : value)));
        }
      }
      if (auto converted = convert(continued_, false); !converted) return converted;
      done += n;
    }
    return {};
  }

  Expected<void> convert(const std::vector<float>& frames, bool last) {
    static constexpr std::size_t out_frames = 4096;
    out_.resize(out_frames * channels_);
    SRC_DATA data{};
    // libsamplerate drains its filter only where there is a pointer to input, even to none.
    static constexpr float nothing = 0;
    data.data_in = frames.empty() ? &nothing : frames.data();
    data.input_frames = static_cast<long>(frames.size() / channels_);
    data.end_of_input = last ? 1 : 0;
    for (;;) {
      const bool leading = lead_left_ > 0;
      data.src_ratio = leading ? static_cast<double>(lead_outputs_) / static_cast<double>(reach_) : ratio_;
      data.data_out = out_.data();
      data.output_frames = static_cast<long>(leading ? std::min(out_frames, lead_left_) : out_frames);
      if (const int error = src_process(state_, &data); error != 0)
        return fail(ErrorCode::bad_input, std::string("resampling: ") + src_strerror(error));
      const auto made = static_cast<std::size_t>(data.output_frames_gen);
      if (leading) {
        lead_left_ -= made;
        if (lead_left_ == 0) src_set_ratio(state_, ratio_);  // at once, not by and by
      } else {
        std::size_t kept = 0;
        while (kept < made && (!ending_ || next_is_within())) {
          advance();
          ++kept;
        }
        pending_.insert(pending_.end(), out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(kept * channels_));
      }
      data.data_in += data.input_frames_used * static_cast<long>(channels_);
      data.input_frames -= data.input_frames_used;
      if (auto done = write_blocks(false); !done) return done;
      if (made == 0 && (data.input_frames == 0 || data.input_frames_used == 0)) return {};
    }
  }

  // Where libsamplerate's output of the piece alone would end: with the last one whose period has room in front of the
  // end. It counts the whole part in values of all channels and the rest in frames; with more than one channel, the
  // very end is behind. Where a period ends just there, rounding decides, which depends on the place in its buffer:
  // that is counted here as well, so that there are as many samples as it would make.
  [[nodiscard]] bool next_is_within() const {
    const auto channels = static_cast<double>(channels_);
    const double place = channels * static_cast<double>(reach_ + next_.whole % buffer_frames_);
    const double end = place + next_.fraction + (1 / ratio_ + 1e-20);
    const double most = place + channels * (static_cast<double>(pushed_) - static_cast<double>(next_.whole));
    return channels_ == 1 ? end <= most : end < most;
  }
  void advance() {
    next_.fraction += 1 / ratio_;
    const double whole = std::floor(next_.fraction);
    next_.fraction -= whole;
    next_.whole += static_cast<std::uint64_t>(whole);
  }

  Expected<void> write_blocks(bool all) {
    const std::size_t block = std::max<std::size_t>(1, static_cast<std::size_t>(target_.sample_frequency->hz() / 10));
    const std::size_t frames = pending_.size() / channels_;
    std::size_t done = 0;
    while (frames - done >= block || (all && done < frames)) {
      const std::size_t n = std::min(block, frames - done);
      const auto tick =
          static_cast<std::uint64_t>(std::max(0.0, std::round(time_of_next() * target_.tick_frequency.hz())));
      bytes_.clear();
      for (std::size_t i = 0; i < n * channels_; ++i) append_le(bytes_, pending_[done * channels_ + i]);
      if (auto put = writer_.append_at(id_, tick, bytes_); !put) return put;
      ++report_.blocks;
      done += n;
      written_ += n;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(done * channels_));
    return {};
  }

  // When the next frame to be written was sampled: by the time of the input's run that it falls into, as the sensor's
  // true rate is not quite its nominal one.
  double time_of_next() {
    const double frame = static_cast<double>(written_) / ratio_;  // of the input
    while (times_.size() > 1 && static_cast<double>(times_[1].frame) <= frame) times_.pop_front();
    return times_[0].time + (frame - static_cast<double>(times_[0].frame)) * ratio_ / target_.sample_frequency->hz();
  }

  struct InputPosition {
    std::uint64_t whole = 0;  // frames
    double fraction = 0;
  };
  struct RunTime {
    std::uint64_t frame = 0;  // of the input, since the piece began
    double time = 0;          // seconds
  };

  const Metadata& target_;
  double ratio_;
  SdszWriter& writer_;
  SdszWriter::StreamId id_;
  EditReport& report_;
  std::size_t channels_;
  SRC_STATE* state_ = nullptr;
  bool active_ = false;
  bool started_ = false;          // what is in front of the piece is converted
  bool ending_ = false;           // what is behind it is being converted
  std::size_t reach_ = 0;         // frames of the input that continue a piece at either end
  std::size_t lead_outputs_ = 0;  // that are dropped in front
  std::size_t lead_left_ = 0;
  std::uint64_t buffer_frames_ = 1;  // of libsamplerate's buffer
  std::vector<float> recent_;        // of the input: all until the piece is started, then the last frames
  std::vector<float> continued_;
  InputPosition next_;         // of the next output
  std::deque<RunTime> times_;  // of the runs that are not written yet
  std::uint64_t pushed_ = 0;   // frames of the input
  std::uint64_t written_ = 0;  // frames of the output
  std::uint64_t without_output_ = 0;
  std::vector<float> pending_;
  std::vector<float> out_;
  Bytes bytes_;
};

}  // namespace

Expected<EditReport> resample(const Recording& recording, std::size_t index, const Frequency& rate,
                              ResampleQuality quality, const std::filesystem::path& output, const EditOptions& options,
                              const OnProgress& on_progress) {
  const StreamInfo& stream = recording.streams()[index];
  auto breaks = BreakFinder::of(recording, index, on_progress);
  if (!breaks) return fail(breaks);
  StreamLosses losses(recording, index);
  SampleOptions sample_options;
  std::vector<StreamLosses::Loss> lost;
  bool broken = false;  // before the samples that come next
  sample_options.on_block = [&](const BlockView& block) {
    auto before = losses.before(block);
    broken = breaks->before(block, !before.empty()) || broken;
    lost.insert(lost.end(), before.begin(), before.end());
  };
  auto reader = SampleReader::open(recording, index, sample_options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& source = reader->metadata();
  if (!source.sample_frequency)
    return fail(ErrorCode::usage, fmt::format("stream {} has no sample-frequency to start from", stream.id),
                stream.path);
  const double ratio = rate.hz() / source.sample_frequency->hz();
  if (src_is_valid_ratio(ratio) == 0)
    return fail(ErrorCode::usage,
                fmt::format("from {} Hz to {} Hz is further than 256 times", source.sample_frequency->hz(), rate.hz()));
  Metadata target;
  target.name = stream.description.name;
  target.description = fmt::format("{}{}resampled from {} Hz", source.description,
                                   source.description.empty() ? "" : "; ", source.sample_frequency->hz());
  target.tick_frequency = source.tick_frequency;
  target.sample_frequency = rate;
  auto chosen = choose_values(source, options.channels);
  if (!chosen) return fail(chosen);
  const auto& values = *chosen;
  for (const auto& ref : values) {
    Channel channel;
    channel.name = ref.name(source);
    channel.type = ScalarType::f32;
    channel.unit = source.channels[ref.channel].unit;
    target.channels.push_back(channel);
  }
  auto session = session_from(recording);
  if (!session) return fail(session);
  session->set("tool", "sdskit resample");
  auto made_of = SourceFingerprint().add(recording).add(stream.id).add(target.description).to_string();
  if (!made_of) return fail(made_of);
  session->set("source", std::move(*made_of));
  std::vector<FileInUse> labels_in_use;
  for (const auto& path : label_files(recording)) labels_in_use.emplace_back(path);
  auto made = NewRecording::create(output, *session, options.level, options.force);
  if (!made) return fail(made);
  StreamDescription description = stream.description;
  description.file_name.clear();
  description.metadata_file_name = description.name + ".sds.yml";
  description.metadata_text = to_yaml(target);
  auto id = (*made)->writer().add_stream(description);
  if (!id) return fail(id);
  EditReport report;
  report.streams = 1;
  PieceResampler piece(target, ratio, (*made)->writer(), *id, report);
  if (auto opened = piece.open(quality); !opened) return fail(opened);
  std::vector<float> frames;
  std::vector<double> column;
  NotFinite not_finite;
  std::set<std::string> with_not_finite;  // channels
  std::uint64_t too_large = 0;
  std::set<std::string> with_too_large;
  std::uint64_t pieces = 0;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    if (std::exchange(broken, false) && piece.active())
      if (auto done = piece.end(); !done) return fail(done);
    if (auto done = add_gaps((*made)->writer(), *id, lost); !done) return fail(done);
    lost.clear();
    if (!piece.active()) {
      piece.begin();
      ++pieces;
    }
    frames.resize(samples.count * values.size());
    column.resize(samples.count);
    for (std::size_t v = 0; v < values.size(); ++v) {
      physical_values(source.channels[values[v].channel], values[v].element, samples.data, samples.count,
                      source.sample_bytes, column.data());
      for (std::size_t k = 0; k < samples.count; ++k) frames[k * values.size() + v] = static_cast<float>(column[k]);
      NotFinite here;
      here.see(std::span<const double>(column));
      if (const auto n = std::count_if(column.begin(), column.end(), is_too_large); n > 0) {
        too_large += static_cast<std::uint64_t>(n);
        with_too_large.insert(values[v].name(source));
      }
      if (here.any()) with_not_finite.insert(values[v].name(source));
      not_finite.see(std::span<const double>(column));
    }
    if (not_finite.any() || too_large > 0) continue;
    if (auto done = piece.push(frames, samples.times[0]); !done) return fail(done);
  }
  if (not_finite.any())
    return fail(ErrorCode::bad_input,
                fmt::format("{} (of {}), which a filter would spread: --channel takes the channels that it names",
                            not_finite.text(stream.id), fmt::join(with_not_finite, ", ")),
                recording.path());
  if (too_large > 0)
    return fail(ErrorCode::bad_input,
                fmt::format("{}: {} {} beyond {:g} (of {}), which a filter of floats would make infinite: --channel "
                            "takes the channels that it names",
                            stream.id, too_large, too_large == 1 ? "value is" : "values are", kLargest,
                            fmt::join(with_too_large, ", ")),
                recording.path());
  if (piece.active())
    if (auto done = piece.end(); !done) return fail(done);
  for (const auto& loss : losses.at_end()) lost.push_back(loss);
  if (auto torn = losses.torn_end()) lost.push_back(std::move(*torn));
  if (auto done = add_gaps((*made)->writer(), *id, lost); !done) return fail(done);
  for (const auto& pair : clocks_of(recording, index))
    if (auto done = (*made)->writer().add_clock(*id, pair); !done) return fail(done);
  report.notes = reader->notes();
  if (pieces > 1)
    report.notes.push_back(
        fmt::format("{}: {} gap{}, each starts the filter anew", stream.id, pieces - 1, pieces == 2 ? "" : "s"));
  if (const auto n = piece.without_output(); n > 0)
    report.notes.push_back(fmt::format("{}: {} piece{} shorter than a sample at {} Hz, and nothing of {} is left",
                                       stream.id, n, n == 1 ? " is" : "s are", rate.hz(), n == 1 ? "it" : "them"));
  report.raw_bytes = (*made)->writer().raw_bytes();
  const auto labels = labels_of_part(recording, {index}, all_time, report);
  if (!labels) return fail(labels);
  const bool any = !labels->labels.empty() || !labels->classes.empty() || names_give_way(recording);
  if (auto done = (*made)->finish(report.notes, any ? &*labels : nullptr); !done) return fail(done);
  return report;
}

}  // namespace sds
