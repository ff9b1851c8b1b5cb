// The write-ahead log of a recording that is being written.
#include <algorithm>
#include <cerrno>

#include "sdsz_writer_state.hpp"

namespace sds {

namespace {

// A log is not worth replacing before it holds this much that has been sealed since.
constexpr std::uint64_t kMinDeadLogBytes = std::uint64_t{4} << 20;
// One that could not be replaced grows by this much before that is tried again.
constexpr std::uint64_t kRetryLogBytes = std::uint64_t{1} << 20;
constexpr std::size_t kLogWriteBytes = std::size_t{1} << 20;

}  // namespace

Expected<void> SdszWriter::State::log_open_blocks(WalWriter& log) {
  std::vector<std::uint32_t> added;
  const auto write = [&]() -> Expected<void> {
    if (auto done = log.write(); !done) return done;
    for (const auto id : added) {
      OpenStream& stream = streams[id];
      stream.logged = {stream.run.count(), stream.run.bytes.size(), stream.last_tick};
    }
    added.clear();
    return {};
  };
  for (std::uint32_t id = 0; id < streams.size(); ++id) {
    OpenStream& stream = streams[id];
    if (stream.logged.blocks == stream.run.count()) continue;
    log.add(id, stream.sealed_blocks, stream.run, stream.logged.blocks, stream.logged.bytes, tick_behind_log(stream));
    added.push_back(id);
    if (log.pending_bytes() >= kLogWriteBytes)
      if (auto done = write(); !done) return done;
  }
  return write();
}

// What waiting for space does not help, even if space was what lacked: nobody knows what a sync that failed left.
Error SdszWriter::State::lasting(Error&& error) {
  if (is_disk_full(error)) error.system_error = EIO;
  return std::move(error);
}

Expected<void> SdszWriter::State::log_all_blocks() {
  for (auto& job : jobs) {
    if (job->logged_blocks == job->run.count()) continue;
    wal->add(job->stream, job->first_block, job->run, job->logged_blocks, job->logged_bytes, job->tick_behind_log);
    if (auto done = wal->write(); !done) return done;
    job->logged_blocks = job->run.count();
  }
  return log_open_blocks(*wal);
}

void SdszWriter::State::save_in_log() {
  if (!wal || log_failure || saved_in_log) return;
  // A write that fails once costs nothing here either.
  for (int tries = 0; tries < 2 && !saved_in_log; ++tries)
    if (wal->repair()) saved_in_log = log_all_blocks().has_value();
  if (!saved_in_log) return (void)wal->repair();
  if (options.durability != Durability::power) return;
  if (auto synced = wal->sync(); !synced) {
    log_failure = lasting(std::move(synced.error()));
    return;
  }
  synced_log_bytes = wal->bytes();
  // All that is in no section is on the disk now; what is in one that was not forced to it may not be.
  for (auto& stream : streams)
    if (stream.filed_blocks <= stream.forced_blocks) stream.forced_blocks = stream.blocks();
}

std::uint64_t SdszWriter::State::tick_behind_log(const OpenStream& stream) {
  const BlockRun& run = stream.run;
  const std::size_t next = stream.logged.blocks;
  if (next == 0) return run.first_tick;
  const auto jump = std::lower_bound(run.jumps.begin(), run.jumps.end(), next,
                                     [](const auto& j, std::size_t block) { return j.block < block; });
  if (jump != run.jumps.end() && jump->block == next) return jump->tick;
  return TickUnwrapper(stream.logged.last_tick).next(run.timeslots[next]);
}

bool SdszWriter::State::log_is_due_for_renewal() const {
  std::uint64_t live = 0;
  for (const auto& stream : streams) live += stream.live_log_bytes();
  const std::uint64_t dead = wal->bytes() - std::min(wal->bytes(), live);
  return dead >= std::max(live, kMinDeadLogBytes) || wal->frames() >= limits::max_log_frames / 4;
}

Expected<void> SdszWriter::State::flush_log() {
  if (log_failure) return replace_log();
  if (wal->bytes() >= renew_at && log_is_due_for_renewal()) {
    auto renewed = renew_log();
    if (renewed || failure) return renewed;
    // Without a descriptor, or room, for its successor the log still does; but not for ever.
    if (wal->frames() >= limits::max_log_frames / 2) return latch(std::move(renewed));
    renew_at = wal->bytes() + kRetryLogBytes;
  }
  if (auto done = log_open_blocks(*wal); !done) return latch(std::move(done));
  if (options.durability != Durability::power || wal->bytes() == synced_log_bytes) return {};
  if (auto synced = wal->sync(); !synced) {
    log_failure = lasting(std::move(synced.error()));
    return replace_log();
  }
  synced_log_bytes = wal->bytes();
  return {};
}

// Nobody knows what of the log is on the disk: what is open goes into another, or into sections when the writer is
// closed. Space for that may be waited for.
Expected<void> SdszWriter::State::replace_log() {
  auto renewed = renew_log();
  if (renewed) {
    replaced_log = std::exchange(log_failure, std::nullopt);
    return {};
  }
  if (!failure && is_disk_full(renewed.error())) return latch(std::move(renewed));
  return latch(tl::unexpected<Error>(*log_failure));
}

Expected<void> SdszWriter::State::renew_log() {
  std::vector<LoggedPart> before;
  std::filesystem::path directory;
  std::optional<WalWriter> fresh;
  Expected<void> done;
  try {
    before.reserve(streams.size());
    directory = directory_of(sink->path());
    auto made = wal->successor();
    if (!made) return fail(made);
    fresh = std::move(*made);
    for (auto& stream : streams) before.push_back(std::exchange(stream.logged, {}));
    done = log_open_blocks(*fresh);
    if (done && options.durability == Durability::power) done = fresh->sync();
    if (done) done = fresh->publish(*wal);
  } catch (const std::exception&) {
    done = tl::unexpected<Error>(no_memory());
  }
  if (!done) {
    for (std::size_t i = 0; i < before.size(); ++i) streams[i].logged = before[i];
    if (fresh) fresh->discard();
    return done;
  }
  wal = std::move(*fresh);
  synced_log_bytes = wal->bytes();
  renew_at = 0;
  if (options.durability != Durability::power) return {};
  return surely([&] { return sync_directory(directory); });
}

}  // namespace sds
