// sds-algorithm-host: the process in which untrusted code runs, and its guard. Started by sdskit; of no use by hand.
//   sds-algorithm-host PARENT library FILE      an algorithm; descriptor 3 is a socket and 4 a shared memory
//   sds-algorithm-host PARENT run COMMAND...    a worker; an errno goes to descriptor 3 if it cannot be started
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device_buffer.hpp"
#include "guard.hpp"
#include "host_protocol.hpp"
#include "loaded_library.hpp"
#include "own_handlers.hpp"

namespace {

using namespace sds::host;

std::uint8_t* memory = nullptr;

Control& control() { return *reinterpret_cast<Control*>(memory); }

std::uint32_t call_begun = 0;  // of the present request; what Control says, out of the algorithm's way
std::uint32_t call_completed = 0;
Call in_call{};                  // what the algorithm's code is running for; 0: it is not
std::atomic<unsigned> forks{0};  // calls of fork() by the algorithm
pid_t host_pid = 0;
DeviceBuffer device_buffers[max_ports];
std::atomic<const std::uint32_t*> original{nullptr};  // what it points to is 0 in a copy of this process

[[noreturn]] void end_with(Verdict verdict) {
  control().verdict = verdict;
  _exit(1);
}

// True if the address is where the stack grows to: what lies there can only be missing because the stack is full.
bool is_at_stack(std::uintptr_t address, std::uintptr_t stack_pointer) {
  constexpr std::uintptr_t kNear = 65536;
  return address + kNear >= stack_pointer && address < stack_pointer + kNear;
}

void on_trap(int, siginfo_t*, void* context) {
  for (auto& buffer : device_buffers)
    if (buffer.take_trap(context)) return;
  std::signal(SIGTRAP, SIG_DFL);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGTRAP);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  Control& c = control();
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const auto base = reinterpret_cast<std::uintptr_t>(memory);
  // One that was sent, by raise() for instance, has no address.
  const bool is_real = info->si_code > 0;
  c.fault_offset = is_real && address >= base && address < base + memory_bytes ? address - base : UINT64_MAX;
  c.fault_behind = 0;
  c.fault_before = 0;
  for (auto& buffer : device_buffers) {
    if (is_real && signal == SIGSEGV && buffer.take_fault(address, context)) return;
    if (const std::size_t behind = is_real ? buffer.behind_end(address) : 0; behind > 0) c.fault_behind = behind;
    if (const std::size_t before = is_real ? buffer.before_start(address) : 0; before > 0) c.fault_before = before;
  }
  c.fault_is_write = 2;
  c.fault_is_stack = 0;
#if defined(__x86_64__)
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  c.fault_is_write = (machine.gregs[REG_ERR] & 2) != 0 ? 1 : 0;
  if (is_real && is_at_stack(address, static_cast<std::uintptr_t>(machine.gregs[REG_RSP]))) c.fault_is_stack = 1;
#elif defined(__aarch64__)
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  if (is_real && is_at_stack(address, machine.sp)) c.fault_is_stack = 1;
#else
  (void)context;
#endif
  // The block is told from the host's own count: what lies in the shared memory may have been written over.
  c.begun.store(call_begun, std::memory_order_relaxed);
  c.completed.store(call_completed, std::memory_order_relaxed);
  c.verdict = Verdict::fault;
  // The signal waits until this returns; then its default action ends the process.
  std::signal(signal, SIG_DFL);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

void watch_faults() {
  static std::uint8_t stack[65536];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  set_own_handlers(on_fault, on_trap);
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
#ifndef SDSKIT_SANITIZED
  if (control().memory_limit == 0) return;
  const rlimit limit{control().memory_limit, control().memory_limit};
  setrlimit(RLIMIT_DATA, &limit);
#endif
}

bool open_library(sds::LoadedLibrary& library, const char* path) {
  Control& c = control();
  limit_memory();
  const std::string failure = library.open(path, c.configuration, {c.arm_output_name, c.arm_output_bytes},
                                           [](sds::StartCall call) { control().start_call = call; });
  copy_text(c.message, sizeof c.message, failure);
  if (!failure.empty()) return false;
  for (std::size_t i = 0; i < library.inputs().size() && c.input_buffer_bytes != 0; ++i)
    if (!device_buffers[i].create(c.input_buffer_bytes)) {
      copy_text(c.message, sizeof c.message, "there is no memory for an input buffer of this size");
      return false;
    }
  c.input_count = static_cast<std::uint32_t>(library.inputs().size());
  c.has_arms_functions = library.has_arms_functions() ? 1 : 0;
  c.output_count = static_cast<std::uint32_t>(library.outputs().size());
  for (std::size_t i = 0; i < library.inputs().size(); ++i)
    copy_text(c.input_names[i], sizeof c.input_names[i], library.inputs()[i]);
  for (std::size_t i = 0; i < library.outputs().size(); ++i) {
    copy_text(c.output_names[i], sizeof c.output_names[i], library.outputs()[i].name);
    c.output_max_bytes[i] = library.outputs()[i].max_bytes;
  }
  return true;
}

// The algorithm's code is entered and left through these.
void enter(Call call) { in_call = call; }

void leave(Call call) {
  // longjmp() may lead to where another call returns.
  const bool returned = in_call == call;
  in_call = Call{};
  // A copy of this process, made by whatever call, must not answer.
  if (*original.load(std::memory_order_relaxed) == 0) _exit(0);
  if (forks.load(std::memory_order_relaxed) != 0) end_with(Verdict::forked);
  if (!returned) end_with(Verdict::did_not_return);
}

void set_canary(std::uint8_t* buffer, std::size_t bytes, std::size_t capacity) {
  if (bytes + canary_bytes <= capacity) std::memset(buffer - canary_bytes, canary, canary_bytes);
}

bool canary_lives(const std::uint8_t* buffer, std::size_t bytes, std::size_t capacity) {
  static constexpr std::uint8_t expected[canary_bytes] = {canary, canary, canary, canary,
                                                          canary, canary, canary, canary};
  return bytes + canary_bytes > capacity || std::memcmp(buffer - canary_bytes, expected, canary_bytes) == 0;
}

// `is_last`: of its request.
void execute(sds::LoadedLibrary& library, std::size_t index, std::uint32_t number, bool is_last) {
  Control& c = control();
  Slot& slot = c.slots[index];
  const std::size_t capacity = buffer_bytes(index);
  sds_block block{slot.input_port, slot.input_bytes, memory + buffer_end(index, 0) - slot.input_bytes,
                  slot.tick,       slot.numerator,   slot.denominator};
  const std::size_t output_count = library.outputs().size();
  sds_output outputs[max_ports];
  set_canary(memory + buffer_end(index, 0) - block.bytes, block.bytes, capacity);
  DeviceBuffer& device = device_buffers[block.input % max_ports];
  if (device.exists()) block.data = device.place(block.data, block.bytes);
  for (std::size_t i = 0; i < output_count; ++i) {
    outputs[i] = {memory + buffer_end(index, 1 + i) - slot.output_bytes[i], slot.output_bytes[i], 0};
    set_canary(outputs[i].data, outputs[i].capacity, capacity);
  }
  call_begun = number + 1;
  c.begun.store(call_begun, std::memory_order_release);
  enter(Call::execute);
  const auto start = std::chrono::steady_clock::now();
  const auto executed = library.execute(block, outputs);
  const auto duration = std::chrono::steady_clock::now() - start;
  leave(Call::execute);
  if (call_begun != number + 1) end_with(Verdict::did_not_return);
  if (c.begun.load(std::memory_order_relaxed) != call_begun ||
      c.completed.load(std::memory_order_relaxed) != call_completed) {
    c.begun.store(call_begun, std::memory_order_relaxed);
    c.completed.store(call_completed, std::memory_order_relaxed);
    end_with(Verdict::wrote_records);
  }
  if (others_were_set() || (is_last && !own_handlers_are_set())) end_with(Verdict::set_handler);
  bool sound = (!device.exists() || device.front_lives()) &&
               canary_lives(memory + buffer_end(index, 0) - block.bytes, block.bytes, capacity);
  for (std::size_t i = 0; i < output_count; ++i) {
    const std::size_t room = library.outputs()[i].max_bytes;
    sound = sound && canary_lives(memory + buffer_end(index, 1 + i) - room, room, capacity);
    slot.output_bytes[i] = outputs[i].bytes;
  }
  if (!sound) end_with(Verdict::wrote_before);
  slot.status = executed.status;
  slot.output_fault = executed.fault;
  slot.passed_bytes = device.exists() ? static_cast<std::uint32_t>(device.passed()) : 0;
  slot.duration_ns = static_cast<std::uint64_t>(duration.count());
  call_completed = number + 1;
  c.completed.store(call_completed, std::memory_order_release);
}

// Sleeps until there is a request behind number `seen`; its number. Needs no descriptor.
std::uint32_t await_request(std::uint32_t seen) {
  auto& word = control().requested;
  std::uint32_t now = seen;
  while ((now = word.load(std::memory_order_acquire)) == seen)
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, seen, nullptr, nullptr, 0);
  return now;
}

