// Progress on stderr for work of more than a second, and the way Ctrl-C ends it.
#pragma once

#include <chrono>
#include <string>

#include "sds/format/progress.hpp"

namespace sds::cli {

/// Signals that come together are one request to end: timeout(1) signals its child and then its child's group, the
/// shell and the kernel both tell that a terminal is gone. No finger is as fast.
inline constexpr std::chrono::milliseconds one_request{100};

/// From now on the first SIGINT or SIGTERM makes running work end with ErrorCode::interrupted, so that it can clean up
/// behind itself; one that comes behind that request kills.
void catch_interrupts();
/// True once a signal has come.
bool interrupted();
/// The same as an error: what waits without any progress asks for it.
Expected<void> may_go_on();

/// Shows nothing in the first second, and nothing at all where stderr is no terminal.
class Progress {
 public:
  Progress(std::string what, std::uint64_t total_bytes);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  Expected<void> add(std::uint64_t bytes);
  /// The same as a function, for as long as this object lives.
  OnProgress callback() {
    return [this](std::uint64_t bytes) { return add(bytes); };
  }

 private:
  std::string what_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  bool terminal_ = false;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace sds::cli
