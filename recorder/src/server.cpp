#include "sds/recorder/server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <spdlog/spdlog.h>

#include <asio.hpp>
#include <list>

#include "sds/recorder/sdsio_connection.hpp"
#include "sds/recorder/worker_pool.hpp"

namespace sds {

namespace {

using asio::ip::tcp;
constexpr std::chrono::milliseconds kTick{100};
// Replies that a device does not read: beyond this it is taken for dead.
constexpr std::size_t kMaxUnsentBytes = std::size_t{8} << 20;

// A connected device: its socket, and the conversation on it. Kept alive by its pending operations.
class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(asio::io_context& io, tcp::socket socket, ServerShared& shared, std::function<void(Client&)> on_end,
         std::function<void()> on_playback_done)
      : io_(io),
        socket_(std::move(socket)),
        timer_(io),
        on_end_(std::move(on_end)),
        on_playback_done_(std::move(on_playback_done)) {
    std::error_code ignored;
    const auto endpoint = socket_.remote_endpoint(ignored);
    peer_ = fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port());
    socket_.set_option(tcp::no_delay(true), ignored);
    shared_ = &shared;
  }

  void start() {
    const std::weak_ptr<Client> weak = weak_from_this();
    asio::io_context& io = io_;
    SdsioConnection::Transport transport;
    transport.send = [this](ByteView bytes) { send(bytes); };
    transport.resume = [weak, &io] {
      asio::post(io, [weak] {
        if (auto self = weak.lock()) self->resume();
      });
    };
    transport.give_up = [weak, &io](const Error& error) {
      asio::post(io, [weak, error] {
        if (auto self = weak.lock()) self->end("recording failed: " + error.message);
      });
    };
    transport.playback_done = [this] { on_playback_done_(); };
    connection_ = std::make_unique<SdsioConnection>(*shared_, peer_, std::move(transport));
    spdlog::info("device   {} connected", peer_);
    tick();
    receive();
  }

  void end(const std::string& reason) {
    if (ended_) return;
    ended_ = true;
    spdlog::info("device   {}: {}", peer_, reason);
    timer_.cancel();
    std::error_code ignored;
    if (socket_.is_open()) {
      // The firmware learns that nobody is listening any more.
      const auto gone = sdsio::Header{sdsio::Command::flags, 0, sdsio::flag_alive, 0}.encode();
      socket_.non_blocking(true, ignored);
      socket_.write_some(asio::buffer(gone.data(), gone.size()), ignored);
      socket_.shutdown(tcp::socket::shutdown_both, ignored);
      socket_.close(ignored);
    }
    connection_->disconnected(reason);
    const bool recorded = connection_->has_recorded();
    connection_.reset();  // waits for the writer thread: everything is on disk after this
    recorded_ = recorded;
    on_end_(*this);
  }

  void change_flags(std::uint32_t set, std::uint32_t clear) {
    if (connection_) connection_->change_flags(set, clear);
  }
  [[nodiscard]] bool recorded() const { return recorded_; }

 private:
  void receive() {
    const auto buffer = connection_->buffer();
    socket_.async_read_some(
        asio::buffer(buffer.data(), buffer.size()),
        [self = shared_from_this()](std::error_code error, std::size_t count) { self->on_received(error, count); });
  }

  void on_received(std::error_code error, std::size_t count) {
    if (ended_) return;
    if (error) return end(error == asio::error::eof ? "disconnected" : "connection lost: " + error.message());
    auto taken = connection_->received(count);
    if (ended_) return;
    if (!taken) return end("dropped: " + taken.error().message);
    if (*taken) receive();  // else resume() goes on once the writer has caught up
    waiting_ = !*taken;
  }

  void resume() {
    if (ended_ || !waiting_ || !connection_->retry()) return;
    waiting_ = false;
    receive();
  }

  void tick() {
    connection_->tick();
    timer_.expires_after(kTick);
    timer_.async_wait([self = shared_from_this()](std::error_code error) {
      if (!error && !self->ended_) self->tick();
    });
  }

  void send(ByteView bytes) {
    append_bytes(unsent_, bytes);
    if (unsent_.size() > kMaxUnsentBytes) {
      asio::post(io_, [self = shared_from_this()] { self->end("dropped: it does not read our replies"); });
      return;
    }
    if (!sending_) send_more();
  }

