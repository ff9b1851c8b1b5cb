// A fixed set of threads that encode sections for a writer.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "sds/format/executor.hpp"

namespace sds {

/// Runs work on `threads` threads, first come first served; the thread that waits for the work is one of them, the
/// others are the pool's own. The destructor finishes what was given and joins. The queue is bounded by its users: a
/// writer never has more than concurrency() + 1 sections on their way.
class WorkerPool final : public Executor {
 public:
  explicit WorkerPool(unsigned threads);
  ~WorkerPool() override;
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void run(std::function<void()> work) override;
  bool help() override;
  [[nodiscard]] unsigned concurrency() const override { return static_cast<unsigned>(threads_.size()) + 1; }

 private:
  void work_loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

/// A pool of `threads` threads, or null for 1 thread or fewer: work then runs inline. 0 means one for each core.
std::unique_ptr<WorkerPool> make_worker_pool(unsigned threads);

/// Runs `work(i)` for i in 0..count-1 on the executor's threads, at most concurrency() at a time; returns when all are
/// done. Inline without an executor.
void for_each_parallel(Executor* executor, std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace sds
