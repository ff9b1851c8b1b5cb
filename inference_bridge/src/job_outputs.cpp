#include "job_outputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "output_metadata.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/source_fingerprint.hpp"

namespace sds {

namespace {

Expected<void> take_metadata(StreamDescription& description, const std::filesystem::path& file) {
  auto text = read_small_file(file, limits::max_metadata_bytes);
  if (!text) return fail(text);
  if (auto parsed = Metadata::parse(*text, file); !parsed) return fail(parsed);
  description.metadata_text = std::move(*text);
  description.metadata_file_name = description.name + ".sds.yml";
  return {};
}

// An output's metadata: `given`, else what the algorithm says, else that of a stream of its name in the recording (what
// the device recorded live), else that of a file of its name beside the recording, else none.
Expected<StreamDescription> describe_output(const OutputPort& port, const Recording& recording, const StreamInfo& input,
                                            const std::filesystem::path& given) {
  StreamDescription description;
  description.name = port.name;
  description.label = input.description.label.empty() ? "0" : input.description.label;
  description.playback = true;
  if (!given.empty()) {
    if (auto taken = take_metadata(description, given); !taken) return fail(taken);
    return description;
  }
  if (!port.metadata.empty()) {
    if (auto parsed = Metadata::parse(port.metadata, port.name + ".sds.yml"); !parsed) return fail(parsed);
    description.metadata_text = port.metadata;
    description.metadata_file_name = port.name + ".sds.yml";
    return description;
  }
  for (const auto& stream : recording.streams()) {
    if (stream.description.name != port.name || stream.description.metadata_file_name.empty()) continue;
    if (stream.metadata_error) return tl::unexpected<Error>(*stream.metadata_error);
    description.metadata_text = stream.description.metadata_text;
    description.metadata_file_name = port.name + ".sds.yml";
    return description;
  }
  SdsFileName name{port.name, "", false};
  const auto found = find_metadata(input.path.parent_path() / (port.name + ".sds"), name);
  if (!found || recording.sdsz()) return description;
  if (auto taken = take_metadata(description, *found); !taken) return fail(taken);
  return description;
}

// Ticks are the input's: metadata that names no frequency gets that, so that times are the input's, too.
void tell_frequency(StreamDescription& description, const Frequency& frequency, std::vector<std::string>& notes) {
  if (frequency == Frequency{}) return;
  const bool any = Metadata::parse(description.metadata_text, "").has_value();
  const auto text = any ? with_tick_frequency(description.metadata_text, frequency) : std::nullopt;
  if (text) {
    description.metadata_text = *text;
    return;
  }
  notes.push_back(fmt::format(
      "the times of {} are wrong: its ticks are those of the input, {} a second, and {} (--out-yaml names a "
      "file with 'tick-frequency: {}')",
      description.name, frequency.to_string(),
      any ? "its metadata leaves no place to say so" : "it has no metadata to say so", frequency.to_string()));
}

// A file of the output's name beside the library may be meant for it: said, not taken, for nobody named it.
void tell_of_metadata_beside(const StreamDescription& output, const AlgorithmSpec& spec,
                             std::vector<std::string>& notes) {
  if (spec.kind != AlgorithmSpec::Kind::library || !output.metadata_text.empty()) return;
  const auto file = spec.path.parent_path() / (output.name + ".sds.yml");
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return;
  StreamDescription described;
  if (auto taken = take_metadata(described, file); !taken) {
    notes.push_back(fmt::format("{} has no metadata; those beside the library cannot be read: {}", output.name,
                                taken.error().to_string()));
    return;
  }
  std::vector<std::string> names;
  const auto metadata = Metadata::parse(described.metadata_text, file);
  for (const auto& channel : metadata->channels) names.push_back(channel.name);
  notes.push_back(
      fmt::format("{} has no metadata, so that it is bytes; with '--out-yaml {}', which lies beside the "
                  "library, its values would be: {}",
                  output.name, file.string(), fmt::join(names, ", ")));
}

// Which of the outputs the file describes: the only one, else that of its name; none is an error. If it is for others,
// too: that of its name, or the only one, which has no metadata of its own; or none.
Expected<std::optional<std::size_t>> described_output(const std::vector<OutputPort>& outputs, const ReplayJob& job) {
  const auto& file = job.out_metadata;
  auto text = read_small_file(file, limits::max_metadata_bytes);
  if (!text) return fail(text);
  const auto metadata = Metadata::parse(*text, file);
  if (!metadata) return fail(metadata);
  const bool is_for_others = job.may_be_idle.contains(JobPart::out_metadata);
  const auto found =
      std::find_if(outputs.begin(), outputs.end(), [&](const auto& port) { return port.name == metadata->name; });
  const bool takes_any = outputs.size() == 1 && (!is_for_others || outputs[0].metadata.empty());
  if (found == outputs.end() && !takes_any) {
    if (is_for_others) return std::nullopt;
    std::vector<std::string> names;
    names.reserve(outputs.size());
    for (const auto& port : outputs) names.push_back(port.name);
    return fail(
        ErrorCode::usage,
        fmt::format("the metadata of '{}' are of none of the outputs {}", metadata->name, fmt::join(names, ", ")),
        file);
  }
  return found == outputs.end() ? 0 : static_cast<std::size_t>(found - outputs.begin());
}

// One output of a library with Arm's functions is as large as was said. Of others with metadata of their own, what is
// given instead has to fit.
Expected<void> check_size(const OutputPort& port, const StreamDescription& description, bool is_given,
                          bool has_arms_functions, const ReplayJob& job) {
  if (!has_arms_functions && !(is_given && !port.metadata.empty())) return {};
  const auto file = is_given ? job.out_metadata : std::filesystem::path(description.metadata_file_name);
  const auto metadata = Metadata::parse(description.metadata_text, file);
  if (!metadata || metadata->sample_bytes == 0 || port.max_bytes % metadata->sample_bytes == 0) return {};
  return fail(ErrorCode::usage,
              fmt::format("samples of {} bytes are none of what {} holds, {} bytes", metadata->sample_bytes, port.name,
                          port.max_bytes),
              file);
}

}  // namespace

Expected<OutputRecorder> record_outputs(const Recording& recording, const ReplayJob& job, std::size_t input_stream,
                                        const std::vector<OutputPort>& outputs, std::set<JobPart>& idle,
                                        std::vector<std::string>& notes) {
  std::vector<StreamDescription> streams;
  const StreamInfo& input = recording.streams()[input_stream];
  std::optional<std::size_t> described;
  if (!job.out_metadata.empty()) {
    auto found = described_output(outputs, job);
    if (!found) return fail(found);
    described = *found;
    if (!described) idle.insert(JobPart::out_metadata);
  }
  const bool has_arms_functions = job.algorithm.arm_output.max_bytes > 0 && !idle.contains(JobPart::arm_output);
  for (const auto& port : outputs) {
    if (auto ok = check_stream_name(port.name); !ok) {
      ok.error().message = "the algorithm's output cannot be recorded: " + ok.error().message;
      return fail(ok);
    }
    const bool is_given = described == streams.size();
    auto description = describe_output(port, recording, input, is_given ? job.out_metadata : "");
    if (!description) return fail(description);
    if (auto fits = check_size(port, *description, is_given, has_arms_functions, job); !fits) return fail(fits);
    tell_of_metadata_beside(*description, job.algorithm, notes);
    streams.push_back(std::move(*description));
  }
  for (auto& stream : streams) tell_frequency(stream, input.tick_frequency(), notes);
  Properties session;
  session.set("tool", "sdskit replay");
  session.set("input", recording.path().filename().string());
  session.set("algorithm", job.algorithm.name());
  auto source = SourceFingerprint().add(recording).to_string();
  if (!source) return fail(source);
  session.set("source", std::move(*source));
  return OutputRecorder::create(job.output, streams, session, job.if_exists, job.naming);
}

}  // namespace sds
