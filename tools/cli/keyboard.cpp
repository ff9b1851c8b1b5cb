#include "keyboard.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>

namespace sds::cli {

namespace {

// How the terminal was before it was taken, for signal handlers: they must find it at once.
struct Taken {
  std::atomic<int> file{-1};  // -1: it is not taken
  termios before{};
  std::atomic<bool> stopping{false};  // a signal is about to stop or end the process: not to be taken again
};
Taken g_taken;

// In the background the terminal is somebody else's: neither read nor set.
bool is_ours(int file) { return ::tcgetpgrp(file) == ::getpgrp(); }

void give_back() {
  const int file = g_taken.file;
  if (file >= 0 && is_ours(file)) ::tcsetattr(file, TCSANOW, &g_taken.before);
}

// Ctrl-Z and Ctrl-\ do what they always do, but whoever gets the terminal gets it as it was.
void on_terminal_signal(int signal) {
  const int error = errno;
  g_taken.stopping = true;
  give_back();
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  struct sigaction ours {};
  ::sigaction(signal, &standard, &ours);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);  // here it happens; and here the process goes on after a stop
  ::sigaction(signal, &ours, nullptr);
  g_taken.stopping = false;
  errno = error;
}

void take_signals() {
  for (const int signal : {SIGTSTP, SIGQUIT}) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;  // ignored, as under nohup
    struct sigaction ours {};
    ours.sa_handler = on_terminal_signal;
    ours.sa_flags = SA_RESTART;
    ::sigaction(signal, &ours, nullptr);
  }
}

// The terminal on standard input, by a description of its own: what is set on it (not to block) is nobody else's.
class Terminal {
 public:
  Terminal() {
    const char* name = ::ttyname(STDIN_FILENO);
    if (name != nullptr) file_ = ::open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  ~Terminal() {
    if (file_ < 0) return;
    leave();
    ::close(file_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  [[nodiscard]] bool is_open() const { return file_ >= 0; }
  [[nodiscard]] bool is_ours() const { return cli::is_ours(file_); }

  // Keys come one by one and unechoed; Ctrl-C still interrupts. A shell sets its own ways whenever it takes the
  // terminal back, so this is asked for again and again.
  void take() {
    termios now{};
    if (::tcgetattr(file_, &now) != 0 || (now.c_lflag & kLines) == 0) return;
    if (g_taken.file < 0) take_signals();
    g_taken.file = -1;
    g_taken.before = now;
    g_taken.file = file_;
    now.c_lflag &= ~kLines;
    if (!g_taken.stopping) ::tcsetattr(file_, TCSANOW, &now);
  }
  static void leave() {
    give_back();
    g_taken.file = -1;
  }

  // Waits a moment for a key.
  std::optional<char> key() {
    pollfd input{file_, POLLIN, 0};
    char key = 0;
    if (::poll(&input, 1, kMoment) > 0 && ::read(file_, &key, 1) == 1) return key;
    // Hung up, or stolen by somebody else: poll() may come back at once.
    if (input.revents != 0) ::poll(nullptr, 0, kMoment);
    return std::nullopt;
  }
  static void wait() { ::poll(nullptr, 0, kMoment); }

 private:
  static constexpr tcflag_t kLines = ICANON | ECHO;
  static constexpr int kMoment = 100;  // ms
  int file_ = -1;
};

}  // namespace

void restore_terminal() { give_back(); }

Keyboard::Keyboard(std::function<void(char)> on_key) : on_key_(std::move(on_key)) {
  if (::isatty(STDIN_FILENO) == 0) return;
  thread_ = std::thread([this] {
    // Between the look and the deed the terminal may be taken away: that must not stop the whole process.
    sigset_t job_control;
    sigemptyset(&job_control);
    sigaddset(&job_control, SIGTTIN);
    sigaddset(&job_control, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &job_control, nullptr);
    Terminal terminal;
    while (!stopping_ && terminal.is_open()) {
      if (!terminal.is_ours()) {
        Terminal::wait();
        continue;
      }
      terminal.take();
      if (const auto key = terminal.key()) on_key_(*key);
    }
  });
}

Keyboard::~Keyboard() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

bool Keyboard::active() const { return thread_.joinable() && ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

}  // namespace sds::cli
