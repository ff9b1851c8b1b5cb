// Replay: delivery of blocks, and what each way of running an algorithm adds to it.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "harness.hpp"
#include "median.hpp"
#include "pack.hpp"
#include "sds/bridge/replay_job.hpp"
#include "sds/player/player.hpp"

namespace sds::bench {

namespace {

// Blocks of `size` bytes of int16 noise around a slow wave.
Recording write_blocks(const std::filesystem::path& folder, std::uint32_t size, std::uint32_t count) {
  const auto path = folder / fmt::format("bench_{}.0.sds", size);
  std::ofstream(folder / fmt::format("bench_{}.sds.yml", size))
      << "sds:\n  name: bench\n  sample-frequency: 1000\n  content:\n    - {value: v, type: int16_t}\n";
  std::ofstream out(path, std::ios::binary);
  Bytes block;
  std::uint64_t state = 88172645463325252ull;
  for (std::uint32_t b = 0; b < count; ++b) {
    block.clear();
    append_le(block, b);
    append_le(block, size);
    for (std::uint32_t i = 0; i < size / 2; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      append_le(block, static_cast<std::int16_t>((state >> 58) + (b & 1023)));
    }
    out.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(block.size()));
  }
  out.close();
  return must(Recording::open(path));
}

void deliver(const Recording& recording) {
  auto player = must(Player::open(recording, {}));
  while (auto event = must(player.next())) keep(event->block.data.data());
}

// Wall time of a run beyond what the algorithm itself took, per execution.
double overhead_ns(const Recording& recording, const ReplayJob& job, int rounds) {
  std::vector<double> values;
  for (int i = 0; i < rounds; ++i) {
    const auto result = must(run_job(recording, job));
    const RunReport& run = result.runs.front();
    if (!run.ok()) give_up("the algorithm failed");
    const double inside =
        static_cast<double>(run.durations.percentile(0.5).count()) * static_cast<double>(run.durations.count());
    values.push_back((run.wall_seconds * 1e9 - inside) / static_cast<double>(run.durations.count()));
  }
  return median(std::move(values));
}

}  // namespace

std::vector<Table> run_replay_bench(const std::string& folder, int rounds) {
  const std::filesystem::path base(folder);
  const Recording small = write_blocks(base, 24, 1'000'000);
  const Recording large = write_blocks(base, 4096, 32'000);
  const auto packed_path = base / "bench_24.sdsz";
  must(pack(small, packed_path, {Level::fast, 1u << 20, 0, true}, {}));
  const Recording packed = must(Recording::open(packed_path));

  const std::vector<Task> tasks{{"24-byte blocks, plain .sds", 24e6, [&] { deliver(small); }},
                                {"24-byte blocks, .sdsz", 24e6, [&] { deliver(packed); }},
                                {"4-kB blocks, plain .sds", 4096 * 32e3, [&] { deliver(large); }}};
  const auto seconds = median_seconds(tasks, rounds);
  Table delivery(fmt::format("Replay without an algorithm; medians of {}", rounds), {"", "million blocks/s", "MB/s"});
  const std::vector<double> blocks{1e6, 1e6, 32e3};
  for (std::size_t i = 0; i < tasks.size(); ++i)
    delivery.add({tasks[i].name, fmt::format("{:.2f}", blocks[i] / seconds[i] / 1e6),
                  fmt::format("{:.0f}", tasks[i].bytes / seconds[i] / 1e6)});

  Table adapters(fmt::format("What running an algorithm adds to each block, delivery included; medians of {}", rounds),
                 {"", "ns a block"});
  std::error_code error;
  const auto bin = program_path().parent_path();
  ReplayJob job;
  job.algorithm.path = bin / "../lib/bench_noop.so";
  job.algorithm.arm_output = {"Out", 4, ""};
  adapters.add({"delivery and fingerprint alone, 24-byte blocks", fmt::format("{:.0f}", seconds[0] / 1e6 * 1e9)});
  job.algorithm.in_process = true;
  adapters.add({"in process, 24-byte blocks", fmt::format("{:.0f}", overhead_ns(small, job, rounds))});
  job.algorithm.in_process = false;
  adapters.add({"child process, 24-byte blocks", fmt::format("{:.0f}", overhead_ns(small, job, rounds))});
  adapters.add({"child process, 4-kB blocks", fmt::format("{:.0f}", overhead_ns(large, job, rounds))});
  const auto model = std::filesystem::path(SDSKIT_SOURCE_DIR) / "data/motion/motion.tflite";
  const Recording features = write_blocks(base, 18, 20'000);
  for (const auto& engine : {"tflm", "litert"}) {
    ModelInfo info;
    ModelOptions options;
    options.model = model;
    options.engine = engine;
    auto algorithm = start_model(options, info);
    if (!algorithm) continue;  // not installed here
    RunOptions run_options;
    std::vector<double> values;
    for (int i = 0; i < rounds; ++i) {
      const auto run = must(run_replay(features, **algorithm, nullptr, run_options));
      const double inside = static_cast<double>(run.durations.percentile(0.5).count());
      values.push_back(run.wall_seconds * 1e9 / static_cast<double>(run.durations.count()) - inside);
    }
    adapters.add(
        {fmt::format("worker, beyond the invoke of {}", engine), fmt::format("{:.0f}", median(std::move(values)))});
  }
  for (const char* name : {"bench_24.0.sds", "bench_24.sds.yml", "bench_4096.0.sds", "bench_4096.sds.yml",
                           "bench_24.sdsz", "bench_18.0.sds", "bench_18.sds.yml"})
    std::filesystem::remove(base / name, error);
  return {delivery, adapters};
}

}  // namespace sds::bench
