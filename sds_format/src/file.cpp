#include "sds/format/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sds {

Expected<std::shared_ptr<const InputFile>> InputFile::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(errno, "cannot open", path);
  struct stat info {};
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return fail(ErrorCode::io, "not a regular file", path);
  }
  return std::shared_ptr<const InputFile>(new InputFile(path, descriptor));
}

InputFile::~InputFile() { ::close(descriptor_); }

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

Expected<void> InputFile::read_exactly(std::uint64_t offset, std::span<std::byte> out) const {
  auto got = read(offset, out);
  if (!got) return fail(got);
  if (*got != out.size())
    return fail(ErrorCode::bad_input, fmt::format("the file ends after {} of {} bytes", *got, out.size()), path_,
                offset);
  return {};
}

Expected<std::unique_ptr<OutputFile>> OutputFile::create(const std::filesystem::path& path, IfExists if_exists) {
  const int exists_flag = if_exists == IfExists::fail ? O_EXCL : O_TRUNC;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | exists_flag, 0666);
  if (descriptor < 0) return fail_errno(errno, "cannot create", path);
  return std::unique_ptr<OutputFile>(new OutputFile(path, descriptor));
}

std::unique_ptr<OutputFile> OutputFile::standard_output() {
  return std::unique_ptr<OutputFile>(new OutputFile("standard output", STDOUT_FILENO));
}

OutputFile::~OutputFile() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Expected<void> OutputFile::append(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      return fail_errno(errno, "cannot write", path_);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Expected<void> OutputFile::truncate(std::uint64_t size) {
  if (descriptor_ == STDOUT_FILENO) return {};
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0 ||
      ::lseek(descriptor_, static_cast<off_t>(size), SEEK_SET) < 0)
    return fail_errno(errno, "cannot truncate", path_);
  return {};
}

Expected<void> OutputFile::sync() {
  if (descriptor_ != STDOUT_FILENO && ::fdatasync(descriptor_) != 0) return fail_errno(errno, "cannot sync", path_);
  return {};
}

Expected<void> OutputFile::close() {
  const int descriptor = descriptor_;
  if (descriptor <= STDERR_FILENO) return {};
  descriptor_ = -1;
  if (::close(descriptor) != 0) return fail_errno(errno, "cannot close", path_);
  return {};
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
