// Records what an algorithm puts out: outputs are recordings too.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "sds/format/partial_file.hpp"
#include "sds/format/plain.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/format/stream_files.hpp"

namespace sds {

/// Writes streams of outputs: into one `.sdsz` if the path ends so, else each as `<stream>.<label>.p.sds`, with its
/// metadata beside it, into the directory that the path names (made if needed). Files there are named by
/// plain_files_of(), so that no name out of a recording leads elsewhere. The files have their names when close() has
/// succeeded; without it nothing is left of them.
class OutputRecorder {
 public:
  static Expected<OutputRecorder> create(const std::filesystem::path& path,
                                         const std::vector<StreamDescription>& streams, const Properties& session,
                                         IfExists if_exists);
  /// `stream` is an index into the streams given at creation.
  [[nodiscard]] Expected<void> append(std::size_t stream, std::uint64_t tick, ByteView data);
  /// Records in every stream that input is missing here; plain files cannot hold it.
  [[nodiscard]] Expected<void> add_gap(const std::string& reason);
  [[nodiscard]] Expected<void> close();
  /// The files that hold the outputs.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const { return files_; }

 private:
  OutputRecorder() = default;
  static Expected<void> check_metadata(const std::filesystem::path& directory, const StreamFiles& files,
                                       const StreamDescription& stream, IfExists if_exists);
  Expected<void> create_plain(const std::filesystem::path& directory, const StreamFiles& files,
                              const StreamDescription& stream, IfExists if_exists);

  std::vector<std::filesystem::path> files_;
  std::vector<PartialFile> partial_;
  std::unique_ptr<SdszWriter> packed_;
  std::vector<SdszWriter::StreamId> ids_;
  std::vector<std::unique_ptr<PlainWriter>> plain_;
};

}  // namespace sds
