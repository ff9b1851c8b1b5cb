#include "sds/bridge/replay_run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>

#include "sds/format/section.hpp"
#include "sds/format/stream_losses.hpp"

namespace sds {

namespace {

constexpr std::size_t kMaxListedFailures = 100;
constexpr std::size_t kMaxHashes = 1'000'000;

// A block whose result has not come yet.
struct Pending {
  std::size_t input = 0;
  std::uint64_t ordinal = 0;
  std::uint32_t timeslot = 0;
  std::uint64_t tick = 0;
  Frequency frequency;
  std::size_t bytes = 0;
  std::uint64_t blocks = 0;       // delivered up to this one
  std::uint64_t input_bytes = 0;  // of them
};

// Of all that a fingerprint holds of an output.
std::uint64_t output_hash(std::uint32_t port, std::uint64_t tick, const Frequency& frequency, ByteView data) {
  std::array<std::byte, 28> all;
  store_le(all.data(), tick);
  store_le(all.data() + 8, frequency.numerator);
  store_le(all.data() + 12, frequency.denominator);
  store_le(all.data() + 16, port);
  store_le(all.data() + 20, checksum(data));
  return checksum(all);
}

// The newest block of an input.
struct LastBlock {
  std::uint64_t tick = 0;
  std::size_t bytes = 0;
};

class Run {
 public:
  Run(const Recording& recording, Algorithm& algorithm, OutputRecorder* outputs, const RunOptions& options)
      : recording_(recording), algorithm_(algorithm), outputs_(outputs), options_(options) {}

  Expected<RunReport> run() {
    Player::Options player_options;
    player_options.streams = options_.input_streams;
    player_options.speed = options_.speed;
    player_options.executor = options_.executor;
    if (options_.on_progress) {
      const auto ask = [on_progress = options_.on_progress] { return on_progress(0); };
      player_options.ask = ask;
      algorithm_.ask_while_waiting(ask);
    }
    auto player = Player::open(recording_, player_options);
    if (!player) return fail(player);
    if (auto reset = algorithm_.reset(); !reset) return fail(reset);
    for (const std::size_t stream : options_.input_streams) losses_.emplace_back(recording_, stream);
    report_.several_inputs = options_.input_streams.size() > 1;
    breaks_ = options_.breaks;
    last_blocks_.resize(options_.input_streams.size());
    const auto start = std::chrono::steady_clock::now();
    for (;;) {
      auto event = player->next();
      if (!event) return fail(event);
      if (!*event) break;
      if (auto fed = feed(**event); !fed) return fail(fed);
      if (ended_) break;
    }
    if (auto drained = drain(); !drained) return fail(drained);
    if (!ended_)
      if (auto done = finish(); !done) return fail(done);
    if (!ended_)
      if (auto noted = record_losses_at_end(); !noted) return fail(noted);
    report_.finished = !ended_;
    report_.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    // How far the player had run ahead of a crash is a matter of chance.
    if (!ended_) report_.input_fingerprint = player->fingerprint();
    report_.output_fingerprint = output_fingerprint_.hex();
    report_.damages = recording_.damages();
    report_.peak_memory = algorithm_.peak_memory();
    report_.recorded_seconds = recorded_seconds();
    report_.stages = algorithm_.stage_times();
    report_.restarts = algorithm_.restarts();
    report_.has_executed = report_.durations.count() > 0 && algorithm_.has_executed();
    return std::move(report_);
  }

 private:
  Expected<void> feed(const ReplayEvent& event) {
    const BlockView& block = event.block;
    const std::size_t stream = options_.input_streams[event.stream];
    const Frequency frequency = recording_.streams()[stream].tick_frequency();
    if (report_.blocks == 0) first_seconds_ = seconds(block.tick, frequency);
    last_blocks_[event.stream] = {block.tick, block.data.size()};
    ++report_.blocks;
    report_.input_bytes += block.data.size();
    const Pending pending{event.stream, event.ordinal,     block.timeslot, block.tick,
                          frequency,    block.data.size(), report_.blocks, report_.input_bytes};
    if (options_.on_progress)
      if (auto go_on = options_.on_progress(block.data.size() + 8); !go_on) return go_on;
    const auto lost = losses_[event.stream].before(block);
    const bool is_lost = !lost.empty() || block.after_loss;
    const bool goes_on = breaks_.empty() || !breaks_[event.stream].before(block, is_lost);
    if (is_lost || !goes_on) {
      ++(is_lost ? report_.gaps : report_.gaps_in_time);
      if (auto drained = drain(); !drained || ended_) return drained;
      if (auto noted = record_gaps(event.stream, lost); !noted) return noted;
      if (auto noted = algorithm_.note_gap(); !noted) {
        pending_.push_back(pending);
        return end_with(noted.error());
      }
    }
    if (block.data.empty()) return {};
    while (!pending_.empty() && !algorithm_.can_submit(block.data.size()))
      if (auto taken = take_one(); !taken || ended_) return taken;
    const AlgorithmInput input{static_cast<std::uint32_t>(event.stream), block.tick, frequency, block.data};
    pending_.push_back(pending);
    if (auto submitted = algorithm_.submit(input); !submitted) {
      // What came before it may have results yet, or be the reason.
      pending_.pop_back();
      if (auto drained = drain(); !drained || ended_) return drained;
      pending_.push_back(pending);
      return end_with(submitted.error());
    }
    // In time with the recording, a result is due before the next block is.
    return options_.speed > 0 ? drain() : Expected<void>{};
  }

