// Runs one test of a suite and judges it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "damage_text.hpp"
#include "event_judge.hpp"
#include "expectation.hpp"
#include "label_judge.hpp"
#include "run_again.hpp"
#include "scratch_folder.hpp"
#include "sds/format/file.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"
#include "shell_text.hpp"
#include "suite.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {

constexpr std::size_t kMaxTold = 20;  // reasons why blocks failed, and damages

constexpr const char* kIdleMetadata = "'yaml:' of the defaults";

class Judge {
 public:
  Judge(const TestSpec& test, TestResult& result) : test_(test), result_(result) {}

  void judge(const ReplayJobResult& job, const std::filesystem::path& outputs, const Recording& recording,
             bool update) {
    judge_runs(job);
    result_.is_judged = job.runs.front().finished && job.runs.front().failure_count == 0;
    judge_damage(recording);
    judge_limits();
    note_settings(job.idle);
    if (test_.label.is_there()) {
      const std::string label = label_of(recording, job);
      note_accepts(label);
      judge_label(test_, label, outputs, result_);
    }
    if (test_.events) judge_events(test_, recording, outputs, result_);
    // Last: what fails by itself replaces no expectation.
    if (!test_.expected.empty()) judge_expected(test_, outputs, update, result_);
  }

  void fails(std::string reason) { result_.reasons.push_back(std::move(reason)); }

 private:
  // What the suite says for several tests, and only here it shows whether it has an effect.
  void note_settings(const std::set<JobPart>& idle) {
    for (const auto part : test_.job.may_be_idle)
      (idle.contains(part) ? result_.idle : result_.useful).insert(fmt::format("'{}:' of the defaults", key_of(part)));
  }
  void note_accepts(const std::string& label) {
    for (const auto& [name, classes] : test_.label.accepts) {
      const bool is_default = test_.label.default_accepts.contains(name);
      (name == label ? result_.useful : result_.idle)
          .insert(fmt::format("'accept:' of '{}' of {}", name,
                              is_default ? "the defaults" : "the case " + test_.case_name));
    }
  }

  [[nodiscard]] std::string label_of(const Recording& recording, const ReplayJobResult& job) const {
    if (!test_.label.from_file) return test_.label.label;
    const auto stream = recording.find_stream(job.inputs.front());
    if (!stream) return {};
    // A take is one of its class; a number alone, which is no class elsewhere, is the answer where the suite says so.
    const std::string label = utf8_text(recording.streams()[*stream].description.label);
    const std::string name = class_in_label(label);
    return name.empty() ? label : name;
  }

  void judge_runs(const ReplayJobResult& job) {
    for (std::size_t i = 0; i < job.runs.size(); ++i)
      judge_run(job.runs[i], i > 0 ? fmt::format("in run {} of {}: ", i + 1, test_.job.repeat) : std::string());
    if (job.after_reset) judge_run(*job.after_reset, "in the run after a reset: ");
    if (const RunReport& first = job.runs.front(); first.is_void())
      fails(fmt::format("{}: nothing was tested", lack_of_data(first)));
    if (!job.not_run.empty()) note(job.not_run_text());
    judge_comparison(job.repeated, "repeated runs differ: the algorithm is not deterministic");
    judge_comparison(job.reset, "a run after a reset differs: the algorithm keeps state");
  }

  // Of a run that fails it is told already.
  void judge_comparison(const std::optional<RunsCompared>& compared, const char* what) {
    if (!compared || compared->verdict != RunsCompared::Verdict::differs) return;
    fails(what + (compared->first_different ? fmt::format(", first at output {}", *compared->first_different) : ""));
  }

  // `which` of several runs it is, in front of what is told of it; empty: the first one.
  void judge_run(const RunReport& run, const std::string& which) {
    // Of many the first ones, and the last one, which may have ended the run.
    const auto lines = failure_lines(run);
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (i < kMaxTold || i + 1 == lines.size()) fails(which + lines[i]);
    if (run.failure_count > run.failures.size() || lines.size() > kMaxTold + 1)
      fails(fmt::format("{}{} blocks failed in all", which, run.failure_count));
    if (run.passed_blocks > 0)
      note(fmt::format("the algorithm passed the end of {} of {} blocks, first that of {}, by up to {} bytes",
                       run.passed_blocks, run.blocks, block_text(run, run.first_passed_stream, run.first_passed),
                       run.passed_bytes));
    if (run.gaps_in_time > 0)
      note(fmt::format("windows began anew at {} gaps in time, or steps back, of the recording", run.gaps_in_time));
    if (run.restarts > 0) note(fmt::format("what follows began anew behind {} frames that failed", run.restarts));
    if (run.gaps > 0) note(fmt::format("the recording has {} gaps", run.gaps));
  }

  // Once, whatever number of runs it goes for.
  void note(std::string text) {
    if (std::find(result_.notes.begin(), result_.notes.end(), text) == result_.notes.end())
      result_.notes.push_back(std::move(text));
  }

  // What was replayed is not what was recorded: nothing that follows from it is known.
  void judge_damage(const Recording& recording) {
    if (const auto open = why_not_closed(recording)) result_.notes.push_back("the recording is " + *open);
    const auto& damages = recording.damages();
    for (std::size_t i = 0; i < damages.size() && i < kMaxTold; ++i) {
      auto& told = test_.allow_damage || damages[i].harmless ? result_.notes : result_.reasons;
      told.push_back("the recording is damaged: " + damage_text(damages[i]));
    }
    auto& told = test_.allow_damage || nothing_is_lost(damages) ? result_.notes : result_.reasons;
    if (damages.size() > kMaxTold) told.push_back(fmt::format("the recording is damaged in {} places", damages.size()));
  }

