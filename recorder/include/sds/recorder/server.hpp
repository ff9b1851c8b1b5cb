// The SDSIO server: devices connect over TCP, and their streams are recorded, or played back to them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sds/format/column.hpp"
#include "sds/format/error.hpp"

namespace sds {

struct ServerOptions {
  std::string address = "127.0.0.1";  ///< IPv4 address to bind to
  std::uint16_t port = 5050;          ///< 0: any free port
  std::filesystem::path directory = ".";
  bool packed = true;  ///< one `.sdsz` a session; false: plain `.sds`
  Level level = Level::fast;
  unsigned threads = 0;  ///< that encode sections; 0: one for each core
  std::chrono::milliseconds flush_interval{200};
  bool sync = false;      ///< fdatasync at each flush
  bool playback = false;  ///< ask devices to play back, from `<stream>.<n>.sds` for n = 0, 1, ...
  bool exit_after_playback = false;
  unsigned sessions = 0;  ///< stop after this many recorded connections; 0: never
};

/// Accepts devices until stopped. One thread receives for all of them; each connection has a writer thread behind a
/// bounded queue, and is not read from while that is full: TCP then holds the device back, and nothing is lost.
class Server {
 public:
  /// Binds and listens.
  static Expected<std::unique_ptr<Server>> create(const ServerOptions& options);
  ~Server();

  [[nodiscard]] std::uint16_t port() const;

  /// Serves until stop() or a stop condition of the options; open sessions are closed cleanly before it returns.
  [[nodiscard]] Expected<void> run();

  /// Ends run(). Thread-safe and safe to call from a signal handler's thread.
  void stop();

  /// Asks every connected device, and those that connect later, to set and clear bits of its sdsFlags. Thread-safe.
  void change_flags(std::uint32_t set, std::uint32_t clear);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The IPv4 address of a network interface ("eth0"), and the names of the interfaces that have one.
Expected<std::string> address_of_interface(const std::string& name);
std::vector<std::pair<std::string, std::string>> list_interfaces();

}  // namespace sds
