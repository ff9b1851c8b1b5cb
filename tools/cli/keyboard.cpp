#include "keyboard.hpp"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

namespace sds::cli {

namespace {

// Keys come one by one and unechoed for as long as this lives; Ctrl-C still interrupts.
class RawTerminal {
 public:
  RawTerminal() {
    ::tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~RawTerminal() { ::tcsetattr(STDIN_FILENO, TCSANOW, &before_); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_{};
};

}  // namespace

Keyboard::Keyboard(std::function<void(char)> on_key) : on_key_(std::move(on_key)) {
  // In the background the terminal is somebody else's.
  if (::isatty(STDIN_FILENO) == 0 || ::tcgetpgrp(STDIN_FILENO) != ::getpgrp()) return;
  thread_ = std::thread([this] {
    const RawTerminal terminal;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    while (!stopping_) {
      if (::poll(&input, 1, 100) <= 0) continue;
      char key = 0;
      if (::read(STDIN_FILENO, &key, 1) != 1) return;
      on_key_(key);
    }
  });
}

Keyboard::~Keyboard() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace sds::cli
