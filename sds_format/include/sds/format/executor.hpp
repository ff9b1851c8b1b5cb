// Where readers and writers have sections coded: inline, or on other threads.
#pragma once

#include <functional>

namespace sds {

/// Runs work for a reader or a writer, possibly on other threads. `run` may return before `work` is done; who gave it
/// waits. Two implementations: none (a null pointer: work runs inline) and recorder's WorkerPool.
class Executor {
 public:
  virtual ~Executor() = default;
  /// `work` must not throw: it is done on threads that have nobody to tell, or that do it for another. Throws
  /// std::bad_alloc, and has not taken the work, if it cannot be kept.
  virtual void run(std::function<void()> work) = 0;
  /// Does one piece of the work that waits, on the calling thread; false if none waits. A thread that would otherwise
  /// sleep until its work is done calls this first, and so counts among the threads of concurrency().
  virtual bool help() = 0;
  /// Threads that work at the same time, the calling one included.
  [[nodiscard]] virtual unsigned concurrency() const = 0;
};

}  // namespace sds
