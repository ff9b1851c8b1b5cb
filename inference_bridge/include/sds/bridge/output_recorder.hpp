// Records what an algorithm puts out: outputs are recordings too.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "sds/format/plain.hpp"
#include "sds/format/sdsz_writer.hpp"

namespace sds {

/// Writes one stream of outputs: into a `.sdsz` if the path ends so, else as `<stream>.<label>.p.sds`, with its
/// metadata beside it, into the directory that the path names (made if needed).
class OutputRecorder {
 public:
  static Expected<OutputRecorder> create(const std::filesystem::path& path, const StreamDescription& stream,
                                         const Properties& session, IfExists if_exists);
  [[nodiscard]] Expected<void> append(std::uint32_t timeslot, ByteView data);
  [[nodiscard]] Expected<void> close();
  /// The file that holds the outputs.
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

 private:
  OutputRecorder() = default;
  std::filesystem::path file_;
  std::unique_ptr<SdszWriter> packed_;
  SdszWriter::StreamId id_ = 0;
  std::unique_ptr<PlainWriter> plain_;
};

}  // namespace sds
