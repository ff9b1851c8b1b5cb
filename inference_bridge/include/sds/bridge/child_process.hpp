// A program that was started to run an algorithm: its end, what it took, and waiting for its answers.
#pragma once

#include <spawn.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/error.hpp"

namespace sds {

/// What waits for a child asks this often whether it still should.
inline constexpr std::chrono::milliseconds ask_interval{100};

/// Closes a file descriptor when it goes.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// A running child and all that it starts. It runs under a guard, a process of sds-algorithm-host, that ends whatever
/// the child has started, in whichever group or session, when the child ends, when it is killed here, and when this
/// process dies. The destructor kills it.
class ChildProcess {
 public:
  ChildProcess() = default;
  ~ChildProcess() { end(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  struct Redirection {
    int from = -1;  ///< a descriptor of ours
    int to = -1;    ///< its number in the child
  };
  /// Starts a command (looked for in PATH) with standard input from /dev/null and standard output on stderr, but for
  /// the redirections. `environment` has "NAME=value" entries that are added to ours.
  Expected<void> start(const std::vector<std::string>& command, const std::vector<Redirection>& redirections,
                       const std::vector<std::string>& environment);
  /// Same, of the algorithm host with a library.
  Expected<void> start_library(const std::string& library, const std::vector<Redirection>& redirections,
                               const std::vector<std::string>& environment);

  [[nodiscard]] bool running() const { return pid_ >= 0; }
  /// True once it has ended by itself (or was never started).
  [[nodiscard]] bool has_ended() const;
  /// Becomes readable when it ends, for poll(); -1 where the system has no such thing.
  [[nodiscard]] int end_descriptor() const { return ended_.get(); }
  /// Kills it if it runs.
  void end();
  /// Waits until it ends by itself; its wait status.
  int wait() { return pid_ < 0 ? 0 : reap(); }
  /// Same, but nothing if it has not ended after `patience`, or `ask`, which is called now and then, returned an error:
  /// then it was killed.
  std::optional<int> wait_or_end(std::chrono::milliseconds patience, const std::function<Expected<void>()>& ask = {});
  /// Largest resident set in bytes; of a running child as the kernel tells it now.
  [[nodiscard]] std::uint64_t peak_memory() const;

 private:
  Expected<void> spawn(const std::vector<std::string>& command, const std::vector<Redirection>& redirections,
                       const std::vector<std::string>& environment);
  bool await_end(std::chrono::milliseconds patience, const std::function<Expected<void>()>& ask = {}) const;
  int reap();
  pid_t pid_ = -1;  // of the guard
  Descriptor ended_;
  std::uint64_t peak_ = 0;
};

/// "ended the process with exit code 3", "crashed: Aborted (signal 6)".
std::string describe_exit(int wait_status);

/// Milliseconds until `deadline`, never negative, for poll().
int milliseconds_until(std::chrono::steady_clock::time_point deadline);

}  // namespace sds
