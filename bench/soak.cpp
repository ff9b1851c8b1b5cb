// sds-soak: an SDSIO server under load for as long as wanted, with devices that come and go, a disk that stalls and a
// disk that is full now and then. Every recording is read back and compared with what was sent; losses, memory,
// descriptors and the latency of FLAGS are reported as it goes on.
#include <arpa/inet.h>
#include <dirent.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "harness.hpp"
#include "sds/format/recording.hpp"
#include "sds/recorder/server.hpp"

extern "C" {
#include "sds_device.h"
#include "socket_transport.h"
}

namespace sds::bench {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  double seconds = 180;
  unsigned devices = 16;
  unsigned streams = 4;  // of a device
  double megabytes_per_second = 20;
  std::string folder;
  std::string durability = "process";
};

constexpr std::uint64_t kRoomBytes = std::uint64_t{1} << 40;  // free while the disk is not full
constexpr std::uint32_t kBlockBytes = 1000;

/// The samples that all devices cut their blocks from: waves with noise.
const std::vector<std::int16_t>& samples() {
  static const auto table = [] {
    std::vector<std::int16_t> made(1u << 20);
    std::uint32_t random = 1;
    for (std::size_t i = 0; i < made.size(); ++i) {
      random = random * 1664525u + 1013904223u;
      made[i] = static_cast<std::int16_t>(static_cast<int>((i * i / 977) % 4000) + static_cast<int>(random >> 27));
    }
    return made;
  }();
  return table;
}

const std::int16_t* block_data(std::uint32_t stream, std::uint32_t block) {
  return samples().data() + (std::size_t{block} * 499 + stream * 131u) % (samples().size() - kBlockBytes);
}

/// What one device sent in one session; `whole` if all of it must be in the recording.
struct Sent {
  std::vector<std::uint32_t> blocks;  // of each stream
  bool whole = false;
};

struct Tally {
  std::mutex mutex;
  std::map<std::string, Sent> sent;  // by the device's address, once it has gone
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> sessions{0};
  std::atomic<std::uint64_t> refused{0};
  std::uint64_t verified = 0;
  std::uint64_t lost_blocks = 0;
  std::uint64_t wrong = 0;
  std::atomic<std::int64_t> worst_flags_us{0};
  std::atomic<bool> disk_full{false};
};

std::string address_of(const socket_transport_t& transport) {
  sockaddr_in own{};
  socklen_t size = sizeof own;
  ::getsockname(transport.socket, reinterpret_cast<sockaddr*>(&own), &size);
  return fmt::format("127.0.0.1:{}", ntohs(own.sin_port));
}

// Says that nothing more comes, and reads what the server still sends, so that no reset destroys what is on its way.
void leave(socket_transport_t& transport) {
  (void)socket_transport_flush(&transport);
  ::shutdown(transport.socket, SHUT_WR);
  char ignored[4096];
  while (::recv(transport.socket, ignored, sizeof ignored, 0) > 0) {
  }
  ::close(transport.socket);
}

