// Where a server gets a device from that does not come by itself.
#pragma once

#include <asio.hpp>

#include <functional>
#include <memory>

#include "sds/recorder/line_options.hpp"
#include "sds/recorder/link.hpp"

namespace sds {

/// Used by the receive thread alone; callbacks come on it, never from within the call that asked for them.
class LinkOpener {
 public:
  /// A link whose other side was silent for a moment: what it sends next begins a message. An error: it is given up.
  using OnOpen = std::function<void(Expected<std::unique_ptr<Link>> link)>;

  virtual ~LinkOpener() = default;
  /// Tries until there is a link, and says in the log what is in the way. One call at a time.
  virtual void open(OnOpen on_open) = 0;
  /// Ends what open() began; it calls nothing any more.
  virtual void cancel() = 0;
};

/// Connects to a server that hands a device's bytes on, as J-Link's and pyOCD's do for RTT. `silent_peer` as for
/// TcpLink. Fails where the address is none.
Expected<std::shared_ptr<LinkOpener>> make_dialler(asio::io_context& io, const DialOptions& options,
                                                   std::chrono::milliseconds silent_peer);

/// Opens a serial port. Fails where the system knows no such setting.
Expected<std::shared_ptr<LinkOpener>> make_serial_opener(asio::io_context& io, const SerialOptions& options);

}  // namespace sds
