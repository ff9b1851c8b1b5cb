#include <fmt/format.h>

#include <array>

#include "channel_values.hpp"
#include "exported_labels.hpp"
#include "exports.hpp"
#include "label_file.hpp"
#include "npz_writer.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

namespace {

std::string python_string(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "'";
}

// Header 1.0 is Latin-1 and headers are compared as text: field names stay ASCII.
std::string field_name(const std::string& name, std::vector<std::string>& taken) {
  std::string ascii;
  for (const char c : name) ascii += static_cast<unsigned char>(c) < 0x80 ? c : '_';
  if (ascii.empty()) ascii = "_";
  std::string unique = ascii;
  for (int n = 2; std::find(taken.begin(), taken.end(), unique) != taken.end(); ++n)
    unique = fmt::format("{}_{}", ascii, n);
  taken.push_back(unique);
  return unique;
}

Expected<std::uint64_t> count_samples(const Recording& recording, std::size_t stream, const ExportOptions& options) {
  auto reader = SampleReader::open(recording, stream, options.samples, {});
  if (!reader) return fail(reader);
  std::uint64_t count = 0;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) return count;
    count += (*run)->count;
  }
}

// One pass over a stream that hands each run to `take`.
Expected<std::vector<std::string>> for_each_run(const Recording& recording, std::size_t stream,
                                                const ExportOptions& options, const OnProgress& on_progress,
                                                const std::function<Expected<void>(const SampleRun&)>& take) {
  auto reader = SampleReader::open(recording, stream, options.samples, on_progress);
  if (!reader) return fail(reader);
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) {
      auto notes = reader->notes();
      for (auto& note : reader->notes_of_losses("not told in it")) notes.push_back(std::move(note));
      return notes;
    }
    if (auto done = take(**run); !done) return fail(done);
  }
}

Expected<void> write_stream(NpzWriter& npz, FileNames& names, const Recording& recording, std::size_t index,
                            const ExportOptions& options, const OnProgress& on_progress, ExportReport& report) {
  const StreamInfo& stream = recording.streams()[index];
  auto count = count_samples(recording, index, options);
  if (!count) return fail(count);
  const Metadata& metadata = *stream.metadata;
  std::string descr = "[";
  std::size_t row_bytes = 0;
  std::vector<std::string> taken;
  for (const auto& channel : metadata.channels) {
    const ScalarType type = options.physical ? ScalarType::f64 : packed_type(channel);
    std::string shape;
    if (channel.dim_y > 1) {
      shape = fmt::format(", ({}, {})", channel.dim_y, channel.dim_x);
    } else if (channel.count() > 1) {
      shape = fmt::format(", ({},)", channel.dim_x);
    }
    descr += fmt::format("({}, '{}'{}), ", python_string(field_name(channel.name, taken)), npy_type(type), shape);
    row_bytes += channel.count() * size_of(type);
  }
  descr += "]";
  const std::string shape = fmt::format("({},)", *count);
  // Members of an archive become files where it is unpacked.
  static constexpr std::array<std::string_view, 2> beside{".time.npy", ".metadata.npy"};
  std::string name = names.take(stream.id, ".npy", beside);
  name.resize(name.size() - 4);
  if (auto done = npz.begin(name, descr, shape, *count * row_bytes); !done) return done;
  Bytes rows;
  Bytes values;
  std::vector<double> column;
  auto notes = for_each_run(recording, index, options, on_progress, [&](const SampleRun& samples) -> Expected<void> {
    report.samples += samples.count;
    rows.resize(samples.count * row_bytes);
    std::size_t offset = 0;
    for (const auto& channel : metadata.channels) {
      const std::size_t elements = channel.count();
      const std::size_t width = size_of(options.physical ? ScalarType::f64 : packed_type(channel));
      values.resize(samples.count * elements * width);
      if (!options.physical) {
        raw_values(channel, samples.data, samples.count, metadata.sample_bytes, values.data());
      } else {
        column.resize(samples.count);
        for (std::size_t e = 0; e < elements; ++e) {
          physical_values(channel, e, samples.data, samples.count, metadata.sample_bytes, column.data());
          for (std::size_t k = 0; k < samples.count; ++k)
            store_le(values.data() + (k * elements + e) * width, column[k]);
        }
      }
      for (std::size_t k = 0; k < samples.count; ++k)
        std::memcpy(rows.data() + k * row_bytes + offset, values.data() + k * elements * width, elements * width);
      offset += elements * width;
    }
    return npz.append(rows);
  });
  if (!notes) return fail(notes);
  report.notes.insert(report.notes.end(), notes->begin(), notes->end());
  if (auto done = npz.begin(name + ".time", "'<f8'", shape, *count * sizeof(double)); !done) return done;
  auto times = for_each_run(recording, index, options, {}, [&](const SampleRun& samples) {
    rows.clear();
    for (const double time : samples.times) append_le(rows, time);
    return npz.append(rows);
  });
  if (!times) return fail(times);
  const std::string& text = stream.description.metadata_text;
  ++report.streams;
  return npz.put(name + ".metadata", fmt::format("'|S{}'", std::max<std::size_t>(1, text.size())), "()",
                 as_bytes(text.empty() ? std::string_view("\0", 1) : std::string_view(text)));
}

}  // namespace

Expected<ExportReport> export_npz(const Recording& recording, const std::vector<std::size_t>& streams,
                                  const std::filesystem::path& output, const ExportOptions& options,
                                  const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  auto npz = NpzWriter::create(file->borrow_sink(), options.compress);
  if (!npz) return fail(npz);
  ExportReport report;
  FileNames members;
  for (const auto* reserved : {"labels.class", "labels.stream", "labels.time"}) members.take(reserved, ".npy");
  for (const std::size_t index : streams) {
    if (const auto why = why_no_samples(recording.streams()[index])) {
      report.notes.push_back(fmt::format("stream {} is left out: {}", recording.streams()[index].id, *why));
      continue;
    }
    ExportOptions its_options = options;
    its_options.samples.within = options.within.of(index);
    if (auto done = write_stream(**npz, members, recording, index, its_options, on_progress, report); !done)
      return fail(done);
  }
  if (report.streams == 0) return no_stream_with_values(recording, report.notes);
  auto labels = exported_labels(recording, streams, options.within, options.samples.normalize, report.notes);
  if (!labels) return fail(labels);
  if (const auto& all = labels->file.labels; !all.empty()) {
    const std::size_t n = all.size();
    const auto put_names = [&](const char* member, std::string Label::*text) {
      std::vector<std::string> names;
      names.reserve(n);
      for (const auto& label : all) names.push_back(label.*text);
      return (*npz)->put_texts(member, names);
    };
    Bytes spans;
    for (const auto& label : all) {
      append_le(spans, labels->seconds_of(label, label.begin));
      append_le(spans, labels->seconds_of(label, label.end));
    }
    if (auto done = put_names("labels.class", &Label::name); !done) return fail(done);
    if (auto done = put_names("labels.stream", &Label::stream); !done) return fail(done);
    if (auto done = (*npz)->put("labels.time", "'<f8'", fmt::format("({}, 2)", n), spans); !done) return fail(done);
  }
  if (auto done = (*npz)->close(); !done) return fail(done);
  if (auto kept = file->keep(); !kept) return fail(kept);
  report.files.push_back(output);
  return report;
}

}  // namespace sds
