// A worker: a program in any language that runs blocks handed to it over its standard input and answers on its standard
// output. docs/worker-protocol.md has the frames.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>

#include "sds/bridge/algorithm.hpp"
#include "sds/bridge/child_process.hpp"
#include "sds/format/limits.hpp"

namespace sds {

namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 5;  // u32 size of what follows the header, u8 kind
constexpr std::size_t kMaxFrameBytes = limits::max_block_bytes + (std::size_t{1} << 16);
constexpr std::size_t kMaxOnTheWay = 32;
constexpr int kAskMilliseconds = static_cast<int>(ask_interval.count());
constexpr std::size_t kMaxBytesOnTheWay = std::size_t{1} << 20;
// From the end of its input a worker has so long to give back what it holds.
constexpr std::chrono::seconds kTimeToEnd{1};

class WorkerAlgorithm final : public Algorithm {
  using Clock = std::chrono::steady_clock;

 public:
  explicit WorkerAlgorithm(WorkerOptions options) : options_(std::move(options)), ask_(options_.ask) {}

  // One that owes answers is stuck, or given up: it is killed.
  ~WorkerAlgorithm() override {
    if (failure_ || owed_answers_ > 0) return;
    ::shutdown(socket_.get(), SHUT_WR);
    child_.wait_or_end(kTimeToEnd, ask_);
  }

  Expected<void> start(std::string& greeting) {
    if (options_.command.empty()) return fail(ErrorCode::usage, "no command for the worker");
    name_ = options_.command.front();
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      return fail_errno(errno, "cannot make a socket pair", name_);
    socket_ = Descriptor(pair[0]);
    Descriptor theirs(pair[1]);
    ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    if (auto started = child_.start(options_.command, {{theirs.get(), 0}, {theirs.get(), 1}}, options_.environment);
        !started)
      return started;
    theirs = Descriptor();  // ours alone would keep the connection open when the worker is gone
    Bytes hello;
    append_le(hello, kVersion);
    append_bytes(hello, as_bytes(options_.configuration));
    queue('H', hello);
    auto frame = read_frame("start", options_.start_timeout);
    if (!frame) return fail(frame);
    if (frame->kind == 'E') return fail(ErrorCode::bad_input, std::string(as_text(frame->payload)));
    if (frame->kind != 'H' || frame->payload.size() < 4)
      return nonsense(
          fmt::format("it greets with a frame '{}' of {} bytes", printable(frame->kind), frame->payload.size()));
    const auto version = load_le<std::uint32_t>(frame->payload.data());
    if (version != kVersion)
      return fail(ErrorCode::unsupported, fmt::format("the worker speaks version {}, not {}", version, kVersion),
                  name_);
    greeting = as_text(ByteView(frame->payload).subspan(4));
    return take_greeting(greeting);
  }

  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<OutputPort>& outputs() const override { return outputs_; }
  std::uint64_t peak_memory() const override { return child_.peak_memory(); }
  void ask_while_waiting(const std::function<Expected<void>()>& ask) override { ask_ = ask; }

  Expected<void> reset() override {
    if (failure_) return failure();
    queue('R', {});
    auto frame = read_frame("reset", options_.timeout);
    if (!frame) return fail(frame);
    if (frame->kind != 'R')
      return nonsense(fmt::format("it answers a reset with a frame '{}'", printable(frame->kind)));
    return {};
  }

  // An answer too many is seen when it stands where that to a reset should.
  Expected<void> finish() override {
    queue('R', {});
    auto frame = read_frame("reset", options_.timeout);
    if (!frame) return fail(frame);
    if (frame->kind == 'R') return {};
    return nonsense("it has answered more often than it was asked; some of its answers were taken for those of others");
  }

  bool can_submit(std::size_t bytes) const override {
    return on_the_way_.empty() || (on_the_way_.size() < kMaxOnTheWay && bytes_on_the_way_ + bytes <= kMaxBytesOnTheWay);
  }

  Expected<void> submit(const AlgorithmInput& input) override {
    if (failure_) return failure();
    Bytes payload;
    payload.reserve(20 + input.data.size());
    append_le(payload, input.port);
    append_le(payload, input.tick);
    append_le(payload, input.frequency.numerator);
    append_le(payload, input.frequency.denominator);
    append_bytes(payload, input.data);
    queue('X', payload);
    on_the_way_.push_back({input.data.size(), Clock::now()});
    bytes_on_the_way_ += input.data.size();
    write_some();
    return {};
  }

