#include "own_handlers.hpp"

#include <dlfcn.h>

#include <atomic>
#include <initializer_list>

namespace sds::host {

namespace {

using SetAction = int (*)(int, const struct sigaction*, struct sigaction*);
using SetHandler = sighandler_t (*)(int, sighandler_t);

struct sigaction fault_action {};
struct sigaction trap_action {};
std::atomic<bool> touched{false};

// The C library's functions: those of this name are the ones below.
SetAction real_sigaction() {
  static std::atomic<SetAction> found{nullptr};
  if (found == nullptr) found = reinterpret_cast<SetAction>(dlsym(RTLD_NEXT, "sigaction"));
  return found;
}
SetHandler real_signal() {
  static std::atomic<SetHandler> found{nullptr};
  if (found == nullptr) found = reinterpret_cast<SetHandler>(dlsym(RTLD_NEXT, "signal"));
  return found;
}

void note(int number) {
  if (number == SIGSEGV || number == SIGBUS || number == SIGTRAP) touched = true;
}

sighandler_t set_as(const char* function, int number, sighandler_t handler) {
  note(number);
  const auto real = reinterpret_cast<SetHandler>(dlsym(RTLD_NEXT, function));
  return real != nullptr ? real(number, handler) : SIG_ERR;
}

}  // namespace

void set_own_handlers(SignalHandler on_fault, SignalHandler on_trap) {
  fault_action.sa_sigaction = on_fault;
  fault_action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  trap_action = fault_action;
  trap_action.sa_sigaction = on_trap;
  (void)real_signal();  // looked for now: a handler uses it
  put_back_own_handlers();
}

void put_back_own_handlers() {
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) real_sigaction()(number, &fault_action, nullptr);
  real_sigaction()(SIGTRAP, &trap_action, nullptr);
  touched = false;
}

bool others_were_set() { return touched.load(std::memory_order_relaxed); }

bool own_handlers_are_set() {
  const auto is_set = [](int number, const struct sigaction& own) {
    struct sigaction now {};
    real_sigaction()(number, nullptr, &now);
    return now.sa_sigaction == own.sa_sigaction;
  };
  return is_set(SIGSEGV, fault_action) && is_set(SIGBUS, fault_action) && is_set(SIGTRAP, trap_action);
}

}  // namespace sds::host

// What the algorithm calls, for a program's own functions go before those of libraries.
extern "C" {

int sigaction(int number, const struct sigaction* action, struct sigaction* old) noexcept {
  if (action != nullptr) sds::host::note(number);
  return sds::host::real_sigaction()(number, action, old);
}

sighandler_t signal(int number, sighandler_t handler) noexcept {
  sds::host::note(number);
  return sds::host::real_signal()(number, handler);
}

// Its older names: `-std=c99` makes the first one of signal().
sighandler_t __sysv_signal(int number, sighandler_t handler) noexcept {
  return sds::host::set_as("__sysv_signal", number, handler);
}
sighandler_t sysv_signal(int number, sighandler_t handler) noexcept {
  return sds::host::set_as("sysv_signal", number, handler);
}
sighandler_t bsd_signal(int number, sighandler_t handler) noexcept {
  return sds::host::set_as("bsd_signal", number, handler);
}
sighandler_t ssignal(int number, sighandler_t handler) noexcept {
  return sds::host::set_as("ssignal", number, handler);
}
sighandler_t sigset(int number, sighandler_t handler) noexcept { return sds::host::set_as("sigset", number, handler); }

}  // extern "C"
