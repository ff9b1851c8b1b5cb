#include "sds/bridge/replay_run.hpp"

#include <fmt/format.h>

namespace sds {

namespace {
constexpr std::size_t kMaxListedFailures = 100;

void note_failure(RunReport& report, const ReplayEvent& event, std::string reason) {
  ++report.failure_count;
  if (report.failures.size() < kMaxListedFailures)
    report.failures.push_back({event.ordinal, event.block.timeslot, std::move(reason)});
}
}  // namespace

Expected<RunReport> run_replay(const Recording& recording, Algorithm& algorithm, OutputRecorder* outputs,
                               const RunOptions& options) {
  using Clock = std::chrono::steady_clock;
  Player::Options player_options;
  player_options.streams = {options.input_stream};
  player_options.speed = options.speed;
  auto player = Player::open(recording, player_options);
  if (!player) return fail(player);
  if (auto reset = algorithm.reset(); !reset) return fail(reset);
  RunReport report;
  Fingerprint output_fingerprint;
  Bytes output(options.output_bytes);
  const Frequency frequency = recording.streams()[options.input_stream].tick_frequency();
  double first_seconds = 0;
  const auto start = Clock::now();
  for (;;) {
    auto event = player->next();
    if (!event) return fail(event);
    if (!*event) {
      report.finished = true;
      break;
    }
    const BlockView& block = (*event)->block;
    const double now_seconds = seconds(block.tick, frequency);
    if (report.blocks == 0) first_seconds = now_seconds;
    report.recorded_seconds = now_seconds - first_seconds;
    ++report.blocks;
    report.input_bytes += block.data.size();
    if (options.on_progress)
      if (auto go_on = options.on_progress(block.data.size() + 8); !go_on) return fail(go_on);
    if (block.data.empty()) continue;
    const auto before = Clock::now();
    auto result = algorithm.execute(block.data, output);
    report.durations.add(Clock::now() - before);
    if (!result) {
      if (result.error().code != ErrorCode::algorithm) return fail(result);
      note_failure(report, **event, result.error().message);
      break;
    }
    if (*result != 0) {
      note_failure(report, **event, fmt::format("ExecuteAlgorithm returned {}", *result));
      continue;
    }
    output_fingerprint.add(0, block.tick, frequency, output);
    ++report.outputs;
    if (outputs != nullptr)
      if (auto recorded = outputs->append(block.timeslot, output); !recorded) return fail(recorded);
  }
  report.wall_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  report.input_fingerprint = player->fingerprint();
  report.output_fingerprint = output_fingerprint.hex();
  report.damages = player->damages();
  return report;
}

}  // namespace sds
