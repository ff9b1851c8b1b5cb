#include "progress_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "command.hpp"
#include "wants_to_end.hpp"

namespace sds::cli {

namespace {

volatile std::sig_atomic_t interrupt_seen = 0;
// Of the first; set before any handler runs, and then by one alone.
std::int64_t interrupted_at_ns = 0;

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

extern "C" void on_interrupt(int signal) {
  const std::int64_t now = now_ns();
  if (interrupt_seen == 0) {
    interrupted_at_ns = now;
    interrupt_seen = 1;
  } else if (now - interrupted_at_ns >= std::chrono::nanoseconds(one_request).count()) {
    std::signal(signal, SIG_DFL);
    (void)std::raise(signal);
  }
}

}  // namespace

bool interrupted() { return interrupt_seen != 0; }

Expected<void> may_go_on() {
  if (interrupted()) return fail(ErrorCode::interrupted, "interrupted");
  return {};
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  // One handler at a time.
  for (const int signal : {SIGINT, SIGTERM}) sigaddset(&action.sa_mask, signal);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
  set_wants_to_end(interrupted);
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
  if (auto go_on = may_go_on(); !go_on) return go_on;
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
