#include "sds/format/error.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace sds {

std::string Error::to_string() const {
  std::string text;
  if (!path.empty()) text += path.string() + ": ";
  if (offset) text += fmt::format("at byte {}: ", *offset);
  return text + message;
}

int Error::exit_code() const {
  switch (code) {
    case ErrorCode::usage:
      return 2;
    case ErrorCode::bad_input:
    case ErrorCode::unsupported:
    case ErrorCode::limit:
      return 3;
    case ErrorCode::io:
    case ErrorCode::exists:
      return 4;
    case ErrorCode::algorithm:
      return 1;
    case ErrorCode::interrupted:
      return 130;
  }
  return 4;
}

Error no_memory() noexcept { return {ErrorCode::io, "out of memory", {}, {}, ENOMEM}; }

bool is_disk_full(const Error& error) { return error.system_error == ENOSPC || error.system_error == EDQUOT; }

bool is_file_full(const Error& error) { return error.system_error == EFBIG; }

tl::unexpected<Error> fail(ErrorCode code, std::string message, std::filesystem::path path,
                           std::optional<std::uint64_t> offset) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(path), offset});
}

tl::unexpected<Error> fail_errno(int errno_value, const std::string& what, std::filesystem::path path) {
  const auto code = errno_value == EEXIST ? ErrorCode::exists : ErrorCode::io;
  std::string message = what + ": " + std::generic_category().message(errno_value);
  if (errno_value == EFBIG) message += " (no larger files are allowed, by the file system or by ulimit -f)";
  auto failure = fail(code, std::move(message), std::move(path));
  failure.value().system_error = errno_value;
  return failure;
}

}  // namespace sds
