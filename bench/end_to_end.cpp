// The tools on files: pack, unpack, check, replay delivery, CSV export.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "check.hpp"
#include "csv_export.hpp"
#include "harness.hpp"
#include "pack.hpp"
#include "sds/player/player.hpp"

namespace sds::bench {

namespace {

constexpr std::size_t kBytes = std::size_t{64} << 20;

// A 6-axis int16 IMU at 1.6 kHz, 20 samples a block: motion bursts over noise, the same on every machine.
std::string write_imu(const std::filesystem::path& folder) {
  const auto path = folder / "bench_imu.0.sds";
  std::ofstream yaml(folder / "bench_imu.sds.yml");
  yaml << "sds:\n  name: bench_imu\n  sample-frequency: 1600\n  content:\n";
  for (const char* name : {"ax", "ay", "az", "gx", "gy", "gz"})
    yaml << "    - {value: " << name << ", type: int16_t, scale: 0.000244140625, unit: G}\n";
  std::ofstream out(path, std::ios::binary);
  std::uint64_t state = 88172645463325252ull;
  const auto random = [&] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<int>(state >> 33 & 15) + static_cast<int>(state >> 41 & 15) - 15;
  };
  Bytes block;
  std::size_t written = 0;
  for (std::uint32_t b = 0; written < kBytes; ++b) {
    block.clear();
    append_le(block, b * 25 / 2);
    append_le(block, std::uint32_t{240});
    for (int s = 0; s < 20; ++s) {
      const double t = (b * 20.0 + s) / 1600.0;
      const double burst = std::max(0.0, std::sin(t * 0.9)) * 2000;
      for (int axis = 0; axis < 6; ++axis)
        append_le(block, static_cast<std::int16_t>(std::lrint(burst * std::sin(t * (9 + 4 * axis) + axis)) + random()));
    }
    out.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(block.size()));
    written += block.size();
  }
  return path.string();
}

class NullSink final : public ByteSink {
 public:
  Expected<void> append(ByteView bytes) override {
    keep(bytes.data());
    return {};
  }
  Expected<void> truncate(std::uint64_t) override { return {}; }
  Expected<void> sync() override { return {}; }
  Expected<void> close() override { return {}; }
  const std::filesystem::path& path() const override { return path_; }

 private:
  std::filesystem::path path_ = "null";
};

void deliver(const Recording& recording) {
  auto player = must(Player::open(recording, {}));
  for (;;) {
    auto event = must(player.next());
    if (!event) return;
    keep(event->block.data.data());
  }
}

}  // namespace

Table run_end_to_end(const std::string& folder, int rounds) {
  const std::filesystem::path base(folder);
  const std::string plain = write_imu(base);
  const std::string packed = (base / "bench.sdsz").string();
  std::ifstream in(plain, std::ios::binary);
  const std::string raw((std::istreambuf_iterator<char>(in)), {});
  std::string copy(raw.size(), '\0');
  std::string compressed(ZSTD_compressBound(raw.size()), '\0');
  std::size_t compressed_size = 0;
  const auto bytes = static_cast<double>(raw.size());
  const Recording source = must(Recording::open(plain));
  PackOptions one_thread;
  one_thread.threads = 1;
  one_thread.force = true;
  must(pack(source, packed, one_thread, {}));
  const Recording recording = must(Recording::open(packed));
  const std::string packed_again = (base / "bench_again.sdsz").string();  // what is read is never replaced
  NullSink null;
  const double csv_bytes = static_cast<double>(must(export_csv(source, 0, null, {}, {})).text_bytes);

  const std::vector<Task> tasks{
      {"memcpy", bytes,
       [&] {
         std::memcpy(copy.data(), raw.data(), raw.size());
         keep(copy.data());
       }},
      {"zstd -1, compress", bytes,
       [&] { compressed_size = ZSTD_compress(compressed.data(), compressed.size(), raw.data(), raw.size(), 1); }},
      {"zstd -1, decompress", bytes,
       [&] {
         keep(compressed.data() + ZSTD_decompress(copy.data(), copy.size(), compressed.data(), compressed_size));
       }},
      {"file copy", bytes,
       [&] {
         std::filesystem::copy_file(plain, base / "bench_copy", std::filesystem::copy_options::overwrite_existing);
       }},
      {"pack, 1 thread", bytes, [&] { must(pack(source, packed_again, one_thread, {})); }},
      {"pack, all cores", bytes,
       [&] {
         PackOptions all = one_thread;
         all.threads = 0;
         must(pack(source, packed_again, all, {}));
       }},
      {"unpack, 1 thread", bytes,
       [&] {
         must(unpack(recording, base / "bench_unpacked", {1, true}, {}));
       }},
      {"unpack, all cores", bytes,
       [&] {
         must(unpack(recording, base / "bench_unpacked", {0, true}, {}));
       }},
      {"check, plain .sds", bytes, [&] { must(check(source, {}, {})); }},
      {"check, .sdsz", bytes, [&] { must(check(recording, {}, {})); }},
      {"replay delivery, plain .sds", bytes, [&] { deliver(source); }},
      {"replay delivery, .sdsz", bytes, [&] { deliver(recording); }},
      {"csv export, plain .sds (MB/s of text)", csv_bytes, [&] { must(export_csv(source, 0, null, {}, {})); }},
      {"csv export, .sdsz (MB/s of text)", csv_bytes, [&] { must(export_csv(recording, 0, null, {}, {})); }},
  };
  const auto seconds = median_seconds(tasks, rounds);
  const double memcpy_rate = tasks[0].bytes / seconds[0];
  const double zstd_rate = tasks[1].bytes / seconds[1];
  Table table(
      fmt::format("Tools: {:.0f} MB of 6-axis int16 IMU in 240-byte blocks; medians of {}", bytes / 1e6, rounds),
      {"", "MB/s", "of memcpy", "of zstd -1"});
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const double rate = tasks[i].bytes / seconds[i];
    table.add({tasks[i].name, fmt::format("{:.0f}", rate / 1e6), fmt::format("{:.3f}", rate / memcpy_rate),
               fmt::format("{:.2f}", rate / zstd_rate)});
  }
  std::error_code ignored;
  for (const char* name :
       {"bench_imu.0.sds", "bench_imu.sds.yml", "bench.sdsz", "bench_again.sdsz", "bench_copy", "bench_unpacked"})
    std::filesystem::remove_all(base / name, ignored);
  return table;
}

}  // namespace sds::bench
