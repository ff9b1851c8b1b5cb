#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "host_protocol.hpp"
#include "sds/bridge/algorithm.hpp"

extern char** environ;

namespace sds {

namespace {

std::filesystem::path find_host() {
  if (const char* set = std::getenv("SDS_ALGORITHM_HOST"); set != nullptr) return set;
  std::error_code error;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& candidate : {here / "sds-algorithm-host", here / "../libexec/sdskit/sds-algorithm-host"})
    if (std::filesystem::exists(candidate, error)) return candidate;
  return here / "sds-algorithm-host";
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

class ProcessAlgorithm final : public Algorithm {
 public:
  static Expected<std::unique_ptr<ProcessAlgorithm>> start(const AlgorithmOptions& options) {
    std::error_code error;
    auto library = std::filesystem::absolute(options.library, error);
    if (error || !std::filesystem::is_regular_file(library, error))
      return fail(ErrorCode::io, "no such algorithm library", options.library);
    std::unique_ptr<ProcessAlgorithm> self(new ProcessAlgorithm(options));
    if (auto spawned = self->spawn(library); !spawned) return fail(spawned);
    auto reply = self->call({host::Call::init, 0, 0}, "InitAlgorithm");
    if (!reply) return fail(reply);
    if (reply->loaded == 0)
      return fail(ErrorCode::bad_input, std::string("cannot be loaded: ") + self->control().message, options.library);
    if (reply->result != 0)
      return fail(ErrorCode::algorithm, fmt::format("InitAlgorithm returned {}", reply->result), options.library);
    return self;
  }

  ~ProcessAlgorithm() override {
    end();
    if (memory_ != nullptr) ::munmap(memory_, host::memory_bytes);
  }

  Expected<void> reset() override {
    auto reply = call({host::Call::reset, 0, 0}, "ResetAlgorithm");
    if (!reply) return fail(reply);
    return {};
  }

  Expected<int> execute(ByteView input, std::span<std::byte> output) override {
    if (input.size() > host::max_buffer_bytes || output.size() > host::max_buffer_bytes)
      return fail(ErrorCode::limit, "a block of more than 32 MiB", options_.library);
    std::byte* out = memory_ + host::output_end - output.size();
    std::copy(input.begin(), input.end(), memory_ + host::input_end - input.size());
    std::fill_n(out, output.size(), std::byte{0});
    auto reply =
        call({host::Call::execute, static_cast<std::uint32_t>(input.size()), static_cast<std::uint32_t>(output.size())},
             "ExecuteAlgorithm");
    if (!reply) return fail(reply);
    std::copy_n(out, output.size(), output.begin());
    return reply->result;
  }

 private:
  explicit ProcessAlgorithm(AlgorithmOptions options) : options_(std::move(options)) {}

  [[nodiscard]] const host::Control& control() const { return *reinterpret_cast<const host::Control*>(memory_); }

  Expected<void> spawn(const std::filesystem::path& library) {
    const Descriptor memory(::memfd_create("sds-algorithm", MFD_CLOEXEC));
    if (memory.get() < 0 || ::ftruncate(memory.get(), host::memory_bytes) != 0)
      return fail_errno(errno, "cannot make shared memory", options_.library);
    void* mapped = ::mmap(nullptr, host::memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    if (mapped == MAP_FAILED) return fail_errno(errno, "cannot map shared memory", options_.library);
    memory_ = static_cast<std::byte*>(mapped);
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
      return fail_errno(errno, "cannot make a socket pair", options_.library);
    socket_ = Descriptor(pair[0]);
    const Descriptor theirs(pair[1]);
    // Both first move out of the way: the targets are 3 and 4, which may be their present numbers.
    const Descriptor socket_copy(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, 10));
    const Descriptor memory_copy(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 10));
    const auto program = find_host();
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, socket_copy.get(), host::socket_descriptor);
    ::posix_spawn_file_actions_adddup2(&actions, memory_copy.get(), host::memory_descriptor);
    std::string program_text = program.string();
    std::string library_text = library.string();
    char* arguments[] = {program_text.data(), library_text.data(), nullptr};
    const int error = ::posix_spawn(&child_, program_text.c_str(), &actions, nullptr, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      child_ = -1;
      return fail_errno(error, "cannot start the algorithm host", program);
    }
    return {};
  }

  Expected<host::Reply> call(const host::Request& request, const char* function) {
    if (child_ < 0) return fail(ErrorCode::algorithm, "the algorithm has ended", options_.library);
    if (::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) < 0) return died(function);
    pollfd waiting{socket_.get(), POLLIN, 0};
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (ready < 0 && errno == EINTR) continue;
      if (ready > 0) break;
      end();
      return fail(ErrorCode::algorithm,
                  fmt::format("{} did not return within {} ms", function, options_.timeout.count()), options_.library);
    }
    host::Reply reply;
    if (::recv(socket_.get(), &reply, sizeof reply, 0) != static_cast<ssize_t>(sizeof reply)) return died(function);
    return reply;
  }

  tl::unexpected<Error> died(const char* function) {
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return fail(ErrorCode::algorithm, fmt::format("{} {}", function, describe(status)), options_.library);
  }

  [[nodiscard]] std::string describe(int status) const {
    if (WIFEXITED(status)) return fmt::format("ended the process with exit code {}", WEXITSTATUS(status));
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const host::Control& c = control();
    if (c.fault_signal != 0 && c.fault_offset != UINT64_MAX) {
      const char* verb = c.fault_is_write == 1 ? "wrote" : c.fault_is_write == 0 ? "read" : "read or wrote";
      const auto past = [&](std::size_t end, const char* buffer) {
        return fmt::format("{} past the end of its {} (byte {} behind it)", verb, buffer, c.fault_offset - end + 1);
      };
      if (c.fault_offset >= host::output_end) return past(host::output_end, "output buffer");
      if (c.fault_offset >= host::input_end) return past(host::input_end, "input block");
      return fmt::format("{} before the start of its input block", verb);
    }
    return fmt::format("crashed: {} (signal {})", ::strsignal(signal), signal);
  }

  void end() {
    if (child_ < 0) return;
    ::kill(child_, SIGKILL);
    int status = 0;
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
  }

  AlgorithmOptions options_;
  std::byte* memory_ = nullptr;
  Descriptor socket_;
  pid_t child_ = -1;
};

}  // namespace

Expected<std::unique_ptr<Algorithm>> start_process_algorithm(const AlgorithmOptions& options) {
  auto started = ProcessAlgorithm::start(options);
  if (!started) return fail(started);
  return std::unique_ptr<Algorithm>(std::move(*started));
}

}  // namespace sds
