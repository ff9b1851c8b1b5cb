#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "level_bench.hpp"
#include "opened.hpp"
#include "progress_line.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct BenchArguments {
  InputOptions input;
  unsigned max_mib = 64;
  int rounds = 3;
  bool json = false;
};

const char* name_of(Level level) { return level == Level::store ? "store" : level == Level::fast ? "fast" : "dense"; }

int run_bench(const BenchArguments& o) {
  int exit_code = 0;
  nlohmann::json all = nlohmann::json::array();
  for (const auto& path : o.input.paths) {
    auto recording = o.input.open_one(path);
    if (!recording) {
      exit_code = std::max(exit_code, fail_with(recording.error()));
      continue;
    }
    LevelBenchOptions options;
    options.max_bytes = std::uint64_t{o.max_mib} << 20;
    options.rounds = o.rounds;
    Progress progress("measuring " + path.filename().string(), 0);
    auto results = bench_levels(*recording, options, progress.callback());
    if (!results) return fail_with(results.error());
    if (results->front().raw_bytes == 0) {
      warn(path.string() + ": no blocks to measure");
      continue;
    }
    if (!o.json)
      fmt::print("{}: {} as plain .sds, one thread, in memory\n  {:<10} {:>12} {:>8} {:>14} {:>14}\n", path.string(),
                 human_bytes(results->front().raw_bytes), "level", "stored", "ratio", "write", "read");
    for (const auto& r : *results) {
      const double ratio = static_cast<double>(r.raw_bytes) / static_cast<double>(r.stored_bytes);
      const auto rate = [](double value) { return human_bytes(static_cast<std::uint64_t>(value)) + "/s"; };
      if (o.json)
        all.push_back({{"recording", path.string()},
                       {"level", static_cast<int>(r.level)},
                       {"raw_bytes", r.raw_bytes},
                       {"stored_bytes", r.stored_bytes},
                       {"ratio", ratio},
                       {"write_bytes_per_second", r.write_bytes_per_second},
                       {"read_bytes_per_second", r.read_bytes_per_second}});
      else
        fmt::print("  {} {:<8} {:>12} {:>8.2f} {:>14} {:>14}\n", static_cast<int>(r.level), name_of(r.level),
                   human_bytes(r.stored_bytes), ratio, rate(r.write_bytes_per_second), rate(r.read_bytes_per_second));
    }
  }
  if (o.json) print_json({{"levels", all}, {"damages", damages_json()}});
  return exit_code;
}

}  // namespace

void add_bench(Command& app, Run& run) {
  auto* command =
      app.add_subcommand("bench", "Measure on your own recordings what the compression levels cost and give");
  auto o = std::make_shared<BenchArguments>();
  o->input.add_to(*command, "Recordings, each by itself (.sds or .sdsz)", true);
  command->add_option("--max-mib", o->max_mib, "Use the first so many MiB of each recording")
      ->check(in_range(1, 4096))
      ->capture_default_str();
  command->add_option("--rounds", o->rounds, "Rounds; medians are shown")
      ->check(in_range(1, 100))
      ->capture_default_str();
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer("Example: sds bench walk.sdsz");
  command->callback([o, &run] { run = [o] { return run_bench(*o); }; });
}

}  // namespace sds::cli
