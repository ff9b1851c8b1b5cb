#include "sds/bridge/output_recorder.hpp"

#include <fmt/format.h>

#include "sds/format/limits.hpp"
#include "sds/format/metadata.hpp"
#include "sds/format/stream_files.hpp"

namespace sds {

Expected<OutputRecorder> OutputRecorder::create(const std::filesystem::path& path,
                                                const std::vector<StreamDescription>& streams,
                                                const Properties& session, IfExists if_exists, OutputNaming naming) {
  OutputRecorder recorder;
  recorder.naming_ = std::move(naming);
  const auto may_be_made = [&recorder](const std::filesystem::path& file) -> Expected<void> {
    return recorder.naming_.may_be_made ? recorder.naming_.may_be_made(file) : Expected<void>{};
  };
  for (const auto& stream : streams) {
    const auto metadata = Metadata::parse(stream.metadata_text, path);
    recorder.frequencies_.push_back(metadata ? std::optional(metadata->tick_frequency) : std::nullopt);
  }
  if (path.extension() == ".sdsz") {
    if (auto ok = may_be_made(path); !ok) return fail(ok);
    auto file = PartialFile::create(path, if_exists);
    if (!file) return fail(file);
    auto writer = SdszWriter::create(file->borrow_sink(), session, SdszWriterOptions{});
    if (!writer) return fail(writer);
    for (const auto& stream : streams) {
      auto id = writer->add_stream(stream);
      if (!id) return fail(id);
      recorder.ids_.push_back(*id);
    }
    recorder.files_.push_back(path);
    recorder.partial_.push_back({std::move(*file), true});
    recorder.packed_ = std::make_unique<SdszWriter>(std::move(*writer));
    return recorder;
  }
  if (auto made = make_directories(path); !made) return fail(made);
  const auto files = plain_files_of(streams);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (auto ok = may_be_made(path / files[i].data); !ok) return fail(ok);
    if (auto ok = check_metadata(path, files[i], streams[i], if_exists); !ok) return fail(ok);
  }
  for (std::size_t i = 0; i < files.size(); ++i)
    if (auto created = recorder.create_plain(path, files[i], streams[i], if_exists); !created) return fail(created);
  return recorder;
}

// A metadata file that says the same already is left alone; another is somebody's work.
Expected<void> OutputRecorder::check_metadata(const std::filesystem::path& directory, const StreamFiles& files,
                                              const StreamDescription& stream, IfExists if_exists) {
  if (files.metadata.empty() || if_exists == IfExists::overwrite) return {};
  const auto path = directory / files.metadata;
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return {};
  auto there = read_small_file(path, limits::max_metadata_bytes);
  if (there && *there == stream.metadata_text) return {};
  return fail(ErrorCode::io, "exists already, with other metadata (--force replaces it)", path);
}

Expected<void> OutputRecorder::create_plain(const std::filesystem::path& directory, const StreamFiles& files,
                                            const StreamDescription& stream, IfExists if_exists) {
  files_.push_back(directory / files.data);
  auto file = PartialFile::create(files_.back(), if_exists);
  if (!file) return fail(file);
  plain_.push_back(std::make_unique<PlainWriter>(file->borrow_sink()));
  plain_ticks_.emplace_back();
  partial_.push_back({std::move(*file), true});
  if (files.metadata.empty()) return {};
  const auto path = directory / files.metadata;
  auto there = read_small_file(path, limits::max_metadata_bytes);
  if (there && *there == stream.metadata_text) return {};
  auto metadata = PartialFile::create(path, if_exists);
  if (!metadata) return fail(metadata);
  if (auto done = metadata->sink().append(as_bytes(stream.metadata_text)); !done) return done;
  partial_.push_back({std::move(*metadata), false});
  return {};
}

Expected<void> OutputRecorder::append(std::size_t stream, std::uint64_t tick, const Frequency& frequency,
                                      ByteView data) {
  if (frequencies_[stream]) tick = convert_tick(tick, frequency, *frequencies_[stream]);
  if (packed_) return packed_->append_at(ids_[stream], tick, data);
  plain_ticks_[stream].add(tick);
  return plain_[stream]->append(static_cast<std::uint32_t>(tick), data);
}

Expected<void> OutputRecorder::add_clocks(std::span<const ClockPair> pairs, const Frequency& frequency) {
  if (!packed_) return {};
  for (std::size_t stream = 0; stream < ids_.size(); ++stream)
    for (ClockPair pair : pairs) {
      if (frequencies_[stream]) pair.tick = convert_tick(pair.tick, frequency, *frequencies_[stream]);
      if (auto done = packed_->add_clock(ids_[stream], pair); !done) return done;
    }
  return {};
}

Expected<void> OutputRecorder::add_gap(const std::string& reason) {
  if (!packed_) ++lost_gaps_;
  for (const auto id : ids_)
    if (auto done = packed_->add_gap(id, reason); !done) return done;
  return {};
}

std::vector<std::string> OutputRecorder::notes() const {
  std::vector<std::string> notes;
  for (std::size_t i = 0; i < plain_ticks_.size(); ++i)
    for (const auto& note : plain_ticks_[i].notes()) notes.push_back(files_[i].filename().string() + ": " + note);
  if (lost_gaps_ > 0)
    notes.push_back(
        fmt::format("the input has {} loss{}: plain files cannot hold where", lost_gaps_, lost_gaps_ == 1 ? "" : "es"));
  return notes;
}

Expected<void> OutputRecorder::close() {
  if (packed_)
    if (auto closed = packed_->close(); !closed) return closed;
  for (auto& writer : plain_)
    if (auto closed = writer->close(); !closed) return closed;
  for (auto& made : partial_)
    if (auto kept = made.has_blocks && naming_.keep ? naming_.keep(made.file) : made.file.keep(); !kept) return kept;
  return {};
}

}  // namespace sds
