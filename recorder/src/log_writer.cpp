#include "sds/recorder/log_writer.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "sds/recorder/printable.hpp"

namespace sds {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatienceAtTheEnd{1};
constexpr int kPollMs = 100;
// What a pipe that poll() calls writable takes without waiting.
constexpr std::size_t kPieceBytes = 4096;

class DescriptorSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit DescriptorSink(int descriptor) : descriptor_(descriptor), colored_(::isatty(descriptor) != 0) {}

  void count_lost_by(spdlog::details::thread_pool* pool) { pool_ = pool; }
  /// A line was lost before it came here.
  void count_lost_line() { ++failed_; }
  /// From now on it does not wait beyond a moment in the near future.
  void hurry() { ends_at_ = (Clock::now() + kPatienceAtTheEnd).time_since_epoch().count(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    try {
      if (!put(message)) ++failed_;
    } catch (const std::exception&) {  // there is no memory for it
      ++failed_;
    }
  }
  void flush_() override {}

 private:
  bool put(const spdlog::details::log_msg& message) {
    const auto overrun = pool_->overrun_counter();
    if (const auto lost = overrun + failed_ - told_; lost > 0)
      if (write(fmt::format("({} lines of the log are missing here: it was not taken in)\n", lost))) told_ += lost;
    const std::string text = printable({message.payload.data(), message.payload.size()});
    spdlog::details::log_msg clean(message);
    clean.payload = text;
    spdlog::memory_buf_t line;
    formatter_->format(clean, line);
    const std::string_view whole(line.data(), line.size());
    return write(colored_ ? std::string_view(colored(clean, whole)) : whole);
  }

  static std::string colored(const spdlog::details::log_msg& message, std::string_view line) {
    const auto begin = message.color_range_start;
    const auto end = message.color_range_end;
    if (end <= begin || end > line.size()) return std::string(line);
    const char* color = message.level >= spdlog::level::err    ? "\033[31m\033[1m"
                        : message.level == spdlog::level::warn ? "\033[33m\033[1m"
                                                               : "\033[32m";
    return fmt::format("{}{}{}\033[m{}", line.substr(0, begin), color, line.substr(begin, end - begin),
                       line.substr(end));
  }

  // False if it was not taken in, or not all of it.
  bool write(std::string_view text) {
    while (!text.empty()) {
      pollfd ready{descriptor_, POLLOUT, 0};
      const auto ends_at = ends_at_.load();
      const bool over = ends_at != 0 && Clock::now().time_since_epoch().count() > ends_at;
      if (::poll(&ready, 1, over ? 0 : kPollMs) <= 0) {
        if (over) return false;
        continue;
      }
      const ssize_t done = ::write(descriptor_, text.data(), std::min(text.size(), kPieceBytes));
      if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (done <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
  }

  int descriptor_;
  bool colored_;
  spdlog::details::thread_pool* pool_ = nullptr;
  std::atomic<std::uint64_t> failed_{0};
  std::uint64_t told_ = 0;
  std::atomic<Clock::rep> ends_at_{0};
};

}  // namespace

struct LogWriter::State {
  std::shared_ptr<spdlog::logger> before;
  std::shared_ptr<DescriptorSink> sink;
  // Freed after the pool: its thread holds it by messages, and the last to let go of it frees it.
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;
};

LogWriter::LogWriter(int descriptor, std::size_t lines) : state_(std::make_unique<State>()) {
  state_->before = spdlog::default_logger();
  state_->sink = std::make_shared<DescriptorSink>(descriptor);
  state_->pool = std::make_shared<spdlog::details::thread_pool>(lines, 1);
  state_->sink->count_lost_by(state_->pool.get());
  state_->logger = std::make_shared<spdlog::async_logger>("sds-serve", state_->sink, state_->pool,
                                                          spdlog::async_overflow_policy::overrun_oldest);
  state_->logger->set_pattern("%^%H:%M:%S.%e%$ %v");
  state_->logger->set_level(state_->before->level());
  // A log that fails is no reason for more log; but that a line found no memory on its way to the thread is told.
  state_->logger->set_error_handler([sink = state_->sink](const std::string&) { sink->count_lost_line(); });
  spdlog::set_default_logger(state_->logger);
}

LogWriter::~LogWriter() {
  spdlog::set_default_logger(state_->before);
  state_->sink->hurry();
  state_->pool.reset();  // joins its thread
}

}  // namespace sds
