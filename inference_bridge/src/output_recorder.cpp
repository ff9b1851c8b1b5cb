#include "sds/bridge/output_recorder.hpp"

#include "sds/format/names.hpp"

namespace sds {

Expected<OutputRecorder> OutputRecorder::create(const std::filesystem::path& path, const StreamDescription& stream,
                                                const Properties& session, IfExists if_exists) {
  OutputRecorder recorder;
  if (path.extension() == ".sdsz") {
    SdszWriterOptions options;
    options.if_exists = if_exists;
    auto writer = SdszWriter::create(path, session, options);
    if (!writer) return fail(writer);
    auto id = writer->add_stream(stream);
    if (!id) return fail(id);
    recorder.file_ = path;
    recorder.id_ = *id;
    recorder.packed_ = std::make_unique<SdszWriter>(std::move(*writer));
    return recorder;
  }
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail_errno(error.value(), "cannot make the directory", path);
  recorder.file_ = path / SdsFileName{stream.name, stream.label, stream.playback}.to_string();
  auto sink = OutputFile::create(recorder.file_, if_exists);
  if (!sink) return fail(sink);
  recorder.plain_ = std::make_unique<PlainWriter>(std::move(*sink));
  if (!stream.metadata_file_name.empty()) {
    auto metadata = OutputFile::create(path / stream.metadata_file_name, IfExists::overwrite);
    if (!metadata) return fail(metadata);
    if (auto done = (*metadata)->append(as_bytes(stream.metadata_text)); !done) return fail(done);
    if (auto done = (*metadata)->close(); !done) return fail(done);
  }
  return recorder;
}

Expected<void> OutputRecorder::append(std::uint32_t timeslot, ByteView data) {
  return packed_ ? packed_->append(id_, timeslot, data) : plain_->append(timeslot, data);
}

Expected<void> OutputRecorder::close() { return packed_ ? packed_->close() : plain_->close(); }

}  // namespace sds
