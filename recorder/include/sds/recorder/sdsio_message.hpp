// The SDSIO protocol on the wire: 16-byte headers of four little-endian words, some with data behind them.
// Source: SDS-Framework documentation/theory.md, "SDSIO-Server Firmware Protocol".
#pragma once

#include <array>
#include <functional>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds::sdsio {

enum class Command : std::uint32_t { open = 1, close = 2, write = 3, read = 4, ping = 5, flags = 6, info = 7 };

/// Bits of `sdsFlags` (SDS-Framework sds.h).
inline constexpr std::uint32_t flag_start = 0x80000000;
inline constexpr std::uint32_t flag_terminate = 0x40000000;
inline constexpr std::uint32_t flag_playback = 0x20000000;
inline constexpr std::uint32_t flag_alive = 0x10000000;
inline constexpr std::uint32_t flag_reset = 0x08000000;
/// Those that mean what the user says they mean.
inline constexpr std::uint32_t user_flags = 0x00FFFFFF;

/// Stream names and error texts longer than this are taken for a broken or hostile peer.
inline constexpr std::uint32_t max_text_bytes = 4096;

/// A WRITE that announces more than this is no WRITE: devices send what their buffers hold, a few KiB.
inline constexpr std::uint32_t max_write_bytes = 64u << 20;

struct Header {
  static constexpr std::size_t bytes = 16;
  Command command = Command::ping;
  std::uint32_t handle = 0;    ///< or the set mask, or sdsFlags
  std::uint32_t argument = 0;  ///< mode, size to read, status, clear mask or idle rate
  std::uint32_t size = 0;      ///< bytes of data that follow

  [[nodiscard]] std::array<std::byte, bytes> encode() const;
};

/// What a MessageDecoder finds, in the order it arrives.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  /// A complete message of any command but WRITE; `text` is its data. False: nothing after it may be looked at yet.
  [[nodiscard]] virtual bool on_message(const Header& header, ByteView text) = 0;
  /// A piece of a WRITE's data, at `begin` of the bytes given to push(). WRITEs are not gathered.
  virtual void on_write(std::uint32_t handle, std::size_t begin, std::size_t size) = 0;
};

/// Cuts a received byte stream into messages. Keeps at most one header and max_text_bytes of text.
class MessageDecoder {
 public:
  /// Returns how many of the bytes were taken: fewer than all only if the handler wanted to stop after a message; the
  /// others are to be pushed again. Fails on an unknown command or an absurd size: the peer does not speak SDSIO, or
  /// lost its place.
  [[nodiscard]] Expected<std::size_t> push(ByteView bytes, MessageHandler& handler);

  /// True in the middle of a message: a peer that leaves now leaves half of one.
  [[nodiscard]] bool inside_message() const { return !pending_.empty() || write_left_ > 0; }

 private:
  Bytes pending_;  // an incomplete header, or a header and incomplete text
  std::uint32_t write_handle_ = 0;
  std::uint64_t write_left_ = 0;
};

}  // namespace sds::sdsio
