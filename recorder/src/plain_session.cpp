#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <map>

#include "plain_file.hpp"
#include "sds/format/names.hpp"
#include "sds/format/new_file.hpp"
#include "sds/recorder/session_writer.hpp"
#include "utc_watch.hpp"
#include "watched_file.hpp"
#include "when_there_is_memory.hpp"

namespace sds {

namespace {

// What a file system may round a file's size up by.
constexpr std::uint64_t kFileMargin = 4096;

// Gives the file at `path` the first of its backup names that is free.
Expected<void> keep_as_backup(const std::filesystem::path& path, const std::string& device) {
  for (std::uint32_t number = 0;; ++number) {
    const auto backup = backup_name(path, number);
    auto renamed = rename_file_new(path, backup);
    if (renamed) spdlog::info("kept     {}: {} as {}", device, path.string(), backup.filename().string());
    if (renamed && is_being_recorded(backup))
      spdlog::warn("kept     {}: {} is still being recorded, now under this name", device, backup.string());
    if (renamed || renamed.error().system_error == ENOENT) return {};  // gone: somebody else moved it
    if (renamed.error().code != ErrorCode::exists) return renamed;
  }
}

// Labels of a file that was here before are no labels of what is recorded now; nor are those of a packed recording
// that stays, which the session's number has avoided for its first stream.
Expected<std::unique_ptr<OutputFile>> create_keeping_what_exists(const std::filesystem::path& path,
                                                                 const std::string& device) {
  auto labels = path;
  labels.replace_extension(".labels.yml");
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(labels, ignored))) {
    if (auto kept = keep_as_backup(labels, device); !kept) return fail(kept);
    if (const auto packed = std::filesystem::path(path).replace_extension(".sdsz");
        std::filesystem::exists(packed, ignored))
      spdlog::warn("kept     {}: these were the labels of {}, which has none now", device, packed.string());
  }
  for (;;) {
    auto file = OutputFile::create_marked(path, IfExists::fail);
    if (file || file.error().code != ErrorCode::exists) return file;
    if (auto kept = keep_as_backup(path, device); !kept) return fail(kept);
  }
}

struct PlainStream {
  std::string name;
  PlainFile file;
  std::size_t number = 0;           // among the session's files
  std::string reason;               // of an end that could not be written yet
  std::uint64_t untaken_bytes = 0;  // there was no memory for them
};

