#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "command.hpp"

namespace sds::cli {

namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

extern "C" void on_interrupt(int signal) {
  interrupt_seen = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

bool interrupted() { return interrupt_seen != 0; }

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

Progress::Progress(std::string what, std::uint64_t total_bytes)
    : what_(std::move(what)),
      total_(total_bytes),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      next_(start_ + std::chrono::seconds(1)) {}

Progress::~Progress() {
  if (shown_) tell("\r\033[K");
}

Expected<void> Progress::add(std::uint64_t bytes) {
  if (interrupt_seen != 0) return fail(ErrorCode::interrupted, "interrupted");
  done_ += bytes;
  if (!terminal_) return {};
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return {};
  next_ = now + std::chrono::milliseconds(200);
  shown_ = true;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double rate = static_cast<double>(done_) / elapsed;
  std::string rest;
  if (total_ > 0 && done_ > 0 && done_ <= total_)
    rest = fmt::format("  {:3.0f} %, {} left", 100.0 * static_cast<double>(done_) / static_cast<double>(total_),
                       human_seconds(static_cast<double>(total_ - done_) / rate));
  tell("\r\033[K{}: {} at {}/s{}", what_, human_bytes(done_), human_bytes(static_cast<std::uint64_t>(rate)), rest);
  std::fflush(stderr);
  return {};
}

}  // namespace sds::cli