  // From the first block to the end of the one that ends last, as far as it is known how long its samples take.
  [[nodiscard]] double recorded_seconds() const {
    double longest = 0;
    for (std::size_t i = 0; i < last_blocks_.size(); ++i) {
      if (!last_blocks_[i]) continue;
      const StreamInfo& stream = recording_.streams()[options_.input_streams[i]];
      double end = seconds(last_blocks_[i]->tick, stream.tick_frequency());
      if (const auto& layout = stream.metadata; layout && layout->sample_frequency && layout->sample_bytes > 0) {
        const auto samples = last_blocks_[i]->bytes / layout->sample_bytes;
        end += static_cast<double>(samples) / layout->sample_frequency->hz();
      }
      longest = std::max(longest, end - first_seconds_);
    }
    return longest;
  }

  Expected<void> record_gaps(std::size_t input, const std::vector<StreamLosses::Loss>& losses) {
    if (outputs_ == nullptr) return {};
    const std::string which = report_.several_inputs ? " " + id_of(input) : "";
    for (const auto& loss : losses)
      if (auto noted = outputs_->add_gap(fmt::format("of the input{}: {}", which, loss.reason)); !noted) return noted;
    return {};
  }

  Expected<void> record_losses_at_end() {
    for (std::size_t input = 0; input < losses_.size(); ++input) {
      auto lost = losses_[input].at_end();
      if (auto torn = losses_[input].torn_end()) lost.push_back(std::move(*torn));
      if (auto noted = record_gaps(input, lost); !noted) return noted;
    }
    return {};
  }

  // What the algorithm has too much is told of the last block.
  Expected<void> finish() {
    auto finished = algorithm_.finish();
    if (finished) return {};
    pending_.push_back(last_);
    return end_with(finished.error());
  }

  Expected<void> drain() {
    while (!pending_.empty() && !ended_)
      if (auto taken = take_one(); !taken) return taken;
    return {};
  }

  Expected<void> take_one() {
    auto result = algorithm_.take();
    if (!result) {
      if (result.error().code == ErrorCode::algorithm)
        if (auto taken = take_result(pending_.front(), algorithm_.result_before_end()); !taken) return taken;
      return end_with(result.error());
    }
    last_ = pending_.front();
    pending_.pop_front();
    const Pending& block = last_;
    report_.durations.add(result->duration);
    if (result->passed_bytes > 0) {
      if (report_.passed_blocks++ == 0) {
        report_.first_passed = block.ordinal;
        report_.first_passed_stream = id_of(block.input);
      }
      report_.passed_bytes = std::max(report_.passed_bytes, result->passed_bytes);
    }
    if (result->status == 0) failed_before_ = false;
    return take_result(block, *result);
  }

  // Behind outputs, those that are missing next are another gap.
  Expected<void> take_result(const Pending& block, const AlgorithmResult& result) {
    if (result.status != 0)
      if (auto noted = note_failure(block, result.describe_failure()); !noted) return noted;
    if (!result.outputs.empty()) failed_before_ = false;
    for (const auto& output : result.outputs) {
      const std::uint64_t tick = block.tick + static_cast<std::uint64_t>(output.ticks_later);
      output_fingerprint_.add(output.port, tick, block.frequency, output.data);
      ++report_.outputs;
      if (report_.output_hashes.size() < kMaxHashes)
        report_.output_hashes.push_back(output_hash(output.port, tick, block.frequency, output.data));
      if (outputs_ != nullptr)
        if (auto recorded = outputs_->append(output.port, tick, block.frequency, output.data); !recorded)
          return recorded;
    }
    return {};
  }

