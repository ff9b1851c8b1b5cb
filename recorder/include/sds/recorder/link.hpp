// The way to one device and back: a stream of bytes in each direction. The conversation on it (SDSIO) does not know
// whether it is TCP, a serial line or a pair of sockets in a test.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

/// Used by the receive thread alone; callbacks come on it, never from within the call that asked for them. After
/// close() those that are still owed come with an error, or not at all.
class Link {
 public:
  /// How many bytes came: at least 1, or 0 when the other side has ended.
  using OnRead = std::function<void(const Expected<std::size_t>& count)>;
  using OnWritten = std::function<void(const Expected<void>& done)>;

  virtual ~Link() = default;
  /// Reads what there is, at most `buffer`, which must stay until the callback. One read at a time.
  virtual void read(std::span<std::byte> buffer, OnRead on_read) = 0;
  /// Writes all of `bytes`, which must stay until the callback. One write at a time.
  virtual void write(ByteView bytes, OnWritten on_written) = 0;
  /// Sends what can be sent of `farewell` without waiting, and closes. A second call does nothing.
  virtual void close(ByteView farewell) = 0;
  /// To be called now and then: if the other side has given no sign of itself for too long, though it should have,
  /// reads fail behind what has come.
  virtual void look_after_peer() = 0;
  /// True while the other side has not taken in what was written: what is said again and again need not be added.
  [[nodiscard]] virtual bool has_unsent() const = 0;
  /// True if the other side has ended, or has been silent too long, although bytes of it may be still unread: the only
  /// way to know while nothing is read.
  [[nodiscard]] virtual bool peer_has_ended() const = 0;
  /// Bytes that have arrived and were not read.
  [[nodiscard]] virtual std::size_t unread_bytes() const = 0;
  /// For the log: "192.168.1.7:49152".
  [[nodiscard]] virtual const std::string& name() const = 0;
};

}  // namespace sds
