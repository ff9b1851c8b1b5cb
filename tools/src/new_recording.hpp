// A `.sdsz` that is being made, and appears under its name when it is complete.
#pragma once

#include <memory>
#include <optional>

#include "sds/format/partial_file.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/recorder/worker_pool.hpp"
#include "sds/tools/label_file.hpp"

namespace sds {

/// Sections are coded on all cores. Without finish() nothing is left behind. A label file that stands where the new
/// recording's would be is somebody's work, or of another recording: without `force` it is refused like the recording,
/// with it replaced like the recording, by nothing unless the new one gets labels after finish().
class NewRecording {
 public:
  static Expected<std::unique_ptr<NewRecording>> create(const std::filesystem::path& path, const Properties& session,
                                                        Level level, bool force) {
    if (auto ok = refuse_existing(path, force); !ok) return fail(ok);
    if (can_have_labels(path))
      if (auto ok = refuse_existing(label_path(path), force); !ok) return fail(ok);
    auto file = PartialFile::create(path, if_exists(force));
    if (!file) return fail(file);
    auto made = std::unique_ptr<NewRecording>(new NewRecording(std::move(*file), path));
    SdszWriterOptions options;
    options.level = level;
    options.executor = made->pool_.get();
    auto writer = SdszWriter::create(made->file_.borrow_sink(), session, options);
    if (!writer) return fail(writer);
    made->writer_.emplace(std::move(*writer));
    return made;
  }

  SdszWriter& writer() { return *writer_; }

  [[nodiscard]] Expected<void> finish() {
    if (auto closed = writer_->close(); !closed) return closed;
    if (auto kept = file_.keep(); !kept) return kept;
    return remove_labels_beside(path_);
  }

 private:
  NewRecording(PartialFile file, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)), pool_(make_worker_pool(0)) {}
  PartialFile file_;
  std::filesystem::path path_;
  std::unique_ptr<WorkerPool> pool_;
  std::optional<SdszWriter> writer_;
};

}  // namespace sds
