// The algorithm under test, as a replay sees it. Today: a shared library with Arm's three functions
// (SDS-Framework documentation/template.md), run in a child process or in this one.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <span>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

/// Called by one thread. Every error has ErrorCode::algorithm unless the machine itself refuses.
class Algorithm {
 public:
  virtual ~Algorithm() = default;
  /// Forgets everything that earlier blocks left behind.
  [[nodiscard]] virtual Expected<void> reset() = 0;
  /// Runs on one block. `output` is zeroed first and is what the algorithm wrote afterwards.
  /// The value is what ExecuteAlgorithm returned: 0, or its own error. An Error means that it crashed or hung and
  /// cannot be called again.
  [[nodiscard]] virtual Expected<int> execute(ByteView input, std::span<std::byte> output) = 0;
};

struct AlgorithmOptions {
  std::filesystem::path library;
  /// Longest time that one call may take; only a child process can be stopped.
  std::chrono::milliseconds timeout{10000};
};

/// Loads the library in a child process whose input and output buffers end at a guard page: a crash, a hang, or an
/// access past the end of a block becomes an error that names it. What the algorithm prints goes to stderr.
Expected<std::unique_ptr<Algorithm>> start_process_algorithm(const AlgorithmOptions& options);

/// Loads the library into this process: fastest, and no protection at all.
Expected<std::unique_ptr<Algorithm>> load_in_process_algorithm(const AlgorithmOptions& options);

}  // namespace sds
