#include "loaded_library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include "libraries_in_memory.hpp"
#include "own_names.hpp"

namespace sds {

namespace {

template <class Function>
Function find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

// Of this process, as /proc tells them.
ThreadIds running_threads() {
  std::error_code error;
  std::set<std::string> ids;
  for (std::filesystem::directory_iterator task("/proc/self/task", error), end; !error && task != end;
       task.increment(error))
    ids.insert(task->path().filename().string());
  if (error) return std::nullopt;
  return ids;
}

// Whether none is left that was not there before. A thread that was joined may be told for a moment longer.
bool threads_end(const ThreadIds& before) {
  constexpr int kMoments = 50;
  for (int i = 0; before && i <= kMoments; ++i) {
    const auto now = running_threads();
    if (now && std::includes(before->begin(), before->end(), now->begin(), now->end())) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// What the program had in memory in front of the first library: no algorithm has left anything there.
const LibrariesInMemory& programs_libraries() {
  static const LibrariesInMemory libraries = libraries_in_memory();
  return libraries;
}

// `before`: what was in memory before it was loaded.
bool finds_old_variables(void* library, const LibrariesInMemory& before) {
  const auto used = libraries_used_by(library);
  const auto is_left = [](const void* one) { return !programs_libraries().contains(one); };
  return std::any_of(used.begin(), used.end(), [&](const void* one) { return before.contains(one) && is_left(one); }) ||
         (std::any_of(before.begin(), before.end(), is_left) && new_ones_have_shared_variables(before));
}

bool is_loaded(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (library != nullptr) dlclose(library);
  return library != nullptr;
}

}  // namespace

LoadedLibrary::~LoadedLibrary() {
  if (table_ != nullptr && instance_ != nullptr) table_->destroy(instance_);
  if (library_ != nullptr && threads_end(threads_before_)) dlclose(library_);
}

const char* describe_fault(OutputFault fault) {
  return fault == OutputFault::moved ? "it has changed where `data` of an output points to: outputs are written to the "
                                       "place that they are given"
                                     : "it claims to have written more than there was room for";
}

std::string LoadedLibrary::open(const char* path, const char* configuration, const Port& arm_output,
                                void (*entering)(StartCall)) {
  const auto enter = [entering](StartCall call) {
    if (entering != nullptr) entering(call);
  };
  enter(StartCall::loading);
  threads_before_ = running_threads();
  programs_libraries();
  const auto before = libraries_in_memory();
  was_loaded_ = is_loaded(path);
  library_ = load_with_own_names(path);
  if (library_ == nullptr) return std::string("cannot be loaded: ") + dlerror();
  was_loaded_ = was_loaded_ || finds_old_variables(library_, before);
  if (auto* make_table = find<decltype(&sds_algorithm)>(library_, "sds_algorithm"); make_table != nullptr) {
    enter(StartCall::sds_algorithm);
    return open_table(make_table(SDS_ALGORITHM_VERSION), configuration, entering);
  }
  auto* init = find<std::int32_t (*)()>(library_, "InitAlgorithm");
  arm_reset_ = find<decltype(arm_reset_)>(library_, "ResetAlgorithm");
  arm_execute_ = find<decltype(arm_execute_)>(library_, "ExecuteAlgorithm");
  const char* missing = init == nullptr           ? "InitAlgorithm"
                        : arm_reset_ == nullptr   ? "ResetAlgorithm"
                        : arm_execute_ == nullptr ? "ExecuteAlgorithm"
                                                  : nullptr;
  if (missing != nullptr)
    return std::string("cannot be loaded: it has no function ") + missing +
           " (see algorithm.h; or export sds_algorithm, see sds_algorithm.h)";
  inputs_ = {""};
  outputs_ = {arm_output};
  enter(StartCall::init_algorithm);
  const std::int32_t result = init();
  return result == 0 ? "" : "InitAlgorithm returned " + std::to_string(result);
}

std::string LoadedLibrary::open_table(const sds_algorithm_table* table, const char* configuration,
                                      void (*entering)(StartCall)) {
  if (table == nullptr)
    return "its sds_algorithm() does not work with version " + std::to_string(SDS_ALGORITHM_VERSION) +
           " of the interface";
  if (table->version != SDS_ALGORITHM_VERSION)
    return "it is made for version " + std::to_string(table->version) +
           " of sds_algorithm.h; this sdskit has version " + std::to_string(SDS_ALGORITHM_VERSION);
  if (table->input_count == 0 || table->input_count > SDS_ALGORITHM_MAX_PORTS || table->input_names == nullptr ||
      table->output_count > SDS_ALGORITHM_MAX_PORTS || (table->output_count > 0 && table->outputs == nullptr) ||
      table->create == nullptr || table->reset == nullptr || table->execute == nullptr || table->destroy == nullptr)
    return "its table has missing functions, no input, or more than " + std::to_string(SDS_ALGORITHM_MAX_PORTS) +
           " inputs or outputs";
  for (std::uint32_t i = 0; i < table->input_count; ++i)
    inputs_.emplace_back(table->input_names[i] != nullptr ? table->input_names[i] : "");
  for (std::uint32_t i = 0; i < table->output_count; ++i)
    outputs_.push_back({table->outputs[i].name != nullptr ? table->outputs[i].name : "", table->outputs[i].max_bytes});
  if (entering != nullptr) entering(StartCall::create);
  std::array<char, 512> error{};
  instance_ = table->create(configuration, error.data(), error.size());
  if (instance_ == nullptr) {
    error.back() = 0;
    return std::string("create() failed: ") + (error[0] != 0 ? error.data() : "it gives no reason");
  }
  table_ = table;
  return "";
}

void LoadedLibrary::reset() {
  if (table_ != nullptr) {
    table_->reset(instance_);
  } else {
    arm_reset_();
  }
}

LoadedLibrary::Executed LoadedLibrary::execute(const sds_block& block, sds_output* outputs) {
  if (table_ == nullptr) {
    outputs[0].bytes = outputs[0].capacity;
    return {arm_execute_(const_cast<std::uint8_t*>(block.data), block.bytes, outputs[0].data, outputs[0].capacity)};
  }
  std::array<const std::uint8_t*, SDS_ALGORITHM_MAX_PORTS> rooms{};
  for (std::size_t i = 0; i < outputs_.size(); ++i) rooms[i] = outputs[i].data;
  const std::int32_t status = table_->execute(instance_, &block, outputs);
  return {status, find_fault(outputs, rooms.data())};
}

// What is counted is the room that there was, whatever stands in `outputs` now.
OutputFault LoadedLibrary::find_fault(const sds_output* outputs, const std::uint8_t* const* rooms) const {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs[i].bytes > outputs_[i].max_bytes) return OutputFault::too_long;
    if (outputs[i].bytes > 0 && outputs[i].data != rooms[i]) return OutputFault::moved;
  }
  return OutputFault::none;
}

}  // namespace sds
