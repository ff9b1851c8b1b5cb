// How a server reaches a device that does not connect by itself: by a serial line, or through a server for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sds {

/// A server that hands a device's bytes on. What is received in `discard` behind connecting is its greeting, and
/// whatever follows until it has been silent for as long: both are thrown away.
struct DialOptions {
  std::string address = "127.0.0.1";  ///< IPv4
  std::uint16_t port = 0;
  std::string message;  ///< sent once it is connected; may be empty
  std::chrono::milliseconds discard{50};
  std::chrono::milliseconds retry{1000};  ///< how often it is tried
};

enum class Parity { none, odd, even, mark, space };

/// A serial port with 8 data bits and no flow control. What is received before the line has been silent for `discard`
/// is thrown away: nobody knows where in a message it began.
struct SerialOptions {
  std::string port;  ///< "/dev/ttyACM0"
  unsigned baudrate = 115200;
  Parity parity = Parity::none;
  unsigned stop_bits = 1;                                    ///< 1 or 2
  std::optional<std::chrono::milliseconds> connect_timeout;  ///< after which it is given up; none: never
  std::chrono::milliseconds discard{50};
  std::chrono::milliseconds retry{500};  ///< how often it is tried
};

}  // namespace sds
