// Where one recording session goes: plain `.sds` files with Arm's names, or one `.sdsz`.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "sds/format/sdsz_writer.hpp"

namespace sds {

/// What a finished session says about itself, for the log.
struct SessionSummary {
  std::vector<std::filesystem::path> files;
  std::uint64_t blocks = 0;
  std::uint64_t raw_bytes = 0;      ///< received, as plain `.sds`
  std::uint64_t stored_bytes = 0;   ///< on disk
  std::vector<std::string> losses;  ///< "ML_In: the connection ended inside a block (20 of 48 bytes received)"
};

/// Writes the streams of one session, from its first OPEN to its last CLOSE. Used by one thread.
/// An error means that the session cannot go on (disk full); finish() still closes what was written.
class SessionWriter {
 public:
  virtual ~SessionWriter() = default;
  [[nodiscard]] virtual Expected<void> open_stream(std::uint32_t handle, const std::string& name) = 0;
  /// Takes the next bytes of a stream: the contents of its `.sds` file, cut anywhere.
  [[nodiscard]] virtual Expected<void> write(std::uint32_t handle, ByteView bytes) = 0;
  /// `reason` is empty for a CLOSE by the device; else why the stream ended without one.
  [[nodiscard]] virtual Expected<void> close_stream(std::uint32_t handle, const std::string& reason) = 0;
  /// Makes what came so far visible to readers, and safe from a kill of this process.
  [[nodiscard]] virtual Expected<void> flush() = 0;
  [[nodiscard]] virtual Expected<SessionSummary> finish() = 0;
};

struct SessionOptions {
  std::filesystem::path directory = ".";
  bool packed = true;     ///< one `.sdsz` a session; false: plain `.sds` files
  bool playback = false;  ///< recorded during playback: `.p` in the names
  std::uint32_t label = 0;
  Level level = Level::fast;
  bool sync = false;  ///< fdatasync at each flush
  Executor* executor = nullptr;
  std::string device;  ///< where the session came from, e.g. the peer's address
};

/// Plain files `<stream>.<label>[.p].sds` in the directory; one that exists is kept as `.bak` (theory.md, Filenames).
Expected<std::unique_ptr<SessionWriter>> make_plain_session(const SessionOptions& options);

/// `recording.<n>[.p].sdsz` with the smallest free number; metadata is taken from `<stream>.sds.yml` in the directory.
Expected<std::unique_ptr<SessionWriter>> make_packed_session(const SessionOptions& options);

}  // namespace sds
