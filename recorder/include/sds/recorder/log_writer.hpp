// The server's log: whoever reads it may go away, or stop reading, and the server goes on.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <memory>

namespace sds {

/// While it exists, spdlog's default logger writes to a descriptor from a thread of its own, behind a queue of `lines`
/// lines. A log that is not taken in (a full pipe, a stopped terminal) costs the oldest of them; how many is said when
/// it goes on. A descriptor that fails costs the lines that it does not take. Text is made printable(), so that a line
/// is a line. SIGPIPE is to be ignored by the program.
class LogWriter {
 public:
  static constexpr std::size_t queued_lines = 8192;

  /// Throws std::system_error if no thread can be had.
  explicit LogWriter(int descriptor = STDERR_FILENO, std::size_t lines = queued_lines);
  /// Writes what is left, for at most a second if nobody takes it in, and gives the former logger back.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sds
