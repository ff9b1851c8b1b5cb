// The SDSIO server: devices connect over TCP, or are reached over a line, and their streams are recorded, or played
// back to them.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sds/recorder/line_options.hpp"
#include "sds/recorder/server_limits.hpp"
#include "sds/recorder/session_writer.hpp"

namespace sds {

/// What the library on a device speaks, as far as it matters: one before 3.x takes a FLAGS message that it did not ask
/// for for the answer to its next request.
enum class Protocol {
  automatic,  ///< FLAGS are sent to who is silent for 300 ms, and to who sends INFO
  before_3,   ///< only to who sends INFO
  from_3      ///< from the start
};

struct ServerOptions {
  std::string address = "127.0.0.1";  ///< IPv4 address to bind to
  std::uint16_t port = 5050;          ///< 0: any free port
  /// One of these: nothing is listened on; the one device is at the line's other end, and looked for again when it is
  /// lost.
  std::optional<DialOptions> dial;
  std::optional<SerialOptions> serial;
  Protocol protocol = Protocol::automatic;
  std::filesystem::path directory = ".";
  bool packed = true;  ///< one `.sdsz` a session; false: plain `.sds`
  Level level = Level::fast;
  unsigned threads = 0;  ///< that encode sections; 0: one for each core
  std::chrono::milliseconds flush_interval{200};
  Durability durability = Durability::process;
  OnFull on_full = OnFull::wait;
  std::uint64_t keep_free = 0;  ///< bytes of the directory's file system that recordings leave free; 0: none
  std::chrono::milliseconds full_retry{500};  ///< how often a full disk is tried again
  unsigned max_devices = server_limits::max_devices;
  /// Ask devices to play back, for n = 0, 1, ...: `<stream>.<n>.sds`, or the stream of `recording.<n>.sdsz`.
  bool playback = false;
  bool exit_after_playback = false;
  /// After this many recorded connections, or recorded sessions on a line, take nobody new, and stop when all is
  /// closed; 0: never.
  unsigned sessions = 0;
  /// Descriptors that the server may have open; 0: what the process may have open beside those that are at its start,
  /// less server_limits::spare_descriptors.
  std::uint64_t descriptors = 0;

  std::chrono::milliseconds stop_wait = server_limits::stop_wait;  ///< for devices that are asked to stop
  /// A device that acknowledges nothing for so long, though something waits for it, is taken for gone.
  std::chrono::milliseconds silent_peer = server_limits::silent_peer;
  /// A device that has nothing open and sent nothing for so long makes room for a new one, where places are scarce.
  std::chrono::milliseconds idle_peer = server_limits::idle_peer;

  // For tests: the time, the disk's free space (null: statvfs), what writes sessions (null: files), what starts
  // recorders' threads (null: std::thread), and what opens files for playback (null: InputFile).
  std::function<Arrival()> now = stamp_now;
  std::function<std::optional<std::uint64_t>()> free_bytes;
  MakeSession make_session;
  std::function<std::thread(std::function<void()>)> make_thread;
  std::function<Expected<std::shared_ptr<const ByteSource>>(const std::filesystem::path&)> open_file;
};

/// Accepts devices until stopped. One thread receives for all of them and never waits for a disk; a few threads read
/// what is played back; each connection that records has a writer thread behind a bounded queue, and is not read from
/// while that is full: TCP then holds the device back, and nothing is lost. server_limits.hpp has the bounds.
class Server {
 public:
  /// Binds and listens, unless the device is at a line.
  static Expected<std::unique_ptr<Server>> create(const ServerOptions& options);
  ~Server();

  /// 0 where nothing is listened on.
  [[nodiscard]] std::uint16_t port() const;

  /// Serves until stop() or a stop condition of the options; open sessions are closed cleanly before it returns. Fails
  /// if a recording was lost, or cut short, through an I/O error or a full disk: with the first of them; and if a line
  /// is given up.
  [[nodiscard]] Expected<void> run();

  /// After run(): true if it failed because its line was given up, and no recording was lost.
  [[nodiscard]] bool gave_up() const;

  /// Ends run(): devices that were started are asked to stop and have ServerOptions::stop_wait for closing what they
  /// have open; the others are sent away. A second call ends that wait. Thread-safe and safe to call from a signal
  /// handler's thread.
  void stop();

  /// Asks every connected device to set and clear bits of its sdsFlags; user flags stand for those that connect later,
  /// too. What is asked for while none is connected goes to the next one, once. Thread-safe.
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
