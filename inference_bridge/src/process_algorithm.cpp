// A shared library in a child process. Blocks and outputs lie in shared memory; the socket carries one small message
// for a batch of blocks, so that waking the child is paid for once for many of them.
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
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

std::filesystem::path find_host() {
  if (const char* set = std::getenv("SDS_ALGORITHM_HOST"); set != nullptr) return set;
  std::error_code error;
  const auto here = program_path().parent_path();
  for (const auto& candidate : {here / "sds-algorithm-host", here / "../libexec/sdskit/sds-algorithm-host"})
    if (std::filesystem::exists(candidate, error)) return candidate;
  return here / "sds-algorithm-host";
}

std::string text_of(const char* characters, std::size_t size) { return {characters, ::strnlen(characters, size)}; }

class ProcessAlgorithm final : public Algorithm {
 public:
  explicit ProcessAlgorithm(LibraryOptions options) : options_(std::move(options)) {
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
    if (auto spawned = spawn(library); !spawned) return spawned;
    host::Request request;
    request.call = host::Call::init;
    if (auto sent = send(request); !sent) return sent;
    auto reply = receive(1);
    if (!reply) return failure();
    if (reply->failed != 0) return fail(ErrorCode::bad_input, text_of(c.message, sizeof c.message), options_.library);
    return take_ports();
  }

  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<OutputPort>& outputs() const override { return outputs_; }
  std::uint64_t peak_memory() const override { return child_.peak_memory(); }

  Expected<void> reset() override {
    if (failure_) return failure();
    host::Request request;
    request.call = host::Call::reset;
    executing_ = "ResetAlgorithm";
    if (auto sent = send(request); !sent) return sent;
    if (auto reply = receive(1); !reply) return failure();
    executing_ = "ExecuteAlgorithm";
    return {};
  }

  bool can_submit(std::size_t bytes) const override {
    const std::size_t on_the_way = waiting_.size() + running_.size() + done_.size();
    if (on_the_way == 0) return true;
    return !big_is_used_ && !needs_big_slot(bytes) && !free_slots_.empty() &&
           bytes_on_the_way_ + bytes <= kMaxBytesOnTheWay;
  }

