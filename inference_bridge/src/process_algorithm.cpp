// A shared library in a child process. Blocks and outputs lie in shared memory; the child is woken once for a batch of
// blocks, so that this is paid for once for many of them.
#include <fmt/format.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <optional>

#include "host_protocol.hpp"
#include "sds/bridge/algorithm.hpp"
#include "sds/bridge/child_process.hpp"

namespace sds {

namespace {

constexpr std::size_t kBatch = host::small_slots / 2;  // one half runs while the other is filled
constexpr std::size_t kMaxBytesOnTheWay = std::size_t{4} << 20;

// While it waits, the parent looks this often which block is being executed: so much later than its time-out a call may
// be stopped.
constexpr std::chrono::milliseconds kLook{20};
// ... and this often for an answer once the child's end of the socket is gone.
constexpr std::chrono::milliseconds kLookWithoutSocket{1};

using Clock = std::chrono::steady_clock;

// InitAlgorithm may take at least this long.
constexpr std::chrono::seconds kStart{10};

std::string text_of(const char* characters, std::size_t size) { return {characters, ::strnlen(characters, size)}; }

class ProcessAlgorithm final : public Algorithm {
 public:
  explicit ProcessAlgorithm(LibraryOptions options) : options_(std::move(options)), ask_(options_.ask) {
    for (std::size_t slot = host::small_slots; slot-- > 0;) free_slots_.push_back(static_cast<std::uint8_t>(slot));
  }

  ~ProcessAlgorithm() override {
    child_.end();
    if (memory_ != nullptr) ::munmap(memory_, host::memory_bytes);
  }

  Expected<void> start() {
    std::error_code error;
    auto library = std::filesystem::absolute(options_.library, error);
    if (error || !std::filesystem::is_regular_file(library, error))
      return fail(ErrorCode::io, "no such algorithm library", options_.library);
    if (options_.configuration.size() >= sizeof host::Control::configuration)
      return fail(ErrorCode::limit, "a configuration of more than 32 KiB", options_.library);
    if (auto made = make_memory(); !made) return made;
    host::Control& c = control();
    std::copy(options_.configuration.begin(), options_.configuration.end(), c.configuration);
    options_.arm_output.name.copy(c.arm_output_name, sizeof c.arm_output_name - 1);
    c.arm_output_bytes = options_.arm_output.max_bytes;
    c.memory_limit = options_.memory_limit;
    c.input_buffer_bytes = options_.input_buffer_bytes;
    if (auto spawned = spawn(library); !spawned) return spawned;
    send(host::Call::init);
    // A process has to be started and a library to be loaded before the call.
    if (!await_answer(1, std::max<Clock::duration>(options_.timeout, kStart))) return failure();
    if (c.init_failed != 0) return fail(ErrorCode::bad_input, text_of(c.message, sizeof c.message), options_.library);
    return take_ports();
  }

  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<OutputPort>& outputs() const override { return outputs_; }
  bool has_arms_functions() const override { return has_arms_functions_; }
  std::uint64_t peak_memory() const override { return child_.peak_memory(); }
  void ask_while_waiting(const std::function<Expected<void>()>& ask) override { ask_ = ask; }

  Expected<void> reset() override {
    if (failure_) return failure();
    call_ = host::Call::reset;
    send(host::Call::reset);
    if (!await_answer(1, options_.timeout)) return failure();
    call_ = host::Call::execute;
    return {};
  }

  void poison_outputs(std::uint8_t byte) override { poison_ = std::byte{byte}; }

  bool can_submit(std::size_t bytes) const override {
    const std::size_t on_the_way = waiting_.size() + running_.size() + done_.size();
    if (on_the_way == 0) return true;
    return !failure_ && !big_is_used_ && !needs_big_slot(bytes) && !free_slots_.empty() &&
           bytes_on_the_way_ + bytes <= kMaxBytesOnTheWay;
  }

