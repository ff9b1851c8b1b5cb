#include "sds/bridge/output_recorder.hpp"

#include "sds/format/names.hpp"

namespace sds {

Expected<OutputRecorder> OutputRecorder::create(const std::filesystem::path& path,
                                                const std::vector<StreamDescription>& streams,
                                                const Properties& session, IfExists if_exists) {
  OutputRecorder recorder;
  if (path.extension() == ".sdsz") {
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
    recorder.partial_.push_back(std::move(*file));
    recorder.packed_ = std::make_unique<SdszWriter>(std::move(*writer));
    return recorder;
  }
  if (auto made = make_directories(path); !made) return fail(made);
  for (const auto& stream : streams)
    if (auto created = recorder.create_plain(path, stream, if_exists); !created) return fail(created);
  return recorder;
}

Expected<void> OutputRecorder::create_plain(const std::filesystem::path& directory, const StreamDescription& stream,
                                            IfExists if_exists) {
  files_.push_back(directory / SdsFileName{stream.name, stream.label, stream.playback}.to_string());
  auto file = PartialFile::create(files_.back(), if_exists);
  if (!file) return fail(file);
  plain_.push_back(std::make_unique<PlainWriter>(file->borrow_sink()));
  partial_.push_back(std::move(*file));
  if (stream.metadata_file_name.empty()) return {};
  auto metadata = PartialFile::create(directory / stream.metadata_file_name, IfExists::overwrite);
  if (!metadata) return fail(metadata);
  if (auto done = metadata->sink().append(as_bytes(stream.metadata_text)); !done) return done;
  partial_.push_back(std::move(*metadata));
  return {};
}

Expected<void> OutputRecorder::append(std::size_t stream, std::uint32_t timeslot, ByteView data) {
  return packed_ ? packed_->append(ids_[stream], timeslot, data) : plain_[stream]->append(timeslot, data);
}

Expected<void> OutputRecorder::close() {
  if (packed_)
    if (auto closed = packed_->close(); !closed) return closed;
  for (auto& writer : plain_)
    if (auto closed = writer->close(); !closed) return closed;
  for (auto& file : partial_)
    if (auto kept = file.keep(); !kept) return kept;
  return {};
}

}  // namespace sds
