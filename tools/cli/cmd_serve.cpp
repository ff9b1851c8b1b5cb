#include <fmt/format.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "command.hpp"
#include "keyboard.hpp"
#include "option_values.hpp"
#include "progress_line.hpp"
#include "sds/recorder/log_writer.hpp"
#include "sds/recorder/sdsio_message.hpp"
#include "sds/recorder/server.hpp"
#include "shell_text.hpp"

namespace sds::cli {

namespace {

struct ServeArguments {
  ServerOptions server;
  std::string interface;
  std::string format = "sdsz";
  std::string durability = "process";
  bool sync = false;
  std::string on_full = "wait";
  unsigned level = 1;
  unsigned flush_ms = 200;
  bool verbose = false;
  bool quiet = false;
  bool keep_free_given = false;
  std::string given;  // options but for address and port, as a shell takes them
  DialOptions dial;
  SerialOptions serial;
  unsigned connect_ms = 50;
  std::optional<double> connect_timeout_s;
};

constexpr std::uint64_t kKeepFree = 64'000'000;
// Of a small disk, the part that is left free unless --keep-free says otherwise.
constexpr std::uint64_t kKeepFreePart = 10;

// A stop waits a second for devices, and then closes files: what takes longer than this hangs.
constexpr std::chrono::seconds kLongestStop{10};

// On standard output, at once. That nobody reads it says nothing about the recordings, which exit codes are about.
void say(const std::string& text) {
  for (std::string_view rest = text; !rest.empty();) {
    const auto written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

// It may be meant for playback alone.
void tell_if_read_only(const std::filesystem::path& directory) {
  if (::access(directory.c_str(), W_OK | X_OK) == 0 || (errno != EACCES && errno != EROFS)) return;
  spdlog::warn("{}: cannot be written ({}): nothing can be recorded in it", directory.string(),
               std::generic_category().message(errno));
}

// Settles --keep-free, and says if the disk has no more than that.
Expected<void> check_space(ServerOptions& options, bool given) {
  const auto space = disk_space(options.directory);
  if (!space || space->all_bytes == 0) return {};
  if (!given) options.keep_free = std::min(options.keep_free, space->all_bytes / kKeepFreePart);
  if (options.keep_free >= space->all_bytes)
    return fail(ErrorCode::usage,
                fmt::format("--keep-free: {} cannot be left free, the whole disk has {}", size_text(options.keep_free),
                            size_text(space->all_bytes)),
                options.directory);
  if (space->free_bytes < options.keep_free)
    spdlog::warn("{}: {} are free, less than the {} of --keep-free: nothing can be recorded until there is space",
                 options.directory.string(), size_text(space->free_bytes), size_text(options.keep_free));
  return {};
}

Durability durability_of(const ServeArguments& o) {
  if (o.sync || o.durability == "power") return Durability::power;
  return o.durability == "none" ? Durability::none : Durability::process;
}

// Who asks a server to end, and when that is to be at once, as a kill: at a second Ctrl-C, or at a SIGTERM when the
// stop has taken far longer than any should. Nobody loses data to a SIGHUP or SIGTERM that is only sent twice.
class StopRequests {
 public:
  enum class Answer { stop, ignore, kill };
  // For a signal that comes at `now`. A Ctrl-C asks again even if others asked before: devices are not waited for then.
  Answer on(int signal, std::chrono::steady_clock::time_point now) {
    const bool first = !asked_;
    const bool with_last = !first && now - last_ < one_request;
    const bool second_interrupt = signal == SIGINT && std::exchange(interrupted_, true);
    if (first) asked_ = now;
    if (with_last) return Answer::ignore;
    if (first || signal == SIGINT) last_ = now;
    if (first) return Answer::stop;
    if (signal == SIGINT) return second_interrupt ? Answer::kill : Answer::stop;
    return signal == SIGTERM && now - *asked_ >= kLongestStop ? Answer::kill : Answer::ignore;
  }

 private:
  std::optional<std::chrono::steady_clock::time_point> asked_;
  std::chrono::steady_clock::time_point last_;
  bool interrupted_ = false;
};

// Takes SIGINT, SIGTERM and (unless it is ignored, as under nohup) SIGHUP on a thread of its own and stops the server.
// Made before any other thread, so that they all leave the signals to it.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    struct sigaction hangup {};
    if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&signals_, SIGHUP);
    std::signal(SIGPIPE, SIG_IGN);  // whoever read our output may go
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  void watch(Server& server) {
    thread_ = std::thread([this, &server] {
      StopRequests requests;
      while (!stopping_) {
        const timespec wait{0, 100'000'000};
        const int signal = sigtimedwait(&signals_, nullptr, &wait);
        if (signal < 0) continue;
        switch (requests.on(signal, std::chrono::steady_clock::now())) {
          case StopRequests::Answer::stop:
            spdlog::info("stopping: closing what is being recorded");
            server.stop();
            break;
          case StopRequests::Answer::ignore:
            break;
          case StopRequests::Answer::kill:
            restore_terminal();
            std::signal(signal, SIG_DFL);
            pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
            pthread_kill(pthread_self(), signal);
            return;
        }
      }
    });
  }
  ~StopOnSignal() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

 private:
  sigset_t signals_{};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

void on_key(Server& server, char key) {
  const auto change = [&](std::uint32_t set, std::uint32_t clear, const std::string& what) {
    spdlog::info("key {}: {}", key, what);
    server.change_flags(set, clear);
  };
  switch (key) {
    case 'R':
    case 'r':
      return change(sdsio::flag_start, sdsio::flag_playback, "start recording");
    case 'P':
    case 'p':
      return change(sdsio::flag_start | sdsio::flag_playback, 0, "start playback");
    case 'S':
    case 's':
      return change(0, sdsio::flag_start, "stop");
    case 'T':
    case 't':
      return change(sdsio::flag_reset, 0, "reset the device");
    case 'X':
    case 'x':
      spdlog::info("key {}: exit", key);
      return server.stop();
    default:
      break;
  }
  if (key >= 'A' && key <= 'H') change(1u << (key - 'A'), 0, fmt::format("set flag {}", key - 'A'));
  if (key >= 'a' && key <= 'h') change(0, 1u << (key - 'a'), fmt::format("clear flag {}", key - 'a'));
}

// The options that were given, but for those that say where to listen.
std::string given_options(const Command& command) {
  std::string text;
  for (const auto& option : command.given()) {
    if (option.name == "--ipaddr" || option.name == "--netif" || option.name == "--port") continue;
    text += " " + option.name;
    if (option.has_value) text += " " + shell_quoted(option.value);
  }
  return text;
}

void print_listening(const ServerOptions& options, const std::string& given, std::uint16_t port) {
  const std::string others = (port == ServerOptions().port ? "" : fmt::format(" --port {}", port)) + given;
  if (options.address.rfind("127.", 0) == 0) {
    say(fmt::format("only this machine can connect. To let a board on the network in, use one of:\n"));
    bool any = false;
    for (const auto& [interface, address] : list_interfaces()) {
      if (address.rfind("127.", 0) == 0) continue;
      say(fmt::format("  sds serve socket --netif {}{}    (the board connects to {}:{})\n", interface, others, address,
                      port));
      any = true;
    }
    if (!any)
      say(fmt::format("  sds serve socket --ipaddr 0.0.0.0{}    (all interfaces; none has an address now)\n", others));
  } else {
    say(fmt::format("every device that reaches this address can connect: SDSIO has no authentication\n"));
  }
}

void print_where(const ServerOptions& options, const std::string& given, std::uint16_t port) {
  std::string where = fmt::format("listening on {}:{}", options.address, port);
  if (options.dial) where = fmt::format("connecting to {}:{}", options.dial->address, options.dial->port);
  if (options.serial) where = fmt::format("opening {} at {} baud", options.serial->port, options.serial->baudrate);
  say(fmt::format("{}, recording {} to {}\n", where, options.packed ? "one .sdsz a session" : "plain .sds files",
                  std::filesystem::absolute(options.directory).lexically_normal().string()));
  if (!options.dial && !options.serial) print_listening(options, given, port);
}

// As many files as the system lets us: the soft limit is meant for programs that use select().
void raise_descriptor_limit() {
  constexpr rlim_t enough = 1u << 20;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, enough));
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int run_serve(const ServeArguments& o) {
  raise_descriptor_limit();
  ServerOptions options = o.server;
  if (!o.interface.empty()) {
    auto address = address_of_interface(o.interface);
    if (!address) return fail_with(address.error());
    options.address = *address;
  }
  options.packed = o.format == "sdsz";
  options.level = static_cast<Level>(o.level);
  options.durability = durability_of(o);
  options.on_full = o.on_full == "stop" ? OnFull::stop : OnFull::wait;
  options.flush_interval = std::chrono::milliseconds(o.flush_ms);
  if (o.verbose) spdlog::set_level(spdlog::level::debug);
  if (o.quiet) spdlog::set_level(spdlog::level::warn);
  StopOnSignal signals;
  const LogWriter log;
  if (auto room = check_space(options, o.keep_free_given); !room) return fail_with(room.error());
  tell_if_read_only(options.directory);
  auto server = Server::create(options);
  if (!server) return fail_with(server.error());
  print_where(options, o.given, (*server)->port());
  signals.watch(**server);
  std::optional<Keyboard> keyboard(std::in_place, [&](char key) {
    try {
      on_key(**server, key);
    } catch (const std::bad_alloc&) {
      spdlog::error("key {}: out of memory", key);
    }
  });
  if (keyboard->active())
    say("keys: R record, P play back, S stop, T reset, A-H and a-h set and clear flags 0-7, X exit\n");
  auto served = (*server)->run();
  keyboard.reset();  // before what it works on
  const bool gave_up = (*server)->gave_up();
  server->reset();
  if (served) return 0;
  if (gave_up) {
    spdlog::error("sds: error: {}", served.error().to_string());
    return served.error().exit_code();
  }
  // By way of the log, which nobody need read.
  spdlog::error("sds: error: a recording was lost or cut short: {}", served.error().to_string());
  return served.error().exit_code();
}

constexpr const char* kSessions =
    "A session lasts from a device's first OPEN to its last CLOSE, or to its disconnection; what came is kept "
    "either\n"
    "way, and a loss is recorded with it. Ctrl-C, SIGTERM and SIGHUP ask devices to stop, close what is open after "
    "a\n"
    "second, and end the server. A second Ctrl-C ends it at once, as a kill does, and so does a SIGTERM when the "
    "stop\n"
    "has taken 10 s.\n"
    "The exit code is 4 if a recording was lost or cut short by the disk.\n\n";

// What every way to a device has. `o` outlives the options.
void add_common_options(Command& command, ServeArguments* o) {
  command.add_option("--workdir", o->server.directory, "Directory of recordings and their <stream>.sds.yml files")
      ->type_name("DIR")
      ->capture_default_str();
  command
      .add_option("--format", o->format,
                  "sdsz: recording.<n>.sdsz for each session; sds: <stream>.<n>.sds as Arm's server writes them")
      ->check(one_of({"sds", "sdsz"}))
      ->capture_default_str();
  command.add_option("-l,--level", o->level, "Compression: 0 store, 1 fast, 2 dense")
      ->check(in_range(0, 2))
      ->capture_default_str();
  command.add_option("--threads", o->server.threads, "Threads that compress; 0: one for each core")
      ->check(in_range(0, 256))
      ->capture_default_str();
  command
      .add_option("--flush-interval", o->flush_ms,
                  "How often what came is made as safe as --durability says: 200ms, 2s; a number alone: ms")
      ->transform(takes_milliseconds())
      ->check(in_range(1, 3600000))
      ->type_name("TIME")
      ->capture_default_str();
  command
      .add_option("--durability", o->durability,
                  "What came until the last flush survives: none: a clean end only; process: a "
                  "kill of this process; power: a power cut, too")
      ->check(one_of({"none", "process", "power"}))
      ->capture_default_str();
  command.add_flag("--sync", o->sync, "--durability power")->group("");
  command
      .add_option("--on-full", o->on_full,
                  "When the disk is full: wait: hold the device back until there is space; stop: end its recording")
      ->check(one_of({"wait", "stop"}))
      ->capture_default_str();
  o->server.keep_free = kKeepFree;
  command
      .add_option(
          "--keep-free", o->server.keep_free,
          "The disk counts as full when less than this is free: 500M, 2GiB; 0: what closing the recordings takes")
      ->transform(takes_size())
      ->transform(ValueRule(
          [](std::string& text) { return text.find('-') == std::string::npos ? "" : text + " is less than nothing"; }))
      ->each([o](const std::string&) { o->keep_free_given = true; })
      ->type_name("SIZE")
      ->default_str("64M, or a tenth of a small disk");
  command.add_flag(
      "-p,--playback", o->server.playback,
      "Ask devices to play back: READ streams come from <stream>.<n>.sds, or else from recording.<n>.sdsz, n = 0, 1, "
      "... in the workdir");
  command.add_flag("-x,--exit-after-playback", o->server.exit_after_playback, "End when all of them were played");
  command
      .add_option("--sessions", o->server.sessions,
                  "After this many connections that recorded, or sessions on a line, take no more, and end when those "
                  "that still record are done; 0: never")
      ->type_name("N")
      ->capture_default_str();
  command.add_flag("-v,--verbose", o->verbose, "Log flags, idle rates and pings too");
  command.add_flag("-q,--quiet", o->quiet, "Log only warnings and errors");
  command
      .add_option("--protocol", o->server.protocol,
                  "The library on the device: 1, 2 or 3 (Arm's version); auto: found by listening, which on a line it "
                  "has to be there for when the server begins")
      ->transform(takes_word<Protocol>({{"auto", Protocol::automatic},
                                        {"1", Protocol::before_3},
                                        {"2", Protocol::before_3},
                                        {"3", Protocol::from_3}}))
      ->default_str("auto");
}

void begin(Command& command, const std::shared_ptr<ServeArguments>& o, Run& run) {
  o->given = given_options(command);
  if (o->sync && command.get_option("--durability")->count() > 0)
    refuse_option("--sync", "is --durability power: give one of the two");
  run = [o] { return run_serve(*o); };
}

void add_socket(Command& serve, Run& run) {
  auto* socket = serve.add_subcommand("socket", "SDSIO over TCP");
  auto o = std::make_shared<ServeArguments>();
  auto* address = socket->add_option("--ipaddr", o->server.address, "IPv4 address to listen on, or to connect to")
                      ->type_name("IP")
                      ->capture_default_str();
  auto* netif = socket->add_option("--netif", o->interface, "Listen on the address of this network interface")
                    ->type_name("NAME")
                    ->excludes(address);
  socket->add_option("--port", o->server.port, "TCP port; 0: any free one")
      ->check(in_range(0, 65535))
      ->type_name("N")
      ->capture_default_str();
  auto* connect = socket
                      ->add_option("--connect", o->dial.message,
                                   "Connect instead of listening, as to a debugger's server for RTT, and send it this "
                                   "text first, if there is any; again and again until it is there")
                      ->type_name("[MESSAGE]")
                      ->value_is_optional()
                      ->excludes(netif);
  socket
      ->add_option(
          "--connect-time", o->connect_ms,
          "What comes in so long behind connecting is a greeting, and not the device's: 100ms; a number alone: "
          "ms")
      ->transform(takes_milliseconds())
      ->check(in_range(1, 60000))
      ->type_name("TIME")
      ->needs(connect)
      ->capture_default_str();
  socket->add_option("--max-devices", o->server.max_devices, "Devices at a time; more are sent away")
      ->type_name("N")
      ->check(in_range(1, 10000))
      ->excludes(connect)
      ->capture_default_str();
  add_common_options(*socket, o.get());
  socket->footer(std::string(kSessions) +
                 "Examples: sds serve socket --netif eth0 --workdir recordings\n"
                 "          sds serve socket --port 19021 --connect '$$SEGGER_TELNET_ConfigStr=RTTCh;1$$' "
                 "--connect-time 100");
  socket->callback([o, socket, connect, &run] {
    if (connect->count() > 0) {
      if (o->server.port == 0) refuse_option("--port", "0 is no port to connect to");
      o->dial.address = o->server.address;
      o->dial.port = o->server.port;
      o->dial.discard = std::chrono::milliseconds(o->connect_ms);
      o->server.dial = o->dial;
    }
    begin(*socket, o, run);
  });
}

void add_serial(Command& serve, Run& run) {
  auto* serial = serve.add_subcommand("serial", "SDSIO over a serial port: UART, USB CDC");
  auto o = std::make_shared<ServeArguments>();
  serial->add_option("--port", o->serial.port, "The port: /dev/ttyACM0")->required()->type_name("PATH");
  serial->add_option("--baudrate", o->serial.baudrate, "Bits a second; the firmware's")
      ->type_name("N")
      ->capture_default_str();
  serial->add_option("--parity", o->serial.parity, "Parity bit")
      ->transform(takes_word<Parity>({{"none", Parity::none},
                                      {"odd", Parity::odd},
                                      {"even", Parity::even},
                                      {"mark", Parity::mark},
                                      {"space", Parity::space}}))
      ->default_str("none");
  serial->add_option("--stopbits", o->serial.stop_bits, "Stop bits")->check(in_range(1, 2))->capture_default_str();
  serial
      ->add_option("--connect-timeout", o->connect_timeout_s,
                   "Give up where the port cannot be opened for so long: 30s; never, if not given")
      ->transform(takes_time())
      ->check(not_negative())
      ->type_name("TIME");
  add_common_options(*serial, o.get());
  serial->footer(std::string(kSessions) +
                 "Example: sds serve serial --port /dev/ttyACM0 --baudrate 921600 --workdir recordings");
  serial->callback([o, serial, &run] {
    if (o->connect_timeout_s)
      o->serial.connect_timeout = std::chrono::milliseconds(std::llround(std::min(*o->connect_timeout_s, 1e9) * 1000));
    o->server.serial = o->serial;
    begin(*serial, o, run);
  });
}

}  // namespace

void add_serve(Command& app, Run& run) {
  auto* serve = app.add_subcommand("serve", "Record from devices, and play back to them, over the SDSIO protocol");
  serve->require_subcommand(1);
  add_socket(*serve, run);
  add_serial(*serve, run);
}

}  // namespace sds::cli
