#include "sds/format/partial_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <random>
#include <utility>

#include "being_recorded.hpp"
#include "retry.hpp"
#include "sds/format/file_in_use.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/links.hpp"
#include "sds/format/wal.hpp"

namespace sds {

namespace {

constexpr std::size_t kMaxNameBytes = 255;  // NAME_MAX

tl::unexpected<Error> exists_already(const std::filesystem::path& path) {
  return fail(ErrorCode::exists, "exists already (--force replaces it)", path);
}

// What nothing replaces, --force or not: what this process reads, directories, recordings with a log beside them, which
// grow or wait for their recovery, and such logs.
Expected<void> refuse_what_stays(const std::filesystem::path& path) {
  if (auto ok = refuse_in_use(path); !ok) return ok;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return fail(ErrorCode::usage, "is a directory, and a file is to be made: give its name", path);
  const auto name = path.filename().string();
  if (name.ends_with(".sdsz.wal") || name.ends_with(".sdsz.wal.new"))
    return fail(ErrorCode::usage, "is the name of a recording's log: choose another one", path);
  if (auto why = why_not_replaced(path)) return fail(ErrorCode::usage, std::move(*why), path);
  for (const auto& recording : {path, std::filesystem::weakly_canonical(path, ignored)})
    for (const auto& log : {wal_path(recording), new_wal_path(recording)})
      if (std::filesystem::exists(log, ignored))
        return fail(ErrorCode::usage,
                    fmt::format("is being recorded, or was never closed: its log {} is beside it (sds recover); choose "
                                "another name",
                                log.filename().string()),
                    path);
  return {};
}

// The same error, of the file that the user knows.
Expected<void> of_file(const std::filesystem::path& path, Expected<void> done) {
  if (!done) done.error().path = path;
  return done;
}

// Appends to another sink, which somebody else closes, under another name.
class BorrowedSink final : public ByteSink {
 public:
  BorrowedSink(ByteSink& sink, std::filesystem::path path) : sink_(sink), path_(std::move(path)) {}
  Expected<void> append(ByteView bytes) override { return of_file(path_, sink_.append(bytes)); }
  Expected<void> reserve(std::uint64_t bytes) override { return of_file(path_, sink_.reserve(bytes)); }
  Expected<void> truncate(std::uint64_t size) override { return of_file(path_, sink_.truncate(size)); }
  Expected<void> sync() override { return of_file(path_, sink_.sync()); }
  Expected<void> close() override { return {}; }
  const std::filesystem::path& path() const override { return path_; }

 private:
  ByteSink& sink_;
  std::filesystem::path path_;
};

}  // namespace

std::string partial_name(const std::filesystem::path& final_path) {
  std::random_device random;
  const std::string suffix = fmt::format(".{:08x}.partial", static_cast<std::uint32_t>(random()));
  return final_path.filename().string().substr(0, kMaxNameBytes - suffix.size()) + suffix;
}

struct PartialFile::State {
  std::filesystem::path final_path;
  std::filesystem::path target;   // final_path without symbolic links
  std::filesystem::path partial;  // target itself, where it is written in place
  IfExists if_exists = IfExists::fail;
  bool in_place = false;
  bool named_partial = false;  // there is a file to delete
  std::unique_ptr<OutputFile> file;
  std::unique_ptr<BorrowedSink> sink;
  int positioned = -1;               // another descriptor of the file, for write_at()
  std::optional<Error> write_error;  // of write_at()

  ~State() {
    file.reset();
    if (positioned >= 0) file_system().close(positioned);
    if (named_partial) (void)remove_file(partial);
  }

  Expected<void> open_beside() {
    // A name that exists is another's; another random one is tried.
    Expected<std::unique_ptr<OutputFile>> made;
    for (int attempt = 0; attempt < 100; ++attempt) {
      partial = directory_of(target) / partial_name(target);
      made = OutputFile::create(partial, IfExists::fail);
      if (made || made.error().code != ErrorCode::exists) break;
    }
    if (!made) return of_file(final_path, fail(made));
    file = std::move(*made);
    named_partial = true;
    return {};
  }

