// Single keys from a terminal, for `sds serve`.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace sds::cli {

/// Reads keys, without waiting for Enter, on a thread of its own until destroyed, and waits while the process is in the
/// background. Does nothing where standard input is no terminal.
class Keyboard {
 public:
  explicit Keyboard(std::function<void(char)> on_key);
  ~Keyboard();
  Keyboard(const Keyboard&) = delete;
  Keyboard& operator=(const Keyboard&) = delete;
  /// True if keys are read now.
  [[nodiscard]] bool active() const;

 private:
  std::function<void(char)> on_key_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// Gives the terminal back as it was before a Keyboard took it, for who ends the process at once.
void restore_terminal();

}  // namespace sds::cli
