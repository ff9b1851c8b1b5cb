// sds-algorithm-host LIBRARY: the process in which an untrusted algorithm runs. Started by sdskit with a socket and a
// shared memory as descriptors 3 and 4; of no use by hand.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "host_protocol.hpp"
#include "loaded_library.hpp"

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

bool protect_guards() {
  bool ok = mprotect(memory + control_bytes, page_bytes, PROT_NONE) == 0;
  for (std::size_t slot = 0; slot <= big_slot; ++slot)
    for (std::size_t buffer = 0; buffer < buffers; ++buffer)
      ok = ok && mprotect(memory + buffer_end(slot, buffer), page_bytes, PROT_NONE) == 0;
  return ok;
}

void copy_text(char* to, std::size_t size, const std::string& text) { std::snprintf(to, size, "%s", text.c_str()); }

// A limit on what malloc and its like may take; sanitizers' own mappings would count, too.
void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  if (control().memory_limit == 0) return;
  const rlimit limit{control().memory_limit, control().memory_limit};
  setrlimit(RLIMIT_DATA, &limit);
#endif
}

bool open_library(sds::LoadedLibrary& library, const char* path) {
  Control& c = control();
  limit_memory();
  const std::string failure = library.open(path, c.configuration, {c.arm_output_name, c.arm_output_bytes});
  copy_text(c.message, sizeof c.message, failure);
  if (!failure.empty()) return false;
  c.input_count = static_cast<std::uint32_t>(library.inputs().size());
  c.output_count = static_cast<std::uint32_t>(library.outputs().size());
  for (std::size_t i = 0; i < library.inputs().size(); ++i)
    copy_text(c.input_names[i], sizeof c.input_names[i], library.inputs()[i]);
  for (std::size_t i = 0; i < library.outputs().size(); ++i) {
    copy_text(c.output_names[i], sizeof c.output_names[i], library.outputs()[i].name);
    c.output_max_bytes[i] = library.outputs()[i].max_bytes;
  }
  return true;
}

void execute(sds::LoadedLibrary& library, std::size_t index) {
  Slot& slot = control().slots[index];
  const sds_block block{slot.input_port, slot.input_bytes, memory + buffer_end(index, 0) - slot.input_bytes,
                        slot.tick,       slot.numerator,   slot.denominator};
  sds_output outputs[max_ports];
  for (std::size_t i = 0; i < library.outputs().size(); ++i)
    outputs[i] = {memory + buffer_end(index, 1 + i) - slot.output_bytes[i], slot.output_bytes[i], 0};
  const auto start = std::chrono::steady_clock::now();
  slot.status = library.execute(block, outputs);
  slot.duration_ns = static_cast<std::uint64_t>((std::chrono::steady_clock::now() - start).count());
  for (std::size_t i = 0; i < library.outputs().size(); ++i) slot.output_bytes[i] = outputs[i].bytes;
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
  if (!protect_guards()) return 4;
  fcntl(socket_descriptor, F_SETFD, FD_CLOEXEC);
  watch_faults();
  sds::LoadedLibrary library;
  Request request;
  while (receive(request)) {
    Reply reply;
    switch (request.call) {
      case Call::init:
        reply.failed = open_library(library, argv[1]) ? 0 : 1;
        break;
      case Call::reset:
        library.reset();
        break;
      case Call::execute:
        for (std::uint32_t i = 0; i < request.count; ++i) {
          execute(library, request.slots[i]);
          control().completed.store(i + 1, std::memory_order_release);
        }
        break;
    }
    std::fflush(stdout);
    if (send(socket_descriptor, &reply, sizeof reply, MSG_NOSIGNAL) < 0) break;
  }
  // Not through static destructors: an algorithm's library may hang in them.
  std::fflush(nullptr);
  _exit(0);
}
