// A `.sdsz` that is being made, and appears under its name when it is complete.
#pragma once

#include <memory>
#include <optional>

#include "label_file.hpp"
#include "labels_beside.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/format/worker_pool.hpp"

namespace sds {

/// Sections are coded on all cores. Without finish() nothing is left behind. A label file that stands where the new
/// recording's would be: LabelsBeside.
class NewRecording {
 public:
  static Expected<std::unique_ptr<NewRecording>> create(const std::filesystem::path& path, const Properties& session,
                                                        Level level, bool force) {
    if (auto ok = refuse_existing(path, force); !ok) return fail(ok);
    const LabelsBeside beside(path, force);
    if (auto ok = beside.refuse(); !ok) return fail(ok);
    auto file = PartialFile::create(path, if_exists(force));
    if (!file) return fail(file);
    auto made = std::unique_ptr<NewRecording>(new NewRecording(std::move(*file), beside));
    SdszWriterOptions options;
    options.level = level;
    options.executor = made->pool_.get();
    auto writer = SdszWriter::create(made->file_.borrow_sink(), session, options);
    if (!writer) return fail(writer);
    made->writer_.emplace(std::move(*writer));
    return made;
  }

  SdszWriter& writer() { return *writer_; }
  /// A stream of data from elsewhere: named and described by its metadata.
  [[nodiscard]] Expected<SdszWriter::StreamId> add_stream(const Metadata& metadata) {
    StreamDescription description;
    description.name = metadata.name;
    description.label = "0";
    description.metadata_file_name = metadata.name + ".sds.yml";
    description.metadata_text = to_yaml(metadata);
    return writer_->add_stream(description);
  }

  /// `labels` are the recording's; null: it has none. A note tells of labels that became a backup.
  [[nodiscard]] Expected<void> finish(std::vector<std::string>& notes, const LabelFile* labels = nullptr) {
    std::optional<std::string> text;
    if (labels != nullptr) {
      auto yaml = labels->checked_yaml();
      if (!yaml) return fail(yaml);
      text = std::move(*yaml);
    }
    if (auto closed = writer_->close(); !closed) return closed;
    return beside_.keep(file_, text, notes);
  }

 private:
  NewRecording(PartialFile file, LabelsBeside beside)
      : file_(std::move(file)), beside_(std::move(beside)), pool_(make_worker_pool(0)) {}
  PartialFile file_;
  LabelsBeside beside_;
  std::unique_ptr<WorkerPool> pool_;
  std::optional<SdszWriter> writer_;
};

}  // namespace sds
