// A shared library with an algorithm in it, of either interface. Used by the algorithm host, which links nothing else
// of sdskit, and by the in-process adapter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sds/sds_algorithm.h"

namespace sds {

class LoadedLibrary {
 public:
  LoadedLibrary() = default;
  /// Unloads it, but for one whose threads go on: their code stays.
  ~LoadedLibrary();
  LoadedLibrary(const LoadedLibrary&) = delete;
  LoadedLibrary& operator=(const LoadedLibrary&) = delete;

  struct Port {
    std::string name;
    std::uint32_t max_bytes = 0;
  };

  /// Loads, checks and initialises; the reason of a failure, or an empty text. `arm_output` is what one output of a
  /// library with Arm's functions has.
  std::string open(const char* path, const char* configuration, const Port& arm_output);

  /// True if it was in memory already: its variables begin as whoever had it left them.
  [[nodiscard]] bool was_loaded() const { return was_loaded_; }

  [[nodiscard]] const std::vector<std::string>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<Port>& outputs() const { return outputs_; }
  [[nodiscard]] bool has_arms_functions() const { return arm_execute_ != nullptr; }
  void reset();
  /// `outputs` has outputs().size() entries, with `bytes` 0. The input may be written to by Arm's interface.
  std::int32_t execute(const sds_block& block, sds_output* outputs);

 private:
  std::string open_table(const sds_algorithm_table* table, const char* configuration);

  void* library_ = nullptr;
  bool was_loaded_ = false;
  std::size_t threads_before_ = 0;  // of the process
  std::int32_t (*arm_execute_)(std::uint8_t*, std::uint32_t, std::uint8_t*, std::uint32_t) = nullptr;
  void (*arm_reset_)() = nullptr;
  const sds_algorithm_table* table_ = nullptr;
  void* instance_ = nullptr;
  std::vector<std::string> inputs_;
  std::vector<Port> outputs_;
};

}  // namespace sds