  Expected<AlgorithmResult> take() override {
    auto frame = read_frame("execute", options_.timeout);
    if (!frame) return fail(frame);
    const Clock::duration waited = Clock::now() - on_the_way_.front().submitted;
    bytes_on_the_way_ -= on_the_way_.front().bytes;
    on_the_way_.pop_front();
    taken_ = std::move(frame->payload);
    if (frame->kind == 'X') return parse_result(waited + options_.timeout);
    if (frame->kind == 'F' && taken_.size() >= 4) {
      AlgorithmResult result;
      result.status = load_le<std::int32_t>(taken_.data());
      if (result.status == 0) return nonsense("it reports a failure with status 0");
      result.message = as_text(ByteView(taken_).subspan(4));
      return result;
    }
    return nonsense(
        fmt::format("it answers a block with a frame '{}' of {} bytes", printable(frame->kind), taken_.size()));
  }

 private:
  // A block whose answer has not come yet.
  struct OnTheWay {
    std::size_t bytes = 0;
    Clock::time_point submitted;
  };
  struct Frame {
    char kind = 0;
    Bytes payload;
  };

  static std::string printable(char kind) {
    return kind >= ' ' && kind <= '~' ? std::string(1, kind)
                                      : fmt::format("\\x{:02x}", static_cast<unsigned char>(kind));
  }

  Expected<void> take_greeting(const std::string& greeting) {
    const auto json = nlohmann::json::parse(greeting, nullptr, false);
    const auto bad = [&](const char* what) { return nonsense(std::string("its greeting ") + what); };
    if (!json.is_object()) return bad("is not a JSON object");
    const auto inputs = json.find("inputs");
    const auto outputs = json.find("outputs");
    if (inputs == json.end() || !inputs->is_array() || inputs->empty() || inputs->size() > 64)
      return bad("lists no inputs");
    if (outputs == json.end() || !outputs->is_array() || outputs->size() > 64) return bad("lists no outputs");
    for (const auto& port : *inputs) {
      if (!port.is_object() || !port.value("name", nlohmann::json()).is_string())
        return bad("has an input without a name");
      inputs_.push_back(port["name"]);
    }
    for (const auto& port : *outputs) {
      if (!port.is_object() || !port.value("name", nlohmann::json()).is_string())
        return bad("has an output without a name");
      OutputPort output{port["name"], 0, ""};
      if (const auto bytes = port.find("bytes"); bytes != port.end()) {
        if (!bytes->is_number_unsigned() || bytes->get<std::uint64_t>() > limits::max_block_bytes)
          return bad("has an output of impossible size");
        output.max_bytes = *bytes;
      }
      if (const auto text = port.find("metadata"); text != port.end() && text->is_string()) output.metadata = *text;
      outputs_.push_back(std::move(output));
    }
    return {};
  }

  // `most`: longer it cannot have worked.
  Expected<AlgorithmResult> parse_result(std::chrono::nanoseconds most) {
    AlgorithmResult result;
    ByteReader reader(taken_);
    const auto duration = reader.number<std::uint64_t>();
    const auto count = reader.number<std::uint32_t>();
    if (!count || *count > outputs_.size())
      return nonsense(fmt::format("it answers with {} outputs and has {}", count.value_or(0), outputs_.size()));
    if (*duration > static_cast<std::uint64_t>(most.count()))
      return nonsense(fmt::format("it claims {} ns of work, and was waited for {} ms at most", *duration,
                                  std::chrono::floor<std::chrono::milliseconds>(most).count()));
    result.duration = std::chrono::nanoseconds(*duration);
    for (std::uint32_t i = 0; i < *count; ++i) {
      const auto bytes = reader.number<std::uint32_t>();
      const auto data = bytes ? reader.take(*bytes) : std::nullopt;
      if (!data) return nonsense(fmt::format("its output {} is cut short", outputs_[i].name));
      if (outputs_[i].max_bytes != 0 && data->size() > outputs_[i].max_bytes)
        return nonsense(fmt::format("its output {} has {} bytes and was announced with {}", outputs_[i].name,
                                    data->size(), outputs_[i].max_bytes));
      if (!data->empty()) result.outputs.push_back({i, *data});
    }
    if (reader.left() != 0) return nonsense(fmt::format("{} bytes are left behind its outputs", reader.left()));
    return result;
  }

  void queue(char kind, ByteView payload) {
    append_le(to_send_, static_cast<std::uint32_t>(payload.size()));
    to_send_.push_back(static_cast<std::byte>(kind));
    append_bytes(to_send_, payload);
    ++owed_answers_;
  }

