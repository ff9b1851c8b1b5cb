#include "level_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "median.hpp"
#include "sds/format/data_section.hpp"

namespace sds {

namespace {

constexpr std::uint64_t kSectionBytes = 1u << 20;

// A stream's blocks in sections, as a writer would cut them.
struct Sections {
  Layout layout;
  std::vector<BlockRun> runs;
};

Expected<std::vector<Sections>> load(const Recording& recording, std::uint64_t max_bytes) {
  std::vector<Sections> streams;
  std::uint64_t left = max_bytes;
  for (std::size_t i = 0; i < recording.streams().size() && left > 0; ++i) {
    auto cursor = recording.cursor(i);
    if (!cursor) return fail(cursor);
    Sections sections;
    if (recording.streams()[i].metadata) sections.layout = Layout::from(*recording.streams()[i].metadata);
    while (left > 0) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      if (sections.runs.empty() || sections.runs.back().raw_bytes() >= kSectionBytes) sections.runs.emplace_back();
      sections.runs.back().append((*block)->timeslot, (*block)->tick, (*block)->data);
      left -= std::min<std::uint64_t>(left, (*block)->data.size() + 8);
    }
    streams.push_back(std::move(sections));
  }
  return streams;
}

}  // namespace

Expected<std::vector<LevelResult>> bench_levels(const Recording& recording, const LevelBenchOptions& options,
                                                const OnProgress& on_progress) {
  using Clock = std::chrono::steady_clock;
  auto streams = load(recording, options.max_bytes);
  if (!streams) return fail(streams);
  std::vector<LevelResult> results;
  DataSectionCoder coder;
  for (const Level level : {Level::store, Level::fast, Level::dense}) {
    LevelResult result;
    result.level = level;
    std::vector<double> write_seconds;
    std::vector<double> read_seconds;
    for (int round = 0; round < std::max(1, options.rounds); ++round) {
      result.raw_bytes = result.stored_bytes = 0;
      double write = 0;
      double read = 0;
      BlockRun back;
      for (const auto& stream : *streams) {
        for (const auto& run : stream.runs) {
          const auto start = Clock::now();
          const EncodedSection section = coder.encode(run, 0, stream.layout, level);
          const auto encoded = Clock::now();
          auto decoded = coder.decode(section.header, section.payload, stream.layout, back);
          read += std::chrono::duration<double>(Clock::now() - encoded).count();
          write += std::chrono::duration<double>(encoded - start).count();
          if (!decoded) return fail(decoded);
          if (back.bytes != run.bytes || back.sizes != run.sizes || back.timeslots != run.timeslots)
            return fail(ErrorCode::bad_input, "a section does not come back as it was", recording.path());
          result.raw_bytes += run.raw_bytes();
          result.stored_bytes += section.header.section_bytes();
          if (auto go_on = report(on_progress, run.raw_bytes()); !go_on) return fail(go_on);
        }
      }
      write_seconds.push_back(write);
      read_seconds.push_back(read);
    }
    const auto raw = static_cast<double>(result.raw_bytes);
    result.write_bytes_per_second = raw / std::max(median(write_seconds), 1e-9);
    result.read_bytes_per_second = raw / std::max(median(read_seconds), 1e-9);
    results.push_back(result);
  }
  return results;
}

}  // namespace sds