// One session of one device: connects, streams for some seconds at its share of the rate, and leaves in one of three
// ways.
void run_session(std::uint16_t port, const Options& o, Tally& tally, std::mt19937& random, Clock::time_point end) {
  auto transport = std::make_unique<socket_transport_t>();
  if (socket_transport_connect(transport.get(), "127.0.0.1", port, 2000) != 0) give_up("cannot connect");
  const std::string address = address_of(*transport);
  const sds_transport_t interface = socket_transport_interface(transport.get());
  sds_device_t device;
  sds_device_init(&device, &interface);
  std::vector<std::uint32_t> handles(o.streams);
  Sent sent{std::vector<std::uint32_t>(o.streams), true};
  for (std::uint32_t s = 0; s < o.streams; ++s)
    if (sds_device_open(&device, fmt::format("S{}", s).c_str(), SDS_DEVICE_WRITE, &handles[s]) != 0) {
      ++tally.refused;
      return socket_transport_disconnect(transport.get());
    }
  const auto start = Clock::now();
  const auto stop = std::min(end, start + std::chrono::milliseconds(3000 + random() % 12000));
  const double blocks_per_second = o.megabytes_per_second * 1e6 / o.devices / o.streams / (kBlockBytes + 8);
  bool broken = false;
  for (auto now = start; now < stop && !broken; now = Clock::now()) {
    const auto due = static_cast<std::uint32_t>(std::chrono::duration<double>(now - start).count() * blocks_per_second);
    for (std::uint32_t s = 0; s < o.streams && !broken; ++s)
      while (sent.blocks[s] < due && !broken) {
        broken = sds_device_write(&device, handles[s], sent.blocks[s], block_data(s, sent.blocks[s]), kBlockBytes) < 0;
        if (broken) break;
        ++sent.blocks[s];
        tally.bytes += kBlockBytes + 8;
      }
    broken = broken || socket_transport_flush(transport.get()) != 0 || sds_device_exchange(&device) < 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (broken) fmt::print("a device was sent away\n");
  const auto how = random() % 4;
  sent.whole = how != 0 && !broken;
  if (how >= 2)
    for (const auto handle : handles) (void)sds_device_close(&device, handle);
  if (how == 0) {  // pulled out: what is in the socket is destroyed
    const linger now{1, 0};
    ::setsockopt(transport->socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(transport->socket);
  } else {
    leave(*transport);
  }
  ++tally.sessions;
  const std::lock_guard lock(tally.mutex);
  tally.sent[address] = sent;
}

// A device that only watches the FLAGS that should come every 100 ms.
void watch_flags(std::uint16_t port, Tally& tally, Clock::time_point end) {
  auto transport = std::make_unique<socket_transport_t>();
  if (socket_transport_connect(transport.get(), "127.0.0.1", port, 2000) != 0) give_up("cannot connect");
  char message[16];
  std::optional<Clock::time_point> last;
  while (Clock::now() < end && ::recv(transport->socket, message, sizeof message, MSG_WAITALL) == sizeof message) {
    const auto now = Clock::now();
    if (last) {
      const auto gap = std::chrono::duration_cast<std::chrono::microseconds>(now - *last).count();
      for (auto worst = tally.worst_flags_us.load(); gap > worst;)
        if (tally.worst_flags_us.compare_exchange_weak(worst, gap)) break;
    }
    last = now;
  }
  leave(*transport);
}

// A session whose disk hangs for two seconds now and then.
class StallingSession final : public SessionWriter {
 public:
  StallingSession(std::unique_ptr<SessionWriter> inner, unsigned seed) : inner_(std::move(inner)), random_(seed) {}
  Expected<void> open_stream(std::uint32_t handle, const std::string& name) override {
    return inner_->open_stream(handle, name);
  }
  Expected<void> write(std::uint32_t handle, ByteView bytes, const Arrival& arrival) override {
    return inner_->write(handle, bytes, arrival);
  }
  Expected<void> close_stream(std::uint32_t handle, const std::string& reason) override {
    return inner_->close_stream(handle, reason);
  }
  Expected<void> flush() override {
    if (random_() % 300 == 0) std::this_thread::sleep_for(std::chrono::seconds(2));
    return inner_->flush();
  }
  Expected<SessionSummary> finish() override { return inner_->finish(); }
  SessionSummary abandon(const std::string& reason) override { return inner_->abandon(reason); }

 private:
  std::unique_ptr<SessionWriter> inner_;
  std::mt19937 random_;
};

// Compares one closed recording with what its device sent.
void verify(const Recording& recording, const Sent& sent, Tally& tally) {
  for (std::size_t s = 0; s < recording.streams().size(); ++s) {
    auto cursor = must(recording.cursor(s));
    const auto number = static_cast<std::uint32_t>(std::stoul(recording.streams()[s].description.name.substr(1)));
    std::uint32_t count = 0;
    while (const auto block = must(cursor->next())) {
      if (block->timeslot != count || block->data.size() != kBlockBytes ||
          std::memcmp(block->data.data(), block_data(number, count), kBlockBytes) != 0)
        ++tally.wrong;
      ++count;
    }
    if (count > sent.blocks[number]) ++tally.wrong;
    if (sent.whole) tally.lost_blocks += sent.blocks[number] - count;
  }
  ++tally.verified;
}

// Verifies and deletes the recordings that are closed and whose device has told what it sent.
void verify_closed(const std::filesystem::path& folder, Tally& tally) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".sdsz") continue;
    auto recording = Recording::open(entry.path());
    if (!recording || !recording->sdsz()->complete()) continue;
    const auto device = recording->sdsz()->session().get("device");
    std::optional<Sent> sent;
    {
      const std::lock_guard lock(tally.mutex);
      if (const auto found = tally.sent.find(device.value_or("")); found != tally.sent.end()) {
        sent = found->second;
        tally.sent.erase(found);
      }
    }
    if (!sent) continue;
    verify(*recording, *sent, tally);
    std::filesystem::remove(entry.path());
  }
}