  // Hands over as much as the worker takes now.
  void write_some() {
    while (sent_ < to_send_.size()) {
      const ssize_t put = ::send(socket_.get(), to_send_.data() + sent_, to_send_.size() - sent_, MSG_NOSIGNAL);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return;  // full; or it has died, which reading will tell
      sent_ += static_cast<std::size_t>(put);
    }
    to_send_.clear();
    sent_ = 0;
  }

  // Reads until a whole frame is there, and writes meanwhile: neither side can block the other.
  Expected<Frame> read_frame(const char* what, std::chrono::milliseconds timeout) {
    if (failure_) return failure();
    const auto deadline = Clock::now() + timeout;
    for (;;) {
      if (received_.size() - parsed_ >= kHeaderBytes) {
        const std::size_t size = load_le<std::uint32_t>(received_.data() + parsed_);
        if (size > kMaxFrameBytes) return nonsense(fmt::format("it announces a frame of {} bytes", size));
        if (received_.size() - parsed_ >= kHeaderBytes + size) {
          Frame frame;
          frame.kind = static_cast<char>(received_[parsed_ + 4]);
          const auto begin = received_.begin() + static_cast<std::ptrdiff_t>(parsed_ + kHeaderBytes);
          frame.payload.assign(begin, begin + static_cast<std::ptrdiff_t>(size));
          parsed_ += kHeaderBytes + size;
          if (parsed_ == received_.size()) {
            received_.clear();
            parsed_ = 0;
          }
          --owed_answers_;
          return frame;
        }
      }
      write_some();
      pollfd waiting{socket_.get(), static_cast<short>(POLLIN | (to_send_.empty() ? 0 : POLLOUT)), 0};
      const int left = milliseconds_until(deadline);
      const int ready = ::poll(&waiting, 1, std::min(left, kAskMilliseconds));
      if (ready < 0 && errno == EINTR) continue;
      if (ready == 0 && ask_)
        if (auto go_on = ask_(); !go_on) {
          child_.end();
          failure_ = go_on.error();
          return failure();
        }
      if (ready == 0 && left > kAskMilliseconds) continue;
      if (ready == 0) {
        child_.end();
        return fail_with(fmt::format("the worker did not answer '{}' within {} ms", what, timeout.count()));
      }
      if ((waiting.revents & ~POLLOUT) == 0) continue;
      if (read_some()) continue;
      const auto status = child_.wait_or_end(std::chrono::seconds(1));
      return fail_with(
          fmt::format("the worker {} (at '{}')", status ? describe_exit(*status) : "closed its standard output", what));
    }
  }

  // False at the end of the stream.
  bool read_some() {
    if (parsed_ > 0) {
      received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(parsed_));
      parsed_ = 0;
    }
    constexpr std::size_t kPiece = std::size_t{1} << 16;
    const std::size_t at = received_.size();
    received_.resize(at + kPiece);
    const ssize_t got = ::recv(socket_.get(), received_.data() + at, kPiece, 0);
    received_.resize(at + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) return true;
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    return false;
  }

  tl::unexpected<Error> nonsense(const std::string& what) {
    child_.end();
    return fail_with("the worker does not keep to the protocol: " + what);
  }

  tl::unexpected<Error> fail_with(std::string reason) {
    failure_ = Error{ErrorCode::algorithm, std::move(reason), name_, {}};
    return failure();
  }

  tl::unexpected<Error> failure() {
    Error now = *failure_;
    failure_->message = "the algorithm has ended";
    return tl::unexpected<Error>(std::move(now));
  }

  WorkerOptions options_;
  std::filesystem::path name_;
  Descriptor socket_;
  ChildProcess child_;
  std::vector<std::string> inputs_;
  std::vector<OutputPort> outputs_;
  std::optional<Error> failure_;
  std::function<Expected<void>()> ask_;
  Bytes to_send_;
  std::size_t sent_ = 0;
  Bytes received_;
  std::size_t parsed_ = 0;
  Bytes taken_;
  std::deque<OnTheWay> on_the_way_;
  std::size_t bytes_on_the_way_ = 0;
  std::size_t owed_answers_ = 0;  // to frames of whatever kind
};

}  // namespace

Expected<std::unique_ptr<Algorithm>> start_worker_algorithm(const WorkerOptions& options, std::string& greeting) {
  auto algorithm = std::make_unique<WorkerAlgorithm>(options);
  if (auto started = algorithm->start(greeting); !started) return fail(started);
  return std::unique_ptr<Algorithm>(std::move(algorithm));
}

Expected<std::unique_ptr<Algorithm>> start_worker_algorithm(const WorkerOptions& options) {
  std::string greeting;
  return start_worker_algorithm(options, greeting);
}

}  // namespace sds
