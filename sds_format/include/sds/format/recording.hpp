// One way to read every recording: plain `.sds` files with their metadata beside them, and `.sdsz`, look the same
// from here. Tools and player use this and never ask which one it is.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sds/format/file_in_use.hpp"
#include "sds/format/plain.hpp"
#include "sds/format/sdsz_cursor.hpp"
#include "sds/format/sdsz_reader.hpp"

namespace sds {

/// A stream of an opened recording.
struct StreamInfo {
  std::string id;  ///< what the command line calls it: the name, or name.label where names repeat
  StreamDescription description;
  std::optional<Metadata> metadata;
  std::optional<Error> metadata_error;       ///< why `metadata` is absent although there is a metadata file
  std::filesystem::path path;                ///< the file that holds it
  std::uint64_t raw_bytes = 0;               ///< as a plain `.sds`
  std::optional<std::uint64_t> block_count;  ///< known without reading only in `.sdsz`
  bool being_written = false;  ///< a plain `.sds` that is still being recorded: `raw_bytes` of it are read

  [[nodiscard]] Frequency tick_frequency() const { return metadata ? metadata->tick_frequency : Frequency{}; }
  /// The name of its `.sds` as the recording has it: not to be taken for a path (stream_files.hpp).
  [[nodiscard]] std::string file_name() const;
};

/// Reads the blocks of one stream in order. Damage does not stop it: what cannot be read is skipped and listed.
class BlockCursor {
 public:
  virtual ~BlockCursor() = default;
  /// The next block, or nothing at the end; its data stays valid until the next call. Errors are I/O errors only.
  [[nodiscard]] virtual Expected<std::optional<BlockView>> next() = 0;
  /// What could not be read so far.
  [[nodiscard]] virtual std::vector<Damage> damages() const = 0;
  [[nodiscard]] virtual std::size_t damage_count() const = 0;
  /// After the end: the torn tail, if there is one.
  [[nodiscard]] virtual std::optional<Tail> tail() const = 0;
  /// After the end: hands the tail's bytes, in pieces, to `take`.
  [[nodiscard]] virtual Expected<void> read_tail(const std::function<Expected<void>(ByteView)>& take) = 0;
};

/// An opened recording. While it or a copy of it lives, nothing that this process makes replaces one of its files, be
/// it data, metadata or log (file_in_use.hpp).
class Recording {
 public:
  struct Options {
    std::optional<std::filesystem::path> metadata;  ///< used for every plain `.sds` instead of the one beside it
    bool walk = false;                              ///< `.sdsz`: do not go by the index
    bool with_index = false;          ///< `.sdsz`, with `walk`: what has a damaged header may be had from the index
    std::function<bool()> stop = {};  ///< `.sdsz`: SdszReader::Options
  };

  /// Opens one `.sdsz`, or any number of `.sds` as the streams of one recording.
  static Expected<Recording> open(std::span<const std::filesystem::path> paths, const Options& options);
  static Expected<Recording> open(const std::filesystem::path& path, const Options& options);
  static Expected<Recording> open(const std::filesystem::path& path);

  [[nodiscard]] const std::vector<StreamInfo>& streams() const { return streams_; }
  /// The index of the stream called `id` (or `name`, or `name.label`); the error lists what there is.
  [[nodiscard]] Expected<std::size_t> find_stream(const std::string& id) const;
  /// With an executor, which must outlive the cursor, sections of a `.sdsz` are decoded ahead on its threads; with a
  /// filter, those that it does not want are left out. Plain files have no sections: all of their blocks come.
  [[nodiscard]] Expected<std::unique_ptr<BlockCursor>> cursor(std::size_t stream, Executor* executor = nullptr,
                                                              SectionFilter wanted = {}) const;
  /// What of the recording could not be read, as far as known: of the container at opening, of blocks when cursors come
  /// to them. Everything is known once all streams were read.
  [[nodiscard]] std::vector<Damage> damages() const { return damage_log_->all(); }
  [[nodiscard]] const std::shared_ptr<DamageLog>& damage_log() const { return damage_log_; }
  /// The `.sdsz` behind this recording; null if it is made of plain files.
  [[nodiscard]] const std::shared_ptr<const SdszReader>& sdsz() const { return sdsz_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::vector<StreamInfo> streams_;
  std::shared_ptr<const SdszReader> sdsz_;
  std::shared_ptr<DamageLog> damage_log_ = std::make_shared<DamageLog>();
  std::vector<FileInUse> files_;
};

/// True if the file starts with the `.sdsz` magic or is named `.sdsz`. Of one that cannot be opened it is false:
/// whoever opens it next reports why.
Expected<bool> is_sdsz(const std::filesystem::path& path);

}  // namespace sds
