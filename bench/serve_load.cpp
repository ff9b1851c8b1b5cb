// The SDSIO server on loopback, driven by the device library.
#include <fmt/format.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "harness.hpp"
#include "sds/format/bytes.hpp"
#include "sds/recorder/server.hpp"

extern "C" {
#include "sds_device.h"
#include "socket_transport.h"
}

namespace sds::bench {

namespace {

constexpr std::uint32_t kBlocks = 100'000;
constexpr std::uint32_t kBlockBytes = 1000;
constexpr int kStreams = 3;

// Streams 300 MB of blocks that look like sensor data, and waits until the server has taken all.
void stream(std::uint16_t port) {
  auto transport = std::make_unique<socket_transport_t>();
  if (socket_transport_connect(transport.get(), "127.0.0.1", port, 2000) != 0) give_up("cannot connect");
  const sds_transport_t interface = socket_transport_interface(transport.get());
  sds_device_t device;
  sds_device_init(&device, &interface);
  std::uint32_t handles[kStreams];
  const char* const names[kStreams] = {"A", "B", "C"};
  for (int s = 0; s < kStreams; ++s)
    if (sds_device_open(&device, names[s], SDS_DEVICE_WRITE, &handles[s]) != 0) give_up("cannot open a stream");
  // A second of noisy waves, of which every block sends another part.
  std::vector<std::int16_t> samples(1u << 20);
  std::uint32_t random = 1;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    random = random * 1664525u + 1013904223u;
    samples[i] = static_cast<std::int16_t>(static_cast<int>((i * i / 977) % 4000) + static_cast<int>(random >> 27));
  }
  for (std::uint32_t i = 0; i < kBlocks; ++i)
    for (const std::uint32_t handle : handles)
      if (sds_device_write(&device, handle, i,
                           samples.data() + (i * 499 + handle * 131) % (samples.size() - kBlockBytes), kBlockBytes) < 0)
        give_up("cannot write");
  for (const std::uint32_t handle : handles) sds_device_close(&device, handle);
  if (sds_device_ping(&device) != 0) give_up("the server went away");
  socket_transport_disconnect(transport.get());
}

}  // namespace

Table run_serve(int rounds) {
  const double bytes = static_cast<double>(kBlocks) * kStreams * (kBlockBytes + 8);
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("sds-bench-{}", ::getpid());
  spdlog::set_level(spdlog::level::err);
  std::vector<Task> tasks;
  const auto serve_once = [&](bool packed, Durability durability) {
    std::filesystem::create_directories(folder);
    for (const char* name : {"A", "B", "C"})
      std::ofstream(folder / (std::string(name) + ".sds.yml"))
          << "sds:\n  name: x\n  content:\n    - {value: v, type: int16_t}\n";
    ServerOptions options;
    options.port = 0;
    options.directory = folder;
    options.packed = packed;
    options.durability = durability;
    auto server = must(Server::create(options));
    Expected<void> served;
    std::thread thread([&] { served = server->run(); });
    stream(server->port());
    server->stop();
    thread.join();
    if (!served) give_up(served.error().to_string());
    server.reset();  // everything is on disk after this
    std::filesystem::remove_all(folder);
  };
  for (const bool packed : {false, true})
    for (const auto& [durability, name] :
         {std::pair(Durability::none, "none"), std::pair(Durability::process, "process"),
          std::pair(Durability::power, "power")})
      tasks.push_back({fmt::format("serve, {}, --durability {}", packed ? ".sdsz" : "plain .sds", name), bytes,
                       [serve_once, packed, d = durability] { serve_once(packed, d); }});
  const auto seconds = median_seconds(tasks, rounds);
  Table table(
      fmt::format("Server: 3 streams of 1 kB blocks over loopback, {:.0f} MB; medians of {}", bytes / 1e6, rounds),
      {"", "MB/s", "of none"});
  for (std::size_t i = 0; i < tasks.size(); ++i)
    table.add({tasks[i].name, fmt::format("{:.0f}", tasks[i].bytes / seconds[i] / 1e6),
               fmt::format("{:.2f}", seconds[i - i % 3] / seconds[i])});
  return table;
}

}  // namespace sds::bench
