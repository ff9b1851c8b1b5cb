#include "sds/format/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "retry.hpp"
#include "sds/format/links.hpp"
#include "sds/format/new_file.hpp"

namespace sds {

Expected<std::shared_ptr<const InputFile>> InputFile::open(const std::filesystem::path& path) {
  const std::shared_ptr<InputFile> file(new InputFile(path));
  file->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor_ < 0) return fail_errno(errno, "cannot open", path);
  struct stat info {};
  if (::fstat(file->descriptor_, &info) != 0 || !S_ISREG(info.st_mode))
    return fail(ErrorCode::io, "not a regular file", path);
  return file;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Expected<std::uint64_t> InputFile::size() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) return fail_errno(errno, "cannot read the size", path_);
  return static_cast<std::uint64_t>(info.st_size);
}

Expected<std::size_t> InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, fmt::format("cannot read at byte {}", offset + done), path_);
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

// A lock for writing can only be had by who may write the file, and asking for it takes none.
ByteSource::InUse InputFile::in_use() const {
#ifdef F_OFD_GETLK
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(descriptor_, F_OFD_GETLK, &lock) == 0) return lock.l_type == F_WRLCK ? InUse::yes : InUse::no;
#endif
  return InUse::unknown;
}

Expected<void> ByteSource::read_exactly(std::uint64_t offset, std::span<std::byte> out) const {
  auto got = read(offset, out);
  if (!got) return fail(got);
  if (*got != out.size())
    return fail(ErrorCode::bad_input, fmt::format("the file ends after {} of {} bytes", *got, out.size()), path(),
                offset);
  return {};
}

namespace {

tl::unexpected<Error> cannot_create(int error, const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  std::error_code ignored;
  if (error == ENOENT && !folder.empty() && !std::filesystem::exists(folder, ignored))
    return tl::unexpected<Error>(
        {ErrorCode::io, fmt::format("cannot create: there is no directory {}", folder.string()), path, {}, ENOENT});
  return fail_errno(error, "cannot create", path);
}

}  // namespace

Expected<std::unique_ptr<OutputFile>> OutputFile::open(const std::filesystem::path& path, int flags) {
  std::unique_ptr<OutputFile> file(new OutputFile(path, -1, true));
  const int descriptor = retry([&] { return file_system().open(path, O_WRONLY | O_CREAT | flags, 0666); });
  if (descriptor < 0) return cannot_create(-descriptor, path);
  file->descriptor_ = descriptor;
  return file;
}

Expected<std::unique_ptr<OutputFile>> OutputFile::create(const std::filesystem::path& path, IfExists if_exists) {
  return open(path, if_exists == IfExists::fail ? O_EXCL : O_TRUNC);
}

std::vector<std::filesystem::path> along_links(std::filesystem::path path) {
  constexpr std::size_t most = 40;  // as the system follows
  std::vector<std::filesystem::path> paths{std::move(path)};
  std::error_code error;
  while (paths.size() <= most && std::filesystem::is_symlink(paths.back(), error)) {
    const auto next = std::filesystem::read_symlink(paths.back(), error);
    if (error) break;
    paths.push_back(paths.back().parent_path() / next);
  }
  return paths;
}

std::filesystem::path behind_links(std::filesystem::path path) { return along_links(std::move(path)).back(); }

Expected<std::unique_ptr<OutputFile>> OutputFile::create_marked(const std::filesystem::path& path, IfExists if_exists) {
  const auto target = if_exists == IfExists::overwrite ? behind_links(path) : path;
  // Nothing is left of a file that could not be begun.
  NewFile made(target);
  auto file = open(target, O_EXCL);
  if (file) made.made();
  if (!file && if_exists == IfExists::overwrite && file.error().system_error == EEXIST) file = open(target, 0);
  if (!file) return file;
  (*file)->path_ = path;
  const int marked = retry([&] { return file_system().lock((*file)->descriptor_); });
  const bool is_new = if_exists == IfExists::fail;  // then nobody else can have marked it
  if (!is_new && (marked == -EAGAIN || marked == -EACCES)) {
    made.keep();
    return fail(ErrorCode::usage, "is being recorded: choose another name", path);
  }
  if (marked < 0) (*file)->not_marked_ = -marked;
  if (!is_new)
    if (auto emptied = (*file)->truncate(0); !emptied) return fail(emptied);
  made.keep();
  return file;
}

std::unique_ptr<OutputFile> OutputFile::standard_output() {
  return std::unique_ptr<OutputFile>(new OutputFile("standard output", STDOUT_FILENO, false));
}

