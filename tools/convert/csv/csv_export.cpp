#include "csv_export.hpp"

#include <algorithm>

#include "channel_values.hpp"
#include "csv_reader.hpp"
#include "value_text.hpp"

namespace sds {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

std::string header_row(const Metadata& metadata) {
  std::string row = "timeslot";
  for (const auto& value : all_values(metadata)) row += "," + csv_quoted(value.name(metadata));
  return row + "\n";
}

// Writes rows into a buffer that goes to the sink when it is full.
class CsvWriter {
 public:
  CsvWriter(const Metadata& metadata, ByteSink& sink) : metadata_(metadata), sink_(sink) {
    for (const auto& channel : metadata.channels) {
      texts_.emplace_back(channel, caches_);
      values_ += channel.count();
    }
    const std::string header = header_row(metadata);
    buffer_.resize(kBufferBytes + (values_ + 1) * (max_number_chars + 1) + header.size());
    end_ = std::copy(header.begin(), header.end(), buffer_.data());
  }

  Expected<void> row(double time, const std::byte* sample) {
    end_ = write_number(end_, time);
    for (std::size_t c = 0; c < texts_.size(); ++c) {
      const std::size_t count = metadata_.channels[c].count();
      for (std::size_t i = 0; i < count; ++i) {
        *end_++ = ',';
        end_ = texts_[c].write(end_, sample, i);
      }
    }
    *end_++ = '\n';
    return used() >= kBufferBytes ? flush() : Expected<void>{};
  }

  Expected<void> flush() {
    const std::size_t bytes = used();
    written_ += bytes;
    end_ = buffer_.data();
    return sink_.append(as_bytes({buffer_.data(), bytes}));
  }
  [[nodiscard]] std::uint64_t written() const { return written_; }

 private:
  [[nodiscard]] std::size_t used() const { return static_cast<std::size_t>(end_ - buffer_.data()); }

  const Metadata& metadata_;
  ByteSink& sink_;
  TextCaches caches_;
  std::vector<ChannelText> texts_;
  std::size_t values_ = 0;
  std::vector<char> buffer_;
  char* end_ = nullptr;
  std::uint64_t written_ = 0;
};

}  // namespace

Expected<CsvReport> export_csv(const Recording& recording, std::size_t index, ByteSink& sink,
                               const SampleOptions& options, const OnProgress& on_progress) {
  auto reader = SampleReader::open(recording, index, options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  CsvWriter writer(metadata, sink);
  CsvReport report;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    for (std::size_t k = 0; k < samples.count; ++k)
      if (auto done = writer.row(samples.times[k], samples.data + k * metadata.sample_bytes); !done) return fail(done);
    report.rows += samples.count;
  }
  if (auto done = writer.flush(); !done) return fail(done);
  report.text_bytes = writer.written();
  report.odd_blocks = reader->odd_blocks();
  report.notes = reader->notes();
  for (auto& note : reader->notes_of_losses("not told in it")) report.notes.push_back(std::move(note));
  return report;
}

}  // namespace sds