void answer(std::uint32_t number) {
  if (in_call != Call{}) end_with(Verdict::did_not_return);
  if (getpid() != host_pid) _exit(0);
  control().answered.store(number, std::memory_order_release);
  const char wake = 1;
  (void)send(socket_descriptor, &wake, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void serve(sds::LoadedLibrary& library, const char* path) {
  Control& c = control();
  std::uint32_t number = 0;
  for (;;) {
    number = await_request(number);
    const Request request = c.request;
    call_begun = call_completed = 0;
    switch (request.call) {
      case Call::init:
        enter(Call::init);
        c.init_failed = open_library(library, path) ? 0 : 1;
        leave(Call::init);
        put_back_own_handlers();
        break;
      case Call::reset:
        for (auto& buffer : device_buffers)
          if (buffer.exists()) buffer.clear();
        enter(Call::reset);
        library.reset();
        leave(Call::reset);
        put_back_own_handlers();
        break;
      case Call::execute:
        for (std::uint32_t i = 0; i < request.count; ++i) execute(library, request.slots[i], i, i + 1 == request.count);
        break;
    }
    std::fflush(stdout);
    answer(number);
  }
}

// What tells a copy of this process from it: a page that the kernel empties in the copy, and a count of fork().
bool watch_copies() {
  host_pid = getpid();
  void* page = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  madvise(page, page_bytes, MADV_WIPEONFORK);
  auto* word = static_cast<std::uint32_t*>(page);
  *word = 1;
  original = word;
  return pthread_atfork([] { ++forks; }, nullptr, nullptr) == 0;
}

int run_library(const char* path) {
  std::signal(SIGXFSZ, SIG_IGN);  // what an algorithm prints may go into a file that may not grow, as on a full disk
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  void* mapped = mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_descriptor, 0);
  if (mapped == MAP_FAILED) return 4;
  memory = static_cast<std::uint8_t*>(mapped);
  close(memory_descriptor);
  if (!protect_guards() || !watch_copies()) return 4;
  fcntl(socket_descriptor, F_SETFD, FD_CLOEXEC);
  watch_faults();
  // It is never destroyed: an algorithm's library may hang in its destructors.
  serve(*new sds::LoadedLibrary, path);
  return 0;
}

int run_command(char** command) {
  fcntl(socket_descriptor, F_SETFD, FD_CLOEXEC);
  execvp(command[0], command);
  const int error = errno;
  (void)!write(socket_descriptor, &error, sizeof error);
  return 127;
}

}  // namespace

int main(int argc, char** argv) {
  const char* what = argc >= 4 ? argv[2] : "";
  const bool is_library = std::strcmp(what, "library") == 0;
  if (!is_library && std::strcmp(what, "run") != 0) {
    std::fprintf(stderr, "sds-algorithm-host is started by `sds replay`; it is of no use by hand\n");
    return 2;
  }
  split_off_guard(static_cast<pid_t>(std::strtol(argv[1], nullptr, 10)));
  _exit(is_library ? run_library(argv[3]) : run_command(argv + 3));
}
