#include "sds/recorder/server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <asio.hpp>
#include <limits>
#include <list>

#include "device_session.hpp"
#include "link_opener.hpp"
#include "log_limiter.hpp"
#include "sds/format/worker_pool.hpp"
#include "tcp_link.hpp"
#include "when_there_is_memory.hpp"

namespace sds {

namespace {
using asio::ip::tcp;

// What may be open beside what is open now.
std::uint64_t free_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return std::numeric_limits<std::uint64_t>::max();
  std::error_code ignored;
  std::uint64_t taken = server_limits::spare_descriptors;
  for (std::filesystem::directory_iterator i("/proc/self/fd", ignored), end; !ignored && i != end; i.increment(ignored))
    ++taken;
  return limit.rlim_cur > taken ? limit.rlim_cur - taken : 0;
}

ServerOptions completed(ServerOptions options) {
  if (options.descriptors == 0) options.descriptors = free_descriptors();
  if (!options.open_file)
    options.open_file = [](const std::filesystem::path& path) -> Expected<std::shared_ptr<const ByteSource>> {
      auto file = InputFile::open(path);
      if (!file) return fail(file);
      return std::shared_ptr<const ByteSource>(std::move(*file));
    };
  return options;
}

// What a handler holds to be counted while it waits to be called. One that an exception out of the loop destroys, as
// asio does where it finds no memory for what was accepted, is not counted any more.
class Pending {
 public:
  explicit Pending(int& count) : count_(&count) { ++count; }
  Pending(Pending&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  Pending& operator=(Pending&&) = delete;
  ~Pending() {
    if (count_ != nullptr) --*count_;
  }

 private:
  int* count_;
};

// From the last file's end to the server's: the FLAGS message that tells the device must have gone.
constexpr std::chrono::milliseconds kLastFlags{300};
// How often it is looked whether the devices that were asked to stop have done so.
constexpr std::chrono::milliseconds kStopLook{10};
// Before a line whose device has gone is opened again.
constexpr std::chrono::milliseconds kReopen{500};
}  // namespace

struct Server::State {
  explicit State(const ServerOptions& options) : shared(completed(options)) {}

  ServerShared shared;  // outlives what is pending in the loop
  int accepting = 0;    // how often the acceptor or its timer will call
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_timer{io};
  std::optional<tcp::socket> at_the_door;  // one that there are no descriptors for yet
  std::chrono::milliseconds accept_pause = server_limits::accept_pause;
  std::shared_ptr<LinkOpener> opener;  // of the line, instead of the acceptor
  bool line_in_use = false;            // or about to be
  asio::steady_timer reopen_timer{io};
  std::optional<Error> line_error;  // for which it was given up
  LogLimiter accept_errors;
  LogLimiter too_many;
  std::unique_ptr<WorkerPool> pool;
  std::unique_ptr<asio::thread_pool> playback_threads;  // made when they are needed
  std::list<std::weak_ptr<DeviceSession>> devices;      // connected ones
  using Closing = std::list<std::unique_ptr<RecorderThread>>;
  Closing closing;  // of devices that have gone
  unsigned recorded = 0;
  bool enough = false;  // sessions were recorded: what is still open is the last
  bool stopping = false;
  bool ended = false;  // nobody is waited for any more
  asio::steady_timer stop_timer{io};
  std::vector<std::weak_ptr<DeviceSession>> asked_to_stop;

