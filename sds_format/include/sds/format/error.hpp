// The one error type of sdskit, and the result type that carries it across every public boundary.
// No exception leaves a public function but std::bad_alloc, where memory runs out; a programming error is an assert.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <tl/expected.hpp>

namespace sds {

enum class ErrorCode {
  usage,        ///< the caller asked for something that makes no sense (unknown stream, bad option)
  bad_input,    ///< a recording, metadata file or message is malformed
  unsupported,  ///< well formed, but from a newer version or outside what is supported
  limit,        ///< well formed, but larger than a stated limit
  io,           ///< the operating system refused: disk full, permission, missing file
  exists,       ///< what was to be made exists already, and was left alone
  algorithm,    ///< the algorithm under test failed, crashed or hung
  interrupted,  ///< the user stopped the work
};

/// What went wrong, and where.
struct Error {
  ErrorCode code = ErrorCode::bad_input;
  std::string message;                  ///< what was expected and what was found, without the path
  std::filesystem::path path;           ///< the file, when there is one
  std::optional<std::uint64_t> offset;  ///< byte offset in that file, when there is one
  int system_error = 0;                 ///< the errno of a refused system call; 0: none

  /// "walk.0.sds: at byte 10432: block size 1500 runs past the end of the file"
  [[nodiscard]] std::string to_string() const;

  /// Exit code of the command line for this error: 2 usage, 3 bad input, 4 I/O, system or exists, 1 algorithm, 130
  /// interrupted.
  [[nodiscard]] int exit_code() const;
};

/// What a lack of memory says. Made without any.
[[nodiscard]] Error no_memory() noexcept;

/// True where writing failed for want of room (ENOSPC, EDQUOT): it may succeed later.
bool is_disk_full(const Error& error);
/// True where the file may not grow (EFBIG: FAT32's 4 GiB, ulimit -f), which no waiting helps.
bool is_file_full(const Error& error);

template <class T>
using Expected = tl::expected<T, Error>;

/// The failure value of any Expected<T>.
tl::unexpected<Error> fail(ErrorCode code, std::string message, std::filesystem::path path = {},
                           std::optional<std::uint64_t> offset = {});

/// The failure value for a refused system call: `what` and the text of `errno_value`.
tl::unexpected<Error> fail_errno(int errno_value, const std::string& what, std::filesystem::path path);

/// Passes the error of one result on as another.
template <class T>
tl::unexpected<Error> fail(const Expected<T>& result) {
  return tl::unexpected<Error>(result.error());
}

}  // namespace sds
