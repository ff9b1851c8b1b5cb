#include "guard.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

namespace sds::host {

namespace {

// The parent of a process, as /proc tells it; -1 if it is gone.
pid_t parent_of(pid_t pid) {
  char name[64];
  std::snprintf(name, sizeof name, "/proc/%d/stat", static_cast<int>(pid));
  std::FILE* file = std::fopen(name, "re");
  if (file == nullptr) return -1;
  char text[512];
  const std::size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[size] = 0;
  // The program's name, in parentheses, may hold anything.
  const char* behind = std::strrchr(text, ')');
  int parent = -1;
  return behind != nullptr && std::sscanf(behind + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

void kill_children() {
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return;
  while (const dirent* entry = readdir(proc)) {
    const auto pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (pid > 1 && parent_of(pid) == getpid()) kill(pid, SIGKILL);
  }
  closedir(proc);
}

// Kills the child's group, and then whatever this process has inherited as the reaper of all that descend from it:
// what has left the group, and the children of that. Each that dies may leave more behind.
void sweep(pid_t child, int& status) {
  kill(-child, SIGKILL);
  kill(child, SIGKILL);
  for (;;) {
    int ended = 0;
    const pid_t pid = waitpid(-1, &ended, WNOHANG);
    if (pid < 0 && errno != EINTR) return;  // none are left
    if (pid == child) status = ended;
    if (pid != 0) continue;
    kill_children();
    const timespec moment{0, 200'000};
    nanosleep(&moment, nullptr);
  }
}

[[noreturn]] void end_like(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    std::signal(number, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, number);
    kill(getpid(), number);
    sigsuspend(&all);
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

bool has_ended(pid_t child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

[[noreturn]] void guard(pid_t child, const sigset_t& signals) {
  // The child's connection is its own, standard input and output included: the other end sees when it is gone.
  closefrom(3);
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  int status = 0;
  while (!has_ended(child)) {
    siginfo_t info{};
    const int signal = sigwaitinfo(&signals, &info);
    if (signal > 0 && signal != SIGCHLD) break;
  }
  const bool by_itself = has_ended(child);
  sweep(child, status);
  end_like(by_itself ? status : 0);
}

}  // namespace

void split_off_guard(pid_t parent) {
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, &before);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(0);
  const pid_t guard_pid = getpid();
  const pid_t child = fork();
  if (child < 0) _exit(4);
  if (child > 0) {
    setpgid(child, child);
    guard(child, signals);
  }
  setpgid(0, 0);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != guard_pid) _exit(0);
}

}  // namespace sds::host
