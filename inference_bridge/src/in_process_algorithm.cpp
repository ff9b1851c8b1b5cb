#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>

#include "sds/bridge/algorithm.hpp"

namespace sds {

namespace {

class InProcessAlgorithm final : public Algorithm {
 public:
  explicit InProcessAlgorithm(void* library) : library_(library) {}
  ~InProcessAlgorithm() override { ::dlclose(library_); }
  InProcessAlgorithm(const InProcessAlgorithm&) = delete;
  InProcessAlgorithm& operator=(const InProcessAlgorithm&) = delete;

  Expected<void> bind(const std::filesystem::path& path) {
    if (!find(init_, "InitAlgorithm") || !find(reset_, "ResetAlgorithm") || !find(execute_, "ExecuteAlgorithm"))
      return fail(ErrorCode::bad_input,
                  fmt::format("cannot be loaded: it has no function {} (see algorithm.h)", missing_), path);
    if (const std::int32_t result = init_(); result != 0)
      return fail(ErrorCode::algorithm, fmt::format("InitAlgorithm returned {}", result), path);
    return {};
  }

  Expected<void> reset() override {
    reset_();
    return {};
  }

  Expected<int> execute(ByteView input, std::span<std::byte> output) override {
    // The interface takes a mutable input: the algorithm gets a copy of its own.
    input_.assign(input.begin(), input.end());
    std::fill(output.begin(), output.end(), std::byte{0});
    return execute_(reinterpret_cast<std::uint8_t*>(input_.data()), static_cast<std::uint32_t>(input.size()),
                    reinterpret_cast<std::uint8_t*>(output.data()), static_cast<std::uint32_t>(output.size()));
  }

 private:
  template <class Function>
  bool find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    missing_ = name;
    return function != nullptr;
  }

  void* library_;
  Bytes input_;
  const char* missing_ = "";
  std::int32_t (*init_)() = nullptr;
  void (*reset_)() = nullptr;
  std::int32_t (*execute_)(std::uint8_t*, std::uint32_t, std::uint8_t*, std::uint32_t) = nullptr;
};

}  // namespace

Expected<std::unique_ptr<Algorithm>> load_in_process_algorithm(const AlgorithmOptions& options) {
  std::error_code error;
  const auto path = std::filesystem::absolute(options.library, error);
  if (error || !std::filesystem::is_regular_file(path, error))
    return fail(ErrorCode::io, "no such algorithm library", options.library);
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return fail(ErrorCode::bad_input, std::string("cannot be loaded: ") + ::dlerror(), options.library);
  auto algorithm = std::make_unique<InProcessAlgorithm>(library);
  if (auto bound = algorithm->bind(options.library); !bound) return fail(bound);
  return std::unique_ptr<Algorithm>(std::move(algorithm));
}

}  // namespace sds
