#include "sds/format/worker_pool.hpp"

namespace sds {

WorkerPool::WorkerPool(unsigned threads) {
  threads_.reserve(threads);
  try {
    for (unsigned i = 1; i < threads; ++i) threads_.emplace_back([this] { work_loop(); });
  } catch (const std::exception&) {
    // No more threads can be had: these, and those that wait for the work, do it.
  }
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void WorkerPool::run(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_one();
}

bool WorkerPool::help() {
  std::function<void()> work;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return false;
    work = std::move(queue_.front());
    queue_.pop_front();
  }
  work();
  return true;
}

void WorkerPool::work_loop() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

std::unique_ptr<WorkerPool> make_worker_pool(unsigned threads) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  return threads <= 1 ? nullptr : std::make_unique<WorkerPool>(threads);
}

void for_each_parallel(Executor* executor, std::size_t count, const std::function<void(std::size_t)>& work) {
  if (executor == nullptr) {
    for (std::size_t i = 0; i < count; ++i) work(i);
    return;
  }
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t running = 0;
    std::exception_ptr failure;  // the first one
  } state;
  const auto wait_below = [&](std::size_t limit) {
    for (;;) {
      std::unique_lock lock(state.mutex);
      if (state.running < limit) return;
      lock.unlock();
      if (executor->help()) continue;
      lock.lock();
      state.changed.wait(lock, [&] { return state.running < limit; });
      return;
    }
  };
  for (std::size_t i = 0; i < count; ++i) {
    wait_below(executor->concurrency());
    {
      const std::lock_guard lock(state.mutex);
      ++state.running;
    }
    const auto end = [&state](std::exception_ptr failure) {
      const std::lock_guard lock(state.mutex);
      if (failure && !state.failure) state.failure = std::move(failure);
      --state.running;
      state.changed.notify_all();
    };
    try {
      executor->run([&work, end, i] {
        std::exception_ptr failure;
        try {
          work(i);
        } catch (...) {
          failure = std::current_exception();
        }
        end(std::move(failure));
      });
    } catch (const std::bad_alloc&) {
      end(std::current_exception());
    }
  }
  wait_below(1);
  if (state.failure) std::rethrow_exception(state.failure);
}

}  // namespace sds
