// A shared library with an algorithm in it, of either interface. Used by the algorithm host, which links nothing else
// of sdskit, and by the in-process adapter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sds/sds_algorithm.h"

namespace sds {

/// What a library has done wrong with the room for its outputs.
enum class OutputFault : std::uint32_t {
  none = 0,
  too_long,  ///< it reports more bytes than there was room for
  moved,     ///< it points to another place than where the room is
};

/// A sentence about it; also of numbers that are none of these, which whoever runs a library cannot trust.
const char* describe_fault(OutputFault fault);

/// The functions of a library that are called before its first reset.
enum class StartCall : std::uint32_t {
  loading = 0,  ///< its constructors
  init_algorithm,
  sds_algorithm,
  create,
};

/// As the system names them; nothing where it does not tell.
using ThreadIds = std::optional<std::set<std::string>>;

class LoadedLibrary {
 public:
  LoadedLibrary() = default;
  /// Unloads it, but for one whose threads go on, or where it is not known whether they do: their code stays.
  ~LoadedLibrary();
  LoadedLibrary(const LoadedLibrary&) = delete;
  LoadedLibrary& operator=(const LoadedLibrary&) = delete;

  struct Port {
    std::string name;
    std::uint32_t max_bytes = 0;
  };
  struct Executed {
    std::int32_t status = 0;
    OutputFault fault = OutputFault::none;
  };

  /// Loads, checks and initialises; the reason of a failure, or an empty text. `arm_output` is what one output of a
  /// library with Arm's functions has. `entering` is called in front of each function of the library.
  std::string open(const char* path, const char* configuration, const Port& arm_output,
                   void (*entering)(StartCall) = nullptr);

  /// True if it was in memory already, or a library that it is linked with and the program is not, or one that may have
  /// variables in common with it: they begin as whoever had them left them.
  [[nodiscard]] bool was_loaded() const { return was_loaded_; }

  [[nodiscard]] const std::vector<std::string>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<Port>& outputs() const { return outputs_; }
  [[nodiscard]] bool has_arms_functions() const { return arm_execute_ != nullptr; }
  void reset();
  /// `outputs` has outputs().size() entries, with `bytes` 0. The input may be written to by Arm's interface.
  Executed execute(const sds_block& block, sds_output* outputs);

 private:
  std::string open_table(const sds_algorithm_table* table, const char* configuration, void (*entering)(StartCall));
  [[nodiscard]] OutputFault find_fault(const sds_output* outputs, const std::uint8_t* const* rooms) const;

  void* library_ = nullptr;
  bool was_loaded_ = false;
  ThreadIds threads_before_;  // of the process
  std::int32_t (*arm_execute_)(std::uint8_t*, std::uint32_t, std::uint8_t*, std::uint32_t) = nullptr;
  void (*arm_reset_)() = nullptr;
  const sds_algorithm_table* table_ = nullptr;
  void* instance_ = nullptr;
  std::vector<std::string> inputs_;
  std::vector<Port> outputs_;
};

}  // namespace sds