  void send_more() {
    sending_ = true;
    in_flight_.swap(unsent_);
    asio::async_write(socket_, asio::buffer(in_flight_.data(), in_flight_.size()),
                      [self = shared_from_this()](std::error_code error, std::size_t) {
                        self->in_flight_.clear();
                        self->sending_ = false;
                        if (!error && !self->ended_ && !self->unsent_.empty()) self->send_more();
                      });
  }

  asio::io_context& io_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::function<void(Client&)> on_end_;
  std::function<void()> on_playback_done_;
  std::string peer_;
  ServerShared* shared_ = nullptr;
  std::unique_ptr<SdsioConnection> connection_;
  Bytes unsent_;
  Bytes in_flight_;
  bool sending_ = false;
  bool waiting_ = false;
  bool ended_ = false;
  bool recorded_ = false;
};

}  // namespace

struct Server::State {
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  ServerShared shared;
  std::unique_ptr<WorkerPool> pool;
  std::list<std::weak_ptr<Client>> clients;
  unsigned recorded = 0;
  bool stopping = false;

  void accept() {
    acceptor.async_accept([this](std::error_code error, tcp::socket socket) {
      if (stopping) return;
      if (error) {
        spdlog::error("cannot accept a connection: {}", error.message());
      } else {
        auto client = std::make_shared<Client>(
            io, std::move(socket), shared, [this](Client& ended) { on_end(ended); }, [this] { on_playback_done(); });
        clients.remove_if([](const auto& c) { return c.expired(); });
        clients.push_back(client);
        client->start();
      }
      accept();
    });
  }

  void on_end(const Client& client) {
    if (client.recorded()) ++recorded;
    if (shared.options.sessions != 0 && recorded >= shared.options.sessions) stop();
  }

  void on_playback_done() {
    if (!shared.options.exit_after_playback) return;
    // The next FLAGS message carries TERMINATE to the device; then we go.
    auto timer = std::make_shared<asio::steady_timer>(io, 3 * kTick);
    timer->async_wait([this, timer](std::error_code) { stop(); });
  }

  void stop() {
    if (stopping) return;
    stopping = true;
    std::error_code ignored;
    acceptor.close(ignored);
    for (auto& weak : std::list(clients))
      if (auto client = weak.lock()) client->end("the server was stopped");
    io.stop();
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() {
  // Pending operations hold clients, and clients use the state: let them go first.
  for (auto& weak : state_->clients)
    if (auto client = weak.lock()) client->end("the server was stopped");
}

Expected<std::unique_ptr<Server>> Server::create(const ServerOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(options.directory, error))
    return fail(ErrorCode::io, "not a directory", options.directory);
  auto state = std::make_unique<State>();
  state->shared.options = options;
  state->pool = make_worker_pool(options.threads);
  state->shared.executor = state->pool.get();
  const auto address = asio::ip::make_address_v4(options.address, error);
  if (error) return fail(ErrorCode::usage, fmt::format("'{}' is not an IPv4 address", options.address));
  state->acceptor.open(tcp::v4(), error);
  if (!error) state->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) state->acceptor.bind(tcp::endpoint(address, options.port), error);
  if (!error) state->acceptor.listen(16, error);
  if (error)
    return fail(ErrorCode::io,
                fmt::format("cannot listen on {}:{}: {}", options.address, options.port, error.message()));
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

std::uint16_t Server::port() const {
  std::error_code ignored;
  return state_->acceptor.local_endpoint(ignored).port();
}

Expected<void> Server::run() {
  state_->accept();
  state_->io.run();
  return {};
}

void Server::stop() {
  asio::post(state_->io, [this] { state_->stop(); });
}

void Server::change_flags(std::uint32_t set, std::uint32_t clear) {
  asio::post(state_->io, [this, set, clear] {
    // START and PLAYBACK stand for devices that connect later, too.
    state_->shared.set_flags = (state_->shared.set_flags | set) & ~clear & ~sdsio::flag_reset;
    for (auto& weak : state_->clients)
      if (auto client = weak.lock()) client->change_flags(set, clear);
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