  // The algorithm is gone: the oldest block without a result is the one that did it.
  Expected<void> end_with(const Error& error) {
    if (error.code != ErrorCode::algorithm) return tl::unexpected<Error>(error);
    ended_ = true;
    // What had been taken in after the block that failed was not executed.
    const Pending& last = pending_.front();
    report_.blocks = last.blocks;
    report_.input_bytes = last.input_bytes;
    last_blocks_.assign(last_blocks_.size(), std::nullopt);
    last_blocks_[last.input] = {last.tick, last.bytes};
    auto noted = note_failure(last, error.message);
    pending_.clear();
    return noted;
  }

  // Where outputs are missing there is a gap, one for all blocks of a row that failed.
  Expected<void> note_failure(const Pending& block, std::string reason) {
    ++report_.failure_count;
    if (outputs_ != nullptr && !std::exchange(failed_before_, true))
      if (auto noted = outputs_->add_gap(
              fmt::format("{}{} (timeslot {}) failed: {}", block_text(report_, id_of(block.input), block.ordinal),
                          report_.several_inputs ? "" : " of the input", block.timeslot, reason));
          !noted)
        return noted;
    // The one that ended the run is told behind however many.
    if (ended_ || report_.failures.size() < kMaxListedFailures)
      report_.failures.push_back({id_of(block.input), block.ordinal, block.timeslot, std::move(reason)});
    return {};
  }

  [[nodiscard]] const std::string& id_of(std::size_t input) const {
    return recording_.streams()[options_.input_streams[input]].id;
  }

  const Recording& recording_;
  Algorithm& algorithm_;
  OutputRecorder* outputs_;
  const RunOptions& options_;
  RunReport report_;
  Fingerprint output_fingerprint_;
  std::deque<Pending> pending_;
  Pending last_;                                       // the one whose result came last
  std::vector<StreamLosses> losses_;                   // of the inputs
  std::vector<BreakFinder> breaks_;                    // the same, or none
  std::vector<std::optional<LastBlock>> last_blocks_;  // of the inputs
  double first_seconds_ = 0;
  bool ended_ = false;
  bool failed_before_ = false;  // the last block that was executed
};

}  // namespace

Expected<RunReport> run_replay(const Recording& recording, Algorithm& algorithm, OutputRecorder* outputs,
                               const RunOptions& options) {
  return Run(recording, algorithm, outputs, options).run();
}

std::optional<std::uint64_t> first_difference(const RunReport& a, const RunReport& b) {
  const std::size_t common = std::min(a.output_hashes.size(), b.output_hashes.size());
  for (std::size_t i = 0; i < common; ++i)
    if (a.output_hashes[i] != b.output_hashes[i]) return i;
  if (a.output_hashes.size() != b.output_hashes.size()) return common;
  return std::nullopt;
}

const char* lack_of_data(const RunReport& run) {
  return run.durations.count() == 0 ? "the recording has no data for it" : "the recording has too little data for it";
}

std::string void_text(const RunReport& run) {
  return fmt::format("{}: {}", lack_of_data(run),
                     run.durations.count() == 0 ? "nothing was executed" : "it was not executed to its end");
}

std::string block_text(const RunReport& run, const std::string& stream, std::uint64_t ordinal) {
  return fmt::format("block {}{}{}", ordinal, run.several_inputs ? " of " : "", run.several_inputs ? stream : "");
}

std::vector<std::string> failure_lines(const RunReport& run) {
  std::vector<std::pair<const AlgorithmFailure*, std::vector<std::uint64_t>>> reasons;
  for (const auto& failure : run.failures) {
    auto found = std::find_if(reasons.begin(), reasons.end(), [&](const auto& known) {
      return known.first->reason == failure.reason && known.first->stream == failure.stream;
    });
    if (found == reasons.end()) found = reasons.emplace(reasons.end(), &failure, std::vector<std::uint64_t>{});
    if (failure.ordinal) found->second.push_back(*failure.ordinal);
  }
  constexpr std::size_t kNamed = 5;
  std::vector<std::string> lines;
  for (const auto& [first, blocks] : reasons) {
    const std::string where =
        first->ordinal
            ? fmt::format("{} (timeslot {})", block_text(run, first->stream, *first->ordinal), first->timeslot)
            : "before the first block";
    lines.push_back(fmt::format("{}: {}", where, first->reason));
    if (blocks.size() < 2) continue;
    const std::size_t named = std::min(blocks.size(), kNamed + 1);
    lines.back() +=
        fmt::format("; and so {} other{}: {}{}", blocks.size() - 1, blocks.size() == 2 ? "" : "s",
                    fmt::join(blocks.begin() + 1, blocks.begin() + static_cast<std::ptrdiff_t>(named), ", "),
                    named < blocks.size() ? fmt::format(" ... {}", blocks.back()) : "");
  }
  return lines;
}

}  // namespace sds