  void judge_limits() {
    const auto most = [&](const char* what, std::optional<double> limit, double value, const char* unit) {
      if (limit && value > *limit)
        fails(fmt::format("{} is {:.4g} {}, above the limit of {:.4g}", what, value, unit, *limit));
    };
    most("p50", test_.limits.p50_us, result_.p50_us, "us");
    most("p99", test_.limits.p99_us, result_.p99_us, "us");
    most("the longest execution", test_.limits.max_us, result_.max_us, "us");
    if (test_.limits.memory_mib && result_.memory_mib == 0)
      fails("its memory is not known, for nothing of it runs in a process of its own: 'memory-mib' has no effect");
    most("memory", test_.limits.memory_mib, result_.memory_mib, "MiB");
    const double speed = result_.wall_seconds > 0 ? result_.recorded_seconds / result_.wall_seconds : 0;
    if (test_.limits.real_time && speed < *test_.limits.real_time)
      fails(
          fmt::format("it runs at {:.1f} times real time, below the limit of {:.1f}", speed, *test_.limits.real_time));
  }

  const TestSpec& test_;
  TestResult& result_;
};

// Whether the test's metadata, which are for others, too, are for this recording.
Expected<bool> has_use_for_metadata(const TestSpec& test) {
  auto recording = open_until_end(test.recording);
  if (!recording) return fail(recording);
  auto text = read_small_file(*test.metadata, limits::max_metadata_bytes);
  if (!text) return fail(text);
  auto metadata = Metadata::parse(*text, *test.metadata);
  if (!metadata) return fail(metadata);
  std::size_t without = 0;
  bool is_named = false;
  for (const auto& stream : recording->streams()) {
    const bool has_own = !stream.description.metadata_file_name.empty() && !stream.metadata_error;
    without += has_own ? 0 : 1;
    is_named = is_named || (stream.description.name == metadata->name && (!has_own || recording->sdsz() == nullptr));
  }
  return is_named || without == 1;
}

Expected<Recording> open_recording(const TestSpec& test, TestResult& result) {
  Recording::Options options;
  options.metadata = test.metadata;
  if (test.metadata_may_be_idle) {
    const auto is_useful = has_use_for_metadata(test);
    if (!is_useful) return fail(is_useful);
    (*is_useful ? result.useful : result.idle).insert(kIdleMetadata);
    if (!*is_useful) options.metadata.reset();
  }
  return open_until_end(test.recording, options);
}

// Of the first run what is the same in all; what is measured is the largest of any of them, for limits hold for each.
void take_measures(const ReplayJobResult& job, TestResult& result) {
  const RunReport& first = job.runs.front();
  result.input_fingerprint = first.input_fingerprint;
  result.output_fingerprint = first.output_fingerprint;
  result.executions = first.is_void() ? 0 : first.durations.count();
  result.recorded_seconds = first.recorded_seconds;
  const auto take = [](double& largest, double value) { largest = std::max(largest, value); };
  const auto us = [](std::chrono::nanoseconds duration) { return static_cast<double>(duration.count()) / 1e3; };
  for (const RunReport* run : job.all_runs()) {
    take(result.wall_seconds, run->wall_seconds);
    take(result.p50_us, us(run->durations.percentile(0.5)));
    take(result.p90_us, us(run->durations.percentile(0.9)));
    take(result.p99_us, us(run->durations.percentile(0.99)));
    take(result.max_us, us(run->durations.max()));
    take(result.memory_mib, static_cast<double>(run->peak_memory) / (1 << 20));
  }
}

// What helps whoever looks into a test that failed.
void add_help(const TestSpec& test, const ReplayJobResult& job, const std::filesystem::path& outputs,
              const std::filesystem::path& keep, TestResult& result) {
  if (!keep.empty()) {
    const auto kept = kept_outputs(test, keep);
    auto written = write_copy(outputs, kept, IfExists::fail);
    result.notes.push_back(written ? "what came out is kept in " + kept.string()
                                   : "what came out is not kept: " + written.error().to_string());
  }
  TestSpec shown = test;
  drop_idle_tolerances(shown.tolerances, result);
  for (auto& note : how_to_run_again(shown, job.idle, result.idle.contains(kIdleMetadata)))
    result.notes.push_back(std::move(note));
}

}  // namespace

std::filesystem::path kept_outputs(const TestSpec& test, const std::filesystem::path& folder) {
  return folder / test.case_name / (test.recording.stem().string() + ".sdsz");
}

TestResult run_test(const TestSpec& test, std::size_t index, const TestRun& options) {
  TestResult result;
  result.suite = test.suite;
  result.case_name = test.case_name;
  result.name = test.name;
  result.algorithm = test.job.algorithm.name();
  result.index = index;
  const auto end_with = [&](const Error& error) {
    result.status = TestResult::Status::error;
    result.reasons.push_back(error.to_string());
    return result;
  };
  auto recording = open_recording(test, result);
  if (!recording) return end_with(recording.error());
  const auto scratch = ScratchFolder::create();
  if (!scratch) return end_with(scratch.error());
  const auto outputs = scratch->path() / "outputs.sdsz";
  ReplayJob job = test.job;
  job.output = outputs;
  auto ran = run_job(*recording, job);
  if (!ran) return end_with(ran.error());
  take_measures(*ran, result);
  Judge(test, result).judge(*ran, outputs, *recording, options.update);
  result.status = result.reasons.empty() ? TestResult::Status::passed : TestResult::Status::failed;
  if (result.status == TestResult::Status::failed) add_help(test, *ran, outputs, options.keep, result);
  return result;
}

}  // namespace sds
