#include <fmt/format.h>

#include <algorithm>

#include "channel_values.hpp"
#include "closed_gaps.hpp"
#include "exports.hpp"
#include "json_text.hpp"
#include "label_tools.hpp"
#include "not_finite.hpp"
#include "sds/format/partial_file.hpp"
#include "value_text.hpp"

namespace sds {

namespace {

// The document, written from front to back in either of its two encodings. Both have the same structure, so that one
// exporter serves both; arrays of unknown length are CBOR's indefinite ones (RFC 8949, 3.2.2).
class Document {
 public:
  Document(ByteSink& sink, bool cbor) : sink_(sink), cbor_(cbor) {}

  void begin_map() { open(0xBF, '{'); }
  void end_map() { close('}'); }
  void begin_array() { open(0x9F, '['); }
  void end_array() { close(']'); }
  void key(const std::string& name) {
    text(name);
    if (!cbor_) {
      out_ += ':';
      comma_ = false;
    }
  }
  void text(const std::string& value) {
    separate();
    if (cbor_) {
      head(3, value.size());
      out_ += value;
    } else {
      out_ += json_string(value);
    }
  }
  void number(double value) {
    separate();
    if (cbor_) {
      std::array<char, 9> bytes{};
      bytes[0] = static_cast<char>(0xFB);
      const auto bits = std::bit_cast<std::uint64_t>(value);
      for (std::size_t i = 0; i < 8; ++i) bytes[1 + i] = static_cast<char>(bits >> (56 - 8 * i) & 0xFF);
      out_.append(bytes.data(), bytes.size());
    } else {
      out_.append(number_.data(), write_number(number_.data(), value));
    }
  }
  /// An integer of 64 bits.
  void whole(WholeNumber value) {
    separate();
    const bool negative = value < 0;
    if (cbor_) {
      head(negative ? 1 : 0, static_cast<std::uint64_t>(negative ? -1 - value : value));
    } else {
      out_ += negative ? std::to_string(static_cast<std::int64_t>(value))
                       : std::to_string(static_cast<std::uint64_t>(value));
    }
  }
  void line_break() {
    if (!cbor_) out_ += '\n';
  }
  Expected<void> flush(bool all) {
    if (!all && out_.size() < (1u << 18)) return {};
    auto done = sink_.append(as_bytes(out_));
    out_.clear();
    return done;
  }

 private:
  void separate() {
    if (!cbor_ && comma_) out_ += ',';
    comma_ = true;
  }
  void open(int cbor_byte, char json) {
    separate();
    out_ += cbor_ ? static_cast<char>(cbor_byte) : json;
    comma_ = false;
  }
  void close(char json) {
    out_ += cbor_ ? static_cast<char>(0xFF) : json;
    comma_ = true;
  }
  void head(unsigned major, std::uint64_t n) {
    const unsigned first = major << 5;
    const int bytes = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
    out_ += static_cast<char>(first | (bytes == 0 ? n : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27));
    for (int i = bytes - 1; i >= 0; --i) out_ += static_cast<char>(n >> (8 * i) & 0xFF);
  }