  Expected<void> submit(const AlgorithmInput& input) override {
    if (failure_) return failure();
    if (input.data.size() > host::max_buffer_bytes)
      return fail(ErrorCode::limit, "a block of more than 32 MiB", options_.library);
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
      std::fill_n(memory_ + host::buffer_end(index, 1 + i) - outputs_[i].max_bytes, outputs_[i].max_bytes,
                  std::byte{0});
    }
    bytes_on_the_way_ += input.data.size();
    waiting_.push_back({static_cast<std::uint8_t>(index), input.data.size()});
    if (running_.empty() && done_.empty()) return start_batch();
    if (running_.empty() && waiting_.size() >= kBatch) return start_batch();
    return {};
  }

  Expected<AlgorithmResult> take() override {
    release_taken();
    if (done_.empty() && !failure_) {
      if (running_.empty())
        if (auto started = start_batch(); !started) return fail(started);
      finish_batch();
      if (!failure_ && waiting_.size() >= kBatch) (void)start_batch();
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
    std::vector<std::string> environment;
    if (options_.fill_memory != 0) environment.push_back(fmt::format("MALLOC_PERTURB_={}", options_.fill_memory));
    auto started = child_.start(
        {find_host().string(), library.string()},
        {{theirs.get(), host::socket_descriptor}, {memory_file_.get(), host::memory_descriptor}}, environment);
    if (!started) started.error().message = "the algorithm host " + started.error().message;
    return started;
  }

  Expected<void> take_ports() {
    const host::Control& c = control();
    if (c.input_count > host::max_ports || c.output_count > host::max_ports)
      return fail(ErrorCode::bad_input, "it has too many ports", options_.library);
    for (std::size_t i = 0; i < c.input_count; ++i)
      inputs_.push_back(text_of(c.input_names[i], sizeof c.input_names[i]));
    for (std::size_t i = 0; i < c.output_count; ++i) {
      outputs_.push_back({text_of(c.output_names[i], sizeof c.output_names[i]), c.output_max_bytes[i], ""});
      if (c.output_max_bytes[i] > host::max_buffer_bytes)
        return fail(ErrorCode::limit,
                    fmt::format("its output {} may have {} bytes; at most 32 MiB are supported", outputs_.back().name,
                                c.output_max_bytes[i]),
                    options_.library);
      outputs_are_big_ = outputs_are_big_ || c.output_max_bytes[i] > host::small_buffer_bytes;
    }
    executing_ = "ExecuteAlgorithm";
    return {};
  }

  Expected<void> send(const host::Request& request) {
    control().completed.store(0, std::memory_order_relaxed);
    if (::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) < 0) {
      note_death();
      return failure();
    }
    return {};
  }

  // Waits for the answer to a request of `calls` calls, each of which may take as long as the time-out says.
  std::optional<host::Reply> receive(std::uint32_t calls) {
    pollfd waiting{socket_.get(), POLLIN, 0};
    std::uint32_t completed = 0;
    auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    for (;;) {
      const int ready = ::poll(&waiting, 1, milliseconds_until(deadline));
      if (ready < 0 && errno == EINTR) continue;
      if (ready > 0) break;
      const std::uint32_t now = control().completed.load(std::memory_order_acquire);
      if (now != completed && now < calls) {
        completed = now;
        deadline = std::chrono::steady_clock::now() + options_.timeout;
        continue;
      }
      child_.end();
      fail_with(fmt::format("{} did not return within {} ms", executing_, options_.timeout.count()));
      return std::nullopt;
    }
    host::Reply reply;
    if (::recv(socket_.get(), &reply, sizeof reply, 0) == static_cast<ssize_t>(sizeof reply)) return reply;
    note_death();
    return std::nullopt;
  }

  Expected<void> start_batch() {
    host::Request request;
    request.call = host::Call::execute;
    while (!waiting_.empty() && running_.size() < kBatch) {
      request.slots[request.count++] = waiting_.front().slot;
      running_.push_back(waiting_.front());
      waiting_.pop_front();
    }
    return send(request);
  }

  // Waits for the running batch. Where the child died or hung, what it had completed before still counts.
  void finish_batch() {
    const auto calls = static_cast<std::uint32_t>(running_.size());
    const bool whole = receive(calls).has_value();
    const std::uint32_t completed =
        whole ? calls : std::min(calls, control().completed.load(std::memory_order_acquire));
    for (std::uint32_t i = 0; i < completed; ++i) {
      done_.push_back(running_.front());
      running_.pop_front();
    }
  }

  AlgorithmResult result_of(std::size_t index) {
    const host::Slot& slot = control().slots[index];
    AlgorithmResult result;
    result.status = slot.status;
    result.duration = std::chrono::nanoseconds(slot.duration_ns);
    if (result.status == INT32_MIN) result.message = "it claims to have written more than there was room for";
    if (result.status != 0) return result;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const std::uint32_t bytes = std::min(slot.output_bytes[i], outputs_[i].max_bytes);
      if (bytes > 0)
        result.outputs.push_back({static_cast<std::uint32_t>(i),
                                  ByteView(memory_ + host::buffer_end(index, 1 + i) - outputs_[i].max_bytes, bytes)});
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
    const int status = child_.wait();
    const host::Control& c = control();
    if (c.fault_signal != 0 && c.fault_offset < host::memory_bytes) {
      fail_with(fmt::format("{} {}", executing_, describe_fault(c.fault_offset, c.fault_is_write)));
    } else {
      fail_with(fmt::format("{} {}", executing_, describe_exit(status)));
    }
  }

  [[nodiscard]] std::string describe_fault(std::uint64_t offset, std::uint32_t is_write) const {
    const char* verb = is_write == 1 ? "wrote" : is_write == 0 ? "read" : "read or wrote";
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
    return tl::unexpected<Error>(std::move(now));
  }

  LibraryOptions options_;
  Descriptor memory_file_;
  std::byte* memory_ = nullptr;
  Descriptor socket_;
  ChildProcess child_;
  std::vector<std::string> inputs_;
  std::vector<OutputPort> outputs_;
  bool outputs_are_big_ = false;
  const char* executing_ = "InitAlgorithm";
  std::optional<Error> failure_;

  // A slot goes from free to waiting, to running in the child, to done, to taken, to free. The one freed last is used
  // first: only as many pages are touched as are needed at once.
  std::vector<std::uint8_t> free_slots_;
  std::deque<OnTheWay> waiting_;
  std::deque<OnTheWay> running_;
  std::deque<OnTheWay> done_;
  std::optional<OnTheWay> taken_;
  bool big_is_used_ = false;
  std::size_t bytes_on_the_way_ = 0;
};

}  // namespace

Expected<std::unique_ptr<Algorithm>> start_process_algorithm(const LibraryOptions& options) {
  auto algorithm = std::make_unique<ProcessAlgorithm>(options);
  if (auto started = algorithm->start(); !started) return fail(started);
  return std::unique_ptr<Algorithm>(std::move(algorithm));
}

}  // namespace sds
