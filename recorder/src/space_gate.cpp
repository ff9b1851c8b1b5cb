#include "sds/recorder/space_gate.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace sds {

std::optional<DiskSpace> disk_space(const std::filesystem::path& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) return std::nullopt;
  return DiskSpace{std::uint64_t{info.f_bavail} * info.f_frsize, std::uint64_t{info.f_blocks} * info.f_frsize};
}

std::string size_text(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} bytes", bytes);
  // By what it is rounded to: "1.0 MB", not "1000.0 kB".
  if (bytes < 999'950) return fmt::format("{:.1f} kB", value / 1e3);
  if (bytes < 999'950'000) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.1f} GB", value / 1e9);
}

bool lacks_room(const Error& error) { return is_disk_full(error) || error.system_error == ENOMEM; }

bool disk_failed(const Error& error) { return error.system_error == EIO; }

SpaceGate::SpaceGate(Options options) : options_(std::move(options)) {
  if (!options_.free_bytes)
    options_.free_bytes = [directory = options_.directory] {
      const auto space = disk_space(directory);
      return space ? std::optional(space->free_bytes) : std::nullopt;
    };
}

std::uint64_t SpaceGate::free_bytes() const {
  return options_.free_bytes().value_or(std::numeric_limits<std::uint64_t>::max());
}

bool SpaceGate::is_enough(std::uint64_t free, std::uint64_t needed) const {
  return cancelled_ || free >= (released_ ? needed : std::max(options_.keep_free, needed));
}

Expected<void> SpaceGate::may_begin(std::uint64_t needed) const {
  const bool reserve = options_.on_full == OnFull::stop && options_.keep_free >= needed;
  if (free_bytes() >= (reserve ? options_.keep_free : needed)) return {};
  return tl::unexpected<Error>(full_error(needed, reserve));
}

Error SpaceGate::full_error(std::uint64_t needed) const {
  return full_error(needed, !released_ && options_.keep_free >= needed);
}

Error SpaceGate::full_error(std::uint64_t needed, bool reserve) const {
  return {ErrorCode::io,
          fmt::format(
              "the disk is full: {} are free, {}", size_text(free_bytes()),
              reserve ? size_text(options_.keep_free) + " are to be left free"
                      : size_text(needed) + " are needed for what is on its way, and to close what is being recorded"),
          options_.directory,
          {},
          ENOSPC};
}

bool SpaceGate::wait(const std::string& why) {
  if (options_.on_full == OnFull::stop || cancelled_) return false;
  if (!waiting_) {
    waiting_ = true;
    spdlog::warn("full     {}: {}: the device is held back until there is space", options_.device, why);
  }
  std::unique_lock lock(mutex_);
  const bool released = released_;
  changed_.wait_for(lock, options_.retry, [&] { return cancelled_ || released_ != released; });
  return !cancelled_;
}

void SpaceGate::go_on() {
  if (!waiting_) return;
  waiting_ = false;
  if (!cancelled_) spdlog::info("full     {}: writing goes on", options_.device);
}

void SpaceGate::release_reserve() {
  {
    const std::lock_guard lock(mutex_);
    released_ = true;
  }
  changed_.notify_all();
}

void SpaceGate::cancel() {
  {
    const std::lock_guard lock(mutex_);
    released_ = cancelled_ = true;
  }
  changed_.notify_all();
}

void tell_another_try(const std::string& device, const Error& error) {
  spdlog::warn("record   {}: {}: tried once more", device, error.to_string());
}

}  // namespace sds
