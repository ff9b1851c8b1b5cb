#include <fmt/format.h>

#include "channel_values.hpp"
#include "exported_labels.hpp"
#include "exports.hpp"
#include "hdf5_columns.hpp"
#include "label_file.hpp"
#include "sds/format/partial_file.hpp"
#include "session_ids.hpp"

namespace sds {

namespace {

using namespace hdf5;

void write_labels(hid_t parent, const ExportedLabels& labels) {
  const Handle group = make_group(parent, "labels");
  std::vector<std::string> classes;
  std::vector<std::string> streams;
  std::vector<std::string> authors;
  std::vector<std::string> notes;
  std::vector<double> begins;
  std::vector<double> ends;
  std::vector<double> confidences;
  for (const auto& label : labels.file.labels) {
    classes.push_back(label.name);
    streams.push_back(label.stream);
    authors.push_back(label.author);
    notes.push_back(label.note);
    begins.push_back(labels.seconds_of(label, label.begin));
    ends.push_back(labels.seconds_of(label, label.end));
    confidences.push_back(label.confidence.value_or(std::nan("")));
  }
  write_strings(group, "class", classes);
  write_numbers(group, "begin", begins);
  write_numbers(group, "end", ends);
  write_strings(group, "stream", streams);
  write_strings(group, "author", authors);
  write_strings(group, "note", notes);
  write_numbers(group, "confidence", confidences);
}

Expected<void> write_stream(hid_t parent, const std::string& name, const Recording& recording, std::size_t index,
                            const ExportOptions& options, Executor* executor, const OnProgress& on_progress,
                            ExportReport& report) {
  const StreamInfo& stream = recording.streams()[index];
  auto reader = SampleReader::open(recording, index, options.samples, on_progress, executor);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  const Handle group = make_group(parent, name);
  put_attribute(group, "name", stream.description.name);
  put_attribute(group, "description", metadata.description);
  put_attribute(group, "tick_frequency", metadata.tick_frequency.hz());
  if (metadata.sample_frequency) put_attribute(group, "sample_frequency", metadata.sample_frequency->hz());
  // Attributes end at 64 KiB; longer metadata is kept as a dataset.
  if (stream.description.metadata_text.size() < 60000) {
    put_attribute(group, "metadata", stream.description.metadata_text);
  } else {
    write_strings(group, "metadata", {stream.description.metadata_text});
  }
  ChunkWriter writer(executor);
  std::vector<std::string> taken{"metadata"};
  Column times(group, link_name("time", taken), ScalarType::f64, {}, options.deflate, writer);
  put_attribute(times.id(), "unit", std::string("s"));
  std::vector<std::unique_ptr<Column>> columns;
  for (const auto& channel : metadata.channels) {
    std::vector<hsize_t> shape;
    if (channel.dim_y > 1) shape.push_back(channel.dim_y);
    if (channel.count() > 1) shape.push_back(channel.dim_x);
    const ScalarType type = options.physical ? ScalarType::f64 : packed_type(channel);
    columns.push_back(std::make_unique<Column>(group, link_name(channel.name, taken), type, shape, options.deflate,
                                               writer, metadata.channels.size()));
    const hid_t id = columns.back()->id();
    put_attribute(id, "name", channel.name);
    put_attribute(id, "unit", channel.unit);
    put_attribute(id, "scale", options.physical ? 1.0 : channel.scale);
    put_attribute(id, "offset", options.physical ? 0.0 : channel.offset);
  }
  std::vector<double> column;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    report.samples += samples.count;
    for (std::size_t at = 0; at < samples.count;) {
      const std::size_t n = std::min(times.room(), samples.count - at);
      std::memcpy(times.extend(n), samples.times.data() + at, n * sizeof(double));
      times.commit();
      at += n;
    }
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Channel& channel = metadata.channels[c];
      for (std::size_t at = 0; at < samples.count;) {
        const std::size_t n = std::min(columns[c]->room(), samples.count - at);
        const std::byte* from = samples.data + at * metadata.sample_bytes;
        std::byte* to = columns[c]->extend(n);
        if (!options.physical) {
          raw_values(channel, from, n, metadata.sample_bytes, to);
        } else {
          column.resize(n);
          for (std::size_t e = 0; e < channel.count(); ++e) {
            physical_values(channel, e, from, n, metadata.sample_bytes, column.data());
            for (std::size_t k = 0; k < n; ++k) store_le(to + (k * channel.count() + e) * sizeof(double), column[k]);
          }
        }
        columns[c]->commit();
        at += n;
      }
    }
  }
  times.finish();
  for (const auto& one : columns) one->finish();
  writer.finish();
  for (const auto& note : reader->notes()) report.notes.push_back(note);
  for (auto& note : reader->notes_of_losses("not told in it")) report.notes.push_back(std::move(note));
  ++report.streams;
  return {};
}

}  // namespace

Expected<ExportReport> export_hdf5(const std::vector<NamedRecording>& recordings, const std::filesystem::path& output,
                                   const ExportOptions& options, Executor* executor, const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  if (auto there = hdf5_functions(); !there) return fail(there);
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  ExportReport report;
  try {
    Handle hdf = create_file(file->path());
    put_attribute(hdf, "creator", "sdskit");
    std::vector<std::string> groups;
    for (const auto& [name, recording, streams, within] : recordings) {
      ExportOptions its_options = options;
      const Handle group = make_group(hdf, link_name(name, groups));
      put_attribute(group, "source", recording.path().filename().string());
      const Properties facts = copied_session(recording);
      for (const auto& [key, value] : facts.items())
        if (value.size() < 60000 && key != "source" && !key.empty() && h5().H5Aexists(group, key.c_str()) <= 0)
          put_attribute(group, key.c_str(), value);
      std::vector<std::string> names{"labels"};
      for (const std::size_t index : streams) {
        const StreamInfo& stream = recording.streams()[index];
        if (const auto why = why_no_samples(stream)) {
          report.notes.push_back(fmt::format("{}: stream {} is left out: {}", name, stream.id, *why));
          continue;
        }
        its_options.samples.within = within.of(index);
        if (auto done = write_stream(group, link_name(stream.id, names), recording, index, its_options, executor,
                                     on_progress, report);
            !done)
          return fail(done);
      }
      auto labels = exported_labels(recording, streams, within, options.samples.normalize, report.notes);
      if (!labels) return fail(labels);
      if (!labels->file.labels.empty()) write_labels(group, *labels);
    }
    close_file(std::move(hdf));
  } catch (const HdfProblem& problem) {
    return fail(ErrorCode::io, problem.message, output);
  }
  if (report.streams == 0) return no_stream_with_values(recordings.front().recording, report.notes);
  if (auto kept = file->keep(); !kept) return fail(kept);
  report.files.push_back(output);
  return report;
}

}  // namespace sds