  ByteSink& sink_;
  bool cbor_;
  bool comma_ = false;
  std::string out_;
  std::array<char, max_number_chars> number_{};
};

// What is the class of a stream's samples, from labels of these classes (none: of all).
Expected<ClassRuns> runs_of(const Recording& recording, const StreamInfo& stream,
                            const std::vector<std::string>& classes, std::vector<std::string>& notes) {
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  if (auto note = note_of_rounded(*labels)) notes.push_back(std::move(*note));
  if (!classes.empty())
    std::erase_if(labels->labels, [&](const Label& label) {
      return std::find(classes.begin(), classes.end(), label.name) == classes.end();
    });
  return ClassRuns(class_timeline(*labels, stream.id));
}

}  // namespace

Expected<ExportReport> export_edge_impulse(const Recording& recording, std::size_t index,
                                           const std::filesystem::path& output, bool cbor, const ExportOptions& options,
                                           const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, options.force); !ok) return fail(ok);
  const StreamInfo& stream = recording.streams()[index];
  SampleOptions sample_options = options.samples;
  ClosedGaps closed(recording, index, sample_options.within, options.gap_rule);
  sample_options.on_block = [&](const BlockView& block) { closed.read(block); };
  auto reader = SampleReader::open(recording, index, sample_options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  const auto rate = metadata.sample_frequency ? metadata.sample_frequency : metadata.block_frequency;
  if (!rate)
    return fail(ErrorCode::usage, fmt::format("stream {} has no sample-frequency, which this format needs", stream.id),
                stream.path);
  ExportReport report;
  auto runs = options.multi_label ? runs_of(recording, stream, options.label_classes, report.notes) : ClassRuns({});
  if (!runs) return fail(runs);
  auto file = PartialFile::create(output, if_exists(options.force));
  if (!file) return fail(file);
  Document document(file->sink(), cbor);
  const auto values = all_values(metadata);
  document.begin_map();
  document.key("protected");
  document.begin_map();
  document.key("ver");
  document.text("v1");
  document.key("alg");
  document.text("none");
  document.end_map();
  document.key("signature");
  document.text(std::string(64, '0'));
  document.key("payload");
  document.begin_map();
  if (recording.sdsz() && recording.sdsz()->session().get("device")) {
    document.key("device_name");
    document.text(*recording.sdsz()->session().get("device"));
  }
  document.key("device_type");
  document.text(options.device_type);
  document.key("interval_ms");
  document.number(1000.0 * rate->denominator / rate->numerator);
  document.key("sensors");
  document.begin_array();
  for (const auto& ref : values) {
    document.begin_map();
    document.key("name");
    document.text(ref.name(metadata));
    document.key("units");
    document.text(metadata.is_audio                             ? "wav"
                  : metadata.channels[ref.channel].unit.empty() ? "N/A"
                                                                : metadata.channels[ref.channel].unit);
    document.end_map();
  }
  document.end_array();
  document.key("values");
  document.begin_array();
  std::vector<std::vector<double>> columns(values.size());
  std::vector<bool> wide;  // integers that doubles do not hold
  wide.reserve(values.size());
  for (const auto& ref : values) wide.push_back(need_all_digits(metadata.channels[ref.channel]));
  NotFinite not_finite;  // JSON has none, and the service takes none
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    closed.wrote(samples);
    report.samples += samples.count;
    if (options.multi_label)
      for (const double time : samples.times) runs->add(time);
    for (std::size_t v = 0; v < values.size(); ++v) {
      columns[v].resize(samples.count);
      physical_values(metadata.channels[values[v].channel], values[v].element, samples.data, samples.count,
                      metadata.sample_bytes, columns[v].data());
      not_finite.see(std::span<const double>(columns[v]));
    }
    if (not_finite.any()) continue;
    for (std::size_t k = 0; k < samples.count; ++k) {
      document.line_break();
      document.begin_array();
      for (std::size_t v = 0; v < values.size(); ++v) {
        const Channel& channel = metadata.channels[values[v].channel];
        if (wide[v]) {
          document.whole(*whole_value(channel, samples.data + k * metadata.sample_bytes, values[v].element));
        } else {
          document.number(columns[v][k]);
        }
      }
      document.end_array();
      if (auto done = document.flush(false); !done) return fail(done);
    }
  }
  if (not_finite.any())
    return fail(
        ErrorCode::bad_input,
        not_finite.text(stream.id) +
            ", and Edge Impulse takes none: export a part without them (--from, --to, --label), or other streams",
        recording.path());
  document.end_array();
  document.end_map();
  document.end_map();
  document.line_break();
  if (auto done = document.flush(true); !done) return fail(done);
  auto notes_of_closed = closed.notes(*reader, "the format has none", on_progress);
  if (!notes_of_closed) return fail(notes_of_closed);
  if (auto kept = file->keep(); !kept) return fail(kept);
  for (auto& note : reader->notes()) report.notes.push_back(std::move(note));
  for (auto& note : *notes_of_closed) report.notes.push_back(std::move(note));
  report.streams = 1;
  report.files.push_back(output);
  if (options.multi_label) report.labelled.push_back({output, *rate, runs->take()});
  return report;
}

}  // namespace sds
