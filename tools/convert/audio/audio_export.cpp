#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <span>

#include "audio_formats.hpp"
#include "channel_values.hpp"
#include "closed_gaps.hpp"
#include "exports.hpp"
#include "not_finite.hpp"
#include "sds/format/partial_file.hpp"
#include "sound_file_pointer.hpp"
#include "sound_functions.hpp"

namespace sds {

namespace {

// A PartialFile as libsndfile wants a file: it comes back to its headers when it closes, and does not tell whether
// that succeeded. The PartialFile knows, and keep() tells.
class SoundFile {
 public:
  explicit SoundFile(PartialFile& file) : file_(file) {}
  SF_VIRTUAL_IO calls() {
    SF_VIRTUAL_IO io{};
    io.get_filelen = [](void* self) { return static_cast<SoundFile*>(self)->size_; };
    io.seek = [](sf_count_t offset, int whence, void* self) {
      return static_cast<SoundFile*>(self)->seek(offset, whence);
    };
    io.read = [](void*, sf_count_t, void*) { return sf_count_t{0}; };
    io.write = [](const void* data, sf_count_t bytes, void* self) {
      return static_cast<SoundFile*>(self)->write(data, bytes);
    };
    io.tell = [](void* self) { return static_cast<SoundFile*>(self)->at_; };
    return io;
  }
  /// What stopped the writing, if anything did.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  sf_count_t seek(sf_count_t offset, int whence) {
    at_ = offset + (whence == SEEK_CUR ? at_ : whence == SEEK_END ? size_ : 0);
    return at_;
  }
  sf_count_t write(const void* data, sf_count_t bytes) {
    const ByteView view(static_cast<const std::byte*>(data), static_cast<std::size_t>(bytes));
    if (auto done = file_.write_at(static_cast<std::uint64_t>(at_), view); !done) {
      if (!error_) error_ = done.error();
      return 0;
    }
    at_ += bytes;
    size_ = std::max(size_, at_);
    return bytes;
  }

  PartialFile& file_;
  sf_count_t at_ = 0;
  sf_count_t size_ = 0;
  std::optional<Error> error_;
};

// How samples are stored: integers of up to `bits`, or floats.
struct SampleForm {
  bool floats = false;
  bool doubles = false;
  unsigned bits = 0;   // integers
  bool bytes = false;  // all channels are unsigned bytes
};

SampleForm form_of(const Metadata& metadata, bool physical) {
  SampleForm form;
  form.bytes = true;
  unsigned widest_integer = 0;
  for (const auto& channel : metadata.channels) {
    const bool is_double = channel.type == ScalarType::f64;
    form.floats = form.floats || physical || is_float(channel.type);
    form.doubles = form.doubles || is_double;
    const unsigned bits = channel.bits != 0 ? channel.bits : static_cast<unsigned>(8 * size_of(channel.type));
    if (!is_float(channel.type)) widest_integer = std::max(widest_integer, bits);
    form.bits = std::max(form.bits, is_signed(channel.type) ? bits : bits + 1);
    form.bytes = form.bytes && channel.type == ScalarType::u8 && channel.bits == 0;
  }
  if (form.bytes) form.bits = 8;
  // Beside floats, integers of more than 24 bits need doubles.
  form.doubles = form.doubles || widest_integer > 24;
  return form;
}

// How many of a channel's values a float (of 32 bits, or a double) does not hold.
std::uint64_t count_rounded(const Channel& channel, std::size_t element, const SampleRun& samples, std::size_t stride,
                            std::span<const double> values, bool doubles) {
  std::uint64_t rounded = 0;
  const bool wide = need_all_digits(channel);
  const std::byte* sample = samples.data;
  for (std::size_t k = 0; k < samples.count; ++k, sample += stride) {
    const double value = doubles ? values[k] : static_cast<double>(static_cast<float>(values[k]));
    // A whole number of more than 53 bits is rounded to a double already.
    const bool same = wide ? ExactNumber(value) == exact_value(channel, sample, element)
                           : value == values[k] || std::isnan(values[k]);
    if (!same) ++rounded;
  }
  return rounded;
}

// libsndfile's subtype that holds the form in this container; 0 if there is none.
int subtype_for(int container, const SampleForm& form, int channels, int rate) {
  std::vector<int> candidates;
  if (form.floats) {
    candidates = form.doubles ? std::vector<int>{SF_FORMAT_DOUBLE, SF_FORMAT_FLOAT} : std::vector<int>{SF_FORMAT_FLOAT};
    candidates.push_back(SF_FORMAT_VORBIS);
    candidates.push_back(SF_FORMAT_OPUS);
  } else {
    if (form.bytes) candidates = {SF_FORMAT_PCM_U8};
    if (form.bits <= 16) candidates.push_back(SF_FORMAT_PCM_16);
    if (form.bits <= 24) candidates.push_back(SF_FORMAT_PCM_24);
    if (form.bits <= 32) candidates.push_back(SF_FORMAT_PCM_32);
    candidates.push_back(SF_FORMAT_DOUBLE);
    candidates.push_back(SF_FORMAT_VORBIS);
  }
  for (const int subtype : candidates) {
    SF_INFO info{};
    info.channels = channels;
    info.samplerate = rate;
    info.format = container | subtype;
    if (libsndfile().sf_format_check(&info) != 0) return subtype;
  }
  return 0;
}

int bits_of(int subtype) {
  switch (subtype) {
    case SF_FORMAT_PCM_U8:
      return 8;
    case SF_FORMAT_PCM_16:
      return 16;
    case SF_FORMAT_PCM_24:
      return 24;
    default:
      return 32;
  }
}

}  // namespace

