// Records what an algorithm puts out: outputs are recordings too.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "sds/format/partial_file.hpp"
#include "sds/format/plain.hpp"
#include "sds/format/plain_ticks.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/format/stream_files.hpp"

namespace sds {

/// What is asked about each recording of outputs: somebody's labels may stand beside it, of which the bridge knows
/// nothing. Without a function: it may, and PartialFile::keep().
struct OutputNaming {
  std::function<Expected<void>(const std::filesystem::path&)> may_be_made;  ///< before any work is done
  std::function<Expected<void>(PartialFile&)> keep;                         ///< gives a file its name
};

/// Writes streams of outputs: into one `.sdsz` if the path ends so, else each as `<stream>.<label>.p.sds`, with its
/// metadata beside it, into the directory that the path names (made if needed). Files there are named by
/// plain_files_of(), so that no name out of a recording leads elsewhere. The files have their names when close() has
/// succeeded; without it nothing is left of them.
class OutputRecorder {
 public:
  static Expected<OutputRecorder> create(const std::filesystem::path& path,
                                         const std::vector<StreamDescription>& streams, const Properties& session,
                                         IfExists if_exists, OutputNaming naming = {});
  /// `stream` is an index into the streams given at creation. `tick` counts at `frequency`; where the stream's metadata
  /// names another, the block stands at the nearest tick of that, so that its time is right.
  [[nodiscard]] Expected<void> append(std::size_t stream, std::uint64_t tick, const Frequency& frequency,
                                      ByteView data);
  /// Records clock pairs of `frequency` in every stream; plain files cannot hold them.
  [[nodiscard]] Expected<void> add_clocks(std::span<const ClockPair> pairs, const Frequency& frequency);
  /// Records in every stream that input is missing here; plain files cannot hold it.
  [[nodiscard]] Expected<void> add_gap(const std::string& reason);
  [[nodiscard]] Expected<void> close();
  /// The files that hold the outputs.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const { return files_; }
  /// What plain files cannot hold of what was given, as sentences.
  [[nodiscard]] std::vector<std::string> notes() const;

 private:
  OutputRecorder() = default;
  static Expected<void> check_metadata(const std::filesystem::path& directory, const StreamFiles& files,
                                       const StreamDescription& stream, IfExists if_exists);
  Expected<void> create_plain(const std::filesystem::path& directory, const StreamFiles& files,
                              const StreamDescription& stream, IfExists if_exists);

  OutputNaming naming_;
  std::vector<std::filesystem::path> files_;
  struct Made {
    PartialFile file;
    bool has_blocks;  // else it is metadata
  };
  std::vector<Made> partial_;  // each with blocks before its metadata
  std::unique_ptr<SdszWriter> packed_;
  std::vector<SdszWriter::StreamId> ids_;
  std::vector<std::optional<Frequency>> frequencies_;  // by stream; without metadata ticks stay as they are
  std::vector<std::unique_ptr<PlainWriter>> plain_;
  std::vector<PlainTicks> plain_ticks_;
  std::size_t lost_gaps_ = 0;
};

}  // namespace sds