  // Until it fails once.
  Expected<void> write_at(std::uint64_t offset, ByteView bytes) {
    if (write_error) return tl::unexpected<Error>(*write_error);
    const auto failed = [&](int errno_value) {
      auto error = fail_errno(errno_value, "cannot write", final_path);
      write_error = error.value();
      return error;
    };
    if (positioned < 0) positioned = retry([&] { return file_system().open(partial, O_WRONLY, 0); });
    if (positioned < 0) return failed(-positioned);
    if (::lseek(positioned, static_cast<off_t>(offset), SEEK_SET) < 0) return failed(errno);
    while (!bytes.empty()) {
      const ssize_t put = retry([&] { return file_system().write(positioned, bytes); });
      if (put <= 0) return failed(put < 0 ? static_cast<int>(-put) : EIO);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
  }

  // Everything is on the disk, and closed without an error.
  Expected<void> finish() {
    if (write_error) return tl::unexpected<Error>(*write_error);
    if (!in_place)
      if (auto done = file->sync(); !done) return done;
    if (positioned >= 0) {
      const int done = file_system().close(std::exchange(positioned, -1));
      if (done < 0) return fail_errno(-done, "cannot close", final_path);
    }
    return file->close();
  }

  // What has come to be there meanwhile may be what nothing replaces.
  Expected<void> give_name() {
    auto done = rename_file_new(partial, target);
    if (!done && done.error().code == ErrorCode::exists && if_exists == IfExists::overwrite) {
      for (const auto& path : {final_path, target})  // a link may lead elsewhere by now
        if (auto ok = refuse_what_stays(path); !ok) return ok;
      done = rename_file(partial, target);
    }
    if (!done) return done.error().code == ErrorCode::exists ? exists_already(final_path) : of_file(final_path, done);
    named_partial = false;
    return {};
  }
};

PartialFile::PartialFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
PartialFile::~PartialFile() = default;
PartialFile::PartialFile(PartialFile&&) noexcept = default;

Expected<PartialFile> PartialFile::create(const std::filesystem::path& final_path, IfExists if_exists) {
  if (final_path.filename().empty()) return fail(ErrorCode::usage, "is no name of a file", final_path);
  if (final_path == "-") return fail(ErrorCode::usage, "standard output is not possible here: give a name", "-");
  if (auto ok = refuse_what_stays(final_path); !ok) return fail(ok);
  auto state = std::make_unique<State>();
  state->final_path = state->target = final_path;
  state->if_exists = if_exists;
  std::optional<std::filesystem::perms> permissions;  // of what is replaced: what was private stays so
  struct stat info {};
  if (::stat(final_path.c_str(), &info) == 0) {
    state->in_place = !S_ISREG(info.st_mode);
    if (!state->in_place && if_exists == IfExists::fail) return exists_already(final_path);
    std::error_code error;
    if (!state->in_place) state->target = std::filesystem::canonical(final_path, error);
    if (error) return fail_errno(error.value(), "cannot follow", final_path);
    if (!state->in_place)
      permissions = std::filesystem::perms(info.st_mode & 0777) | std::filesystem::perms::owner_write;
  } else if (::lstat(final_path.c_str(), &info) == 0) {
    if (if_exists == IfExists::fail) return exists_already(final_path);
    state->target = behind_links(final_path);  // what a link leads to is made
    if (std::filesystem::is_symlink(state->target))
      return fail(ErrorCode::io, "is a link that leads to itself", final_path);
  }
  if (state->in_place) {
    state->partial = final_path;
    auto file = OutputFile::create(final_path, IfExists::overwrite);
    if (!file) return fail(file);
    state->file = std::move(*file);
  } else {
    if (auto made = state->open_beside(); !made) return fail(made);
    std::error_code error;
    if (permissions) std::filesystem::permissions(state->partial, *permissions, error);
    if (error) return fail_errno(error.value(), "cannot set the permissions", final_path);
  }
  state->sink = std::make_unique<BorrowedSink>(*state->file, final_path);
  return PartialFile(std::move(state));
}

ByteSink& PartialFile::sink() { return *state_->sink; }

std::unique_ptr<ByteSink> PartialFile::borrow_sink() {
  return std::make_unique<BorrowedSink>(*state_->file, state_->final_path);
}

const std::filesystem::path& PartialFile::path() const { return state_->partial; }

const std::filesystem::path& PartialFile::final_path() const { return state_->final_path; }

Expected<void> PartialFile::keep(bool sync_names) {
  State& s = *state_;
  if (auto done = of_file(s.final_path, s.finish()); !done || s.in_place) return done;
  if (auto done = s.give_name(); !done) return done;
  return sync_names ? of_file(s.final_path, sync_directory(directory_of(s.target))) : Expected<void>{};
}

Expected<void> PartialFile::write_at(std::uint64_t offset, ByteView bytes) { return state_->write_at(offset, bytes); }

Expected<void> refuse_existing(const std::filesystem::path& path, bool force) {
  if (auto ok = refuse_what_stays(path); !ok) return ok;
  struct stat info {};
  const bool reachable = ::stat(path.c_str(), &info) == 0;
  const bool taken = reachable ? S_ISREG(info.st_mode) : ::lstat(path.c_str(), &info) == 0;
  if (taken && !force) return exists_already(path);
  return {};
}

Expected<void> write_text_file(const std::filesystem::path& path, std::string_view text, IfExists if_exists) {
  auto file = PartialFile::create(path, if_exists);
  if (!file) return fail(file);
  if (auto done = file->sink().append(as_bytes(text)); !done) return done;
  return file->keep();
}

}  // namespace sds
