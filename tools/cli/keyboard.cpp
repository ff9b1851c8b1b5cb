#include "keyboard.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <optional>

namespace sds::cli {

namespace {

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
  // In the background it is somebody else's: neither read nor set.
  [[nodiscard]] bool is_ours() const { return ::tcgetpgrp(file_) == ::getpgrp(); }

  // Keys come one by one and unechoed; Ctrl-C still interrupts. A shell sets its own ways whenever it takes the
  // terminal back, so this is asked for again and again.
  void take() {
    termios now{};
    if (::tcgetattr(file_, &now) != 0 || (now.c_lflag & kLines) == 0) return;
    before_ = now;
    taken_ = true;
    now.c_lflag &= ~kLines;
    ::tcsetattr(file_, TCSANOW, &now);
  }
  void leave() {
    if (taken_ && is_ours()) ::tcsetattr(file_, TCSANOW, &before_);
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
  bool taken_ = false;
  termios before_{};
};

}  // namespace

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