int audio_container(const std::filesystem::path& path) {
  static const std::map<std::string, int> containers{
      {".wav", SF_FORMAT_WAV},   {".flac", SF_FORMAT_FLAC},  {".aiff", SF_FORMAT_AIFF}, {".aif", SF_FORMAT_AIFF},
      {".au", SF_FORMAT_AU},     {".snd", SF_FORMAT_AU},     {".caf", SF_FORMAT_CAF},   {".w64", SF_FORMAT_W64},
      {".rf64", SF_FORMAT_RF64}, {".ogg", SF_FORMAT_OGG},    {".oga", SF_FORMAT_OGG},   {".voc", SF_FORMAT_VOC},
      {".mat", SF_FORMAT_MAT5},  {".wavex", SF_FORMAT_WAVEX}};
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto found = containers.find(extension);
  return found == containers.end() ? 0 : found->second;
}

Expected<ExportReport> export_audio(const Recording& recording, std::size_t index, const std::filesystem::path& output,
                                    const ExportOptions& options, const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  if (auto there = sound_functions(); !there) return fail(there);
  const StreamInfo& stream = recording.streams()[index];
  SampleOptions sample_options = options.samples;
  ClosedGaps closed(recording, index, sample_options.within, options.gap_rule);
  sample_options.on_block = [&](const BlockView& block) { closed.read(block); };
  auto reader = SampleReader::open(recording, index, sample_options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  if (!metadata.sample_frequency)
    return fail(ErrorCode::usage, fmt::format("stream {} has no sample-frequency: it is no audio", stream.id),
                stream.path);
  ExportReport report;
  const double exact_rate = metadata.sample_frequency->hz();
  const int rate = static_cast<int>(std::min(std::max(1.0, std::round(exact_rate)), 2e9));
  if (rate != exact_rate)
    report.notes.push_back(fmt::format("{}: {} Hz is written as {} Hz", stream.id, exact_rate, rate));
  const auto values = all_values(metadata);
  static constexpr std::size_t max_channels = 1024;
  if (values.size() > max_channels)
    return fail(ErrorCode::limit,
                fmt::format("{} values a sample; audio files have at most {} channels", values.size(), max_channels));
  const int channels = static_cast<int>(values.size());
  const SampleForm form = form_of(metadata, options.physical);
  int container = audio_container(output);
  if (container == 0)
    return fail(ErrorCode::usage,
                fmt::format("'{}' is no audio format that is known: wav, flac, aiff, au, caf, w64, rf64, ogg, voc",
                            output.extension().string()),
                output);
  // By its own size a WAV file ends at 4 GB; widening may take up to four times what the recording has.
  if (container == SF_FORMAT_WAV && stream.raw_bytes > 1'000'000'000) container = SF_FORMAT_RF64;
  const int subtype = subtype_for(container, form, channels, rate);
  if (subtype == 0)
    return fail(
        ErrorCode::unsupported,
        fmt::format("{} files cannot hold {} channel{} of {} at {} Hz", output.extension().string(), channels,
                    channels == 1 ? "" : "s", form.floats ? "floats" : fmt::format("{}-bit integers", form.bits), rate),
        output);
  const bool lossy = subtype == SF_FORMAT_VORBIS || subtype == SF_FORMAT_OPUS;
  const bool as_floats = form.floats || subtype == SF_FORMAT_DOUBLE || lossy;
  if (lossy) report.notes.push_back(fmt::format("{}: compressed with loss", output.filename().string()));
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  SF_INFO info{};
  info.channels = channels;
  info.samplerate = rate;
  info.format = container | subtype;
  SoundFile target(*file);
  SF_VIRTUAL_IO calls = target.calls();
  SoundFilePointer sound(libsndfile().sf_open_virtual(&calls, SFM_WRITE, &info, &target));
  const auto problem = [&]() -> tl::unexpected<Error> {
    if (target.error()) return tl::unexpected<Error>(*target.error());
    return fail(ErrorCode::io, std::string("cannot write audio: ") + libsndfile().sf_strerror(sound.get()), output);
  };
  if (!sound) return problem();
  // Peaks carry the time of day; files of the same samples shall be the same.
  libsndfile().sf_command(sound.get(), SFC_SET_ADD_PEAK_CHUNK, nullptr, SF_FALSE);
  if (container == SF_FORMAT_RF64) libsndfile().sf_command(sound.get(), SFC_RF64_AUTO_DOWNGRADE, nullptr, SF_TRUE);
  const int shift = 32 - bits_of(subtype);
  const double middle = subtype == SF_FORMAT_PCM_U8 ? 128 : 0;
  // These encoders take floats of -1 to 1: of integers, 1 is beyond the largest.
  const bool to_full_scale = lossy && !form.floats;
  const double full_scale = std::ldexp(1.0, static_cast<int>(form.bits) - 1);
  const double silence = form.bytes ? 128 : 0;
  std::vector<double> column;
  std::vector<double> doubles;
  std::vector<int> integers;
  double largest = 0;
  NotFinite not_finite;
  // Channels that floats may not hold, and how many of their values are rounded.
  const bool as_doubles = subtype == SF_FORMAT_DOUBLE;
  const bool may_round = as_floats && !lossy && !options.physical && (as_doubles ? form.bits > 53 : form.doubles);
  std::map<std::string, std::uint64_t> rounded;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    closed.wrote(samples);
    report.samples += samples.count;
    column.resize(samples.count);
    const std::size_t total = samples.count * values.size();
    if (as_floats) {
      doubles.resize(total);
    } else {
      integers.resize(total);
    }
    for (std::size_t v = 0; v < values.size(); ++v) {
      Channel channel = metadata.channels[values[v].channel];
      if (!options.physical) channel.scale = 1;
      if (!options.physical) channel.offset = 0;
      physical_values(channel, values[v].element, samples.data, samples.count, metadata.sample_bytes, column.data());
      not_finite.see(std::span<const double>(column));
      if (may_round)
        if (const auto n =
                count_rounded(channel, values[v].element, samples, metadata.sample_bytes, column, as_doubles))
          rounded[values[v].name(metadata)] += n;
      for (std::size_t k = 0; k < samples.count; ++k) {
        const double value = to_full_scale ? (column[k] - silence) / full_scale : column[k];
        largest = std::max(largest, std::abs(value));
        if (as_floats) {
          doubles[k * values.size() + v] = value;
        } else {
          integers[k * values.size() + v] =
              static_cast<int>(static_cast<std::uint32_t>(static_cast<std::int64_t>(value - middle)) << shift);
        }
      }
    }
    const auto frames = static_cast<sf_count_t>(samples.count);
    const sf_count_t written = as_floats ? libsndfile().sf_writef_double(sound.get(), doubles.data(), frames)
                                         : libsndfile().sf_writef_int(sound.get(), integers.data(), frames);
    if (written != frames) return problem();
  }
  for (const auto& [name, count] : rounded)
    report.notes.push_back(fmt::format("{}: {} value{} of {} {} rounded to {}-bit floats, the widest that {} has",
                                       stream.id, count, count == 1 ? "" : "s", name, count == 1 ? "is" : "are",
                                       as_doubles ? 64 : 32, output.extension().string()));
  if (not_finite.any()) report.notes.push_back(not_finite.text(stream.id));
  if (lossy && largest > 1)
    report.notes.push_back(fmt::format("{}: values up to {:.6g} are kept, but full scale is 1: players clip them there",
                                       stream.id, largest));
  for (const auto& note : reader->notes()) report.notes.push_back(note);
  auto notes_of_closed = closed.notes(*reader, "audio files have none", on_progress);
  if (!notes_of_closed) return fail(notes_of_closed);
  for (auto& note : *notes_of_closed) report.notes.push_back(std::move(note));
  for (const auto& channel : metadata.channels)
    if (!options.physical && !channel.is_raw()) {
      report.notes.push_back(
          fmt::format("{}: raw values, scales and units are not kept (--physical writes scaled floats)", stream.id));
      break;
    }
  if (libsndfile().sf_error(sound.get()) != 0) return problem();
  if (libsndfile().sf_close(sound.release()) != 0) return fail(ErrorCode::io, "cannot finish the audio file", output);
  if (auto kept = file->keep(); !kept) return fail(kept);
  report.streams = 1;
  report.files.push_back(output);
  return report;
}

}  // namespace sds
