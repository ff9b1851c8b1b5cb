#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "imports.hpp"
#include "new_recording.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/source_fingerprint.hpp"
#include "sound_file_pointer.hpp"
#include "sound_functions.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

// How a file's samples are best kept: as the integers that they are. Audio of 8 bits is unsigned in metadata.
ScalarType type_of(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_U8:
      return ScalarType::u8;
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW:
    case SF_FORMAT_ALAC_16:
      return ScalarType::i16;
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_ALAC_20:
    case SF_FORMAT_ALAC_24:
      return ScalarType::i24;
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_ALAC_32:
      return ScalarType::i32;
    case SF_FORMAT_DOUBLE:
      return ScalarType::f64;
    default:
      return ScalarType::f32;
  }
}

// Bytes of data that a WAV file's header announces and those that it has, where these are fewer. libsndfile goes by
// what is there and says the rest in its log only.
std::optional<std::pair<std::uint64_t, std::uint64_t>> announced_and_there(SNDFILE& sound) {
  std::string log(8192, '\0');
  const int size = libsndfile().sf_command(&sound, SFC_GET_LOG_INFO, log.data(), static_cast<int>(log.size()));
  log.resize(static_cast<std::size_t>(std::max(size, 0)));
  unsigned long long announced = 0;
  unsigned long long there = 0;
  const std::size_t at = log.find("data : ");
  if (at == std::string::npos ||
      std::sscanf(log.c_str() + at, "data : %llu (should be %llu)", &announced, &there) != 2 || announced <= there)
    return std::nullopt;
  return std::pair{announced, there};
}

}  // namespace

Expected<ImportReport> import_audio(const std::filesystem::path& input, const std::filesystem::path& output,
                                    const ImportOptions& options, const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  if (auto there = sound_functions(); !there) return fail(there);
  SF_INFO info{};
  const SoundFilePointer sound(libsndfile().sf_open(input.c_str(), SFM_READ, &info));
  if (!sound) {
    std::error_code ignored;
    const bool there = std::filesystem::exists(input, ignored);
    return fail(there ? ErrorCode::bad_input : ErrorCode::io,
                std::string("cannot be read as audio: ") + libsndfile().sf_strerror(nullptr), input);
  }
  if (info.channels < 1 || info.samplerate < 1 || info.channels > 1024)
    return fail(ErrorCode::bad_input, fmt::format("{} channels at {} Hz are no audio", info.channels, info.samplerate),
                input);
  ImportReport report;
  Metadata m;
  m.name = safe_stream_name(options.stream.empty() ? input.stem().string() : options.stream);
  m.description = "Imported from " + input.filename().string();
  m.tick_frequency = Frequency{static_cast<std::uint32_t>(info.samplerate), 1};
  m.sample_frequency = m.tick_frequency;
  const ScalarType type = type_of(info.format);
  m.is_audio = !is_float(type);
  for (int c = 0; c < info.channels; ++c) {
    Channel channel;
    channel.name = info.channels == 1 ? "audio" : fmt::format("audio_{}", c + 1);
    channel.type = type;
    m.channels.push_back(channel);
  }
  m.sample_bytes = size_of(type) * static_cast<std::size_t>(info.channels);
  Properties session;
  session.set("tool", "sdskit import audio");
  const auto source = SourceFingerprint().add_file(input).to_string();
  if (!source) return fail(source);
  session.set("source", *source);
  session.set("id", *source);
  auto made = NewRecording::create(output, session, options.level, options.force);
  if (!made) return fail(made);
  SdszWriter& writer = (*made)->writer();
  auto id = (*made)->add_stream(m);
  if (!id) return fail(id);
  const auto channels = static_cast<std::size_t>(info.channels);
  const std::size_t frames = std::min<std::size_t>(4096, limits::max_block_bytes / m.sample_bytes);
  std::vector<int> integers(is_float(type) ? 0 : frames * channels);
  std::vector<double> floats(is_float(type) ? frames * channels : 0);
  Bytes block;
  for (;;) {
    const sf_count_t got =
        is_float(type) ? libsndfile().sf_readf_double(sound.get(), floats.data(), static_cast<sf_count_t>(frames))
                       : libsndfile().sf_readf_int(sound.get(), integers.data(), static_cast<sf_count_t>(frames));
    if (got <= 0) break;
    block.clear();
    // libsndfile's integers fill 32 bits from the top.
    const int below_16 = (info.format & SF_FORMAT_SUBMASK) == SF_FORMAT_PCM_S8 ? 24 : 16;
    for (std::size_t i = 0; i < static_cast<std::size_t>(got) * channels; ++i) {
      switch (type) {
        case ScalarType::u8:
          append_le(block, static_cast<std::uint8_t>((integers[i] >> 24) + 128));
          break;
        case ScalarType::i16:
          append_le(block, static_cast<std::int16_t>(integers[i] >> below_16));
          break;
        case ScalarType::i24:
          for (const int shift : {8, 16, 24}) append_le(block, static_cast<std::uint8_t>(integers[i] >> shift));
          break;
        case ScalarType::i32:
          append_le(block, integers[i]);
          break;
        case ScalarType::f64:
          append_le(block, floats[i]);
          break;
        default:
          append_le(block, static_cast<float>(floats[i]));
          break;
      }
    }
    if (auto done = writer.append(*id, static_cast<std::uint32_t>(report.samples), block); !done) return fail(done);
    report.samples += static_cast<std::uint64_t>(got);
    if (auto go_on = sds::report(on_progress, block.size()); !go_on) return fail(go_on);
  }
  if (libsndfile().sf_error(sound.get()) != SF_ERR_NO_ERROR)
    return fail(ErrorCode::bad_input, std::string("cannot be read on: ") + libsndfile().sf_strerror(sound.get()),
                input);
  if (info.frames > 0 && report.samples < static_cast<std::uint64_t>(info.frames))
    report.losses.push_back(
        fmt::format("the file announces {} samples, but ends after {}", info.frames, report.samples));
  if (const auto cut = announced_and_there(*sound))
    report.losses.push_back(fmt::format("the file announces {} bytes of data and has {}", cut->first, cut->second));
  for (const auto& loss : report.losses)
    if (auto done = writer.add_gap(*id, loss); !done) return fail(done);
  for (const int tag : {SF_STR_TITLE, SF_STR_ARTIST, SF_STR_COMMENT, SF_STR_DATE})
    if (const char* text = libsndfile().sf_get_string(sound.get(), tag); text != nullptr && *text != '\0')
      report.notes.push_back(fmt::format("not kept: '{}'", std::string_view(text).substr(0, 100)));
  if (auto done = (*made)->finish(report.notes); !done) return fail(done);
  report.streams = 1;
  return report;
}

}  // namespace sds