  Expected<void> submit(const AlgorithmInput& input) override {
    if (failure_ && failure_is_told_) return failure();
    // Of what came before the failure results may be waiting, and take() tells of the failure behind them.
    if (failure_) return {};
    if (input.data.size() > host::max_buffer_bytes)
      return fail(ErrorCode::limit, "a block of more than 32 MiB", options_.library);
    if (options_.input_buffer_bytes > 0 && input.data.size() > options_.input_buffer_bytes)
      return fail(ErrorCode::bad_input,
                  fmt::format("a block of {} bytes does not fit an input buffer of {} bytes", input.data.size(),
                              options_.input_buffer_bytes),
                  options_.library);
    release_taken();
    const bool big = needs_big_slot(input.data.size());
    const std::size_t index = big ? host::big_slot : free_slots_.back();
    if (big) {
      big_is_used_ = true;
    } else {
      free_slots_.pop_back();
    }
    host::Slot& slot = control().slots[index];
    slot.tick = input.tick;
    slot.numerator = input.frequency.numerator;
    slot.denominator = input.frequency.denominator;
    slot.input_port = input.port;
    slot.input_bytes = static_cast<std::uint32_t>(input.data.size());
    std::copy(input.data.begin(), input.data.end(), memory_ + host::buffer_end(index, 0) - input.data.size());
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      slot.output_bytes[i] = outputs_[i].max_bytes;
      std::fill_n(memory_ + host::buffer_end(index, 1 + i) - outputs_[i].max_bytes, outputs_[i].max_bytes, poison_);
    }
    bytes_on_the_way_ += input.data.size();
    waiting_.push_back({static_cast<std::uint8_t>(index), input.data.size()});
    if (running_.empty() && (done_.empty() || waiting_.size() >= kBatch)) start_batch();
    return {};
  }

  Expected<AlgorithmResult> take() override {
    release_taken();
    if (done_.empty() && !failure_) {
      if (running_.empty()) start_batch();
      finish_batch();
      if (!failure_ && waiting_.size() >= kBatch) start_batch();
    }
    if (done_.empty()) return failure();
    taken_ = done_.front();
    done_.pop_front();
    return result_of(taken_->slot);
  }

 private:
  struct OnTheWay {
    std::uint8_t slot = 0;
    std::size_t bytes = 0;
  };

  [[nodiscard]] host::Control& control() { return *reinterpret_cast<host::Control*>(memory_); }

  [[nodiscard]] bool needs_big_slot(std::size_t bytes) const {
    return outputs_are_big_ || bytes > host::small_buffer_bytes;
  }

  Expected<void> make_memory() {
    memory_file_ = Descriptor(::memfd_create("sds-algorithm", MFD_CLOEXEC));
    if (memory_file_.get() < 0 || ::ftruncate(memory_file_.get(), host::memory_bytes) != 0)
      return fail_errno(errno, "cannot make shared memory", options_.library);
    void* mapped = ::mmap(nullptr, host::memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file_.get(), 0);
    if (mapped == MAP_FAILED) return fail_errno(errno, "cannot map shared memory", options_.library);
    memory_ = static_cast<std::byte*>(mapped);
    return {};
  }

  Expected<void> spawn(const std::filesystem::path& library) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
      return fail_errno(errno, "cannot make a socket pair", options_.library);
    socket_ = Descriptor(pair[0]);
    const Descriptor theirs(pair[1]);
    socket_is_open_ = true;
    std::vector<std::string> environment;
    if (options_.fill_memory != 0) environment.push_back(fmt::format("MALLOC_PERTURB_={}", options_.fill_memory));
    return child_.start_library(
        library.string(), {{theirs.get(), host::socket_descriptor}, {memory_file_.get(), host::memory_descriptor}},
        environment);
  }

