// Files as sdskit needs them: positioned reads that many cursors may share, and an append-only sink that a
// test can replace to make any write fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "sds/format/byte_source.hpp"
#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/file_system.hpp"

namespace sds {

/// A file open for reading. Thread-safe: reads carry their own position.
class InputFile final : public ByteSource {
 public:
  static Expected<std::shared_ptr<const InputFile>> open(const std::filesystem::path& path);
  ~InputFile() override;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  [[nodiscard]] Expected<std::uint64_t> size() const override;
  [[nodiscard]] Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override;
  /// By OutputFile::create_marked(); InUse::unknown where there are no locks.
  [[nodiscard]] InUse in_use() const override;

 private:
  explicit InputFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Where a writer puts its bytes. Two implementations: OutputFile, and the tests' failing disk.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// Appends all of `bytes`, or fails; after a failure the end of the sink is undefined until truncate().
  [[nodiscard]] virtual Expected<void> append(ByteView bytes) = 0;
  /// Sets aside the place for the next `bytes`, where that can be done: they cannot fail for want of it then. Nobody
  /// sees anything of it. Fails only where there is no such place.
  [[nodiscard]] virtual Expected<void> reserve(std::uint64_t bytes) {
    (void)bytes;
    return {};
  }
  /// Cuts the sink back to `size` bytes, and gives back what was reserved.
  [[nodiscard]] virtual Expected<void> truncate(std::uint64_t size) = 0;
  /// Makes what was appended survive a power cut.
  [[nodiscard]] virtual Expected<void> sync() = 0;
  /// Gives back what was reserved, flushes and closes; the first error that the system kept back comes out here.
  [[nodiscard]] virtual Expected<void> close() = 0;
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;
};

enum class IfExists { fail, overwrite };

/// A file open for appending, by way of file_system(); closed by the destructor if close() was not called.
///
/// An error latches. After a failed append() or truncate() the file ends anywhere: every call fails with that error
/// until a truncate() succeeds. After a failed sync() the system may have dropped what was written: every later call
/// fails, for good. A close() that failed fails again when it is repeated.
class OutputFile final : public ByteSink {
 public:
  /// IfExists::fail: a file (or link) of that name is left alone, ErrorCode::exists.
  static Expected<std::unique_ptr<OutputFile>> create(const std::filesystem::path& path, IfExists if_exists);
  /// The same, and tells readers, until the file is closed or the process ends, that it is being written: by an
  /// advisory lock, which only who may write the file can have. What another has marked is left as it is:
  /// ErrorCode::usage. Where there can be no lock (not_marked() says why) the file is made all the same.
  static Expected<std::unique_ptr<OutputFile>> create_marked(const std::filesystem::path& path, IfExists if_exists);
  /// Wraps standard output; sync() does nothing, truncate() is an error.
  static std::unique_ptr<OutputFile> standard_output();
  ~OutputFile() override;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] Expected<void> append(ByteView bytes) override;
  [[nodiscard]] Expected<void> reserve(std::uint64_t bytes) override;
  [[nodiscard]] Expected<void> truncate(std::uint64_t size) override;
  [[nodiscard]] Expected<void> sync() override;
  [[nodiscard]] Expected<void> close() override;
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  /// Gives the file, open as it is, another name; what stands there is replaced. It keeps its name if that fails.
  [[nodiscard]] Expected<void> rename_to(const std::filesystem::path& path);
  /// Why create_marked() could not mark it; nothing if it did.
  [[nodiscard]] std::optional<Error> not_marked() const;
  /// True if `path` leads to this very file. Not after close().
  [[nodiscard]] bool is_at(const std::filesystem::path& path) const;

 private:
  enum class Latch { open, until_truncate, for_good };
  OutputFile(std::filesystem::path path, int descriptor, bool owned)
      : path_(std::move(path)), descriptor_(descriptor), owned_(owned) {}
  static Expected<std::unique_ptr<OutputFile>> open(const std::filesystem::path& path, int flags);
  Expected<void> failure() const;
  tl::unexpected<Error> latch(Latch latch, int errno_value, const char* what);
  void give_back_reserved();

  std::filesystem::path path_;
  int descriptor_;
  bool owned_;  // false: standard output
  std::uint64_t size_ = 0;
  std::uint64_t reserved_ = 0;  // up to this byte
  // The error is put into words when it is asked for: to keep it needs no memory.
  Latch latch_ = Latch::open;
  int error_ = 0;
  const char* failed_ = "";
  int not_marked_ = 0;  // the error
};

/// Reads a whole small file; fails with ErrorCode::limit if it is larger than `max_bytes`.
Expected<std::string> read_small_file(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace sds
