// The host's handlers of the signals by which accesses past a buffer show. An algorithm that sets one of its own would
// hide them: that is noticed, without a system call for each of its calls.
#pragma once

#include <csignal>

namespace sds::host {

using SignalHandler = void (*)(int, siginfo_t*, void*);

/// Sets the handlers: of SIGSEGV, SIGBUS, SIGFPE and SIGILL, and of SIGTRAP.
void set_own_handlers(SignalHandler on_fault, SignalHandler on_trap);
/// Sets them again, and forgets who has set others.
void put_back_own_handlers();
/// True if one of SIGSEGV, SIGBUS and SIGTRAP was set through the C library since then, be it for a moment.
bool others_were_set();
/// Asks the kernel: it knows handlers that were set in other ways, too.
bool own_handlers_are_set();

}  // namespace sds::host
