// Where one recording session goes: plain `.sds` files with Arm's names, or one `.sdsz`.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sds/format/sdsz_writer.hpp"
#include "sds/recorder/arrival.hpp"
#include "sds/recorder/plain_labels.hpp"
#include "sds/recorder/shared_total.hpp"
#include "sds/recorder/space_gate.hpp"

namespace sds {

/// What a session says about itself when it is over, for the log.
struct SessionSummary {
  std::vector<std::filesystem::path> files;
  std::uint64_t blocks = 0;         ///< in the files, and their logs
  std::uint64_t raw_bytes = 0;      ///< received, as plain `.sds`
  std::uint64_t stored_bytes = 0;   ///< on disk
  std::vector<std::string> losses;  ///< "ML_In: the connection ended inside a block (20 of 48 bytes received)"
};

/// Writes the streams of one session, from its first OPEN to its last CLOSE. Used by one thread; any call may wait for
/// the disk. A full disk is waited for where SessionOptions::gate says so. After an error of write(), flush() or
/// close_stream() nothing more can be written, but for ErrorCode::limit (only the device asks too much), and but for
/// what prepare_end() makes possible.
class SessionWriter {
 public:
  virtual ~SessionWriter() = default;
  [[nodiscard]] virtual Expected<void> open_stream(std::uint32_t handle, const std::string& name) = 0;
  /// Takes the next bytes of a stream: the contents of its `.sds` file, cut anywhere.
  [[nodiscard]] virtual Expected<void> write(std::uint32_t handle, ByteView bytes, const Arrival& arrival) = 0;
  /// True if it helps the next blocks of a stream to get their ticks to announce() first what came together with them.
  [[nodiscard]] virtual bool wants_announcement(std::uint32_t, const Arrival&) const { return false; }
  /// What write() is going to be called with for a stream, piece by piece, all of one arrival.
  virtual void announce(std::uint32_t, std::span<const ByteView>, const Arrival&) {}
  /// `reason` is empty for a CLOSE by the device; else why the stream ended without one.
  [[nodiscard]] virtual Expected<void> close_stream(std::uint32_t handle, const std::string& reason) = 0;
  /// Makes what came so far visible to readers, and as safe as SessionOptions::durability says.
  [[nodiscard]] virtual Expected<void> flush() = 0;
  /// Writes what came as it is to stand: unwritten_bytes() holds nothing then for what blocks may take at most.
  [[nodiscard]] virtual Expected<void> seal() { return {}; }
  /// Gives memory back that others want. To be called now and then, also where nothing comes.
  [[nodiscard]] virtual Expected<void> trim() { return {}; }
  /// At most so much is still to be written of what came, to keep it and to close the session.
  [[nodiscard]] virtual std::uint64_t unwritten_bytes() const { return 0; }
  /// Of these, what only flush() would write: without it there is as much less to write.
  [[nodiscard]] virtual std::uint64_t unlogged_bytes() const { return 0; }
  /// The error of a file that no longer stands under its name; each file is told once.
  [[nodiscard]] virtual std::optional<Error> missing_file() { return std::nullopt; }
  /// After an error: true if the streams can be closed nevertheless, with what came, and finish() called.
  [[nodiscard]] virtual bool prepare_end() { return false; }
  /// Why the session has to end, though close_stream() succeeded: not all that came has a place. Until prepare_end().
  [[nodiscard]] virtual std::optional<Error> must_end() { return std::nullopt; }
  /// Ends the session: every stream is closed by then. For want of room it may be called again after prepare_end().
  [[nodiscard]] virtual Expected<SessionSummary> finish() = 0;
  /// Ends the session after an error: its files stay as after a kill, with every flushed block readable. The losses
  /// tell for each stream, closed ones included, how much of what came is not in them. A session without streams leaves
  /// no file.
  [[nodiscard]] virtual SessionSummary abandon(const std::string& reason) = 0;
};

struct SessionOptions {
  std::filesystem::path directory = ".";
  bool packed = true;       ///< one `.sdsz` a session; false: plain `.sds` files
  bool playback = false;    ///< recorded during playback: `.p` in the names
  std::uint32_t label = 0;  ///< of plain files
  Level level = Level::fast;
  Durability durability = Durability::process;
  Executor* executor = nullptr;
  std::string device;                 ///< where the session came from, e.g. the peer's address
  SpaceGate* gate = nullptr;          ///< null: a full disk is an error like any other
  PlainLabels* labels = nullptr;      ///< gives plain sessions their number, instead of `label`; not during playback
  SharedTotal* unfinished = nullptr;  ///< what the blocks under way of all sessions hold
  /// What plain files, of which a session may have many, take one each of; a packed session's two are not counted.
  SharedTotal* descriptors = nullptr;
  OpenBlocks* open_blocks = nullptr;  ///< bounds what packed sessions have in no section yet
};

/// Plain files `<stream>.<label>[.p].sds` in the directory. One that exists is kept as `.bak`, `.bak.1`, `.bak.2`, ...
/// (theory.md, Filenames; there the older `.bak` is lost). `first_stream` picks the label.
Expected<std::unique_ptr<SessionWriter>> make_plain_session(const SessionOptions& options,
                                                            const std::string& first_stream);

/// `recording.<n>[.p].sdsz` with the smallest number that no recording and no log of one has; metadata is taken from
/// `<stream>.sds.yml` in the directory.
Expected<std::unique_ptr<SessionWriter>> make_packed_session(const SessionOptions& options);

/// The one of the two that the options ask for.
Expected<std::unique_ptr<SessionWriter>> make_session(const SessionOptions& options, const std::string& first_stream);

using MakeSession =
    std::function<Expected<std::unique_ptr<SessionWriter>>(const SessionOptions&, const std::string& first_stream)>;

}  // namespace sds
