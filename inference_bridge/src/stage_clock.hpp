// What each stage of a pipeline takes: a stopwatch that runs for one of them at a time, so that nothing counts twice.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "sds/bridge/duration_histogram.hpp"

namespace sds::pipeline {

/// Times of a number of accounts. Time that passes while it is stopped belongs to none.
class StageClock {
 public:
  static constexpr std::size_t stopped = static_cast<std::size_t>(-1);

  /// Forgets everything.
  void restart(std::size_t accounts) { accounts_.assign(accounts, {}); }
  /// From now on time is that of `account`, or of none; whose it was before.
  std::size_t switch_to(std::size_t account) {
    if (account == running_) return account;  // reading the clock is what costs
    const auto now = std::chrono::steady_clock::now();
    if (running_ != stopped) accounts_[running_].open += now - since_;
    since_ = now;
    return std::exchange(running_, account);
  }
  [[nodiscard]] std::size_t running() const { return running_; }
  /// What a stage has gathered since the last call: one entry of its durations.
  std::chrono::nanoseconds close(std::size_t account) {
    const auto taken = close_total(account);
    accounts_[account].durations.add(taken);
    return taken;
  }
  /// Same, where only the sum is wanted.
  std::chrono::nanoseconds close_total(std::size_t account) {
    const auto taken = std::exchange(accounts_[account].open, std::chrono::nanoseconds{0});
    accounts_[account].total += taken;
    return taken;
  }
  /// An entry that was measured elsewhere.
  void add(std::size_t account, std::chrono::nanoseconds duration) {
    accounts_[account].total += duration;
    accounts_[account].durations.add(duration);
  }
  [[nodiscard]] const DurationHistogram& durations(std::size_t account) const { return accounts_[account].durations; }
  [[nodiscard]] std::chrono::nanoseconds total(std::size_t account) const { return accounts_[account].total; }

 private:
  struct Account {
    std::chrono::nanoseconds open{0};
    std::chrono::nanoseconds total{0};
    DurationHistogram durations;
  };
  std::vector<Account> accounts_;
  std::size_t running_ = stopped;
  std::chrono::steady_clock::time_point since_;
};

}  // namespace sds::pipeline