  Expected<void> listen() {
    const ServerOptions& options = shared.options;
    std::error_code error;
    const auto address = asio::ip::make_address_v4(options.address, error);
    if (error) return fail(ErrorCode::usage, fmt::format("'{}' is not an IPv4 address", options.address));
    acceptor.open(tcp::v4(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(tcp::endpoint(address, options.port), error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return fail(
          ErrorCode::io,
          fmt::format(
              "cannot listen on {}:{}: {}{}", options.address, options.port, error.message(),
              error == asio::error::address_in_use ? ": is another server running? Choose another --port" : ""));
    return {};
  }

  Expected<void> get_opener() {
    const ServerOptions& options = shared.options;
    auto made =
        options.serial ? make_serial_opener(io, *options.serial) : make_dialler(io, *options.dial, options.silent_peer);
    if (!made) return fail(made);
    opener = std::move(*made);
    return {};
  }

  void accept() {
    if (at_the_door && !let_in()) return accept_later(std::make_error_code(std::errc::too_many_files_open));
    acceptor.async_accept([this, pending = Pending(accepting)](std::error_code error, tcp::socket socket) {
      if (stopping || enough) return;
      if (error) return accept_later(error);
      at_the_door.emplace(std::move(socket));
      accept_pause = server_limits::accept_pause;
      accept();
    });
  }

  // What an exception out of the loop, for which only a lack of memory is a reason, may have kept from going on.
  void go_on() {
    if (ended) return let_go();
    if (stopping) return end();
    if (enough) return end_after_the_last();
    if (opener) return open_line();
    if (accepting == 0) accept();
  }

  void open_line() {
    if (std::exchange(line_in_use, true)) return;
    opener->open([this](Expected<std::unique_ptr<Link>> link) {
      if (stopping || enough) return;
      if (!link) {
        line_error = link.error();
        return stop();
      }
      auto descriptors = std::make_shared<TotalShare>(&shared.descriptors);
      // Where they are missing, files that are being closed have them.
      if (!descriptors->take(server_limits::device_descriptors)) return open_line_later();
      admit(std::move(*link), std::move(descriptors));
    });
  }

  void open_line_later() {
    line_in_use = false;
    reopen_timer.expires_after(kReopen);
    reopen_timer.async_wait([this](std::error_code cancelled) {
      if (!cancelled && !stopping && !enough) open_line();
    });
  }

  // False if the device has to wait until there are descriptors for it.
  bool let_in() {
    try {
      auto descriptors = std::make_shared<TotalShare>(&shared.descriptors);
      if (!descriptors->take(server_limits::device_descriptors)) {
        send_idle_away();
        return false;
      }
      tcp::socket socket = std::move(*at_the_door);
      at_the_door.reset();
      admit(std::make_unique<TcpLink>(std::move(socket), shared.options.silent_peer), std::move(descriptors));
    } catch (const std::exception& error) {
      at_the_door.reset();
      spdlog::error("device   sent away: {}", error.what());
    }
    return true;
  }

  // Descriptors or memory have run out: trying again at once would only spin.
  void accept_later(std::error_code error) {
    if (const auto hidden = accept_errors.due())
      spdlog::error("cannot accept connections: {}{}", error.message(),
                    *hidden == 0 ? "" : fmt::format(" ({} times more)", *hidden));
    accept_timer.expires_after(accept_pause);
    accept_pause = std::min(2 * accept_pause, server_limits::longest_accept_pause);
    accept_timer.async_wait([this, pending = Pending(accepting)](std::error_code cancelled) {
      if (!cancelled && !stopping && !enough) accept();
    });
  }

  void admit(std::unique_ptr<Link> link, std::shared_ptr<TotalShare> descriptors) {
    devices.remove_if([](const auto& device) { return device.expired(); });
    if (devices.size() + closing.size() >= shared.options.max_devices) send_idle_away();
    if (devices.size() + closing.size() >= shared.options.max_devices) {
      if (const auto hidden = too_many.due())
        spdlog::warn("device   {}: sent away: {} are connected already, which is what --max-devices allows{}",
                     link->name(), devices.size() + closing.size(),
                     *hidden == 0 ? "" : fmt::format(" ({} times more)", *hidden));
      return;  // closes the socket
    }
    auto place = std::make_shared<Closing>(1);
    auto device = std::make_shared<DeviceSession>(
        io, std::move(link), shared, std::move(descriptors),
        DeviceSession::Callbacks{[this, place](auto recorder) { on_end(std::move(recorder), *place); },
                                 [this] { on_playback_done(); }, [this] { on_session_ended(); },
                                 [this](auto work) { on_disk(std::move(work)); }});
    devices.push_back(device);
    device->start();
  }

  // The device that has been idle longest makes room, if it is that long.
  void send_idle_away() {
    std::shared_ptr<DeviceSession> idlest;
    for (const auto& weak : devices) {
      auto device = weak.lock();
      if (device && (!idlest || device->idle_time() > idlest->idle_time())) idlest = std::move(device);
    }
    if (!idlest || idlest->idle_time() < shared.options.idle_peer) return;
    idlest->end("sent away: it was silent, and others wait for a place");
    devices.remove_if([&](const auto& device) { return device.lock() == idlest; });
  }

  void on_disk(std::function<void()> work) {
    if (!playback_threads) playback_threads = std::make_unique<asio::thread_pool>(server_limits::playback_threads);
    asio::post(*playback_threads, std::move(work));
  }

  // `place` is one for it, so that it needs no memory.
  void on_end(std::unique_ptr<RecorderThread> recorder, Closing& place) {
    if (opener && !stopping && !enough) open_line_later();
    if (!recorder) return;
    RecorderThread* const key = recorder.get();
    place.front() = std::move(recorder);
    closing.splice(closing.end(), place);
    key->finish([this, key] { asio::post(io, [this, key] { on_closed(key); }); });
  }

  void on_closed(const RecorderThread* recorder) {
    if (recorder->has_recorded() && !opener) ++recorded;
    closing.remove_if([&](const auto& c) { return c.get() == recorder; });
    if (ended && closing.empty()) return io.stop();
    if (shared.options.sessions != 0 && recorded >= shared.options.sessions) end_after_the_last();
  }

  // A line goes on when a session on it has ended: those are counted, where it is connections else.
  void on_session_ended() {
    if (!opener) return;
    ++recorded;
    if (shared.options.sessions != 0 && recorded == shared.options.sessions)
      asio::post(io, [this] { end_after_the_last(); });
  }

  // Takes nobody new, and stops when no device has anything open any more.
  void end_after_the_last() {
    if (stopping) return;
    if (!std::exchange(enough, true)) close_the_door();
    bool busy = false;
    for (auto& weak : std::list(devices)) {
      const auto device = weak.lock();
      if (!device) continue;
      busy = busy || device->is_busy();
      if (!device->is_busy()) device->end("the server has recorded as many sessions as it was to");
    }
    if (!busy && closing.empty()) return stop();
    stop_timer.expires_after(kStopLook);
    stop_timer.async_wait([this](std::error_code cancelled) {
      if (!cancelled) end_after_the_last();
    });
  }

  void close_the_door() {
    std::error_code ignored;
    acceptor.close(ignored);
    at_the_door.reset();
    accept_timer.cancel();
    if (opener) opener->cancel();
    reopen_timer.cancel();
  }

  void on_playback_done() {
    if (!shared.options.exit_after_playback) return;
    auto timer = std::make_shared<asio::steady_timer>(io, kLastFlags);
    timer->async_wait([this, timer](std::error_code) { stop(); });
  }

  void end_devices() {
    for (auto& weak : std::list(devices))
      if (auto device = weak.lock()) device->end("the server was stopped");
  }

  // Devices that were started are asked to stop: what they close themselves is whole.
  void stop() {
    if (stopping) return;
    stopping = true;
    close_the_door();
    stop_timer.cancel();
    for (auto& weak : std::list(devices))
      if (auto device = weak.lock(); device && device->ask_to_stop()) asked_to_stop.push_back(device);
    wait_for_stops(std::chrono::steady_clock::now() + shared.options.stop_wait);
  }

  void wait_for_stops(std::chrono::steady_clock::time_point until) {
    std::erase_if(asked_to_stop, [](const auto& weak) {
      const auto device = weak.lock();
      return !device || !device->may_stop();
    });
    if (asked_to_stop.empty() || std::chrono::steady_clock::now() >= until) return end();
    stop_timer.expires_after(kStopLook);
    stop_timer.async_wait([this, until](std::error_code) {
      if (!ended) wait_for_stops(until);
    });
  }

  // The receive loop goes on until every recorder has closed its files.
  void end() {
    if (!std::exchange(ended, true)) let_go();
  }

  void let_go() {
    end_devices();
    for (const auto& recorder : closing) recorder->expect_stop();
    for (const auto& recorder : closing) recorder->stop_waiting();
    if (closing.empty()) io.stop();
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() {
  // Pending operations hold devices, and those use the state: let them go first.
  state_->end_devices();
}

Expected<std::unique_ptr<Server>> Server::create(const ServerOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(options.directory, error))
    return fail(ErrorCode::io, "not a directory", options.directory);
  auto state = std::make_unique<State>(options);
  state->pool = make_worker_pool(options.threads);
  state->shared.executor = state->pool.get();
  if (auto ready = options.dial || options.serial ? state->get_opener() : state->listen(); !ready) return fail(ready);
  const std::uint64_t places = state->shared.descriptors.limit() / server_limits::device_descriptors;
  if (places == 0)
    return fail(ErrorCode::io, "too few descriptors for a single device: raise the limit of open files (ulimit -n)");
  if (places < options.max_devices)
    spdlog::warn(
        "the limit of open files (ulimit -n) is enough for {} devices at a time, not for the {} of --max-devices",
        places, options.max_devices);
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

std::uint16_t Server::port() const {
  std::error_code ignored;
  return state_->acceptor.local_endpoint(ignored).port();
}

Expected<void> Server::run() {
  // Recordings are closed on threads of their own, which the loop does not see.
  const auto until_stopped = asio::make_work_guard(state_->io);
  for (;;) {
    try {
      state_->go_on();
      state_->io.run();
      break;
    } catch (const std::exception& error) {
      spdlog::error("the server goes on after: {}", error.what());
      std::this_thread::sleep_for(kMemoryLook);
    }
  }
  const std::lock_guard lock(state_->shared.recorders.mutex);
  const auto& loss = state_->shared.recorders.first_loss;
  if (loss) return tl::unexpected<Error>(*loss);
  if (state_->line_error) return tl::unexpected<Error>(*state_->line_error);
  if (state_->shared.recorders.lacked_memory) return tl::unexpected<Error>(no_memory());
  return {};
}

bool Server::gave_up() const {
  const std::lock_guard lock(state_->shared.recorders.mutex);
  return state_->line_error && !state_->shared.recorders.first_loss;
}

void Server::stop() {
  when_there_is_memory([this] {
    asio::post(state_->io, [this] {
      if (state_->stopping) return state_->end();
      state_->stop();
    });
  });
}

void Server::change_flags(std::uint32_t set, std::uint32_t clear) {
  asio::post(state_->io, [this, set, clear] {
    auto& shared = state_->shared;
    shared.user_flags = (shared.user_flags | (set & sdsio::user_flags)) & ~clear;
    bool taken = false;
    for (auto& weak : state_->devices)
      if (auto device = weak.lock()) taken = device->change_flags(set, clear) || taken;
    if (taken) return;
    // Nobody is there: the next who comes is asked, and no other.
    shared.set_flags = (shared.set_flags | set) & ~clear;
    shared.clear_flags = (shared.clear_flags | clear) & ~set;
  });
}

std::vector<std::pair<std::string, std::string>> list_interfaces() {
  std::vector<std::pair<std::string, std::string>> found;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* address = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
    ::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size());
    found.emplace_back(i->ifa_name, text.data());
  }
  ::freeifaddrs(list);
  return found;
}

Expected<std::string> address_of_interface(const std::string& name) {
  std::string names;
  for (const auto& [interface, address] : list_interfaces()) {
    if (interface == name) return address;
    names += (names.empty() ? "" : ", ") + interface;
  }
  return fail(ErrorCode::usage,
              fmt::format("no network interface '{}' with an IPv4 address; there is: {}", name, names));
}

}  // namespace sds