  Expected<void> take_ports() {
    const host::Control& c = control();
    const std::uint32_t input_count = c.input_count;
    const std::uint32_t output_count = c.output_count;
    has_arms_functions_ = c.has_arms_functions == 1;
    if (input_count > host::max_ports || output_count > host::max_ports)
      return fail(ErrorCode::bad_input, "it has too many ports", options_.library);
    for (std::size_t i = 0; i < input_count; ++i) inputs_.push_back(text_of(c.input_names[i], sizeof c.input_names[i]));
    for (std::size_t i = 0; i < output_count; ++i) {
      const std::uint32_t max_bytes = c.output_max_bytes[i];
      outputs_.push_back({text_of(c.output_names[i], sizeof c.output_names[i]), max_bytes, ""});
      if (max_bytes > host::max_buffer_bytes)
        return fail(ErrorCode::limit,
                    fmt::format("its output {} may have {} bytes; at most 32 MiB are supported", outputs_.back().name,
                                max_bytes),
                    options_.library);
      outputs_are_big_ = outputs_are_big_ || max_bytes > host::small_buffer_bytes;
    }
    copies_.resize(output_count);
    call_ = host::Call::execute;
    return {};
  }

  void send(host::Call call) {
    control().request.call = call;
    publish_request();
  }

  // Hands over the request that stands in the shared memory.
  void publish_request() {
    host::Control& c = control();
    c.begun.store(0, std::memory_order_relaxed);
    c.completed.store(0, std::memory_order_relaxed);
    c.requested.store(++request_, std::memory_order_release);
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&c.requested), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }

  // Waits for the answer to a request of `calls` calls, each of which may take as long as the time-out says. False if
  // there will be none; then failure_ says why.
  bool await_answer(std::uint32_t calls, Clock::duration timeout) {
    const host::Control& c = control();
    std::uint32_t begun = 0;
    auto since = Clock::now();  // of the present call, by the clock of this process
    for (;;) {
      if (c.answered.load(std::memory_order_acquire) == request_) return true;
      const auto now = Clock::now();
      if (const std::uint32_t seen = c.begun.load(std::memory_order_relaxed); seen > begun && seen <= calls) {
        begun = seen;
        since = now;
      }
      if (now - since >= timeout) {
        child_.end();
        fail_with(fmt::format("{} did not return within {} ms", executing(),
                              std::chrono::floor<std::chrono::milliseconds>(timeout).count()));
        return false;
      }
      if (wait_a_little(std::chrono::ceil<std::chrono::milliseconds>(timeout - (now - since)))) {
        if (!failure_) continue;
        child_.end();
        return false;
      }
      if (c.answered.load(std::memory_order_acquire) == request_) return true;
      note_death();
      return false;
    }
  }

  // Until the child wakes us, ends, or some time has passed. False once it has ended. Sets failure_ if the user gives
  // up.
  bool wait_a_little(std::chrono::milliseconds most) {
    most = std::min(most, socket_is_open_ ? kLook : kLookWithoutSocket);
    pollfd waiting[] = {{socket_is_open_ ? socket_.get() : -1, POLLIN, 0}, {child_.end_descriptor(), POLLIN, 0}};
    const int ready = ::poll(waiting, 2, static_cast<int>(most.count()));
    if (waiting[0].revents != 0) {
      char wakes[64];
      const ssize_t got = ::recv(socket_.get(), wakes, sizeof wakes, MSG_DONTWAIT);
      socket_is_open_ = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    }
    if (ready == 0 && ask_)
      if (auto go_on = ask_(); !go_on) failure_ = go_on.error();
    const bool may_have_ended =
        waiting[1].revents != 0 || !socket_is_open_ || (ready == 0 && child_.end_descriptor() < 0);
    return !may_have_ended || !child_.has_ended();
  }

  void start_batch() {
    host::Request& request = control().request;
    request.call = host::Call::execute;
    std::uint32_t count = 0;
    for (; !waiting_.empty() && count < kBatch; waiting_.pop_front()) {
      request.slots[count++] = waiting_.front().slot;
      running_.push_back(waiting_.front());
    }
    request.count = count;
    publish_request();
  }

  // Waits for the running batch. Where the child died or hung, what it had completed before still counts.
  void finish_batch() {
    const auto calls = static_cast<std::uint32_t>(running_.size());
    const bool whole = await_answer(calls, options_.timeout);
    const std::uint32_t completed = std::min(calls, control().completed.load(std::memory_order_acquire));
    if (whole && completed < calls) {
      child_.end();
      fail_with(describe(host::Verdict::did_not_return));
    }
    for (std::uint32_t i = 0; i < completed; ++i) {
      done_.push_back(running_.front());
      running_.pop_front();
    }
  }

  // What the library calls the function that is being executed.
  [[nodiscard]] const char* executing() {
    if (call_ == host::Call::reset) return has_arms_functions_ ? "ResetAlgorithm" : "reset()";
    if (call_ == host::Call::execute) return has_arms_functions_ ? "ExecuteAlgorithm" : "execute()";
    switch (control().start_call) {
      case StartCall::init_algorithm:
        return "InitAlgorithm";
      case StartCall::sds_algorithm:
        return "sds_algorithm()";
      case StartCall::create:
        return "create()";
      case StartCall::loading:
        break;
    }
    return "loading the library";
  }

  // Outputs are copied: what the child goes on to write there is not seen.
  AlgorithmResult result_of(std::size_t index) {
    const host::Slot& slot = control().slots[index];
    AlgorithmResult result;
    result.status = slot.status;
    const std::chrono::nanoseconds most = options_.timeout;
    result.duration = std::chrono::nanoseconds(std::min(slot.duration_ns, static_cast<std::uint64_t>(most.count())));
    result.passed_bytes = std::min<std::uint64_t>(slot.passed_bytes, options_.input_buffer_bytes);
    if (const OutputFault fault = slot.output_fault; fault != OutputFault::none)
      result.fails_with(sds::describe_fault(fault));
    for (std::size_t i = 0; i < outputs_.size() && result.status == 0; ++i) {
      const std::uint32_t bytes = slot.output_bytes[i];
      if (bytes > outputs_[i].max_bytes) {
        // The library's side has looked: it was changed since.
        result.fails_with(sds::describe_fault(OutputFault::too_long));
        result.outputs.clear();
        break;
      }
      if (bytes == 0) continue;
      const std::byte* begin = memory_ + host::buffer_end(index, 1 + i) - outputs_[i].max_bytes;
      copies_[i].assign(begin, begin + bytes);
      result.outputs.push_back({static_cast<std::uint32_t>(i), copies_[i]});
    }
    return result;
  }

  void release_taken() {
    if (!taken_) return;
    bytes_on_the_way_ -= taken_->bytes;
    if (taken_->slot == host::big_slot) {
      big_is_used_ = false;
    } else {
      free_slots_.push_back(taken_->slot);
    }
    taken_.reset();
  }

  void note_death() {
    const auto status = child_.wait_or_end(std::chrono::milliseconds(0));
    const host::Control& c = control();
    const host::Verdict verdict = c.verdict;
    const std::uint64_t offset = c.fault_offset;
    const std::uint64_t behind = c.fault_behind;
    const std::uint64_t before = c.fault_before;
    const bool said = status && WIFSIGNALED(*status) == (verdict == host::Verdict::fault);
    if (verdict == host::Verdict::fault && said && c.fault_is_stack != 0) {
      fail_with(fmt::format("{} overflowed its stack", executing()));
    } else if (verdict == host::Verdict::fault && said && behind > 0) {
      fail_with(fmt::format("{} {} past the end of its input buffer of {} bytes (byte {} behind it)", executing(),
                            verb_of(c.fault_is_write), options_.input_buffer_bytes, behind));
    } else if (verdict == host::Verdict::fault && said && before > 0) {
      fail_with(fmt::format("{} {} before the start of its input buffer (byte {} before it)", executing(),
                            verb_of(c.fault_is_write), before));
    } else if (verdict == host::Verdict::fault && said && offset < host::memory_bytes) {
      fail_with(fmt::format("{} {}", executing(), describe_fault(offset, c.fault_is_write)));
    } else if (verdict != host::Verdict::none && verdict != host::Verdict::fault && said) {
      fail_with(describe(verdict));
    } else {
      fail_with(fmt::format("{} {}", executing(), status ? describe_exit(*status) : "ended"));
    }
  }

  [[nodiscard]] std::string describe(host::Verdict verdict) {
    switch (verdict) {
      case host::Verdict::forked:
        return fmt::format("{} called fork(): a copy of the algorithm would go on beside it", executing());
      case host::Verdict::wrote_records:
        return fmt::format("{} wrote over memory that is not its own (sdskit's records of its calls)", executing());
      case host::Verdict::wrote_before:
        return fmt::format("{} wrote before the start of a buffer", executing());
      case host::Verdict::set_handler:
        return fmt::format(
            "{} set a signal handler of its own (for SIGSEGV, SIGBUS or SIGTRAP), which would hide "
            "accesses past its buffers",
            executing());
      default:
        return fmt::format("{} was left without returning (longjmp)", executing());
    }
  }

  static const char* verb_of(std::uint32_t is_write) {
    return is_write == 1 ? "wrote" : is_write == 0 ? "read" : "read or wrote";
  }

  [[nodiscard]] std::string describe_fault(std::uint64_t offset, std::uint32_t is_write) const {
    const char* verb = verb_of(is_write);
    for (std::size_t slot = 0; slot <= host::big_slot; ++slot)
      for (std::size_t buffer = 0; buffer <= outputs_.size(); ++buffer) {
        const std::size_t end = host::buffer_end(slot, buffer);
        if (offset < end || offset >= end + host::page_bytes) continue;
        const std::string name = buffer == 0            ? "input block"
                                 : outputs_.size() == 1 ? "output buffer"
                                                        : "output buffer " + outputs_[buffer - 1].name;
        return fmt::format("{} past the end of its {} (byte {} behind it)", verb, name, offset - end + 1);
      }
    return fmt::format("{} before the start of its input block", verb);
  }

  void fail_with(std::string reason) {
    failure_ = Error{ErrorCode::algorithm, std::move(reason), options_.library, {}};
  }

  // The failure, and from then on that there has been one.
  tl::unexpected<Error> failure() {
    Error now = *failure_;
    failure_->message = "the algorithm has ended";
    failure_is_told_ = true;
    return tl::unexpected<Error>(std::move(now));
  }

  LibraryOptions options_;
  Descriptor memory_file_;
  std::byte* memory_ = nullptr;
  Descriptor socket_;
  ChildProcess child_;
  std::vector<std::string> inputs_;
  std::vector<OutputPort> outputs_;
  bool has_arms_functions_ = false;
  bool outputs_are_big_ = false;
  host::Call call_ = host::Call::init;  // the one that is being made, or the next
  std::optional<Error> failure_;
  bool failure_is_told_ = false;
  std::function<Expected<void>()> ask_;
  bool socket_is_open_ = false;
  std::uint32_t request_ = 0;  // number of the newest
  std::vector<Bytes> copies_;  // of the outputs that were taken last

  // A slot goes from free to waiting, to running in the child, to done, to taken, to free. The one freed last is used
  // first: only as many pages are touched as are needed at once.
  std::vector<std::uint8_t> free_slots_;
  std::deque<OnTheWay> waiting_;
  std::deque<OnTheWay> running_;
  std::deque<OnTheWay> done_;
  std::optional<OnTheWay> taken_;
  bool big_is_used_ = false;
  std::size_t bytes_on_the_way_ = 0;
  std::byte poison_{0};
};

}  // namespace

Expected<std::unique_ptr<Algorithm>> start_process_algorithm(const LibraryOptions& options) {
  auto algorithm = std::make_unique<ProcessAlgorithm>(options);
  if (auto started = algorithm->start(); !started) return fail(started);
  return std::unique_ptr<Algorithm>(std::move(algorithm));
}

}  // namespace sds