class PlainSession final : public SessionWriter {
 public:
  explicit PlainSession(SessionOptions options) : options_(std::move(options)), descriptors_(options_.descriptors) {}

  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    const auto path =
        options_.directory / SdsFileName{name, std::to_string(options_.label), options_.playback}.to_string();
    if (!descriptors_.take(1)) return fail_errno(EMFILE, "cannot create", path);
    auto opened = made_or_tried_again(options_.device, [&] { return open_file(handle, name, path); });
    if (!opened) descriptors_.give(1);
    if (!opened && opened.error().system_error == ENAMETOOLONG)  // what the device asked is wrong, not the disk
      return fail(ErrorCode::bad_input, "the name is too long for the names of its files", path);
    return opened;
  }

  Expected<void> open_file(std::uint32_t handle, const std::string& name, const std::filesystem::path& path) {
    const std::string said = path.string();  // behind the creation nothing is to fail
    NewFile made(path);
    auto sink = create_keeping_what_exists(path, options_.device);
    if (!sink) return fail(sink);
    made.made();
    warn_if_not_marked(options_.device, sink->get()->not_marked());
    if (options_.durability == Durability::power)
      if (auto synced = sync_directory(options_.directory); !synced) return synced;
    WatchedFile file(path);
    files_.reserve(files_.size() + 1);
    streams_.emplace(handle, PlainStream{name, PlainFile(std::move(*sink)), files_.size(), {}});
    files_.push_back(std::move(file));
    made.keep();
    spdlog::info("record   {}: {} -> {}", options_.device, name, said);
    return {};
  }

  Expected<void> write(std::uint32_t handle, ByteView bytes, const Arrival& arrival) override {
    utc_.look(options_.device, arrival);
    PlainStream& stream = streams_.at(handle);
    PlainFile& file = stream.file;
    const std::uint64_t before = file.received_bytes();
    auto done = with_memory([&] { return settle(file, file.append(bytes)); });
    if (!done && file.received_bytes() == before) stream.untaken_bytes += bytes.size();
    return done;
  }

  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    const auto found = streams_.find(handle);
    if (found == streams_.end()) return {};
    PlainStream& stream = found->second;
    stream.reason = reason;
    if (auto done = write_through(stream.file, options_.durability == Durability::power); !done) return done;
    if (auto missing = files_[stream.number].missing()) missing_.push_back(std::move(*missing));
    if (auto closed = stream.file.close(); !closed) return closed;
    note_end(stream, reason);
    streams_.erase(found);
    descriptors_.give(1);
    return {};
  }

  Expected<void> flush() override {
    if (options_.durability == Durability::none) return {};
    for (auto& [handle, stream] : streams_)
      if (auto done = write_through(stream.file, options_.durability == Durability::power); !done) return done;
    return {};
  }

  Expected<void> seal() override {
    for (auto& [handle, stream] : streams_)
      if (auto done = write_through(stream.file, false); !done) return done;
    return {};
  }

  std::uint64_t unwritten_bytes() const override {
    std::uint64_t bytes = 0;
    for (const auto& [handle, stream] : streams_)
      bytes += kFileMargin + stream.file.received_bytes() - stream.file.written_bytes();
    return bytes;
  }

  std::optional<Error> missing_file() override {
    if (!missing_.empty()) {
      auto missing = std::move(missing_.back());
      missing_.pop_back();
      return missing;
    }
    for (const auto& [handle, stream] : streams_)
      if (auto missing = files_[stream.number].missing()) return missing;
    return std::nullopt;
  }

  Expected<SessionSummary> finish() override {
    note_names();
    return summary_;
  }

  SessionSummary abandon(const std::string& reason) override {
    while (!streams_.empty()) {
      PlainStream& stream = streams_.begin()->second;
      PlainFile& file = stream.file;
      auto done = file.write_out();
      if (done) done = file.close();
      std::string why = stream.reason.empty() ? reason : stream.reason + "; " + reason;
      if (const auto lost = file.received_bytes() - file.written_bytes() + stream.untaken_bytes; lost > 0)
        why += fmt::format("; {} bytes that came are not in the file", lost);
      note_end(stream, why);
      streams_.erase(streams_.begin());
    }
    descriptors_.give(descriptors_.held());
    note_names();
    return summary_;
  }

 private:
  Expected<void> settle(PlainFile& file, Expected<void> done) {
    return sds::settle(options_.gate, options_.device, std::move(done), [&] { return file.write_out(); });
  }

  Expected<void> write_through(PlainFile& file, bool sync) {
    if (auto done = settle(file, file.write_out()); !done || !sync) return done;
    return file.sync();
  }

  void note_end(const PlainStream& stream, const std::string& reason) {
    const PlainFile& file = stream.file;
    // One end, one loss.
    std::string loss = reason;
    const std::string unfinished = file.written().unfinished();
    if (!unfinished.empty())
      loss += fmt::format("{}{}; kept as the file's torn end", loss.empty() ? "" : "; ", unfinished);
    if (!loss.empty()) summary_.losses.push_back(fmt::format("{}: {}", stream.name, loss));
    summary_.blocks += file.written().blocks();
    summary_.raw_bytes += file.received_bytes() + stream.untaken_bytes;
    summary_.stored_bytes += file.written_bytes();
  }

  // Another session may have made backups of them since.
  void note_names() {
    summary_.files.clear();
    for (const auto& file : files_) summary_.files.push_back(file.where().value_or(file.path()));
  }

  SessionOptions options_;
  std::map<std::uint32_t, PlainStream> streams_;
  std::vector<WatchedFile> files_;  // all of them, closed ones included
  std::vector<Error> missing_;      // of closed ones
  TotalShare descriptors_;          // one for each of them
  SessionSummary summary_;
  UtcWatch utc_;
};

}  // namespace

Expected<std::unique_ptr<SessionWriter>> make_plain_session(const SessionOptions& options,
                                                            const std::string& first_stream) {
  SessionOptions own = options;
  if (own.labels != nullptr && !own.playback) own.label = own.labels->next(own.directory, first_stream);
  return std::make_unique<PlainSession>(std::move(own));
}

Expected<std::unique_ptr<SessionWriter>> make_session(const SessionOptions& options, const std::string& first_stream) {
  return options.packed ? make_packed_session(options) : make_plain_session(options, first_stream);
}

}  // namespace sds
