#include "sds/bridge/child_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "sds/bridge/algorithm.hpp"

extern char** environ;

namespace sds {

namespace {

constexpr std::chrono::seconds kPatienceWithGuard{2};

std::string find_host() {
  if (const char* set = std::getenv("SDS_ALGORITHM_HOST"); set != nullptr) return set;
  std::error_code error;
  const auto here = program_path().parent_path();
  const auto installed = here / "../libexec/sdskit/sds-algorithm-host";
  return std::filesystem::exists(installed, error) ? installed : here / "sds-algorithm-host";
}

// The processes whose parent is `parent`, as /proc tells them.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    if (pid <= 0) continue;
    std::ifstream file(entry.path() / "stat");
    std::string stat;
    std::getline(file, stat);
    // pid (name) state parent ...; the name may hold anything.
    const std::size_t behind = stat.rfind(')');
    if (behind == std::string::npos || behind + 4 >= stat.size()) continue;
    if (std::strtol(stat.c_str() + behind + 4, nullptr, 10) == parent) found.push_back(pid);
  }
  return found;
}

std::uint64_t peak_memory_of(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  std::string word;
  while (status >> word) {
    std::uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

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
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe", command[0]);
  const Descriptor told(pipe[0]);
  Descriptor teller(pipe[1]);
  std::vector<std::string> words{find_host(), std::to_string(::getpid()), "run"};
  words.insert(words.end(), command.begin(), command.end());
  std::vector<Redirection> all = redirections;
  all.push_back({teller.get(), 3});
  if (auto spawned = spawn(words, all, environment); !spawned) return spawned;
  teller = Descriptor();
  // The pipe closes when the command has been started, or carries why it cannot be.
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(told.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof error)) return {};
  end();
  return fail_errno(error, "cannot be started", command[0]);
}

Expected<void> ChildProcess::start_library(const std::string& library, const std::vector<Redirection>& redirections,
                                           const std::vector<std::string>& environment) {
  return spawn({find_host(), std::to_string(::getpid()), "library", library}, redirections, environment);
}

Expected<void> ChildProcess::spawn(const std::vector<std::string>& command,
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
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  // What we ignore is to end a child, as anywhere.
  sigset_t ignored;
  ::sigemptyset(&ignored);
  for (const int signal : {SIGPIPE, SIGXFSZ}) ::sigaddset(&ignored, signal);
  ::posix_spawnattr_setsigdefault(&attributes, &ignored);
  const int error = ::posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(), variables.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    return fail_errno(error, "the algorithm host cannot be started", command[0]);
  }
#ifdef SYS_pidfd_open
  ended_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
#endif
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
  ::kill(pid_, SIGTERM);
  if (!await_end(kPatienceWithGuard)) {
    // Something has stopped the guard itself.
    for (const pid_t child : children_of(pid_)) {
      ::kill(-child, SIGKILL);
      ::kill(child, SIGKILL);
    }
    ::kill(pid_, SIGKILL);
  }
  reap();
}

bool ChildProcess::has_ended() const {
  if (pid_ < 0) return true;
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

bool ChildProcess::await_end(std::chrono::milliseconds patience, const std::function<Expected<void>()>& ask) const {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!has_ended()) {
    const int left = milliseconds_until(deadline);
    if (left == 0 || (ask && !ask())) return false;
    const int moment = ask ? std::min(left, static_cast<int>(ask_interval.count())) : left;
    pollfd end{ended_.get(), POLLIN, 0};
    ::poll(&end, 1, ended_.get() >= 0 ? moment : 1);
  }
  return true;
}

std::optional<int> ChildProcess::wait_or_end(std::chrono::milliseconds patience,
                                             const std::function<Expected<void>()>& ask) {
  if (pid_ < 0) return std::nullopt;
  if (await_end(patience, ask)) return reap();
  end();
  return std::nullopt;
}

std::uint64_t ChildProcess::peak_memory() const {
  std::uint64_t most = peak_;
  if (pid_ < 0) return most;
  for (const pid_t child : children_of(pid_)) most = std::max(most, peak_memory_of(child));
  return most;
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
