// From recordings to datasets: HDF5 export against HDF5's own filters, npz, CSV import, and a selective query against
// one that must read everything.
#include <fmt/format.h>
#include <hdf5.h>

#include <cmath>
#include <filesystem>

#include "channel_values.hpp"
#include "csv_export.hpp"
#include "exports.hpp"
#include "harness.hpp"
#include "imports.hpp"
#include "plot.hpp"
#include "query.hpp"
#include "sds/format/worker_pool.hpp"

namespace sds::bench {

namespace {

constexpr std::size_t kBlocks = 32'000;
constexpr std::size_t kBlockSamples = 160;

// 6-axis int16 at 1.6 kHz: noise, and one stretch of a hundredth of the time in which ax is large.
std::string write_recording(const std::filesystem::path& path) {
  SdszWriterOptions options;
  options.if_exists = IfExists::overwrite;
  options.section_bytes = 1u << 16;  // sections as short against the whole as those of 1 MiB are in 1 GB
  auto writer = must(SdszWriter::create(path, {}, options));
  StreamDescription description;
  description.name = "Imu";
  description.metadata_file_name = "Imu.sds.yml";
  description.metadata_text = "sds:\n  name: Imu\n  sample-frequency: 1600\n  content:\n";
  for (const char* name : {"ax", "ay", "az", "gx", "gy", "gz"})
    description.metadata_text +=
        fmt::format("    - {{value: {}, type: int16_t, scale: 0.000244140625, unit: G}}\n", name);
  const auto stream = must(writer.add_stream(description));
  std::uint64_t state = 88172645463325252ull;
  Bytes block;
  for (std::size_t b = 0; b < kBlocks; ++b) {
    block.clear();
    const bool event = b * 100 / kBlocks == 42;
    for (std::size_t i = 0; i < kBlockSamples * 6; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      const int noise = static_cast<int>(state >> 33 & 255) - 128;
      append_le(block, static_cast<std::int16_t>(noise + (event && i % 6 == 0 ? 20000 : 0)));
    }
    if (auto done = writer.append(stream, static_cast<std::uint32_t>(100 * b), block); !done)
      give_up(done.error().to_string());
  }
  if (auto done = writer.close(); !done) give_up(done.error().to_string());
  return path.string();
}

// The same values through HDF5's own filter pipeline: what a program gets that calls H5Dwrite.
void export_with_hdf5_filters(const Recording& recording, const std::filesystem::path& path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const Metadata& metadata = *recording.streams()[0].metadata;
  const hsize_t total = kBlocks * kBlockSamples;
  const hsize_t chunk = 131072;
  std::vector<hid_t> datasets;
  for (std::size_t c = 0; c <= metadata.channels.size(); ++c) {
    const hid_t space = H5Screate_simple(1, &total, nullptr);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(properties, 1, &chunk);
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, 1);
    const std::string name = c == 0 ? "time" : metadata.channels[c - 1].name;
    datasets.push_back(H5Dcreate2(file, name.c_str(), c == 0 ? H5T_IEEE_F64LE : H5T_STD_I16LE, space, H5P_DEFAULT,
                                  properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
  }
  auto reader = must(SampleReader::open(recording, 0, {}, {}));
  std::vector<double> times;
  std::vector<std::vector<std::int16_t>> columns(metadata.channels.size());
  hsize_t written = 0;
  const auto flush = [&] {
    const hsize_t count = times.size();
    if (count == 0) return;
    const hid_t memory = H5Screate_simple(1, &count, nullptr);
    for (std::size_t c = 0; c < datasets.size(); ++c) {
      const hid_t space = H5Dget_space(datasets[c]);
      H5Sselect_hyperslab(space, H5S_SELECT_SET, &written, nullptr, &count, nullptr);
      const herr_t done =
          c == 0 ? H5Dwrite(datasets[c], H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, times.data())
                 : H5Dwrite(datasets[c], H5T_NATIVE_INT16, memory, space, H5P_DEFAULT, columns[c - 1].data());
      if (done < 0) give_up("H5Dwrite failed");
      H5Sclose(space);
    }
    H5Sclose(memory);
    written += count;
    times.clear();
    for (auto& column : columns) column.clear();
  };
  while (const SampleRun* run = must(reader.next())) {
    times.insert(times.end(), run->times.begin(), run->times.end());
    for (std::size_t c = 0; c < columns.size(); ++c) {
      columns[c].resize(times.size());
      raw_values(metadata.channels[c], run->data, run->count, metadata.sample_bytes,
                 reinterpret_cast<std::byte*>(columns[c].data() + times.size() - run->count));
    }
    if (times.size() >= chunk) flush();
  }
  flush();
  for (const hid_t dataset : datasets) H5Dclose(dataset);
  H5Fclose(file);
}

QueryResult search(const Recording& recording, const std::string& condition) {
  return must(query(recording, must(Condition::parse(condition)), {}, {}));
}

}  // namespace

Table run_datasets(const std::string& folder, int rounds) {
  const std::filesystem::path base(folder);
  const std::string path = write_recording(base / "bench_dataset.sdsz");
  const Recording recording = must(Recording::open(path));
  const auto raw = static_cast<double>(recording.streams()[0].raw_bytes);
  const double values = static_cast<double>(kBlocks * kBlockSamples) * (12 + 8);  // channels and time
  const auto csv = base / "bench_dataset.csv";
  {
    auto sink = must(OutputFile::create(csv, IfExists::overwrite));
    must(export_csv(recording, 0, *sink, {}, {}));
    if (auto closed = sink->close(); !closed) give_up(closed.error().to_string());
  }
  const double csv_bytes = static_cast<double>(std::filesystem::file_size(csv));
  const auto pool = make_worker_pool(0);
  ExportOptions options;
  options.force = true;
  const auto hdf5 = [&](Executor* executor) {
    must(export_hdf5({{"bench", recording, {0}, {}}}, base / "bench_dataset.h5", options, executor, {}));
  };
  ImportOptions import_options;
  import_options.force = true;
  const QueryResult selective = search(recording, "ax > 3");
  // What the ranges cannot tell: the sum of two channels at their extremes.
  const std::string everywhere = "ax > 3 or ax * ay > 0.0009 and ax < 0.0001";
  const QueryResult all = search(recording, everywhere);
  PlotOptions overview;
  const std::vector<Task> tasks{
      {"HDF5, shuffle and deflate 1, HDF5's own filters", values,
       [&] { export_with_hdf5_filters(recording, base / "bench_dataset.h5"); }},
      {"HDF5, shuffle and deflate 1, sds, 1 thread", values, [&] { hdf5(nullptr); }},
      {"HDF5, shuffle and deflate 1, sds, all cores", values, [&] { hdf5(pool.get()); }},
      {"npz", values, [&] { must(export_npz(recording, {0}, base / "bench_dataset.npz", options, {})); }},
      {"csv import (MB/s of text)", csv_bytes,
       [&] { must(import_csv(csv, base / "bench_dataset_in.sdsz", import_options, {})); }},
      {fmt::format("query that reads {} of {} sections", all.plan[0].sections_read, all.plan[0].sections), raw,
       [&] { search(recording, everywhere); }},
      {fmt::format("query that reads {} of {} sections", selective.plan[0].sections_read, selective.plan[0].sections),
       raw, [&] { search(recording, "ax > 3"); }},
      {"overview of the whole for a plot, from the index", raw,
       [&] { must(collect_plot(recording, {}, {}, overview, {})); }},
  };
  const auto seconds = median_seconds(tasks, rounds);
  Table table(fmt::format("Datasets: {:.0f} MB of 6-axis int16 IMU in an .sdsz; medians of {}", raw / 1e6, rounds),
              {"", "ms", "MB/s", "of the first"});
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const double rate = tasks[i].bytes / seconds[i];
    table.add({tasks[i].name, fmt::format("{:.1f}", 1e3 * seconds[i]), fmt::format("{:.0f}", rate / 1e6),
               fmt::format("{:.2f}", rate / (tasks[0].bytes / seconds[0]))});
  }
  std::error_code ignored;
  for (const char* name :
       {"bench_dataset.sdsz", "bench_dataset.csv", "bench_dataset.h5", "bench_dataset.npz", "bench_dataset_in.sdsz"})
    std::filesystem::remove(base / name, ignored);
  return table;
}

}  // namespace sds::bench