std::size_t resident_bytes() {
  std::size_t all = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}) - 1;
}

void report(const Tally& tally, Clock::time_point start) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  fmt::print(
      "{:6.0f} s  {:6.1f} MB/s  {} sessions, {} verified, {} blocks lost, {} wrong  RSS {:.0f} MB  {} descriptors  "
      "FLAGS at most {:.0f} ms apart\n",
      seconds, static_cast<double>(tally.bytes) / seconds / 1e6, tally.sessions.load(), tally.verified,
      tally.lost_blocks, tally.wrong, static_cast<double>(resident_bytes()) / 1e6, open_descriptors(),
      static_cast<double>(tally.worst_flags_us) / 1e3);
  std::fflush(stdout);
}

int run(const Options& o) {
  for (unsigned s = 0; s < o.streams; ++s)
    std::ofstream(std::filesystem::path(o.folder) / fmt::format("S{}.sds.yml", s))
        << "sds:\n  name: x\n  content:\n    - {value: v, type: int16_t}\n";
  Tally tally;
  ServerOptions options;
  options.port = 0;
  options.directory = o.folder;
  options.keep_free = 1;
  options.durability = o.durability == "power"  ? Durability::power
                       : o.durability == "none" ? Durability::none
                                                : Durability::process;
  options.free_bytes = [&] { return std::optional<std::uint64_t>(tally.disk_full ? 0 : kRoomBytes); };
  std::atomic<unsigned> seed{1};
  options.make_session = [&](const SessionOptions& session, const std::string& first) {
    auto inner = make_session(session, first);
    if (!inner) return inner;
    return Expected<std::unique_ptr<SessionWriter>>(std::make_unique<StallingSession>(std::move(*inner), seed++));
  };
  auto server = must(Server::create(options));
  Expected<void> served;
  std::thread server_thread([&] { served = server->run(); });
  const auto start = Clock::now();
  const auto end = start + std::chrono::milliseconds(static_cast<std::int64_t>(o.seconds * 1000));
  std::vector<std::thread> threads;
  for (unsigned d = 0; d < o.devices; ++d)
    threads.emplace_back([&, d] {
      std::mt19937 random(d);
      while (Clock::now() < end) {
        run_session(server->port(), o, tally, random, end);
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 1000));
      }
    });
  for (int w = 0; w < 4; ++w) threads.emplace_back([&] { watch_flags(server->port(), tally, end); });
  for (int second = 1; Clock::now() < end; ++second) {
    std::this_thread::sleep_until(start + std::chrono::seconds(second));
    tally.disk_full = second % 40 == 20 || second % 40 == 21;
    if (second % 5 == 0) verify_closed(o.folder, tally);
    if (second % 15 == 0) report(tally, start);
  }
  tally.disk_full = false;
  for (auto& thread : threads) thread.join();
  server->stop();
  server_thread.join();
  server.reset();
  verify_closed(o.folder, tally);
  report(tally, start);
  fmt::print("{} OPENs refused, {} recordings not accounted for, server: {}\n", tally.refused.load(), tally.sent.size(),
             served ? "well" : served.error().to_string());
  return tally.lost_blocks == 0 && tally.wrong == 0 && tally.sent.empty() && served ? 0 : 1;
}

}  // namespace

}  // namespace sds::bench

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow fails the write
  sds::bench::Options o;
  CLI::App app("Records from devices that come and go, on a disk that stalls and fills up, and checks every block");
  app.add_option("--seconds", o.seconds, "How long")->check(CLI::Range(1.0, 1e6))->capture_default_str();
  app.add_option("--devices", o.devices)->check(CLI::Range(1, 200))->capture_default_str();
  app.add_option("--streams", o.streams, "Of each device")->check(CLI::Range(1, 200))->capture_default_str();
  app.add_option("--rate", o.megabytes_per_second, "MB/s of all together")->capture_default_str();
  app.add_option("--durability", o.durability)
      ->check(CLI::IsMember({"none", "process", "power"}))
      ->capture_default_str();
  app.add_option("folder", o.folder, "An empty folder")->required()->check(CLI::ExistingDirectory);
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(spdlog::level::err);
  return sds::bench::run(o);
}
