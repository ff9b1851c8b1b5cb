// The limits that keep a server's memory, threads and descriptors bounded whatever its devices do. docs/recording.md
// has them for users.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sds::server_limits {

/// Devices at a time, those whose recordings are being closed included; the default of --max-devices.
inline constexpr unsigned max_devices = 256;
/// Streams that a device has open at a time.
inline constexpr std::size_t max_open_streams = 256;

/// Streams of a recording, those that are closed included: each is kept in mind until the recording ends.
inline constexpr std::size_t max_session_streams = 8192;

/// One read from a device.
inline constexpr std::size_t batch_bytes = std::size_t{1} << 18;
/// Reads of one device that wait to be written: 8 MiB.
inline constexpr std::size_t queue_batches = 32;
/// Reads of all devices that wait to be written. A device that has none waiting may always queue one.
inline constexpr std::uint64_t queue_bytes = std::uint64_t{256} << 20;

/// What a serial line is read ahead of the queue: a device on it cannot be held back.
inline constexpr std::size_t line_bytes = std::size_t{1} << 20;

/// Blocks that have begun and not ended, of one device and of all. Beyond it the device is sent away, but not for as
/// little as each may have whatever the others do.
inline constexpr std::uint64_t unfinished_bytes = std::uint64_t{64} << 20;
inline constexpr std::uint64_t unfinished_bytes_total = std::uint64_t{256} << 20;
inline constexpr std::uint64_t unfinished_bytes_own = std::uint64_t{1} << 20;

/// Blocks of all devices that are in no sealed section yet. Beyond it the largest sections are sealed early.
inline constexpr std::uint64_t open_bytes_total = std::uint64_t{256} << 20;

/// Requests that a device may have waiting for an answer; with more it is sent away.
inline constexpr std::size_t queued_replies = 4096;
/// Data of one READ reply; longer wishes get this much, and ask again.
inline constexpr std::uint32_t read_reply_bytes = 1u << 20;
/// Replies that are made and not yet sent, of one device, stay below this: others are made when these are gone.
inline constexpr std::size_t reply_bytes = std::size_t{2} << 20;

/// A device that acknowledges nothing for so long, neither what was sent to it nor the system's probes, is taken for
/// gone. Where it has long taken nothing in, the probes are up to two minutes apart.
inline constexpr std::chrono::seconds silent_peer{30};
/// Descriptors kept for a device from its first moment on: its socket, its recording, the log, the log's successor, and
/// the directory while it is synced.
inline constexpr std::uint64_t device_descriptors = 5;
/// Descriptors that are given to nobody: for files that are looked at in passing.
inline constexpr std::uint64_t spare_descriptors = 8;
/// Files that are played back at a time, to all devices.
inline constexpr std::uint64_t playback_files = 256;

/// Threads that read them.
inline constexpr std::size_t playback_threads = 4;

/// A device that has nothing open and was silent for so long is sent away when its place is wanted.
inline constexpr std::chrono::seconds idle_peer{30};

/// When the server is stopped, devices that were started have so long to close what they have open.
inline constexpr std::chrono::milliseconds stop_wait{1000};

/// After a failed accept (EMFILE): the first pause, doubled up to the longest.
inline constexpr std::chrono::milliseconds accept_pause{100};
inline constexpr std::chrono::milliseconds longest_accept_pause{1000};

}  // namespace sds::server_limits