OutputFile::~OutputFile() {
  if (!owned_ || descriptor_ < 0) return;
  if (reserved_ > size_) give_back_reserved();
  file_system().close(descriptor_);
}

Expected<void> OutputFile::failure() const {
  if (latch_ != Latch::open) return fail_errno(error_, failed_, path_);
  if (descriptor_ < 0) return fail(ErrorCode::io, "is closed", path_);
  return {};
}

tl::unexpected<Error> OutputFile::latch(Latch latch, int errno_value, const char* what) {
  latch_ = latch;
  error_ = errno_value;
  failed_ = what;
  return fail_errno(errno_value, what, path_);
}

Expected<void> OutputFile::append(ByteView bytes) {
  if (auto ok = failure(); !ok) return ok;
  while (!bytes.empty()) {
    const ssize_t put = retry([&] { return file_system().write(descriptor_, bytes); });
    if (put < 0) return latch(Latch::until_truncate, static_cast<int>(-put), "cannot write");
    if (put == 0) return latch(Latch::until_truncate, EIO, "cannot write");  // or this would never end
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    size_ += static_cast<std::uint64_t>(put);
  }
  return {};
}

Expected<void> OutputFile::reserve(std::uint64_t bytes) {
  if (auto ok = failure(); !ok) return ok;
  if (!owned_ || size_ + bytes <= reserved_) return {};
  const int done = retry([&] { return file_system().reserve(descriptor_, size_, bytes); });
  if (done == -ENOSPC || done == -EDQUOT || done == -EFBIG) {
    if (reserved_ <= size_) give_back_reserved();  // a part of it may be there
    return fail_errno(-done, "cannot write", path_);
  }
  if (done >= 0) reserved_ = size_ + bytes;  // else the file system cannot, or the write will tell
  return {};
}

// A failure keeps nobody from anything.
void OutputFile::give_back_reserved() {
  if (latch_ == Latch::open) (void)retry([&] { return file_system().truncate(descriptor_, size_); });
  reserved_ = size_;
}

Expected<void> OutputFile::truncate(std::uint64_t size) {
  if (!owned_) return fail(ErrorCode::io, "cannot truncate", path_);
  if (latch_ != Latch::until_truncate || descriptor_ < 0)
    if (auto ok = failure(); !ok) return ok;
  const int done = retry([&] { return file_system().truncate(descriptor_, size); });
  if (done < 0) return latch(Latch::until_truncate, -done, "cannot truncate");
  latch_ = Latch::open;
  size_ = reserved_ = size;
  return {};
}

Expected<void> OutputFile::sync() {
  if (auto ok = failure(); !ok) return ok;
  if (!owned_) return {};
  const int done = retry([&] { return file_system().sync(descriptor_); });
  if (done < 0) return latch(Latch::for_good, -done, "cannot sync");
  return {};
}

Expected<void> OutputFile::close() {
  const int descriptor = descriptor_;
  if (!owned_ || descriptor < 0) return latch_ != Latch::open ? failure() : Expected<void>{};
  if (reserved_ > size_) give_back_reserved();
  descriptor_ = -1;
  const int done = file_system().close(descriptor);
  if (latch_ != Latch::open) return failure();
  if (done < 0) return latch(Latch::for_good, -done, "cannot close");
  return {};
}

Expected<void> OutputFile::rename_to(const std::filesystem::path& path) {
  auto name = path;
  if (auto renamed = rename_file(path_, path); !renamed) return renamed;
  path_ = std::move(name);
  return {};
}

std::optional<Error> OutputFile::not_marked() const {
  if (not_marked_ == 0) return std::nullopt;
  return fail_errno(not_marked_, "cannot be locked", path_).value();
}

bool OutputFile::is_at(const std::filesystem::path& path) const {
  struct stat open {};
  struct stat named {};
  return ::fstat(descriptor_, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

Expected<std::string> read_small_file(const std::filesystem::path& path, std::size_t max_bytes) {
  auto file = InputFile::open(path);
  if (!file) return fail(file);
  auto size = (*file)->size();
  if (!size) return fail(size);
  if (*size > max_bytes)
    return fail(ErrorCode::limit, fmt::format("{} bytes, more than the {} bytes that are read", *size, max_bytes),
                path);
  std::string text(*size, '\0');
  auto got = (*file)->read(0, std::as_writable_bytes(std::span(text)));
  if (!got) return fail(got);
  text.resize(*got);
  return text;
}

}  // namespace sds
