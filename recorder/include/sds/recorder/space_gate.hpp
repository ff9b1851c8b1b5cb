// What a recording does when the disk is full, or is about to be: it waits for space, or stops. One gate a device.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "sds/format/error.hpp"

namespace sds {

enum class OnFull { wait, stop };

struct DiskSpace {
  std::uint64_t free_bytes = 0;  ///< that may be used
  std::uint64_t all_bytes = 0;
};
/// Of the file system that `directory` is in; nothing if it is not known.
std::optional<DiskSpace> disk_space(const std::filesystem::path& directory);
/// "64.0 MB"
std::string size_text(std::uint64_t bytes);
/// True if disk space or memory is lacking, which others may need more than another try of the same would.
bool lacks_room(const Error& error);
/// True if the disk failed (EIO): what nobody can foresee, and may go well another time.
bool disk_failed(const Error& error);

/// The writer thread asks and waits; release_reserve(), cancel() and waiting() are for any thread.
class SpaceGate {
 public:
  struct Options {
    std::filesystem::path directory = ".";
    std::uint64_t keep_free = 0;  ///< bytes of its file system that are left to others; 0: none
    OnFull on_full = OnFull::wait;
    std::chrono::milliseconds retry{500};
    std::string device;  ///< whose recording it is, for the log
    /// Free bytes of the file system; null: statvfs() of `directory`. Nothing: not known, which counts as enough.
    std::function<std::optional<std::uint64_t>()> free_bytes;
  };

  explicit SpaceGate(Options options);

  /// Free bytes; the largest number if it is not known.
  [[nodiscard]] std::uint64_t free_bytes() const;
  /// True if `free` bytes are the reserve, unless it was released, and `needed`; always once the wait was cancelled.
  [[nodiscard]] bool is_enough(std::uint64_t free, std::uint64_t needed) const;
  /// Whether a stream that needs `needed` bytes may begin: whoever stops on a full disk leaves the reserve alone, also
  /// when it was released for what came; whoever waits may be going to wait in it.
  [[nodiscard]] Expected<void> may_begin(std::uint64_t needed) const;
  /// The error of a disk that has less than that, with both.
  [[nodiscard]] Error full_error(std::uint64_t needed) const;
  /// Waits for one retry interval, and says so in the log the first time; less long if the reserve is released. False,
  /// at once, where `on_full` is stop or the wait was cancelled: try once more, and give up.
  [[nodiscard]] bool wait(const std::string& why);
  /// Writing succeeded: ends a wait, and says so in the log.
  void go_on();

  /// Repeats a write that failed for want of space until it succeeds, fails otherwise, or wait() says no; once more
  /// then, for there may have been space since it was tried last.
  template <class Again>
  [[nodiscard]] Expected<void> settle(Expected<void> done, Again again) {
    for (bool waits = options_.on_full == OnFull::wait; waits && !done && is_disk_full(done.error());) {
      waits = wait(done.error().to_string());
      done = again();
    }
    if (done) go_on();
    return done;
  }

  /// From here on the reserve may be used: nobody sends any more, and what came must get its place.
  void release_reserve();
  /// Ends a wait for good: from here on what is full fails at once. Releases the reserve.
  void cancel();
  [[nodiscard]] bool waiting() const { return waiting_; }
  [[nodiscard]] bool released() const { return released_; }
  [[nodiscard]] bool cancelled() const { return cancelled_; }
  [[nodiscard]] OnFull on_full() const { return options_.on_full; }

 private:
  [[nodiscard]] Error full_error(std::uint64_t needed, bool reserve) const;

  Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> released_{false};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> waiting_{false};
};

/// Says in the log that what failed is tried once more.
void tell_another_try(const std::string& device, const Error& error);

/// What `make` makes; where the disk failed, of another try.
template <class Make>
[[nodiscard]] auto made_or_tried_again(const std::string& device, Make make) {
  auto made = make();
  if (made || !disk_failed(made.error())) return made;
  tell_another_try(device, made.error());
  return make();
}

/// Repeats a write that failed: for want of space as `gate` says (null: not at all); for another reason once, for a
/// disk that fails once is to cost nothing.
template <class Again>
[[nodiscard]] Expected<void> settle(SpaceGate* gate, const std::string& device, Expected<void> done, Again again) {
  if (gate != nullptr) done = gate->settle(std::move(done), again);
  if (done || done.error().code != ErrorCode::io || lacks_room(done.error())) return done;
  tell_another_try(device, done.error());
  done = again();
  return gate != nullptr ? gate->settle(std::move(done), again) : done;
}

}  // namespace sds
