// sds-algorithm-host LIBRARY: the process in which an untrusted algorithm runs. Started by sdskit with a socket and a
// shared memory as descriptors 3 and 4; of no use by hand.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "host_protocol.hpp"

namespace {

using namespace sds::host;

std::uint8_t* memory = nullptr;

Control& control() { return *reinterpret_cast<Control*>(memory); }

void on_fault(int signal, siginfo_t* info, void* context) {
  Control& c = control();
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const auto base = reinterpret_cast<std::uintptr_t>(memory);
  c.fault_offset = address >= base && address < base + memory_bytes ? address - base : UINT64_MAX;
  c.fault_is_write = 2;
#if defined(__x86_64__)
  const auto* machine = static_cast<const ucontext_t*>(context);
  c.fault_is_write = (machine->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? 1 : 0;
#else
  (void)context;
#endif
  c.fault_signal = static_cast<std::uint32_t>(signal);
  // The handler was installed for one shot: returning runs the instruction again, and the default action ends us.
}

void watch_faults() {
  static std::uint8_t stack[65536];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
}

template <class Function>
Function find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

struct Functions {
  std::int32_t (*init)() = nullptr;
  void (*reset)() = nullptr;
  std::int32_t (*execute)(std::uint8_t*, std::uint32_t, std::uint8_t*, std::uint32_t) = nullptr;
};

bool load(const char* path, Functions& functions) {
  char* message = control().message;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::snprintf(message, sizeof control().message, "%s", dlerror());
    return false;
  }
  functions.init = find<decltype(functions.init)>(library, "InitAlgorithm");
  functions.reset = find<decltype(functions.reset)>(library, "ResetAlgorithm");
  functions.execute = find<decltype(functions.execute)>(library, "ExecuteAlgorithm");
  const char* missing = functions.init == nullptr      ? "InitAlgorithm"
                        : functions.reset == nullptr   ? "ResetAlgorithm"
                        : functions.execute == nullptr ? "ExecuteAlgorithm"
                                                       : nullptr;
  if (missing == nullptr) return true;
  std::snprintf(message, sizeof control().message, "it has no function %s (see algorithm.h)", missing);
  return false;
}

bool receive(Request& request) {
  for (;;) {
    const ssize_t got = recv(socket_descriptor, &request, sizeof request, 0);
    if (got < 0 && errno == EINTR) continue;
    return got == static_cast<ssize_t>(sizeof request);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "sds-algorithm-host is started by `sds replay`; it is of no use by hand\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  void* mapped = mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_descriptor, 0);
  if (mapped == MAP_FAILED) return 4;
  memory = static_cast<std::uint8_t*>(mapped);
  close(memory_descriptor);
  for (const std::size_t guard : {page_bytes, input_end, output_end})
    if (mprotect(memory + guard, page_bytes, PROT_NONE) != 0) return 4;
  fcntl(socket_descriptor, F_SETFD, FD_CLOEXEC);
  watch_faults();
  Functions functions;
  Request request;
  while (receive(request)) {
    Reply reply;
    switch (request.call) {
      case Call::init:
        reply.loaded = load(argv[1], functions) ? 1 : 0;
        if (reply.loaded != 0) reply.result = functions.init();
        break;
      case Call::reset:
        if (functions.reset != nullptr) functions.reset();
        break;
      case Call::execute:
        if (functions.execute != nullptr)
          reply.result = functions.execute(memory + input_end - request.input_bytes, request.input_bytes,
                                           memory + output_end - request.output_bytes, request.output_bytes);
        break;
    }
    std::fflush(stdout);
    if (send(socket_descriptor, &reply, sizeof reply, MSG_NOSIGNAL) < 0) break;
  }
  return 0;
}
