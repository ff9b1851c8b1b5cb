#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "loaded_library.hpp"
#include "sds/bridge/algorithm.hpp"

namespace sds {

namespace {

// While it lives, what is printed to standard output comes out on standard error.
class StdoutOnStderr {
 public:
  StdoutOnStderr() {
    std::fflush(stdout);
    before_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
  }
  ~StdoutOnStderr() {
    std::fflush(stdout);
    if (before_ < 0) return;
    ::dup2(before_, STDOUT_FILENO);
    ::close(before_);
  }
  StdoutOnStderr(const StdoutOnStderr&) = delete;
  StdoutOnStderr& operator=(const StdoutOnStderr&) = delete;

 private:
  int before_ = -1;
};

class InProcessAlgorithm final : public Algorithm {
 public:
  Expected<void> open(const LibraryOptions& options) {
    std::error_code error;
    const auto path = std::filesystem::absolute(options.library, error);
    if (error || !std::filesystem::is_regular_file(path, error))
      return fail(ErrorCode::io, "no such algorithm library", options.library);
    const std::string failure = library_.open(path.c_str(), options.configuration.c_str(),
                                              {options.arm_output.name, options.arm_output.max_bytes});
    if (!failure.empty()) return fail(ErrorCode::bad_input, failure, options.library);
    for (const auto& port : library_.outputs()) outputs_.push_back({port.name, port.max_bytes, ""});
    buffers_.resize(outputs_.size());
    for (std::size_t i = 0; i < outputs_.size(); ++i) buffers_[i].resize(outputs_[i].max_bytes);
    return {};
  }

  const std::vector<std::string>& inputs() const override { return library_.inputs(); }
  const std::vector<OutputPort>& outputs() const override { return outputs_; }

  bool has_arms_functions() const override { return library_.has_arms_functions(); }
  bool is_fresh() const override { return !library_.was_loaded(); }

  Expected<void> reset() override {
    library_.reset();
    return {};
  }

  void poison_outputs(std::uint8_t byte) override { poison_ = std::byte{byte}; }

  bool can_submit(std::size_t) const override { return !submitted_; }

  Expected<void> submit(const AlgorithmInput& input) override {
    // Arm's interface takes a mutable input: the algorithm gets a copy of its own.
    input_.assign(input.data.begin(), input.data.end());
    const sds_block block{input.port,
                          static_cast<std::uint32_t>(input_.size()),
                          reinterpret_cast<const std::uint8_t*>(input_.data()),
                          input.tick,
                          input.frequency.numerator,
                          input.frequency.denominator};
    std::array<sds_output, SDS_ALGORITHM_MAX_PORTS> outputs;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      std::fill(buffers_[i].begin(), buffers_[i].end(), poison_);
      outputs[i] = {reinterpret_cast<std::uint8_t*>(buffers_[i].data()), outputs_[i].max_bytes, 0};
    }
    const auto start = std::chrono::steady_clock::now();
    executed_ = library_.execute(block, outputs.data());
    duration_ = std::chrono::steady_clock::now() - start;
    for (std::size_t i = 0; i < buffers_.size(); ++i) written_[i] = outputs[i].bytes;
    submitted_ = true;
    return {};
  }

  Expected<AlgorithmResult> take() override {
    submitted_ = false;
    AlgorithmResult result;
    result.status = executed_.status;
    result.duration = duration_;
    if (executed_.fault != OutputFault::none) result.fails_with(describe_fault(executed_.fault));
    if (result.status != 0) return result;
    for (std::size_t i = 0; i < buffers_.size(); ++i)
      if (written_[i] > 0)
        result.outputs.push_back({static_cast<std::uint32_t>(i), ByteView(buffers_[i]).first(written_[i])});
    return result;
  }

 private:
  StdoutOnStderr stdout_;  // before the library, whose destructors may print
  LoadedLibrary library_;
  std::vector<OutputPort> outputs_;
  Bytes input_;
  std::vector<Bytes> buffers_;
  std::array<std::uint32_t, SDS_ALGORITHM_MAX_PORTS> written_{};
  LoadedLibrary::Executed executed_;
  std::chrono::nanoseconds duration_{0};
  bool submitted_ = false;
  std::byte poison_{0};
};

}  // namespace

Expected<std::unique_ptr<Algorithm>> load_in_process_algorithm(const LibraryOptions& options) {
  auto algorithm = std::make_unique<InProcessAlgorithm>();
  if (auto opened = algorithm->open(options); !opened) return fail(opened);
  return std::unique_ptr<Algorithm>(std::move(algorithm));
}

}  // namespace sds
