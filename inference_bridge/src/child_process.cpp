#include "sds/bridge/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <utility>

extern char** environ;

namespace sds {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}
Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Expected<void> ChildProcess::start(const std::vector<std::string>& command,
                                   const std::vector<Redirection>& redirections,
                                   const std::vector<std::string>& environment) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  // All move out of the way first: the numbers they get may be those that others of them have now.
  std::vector<Descriptor> copies;
  for (const auto& redirection : redirections) {
    copies.emplace_back(::fcntl(redirection.from, F_DUPFD_CLOEXEC, 10));
    ::posix_spawn_file_actions_adddup2(&actions, copies.back().get(), redirection.to);
  }
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<std::string> added = environment;
  std::vector<char*> variables;
  variables.reserve(added.size() + 64);
  for (auto& variable : added) variables.push_back(variable.data());
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  variables.push_back(nullptr);
  // A process group of its own: Ctrl-C in a terminal reaches us alone, and we end the child.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  const int error = ::posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(), variables.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    return fail_errno(error, "cannot be started", command[0]);
  }
  return {};
}

int ChildProcess::reap() {
  int status = 0;
  rusage usage{};
  while (::wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  peak_ = std::max(peak_, static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
  return status;
}

void ChildProcess::end() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

int ChildProcess::wait() { return pid_ < 0 ? 0 : reap(); }

bool ChildProcess::has_ended() const {
  if (pid_ < 0) return true;
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

int ChildProcess::wait_or_end(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (running() && std::chrono::steady_clock::now() < deadline) {
    if (has_ended()) return reap();
    ::usleep(1000);
  }
  if (running()) ::kill(pid_, SIGKILL);
  return wait();
}

std::uint64_t ChildProcess::peak_memory() const {
  if (pid_ < 0) return peak_;
  std::ifstream status(fmt::format("/proc/{}/status", pid_));
  std::string word;
  while (status >> word) {
    std::uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return std::max(peak_, kib * 1024);
  }
  return peak_;
}

std::string describe_exit(int wait_status) {
  if (WIFEXITED(wait_status)) return fmt::format("ended the process with exit code {}", WEXITSTATUS(wait_status));
  const int signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  return fmt::format("crashed: {} (signal {})", ::strsignal(signal), signal);
}

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30));
}

}  // namespace sds
