#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "check.hpp"
#include "command.hpp"
#include "damage_text.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "progress_line.hpp"
#include "quality_report.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct CheckArguments {
  InputOptions input;
  std::string tick_frequency;
  bool quality = false;
  std::filesystem::path profile;
  std::vector<std::filesystem::path> against;
  bool quiet = false;
  bool json = false;
};

void line(const char* label, const std::string& text) { fmt::print("  {:<19}: {}\n", label, text); }

void print_stream(const StreamCheck& s) {
  const double tick_s = 1.0 / s.tick_frequency.hz();
  const auto time = [&](double ticks) { return human_seconds(ticks * tick_s); };
  fmt::print("stream {}\n", s.id);
  line("Size", human_bytes(s.file_bytes));
  line("Blocks", grouped(s.blocks) + (s.empty_blocks > 0 ? fmt::format(" ({} empty)", grouped(s.empty_blocks)) : ""));
  if (s.blocks == 0) return;
  line("Data", human_bytes(s.data_bytes));
  if (s.min_block_bytes == s.max_block_bytes) {
    line("Block size", fmt::format("{} bytes", s.min_block_bytes));
  } else {
    line("Block size", fmt::format("{} to {} bytes, mean {:.1f}", s.min_block_bytes, s.max_block_bytes,
                                   static_cast<double>(s.data_bytes) / static_cast<double>(s.blocks)));
  }
  const double duration = s.span->end - s.span->begin;
  line("Recording time", human_seconds(duration));
  if (s.blocks > 1) {
    line("Recording interval", time(s.interval_ticks));
    if (duration > 0)
      line("Data rate",
           fmt::format("{}/s", human_bytes(static_cast<std::uint64_t>(static_cast<double>(s.data_bytes) / duration))));
    line("Max jitter", s.jitter.ticks == 0
                           ? "not detected"
                           : fmt::format("{}, at block {}", time(static_cast<double>(s.jitter.ticks)), s.jitter.block));
    if (s.longest_delta.count > 0 && static_cast<double>(s.longest_delta.ticks) > s.interval_ticks)
      line("Max delta time",
           fmt::format("{}, before block {}", time(static_cast<double>(s.longest_delta.ticks)), s.longest_delta.block));
  }
  if (s.duplicates.count > 0)
    line("Duplicate timeslots", fmt::format("{}, first at block {}", grouped(s.duplicates.count), s.duplicates.block));
  if (s.wraps.count > 0)
    line("Wrap-arounds", fmt::format("{} of the 32-bit timeslot, first at block {}", s.wraps.count, s.wraps.block));
  if (!s.gaps)
    line("Gaps", gaps_not_known);
  else if (s.gaps->count > 0)
    line("Gaps", fmt::format("{}, the longest {} before block {}", grouped(s.gaps->count),
                             time(static_cast<double>(s.gaps->ticks)), s.gaps->block));
  if (!s.has_metadata && !s.metadata_error) line("Metadata", "none: block contents were not checked");
  for (const auto& note : s.metadata_notes) line("Metadata", note);
}

const char* verdict(const RecordingCheck& result) {
  return !result.sound() ? "NOT SOUND" : result.closed ? "sound" : "sound so far, but not closed";
}

void print_text(const std::string& path, const RecordingCheck& result) {
  fmt::print("{}\n", path);
  if (result.sections > 0) line("Sections verified", grouped(result.sections));
  for (const auto& note : result.notes) line("Note", note);
  for (const auto& stream : result.streams) print_stream(stream);
  for (const auto& damage : result.damages) fmt::print("  ERROR: {}\n", damage_text(damage));
  for (const auto& stream : result.streams)
    for (const auto& problem : stream.problems()) fmt::print("  ERROR: {}: {}\n", stream.id, problem);
  fmt::print("{}\n", verdict(result));
}

nlohmann::json to_json(const Finding& f) { return {{"count", f.count}, {"block", f.block}, {"ticks", f.ticks}}; }

nlohmann::json to_json(const std::string& path, const RecordingCheck& result) {
  nlohmann::json json{{"recording", path},           {"sound", result.sound()}, {"closed", result.closed},
                      {"sections", result.sections}, {"notes", result.notes},   {"problems", nlohmann::json::array()}};
  for (const auto& damage : result.damages) json["problems"].push_back(damage_text(damage));
  json["streams"] = nlohmann::json::array();
  for (const auto& s : result.streams)
    json["streams"].push_back({{"id", s.id},
                               {"problems", s.problems()},
                               {"file_bytes", s.file_bytes},
                               {"blocks", s.blocks},
                               {"data_bytes", s.data_bytes},
                               {"min_block_bytes", s.min_block_bytes},
                               {"max_block_bytes", s.max_block_bytes},
                               {"empty_blocks", s.empty_blocks},
                               {"tick_frequency_hz", s.tick_frequency.hz()},
                               {"first_tick", s.first_tick},
                               {"last_tick", s.last_tick},
                               {"begin", s.span ? nlohmann::json(s.span->begin) : nlohmann::json(nullptr)},
                               {"end", s.span ? nlohmann::json(s.span->end) : nlohmann::json(nullptr)},
                               {"duration", s.span ? s.span->end - s.span->begin : 0},
                               {"interval_ticks", s.interval_ticks},
                               {"jitter", to_json(s.jitter)},
                               {"longest_delta", to_json(s.longest_delta)},
                               {"duplicates", to_json(s.duplicates)},
                               {"descending", to_json(s.descending)},
                               {"wraps", to_json(s.wraps)},
                               {"gaps", s.gaps ? to_json(*s.gaps) : nlohmann::json(nullptr)},
                               {"misfits", to_json(s.misfits)},
                               {"metadata", s.has_metadata},
                               {"metadata_notes", s.metadata_notes}});
  return json;
}

Expected<RecordingQuality> assess_one(const Recording& recording, const std::filesystem::path& path) {
  Progress progress("assessing " + path.filename().string(), total_bytes(recording));
  return assess(recording, progress.callback());
}

int run_check(const CheckArguments& o) {
  CheckOptions options;
  if (!o.tick_frequency.empty()) {
    auto frequency = Frequency::parse(o.tick_frequency);
    if (!frequency) return fail_with({ErrorCode::usage, frequency.error().message, {}, {}});
    options.tick_frequency = *frequency;
  }
  const bool with_quality = o.quality || !o.profile.empty() || !o.against.empty();
  QualityProfile profile;
  if (!o.profile.empty()) {
    auto loaded = QualityProfile::load(o.profile);
    if (!loaded) return fail_with(loaded.error());
    profile = std::move(*loaded);
    if ((profile.max_psi || profile.max_ks) && o.against.empty())
      return fail_with({ErrorCode::usage, "'max-psi' and 'max-ks' have no effect without --against", o.profile, {}});
  }
  int exit_code = 0;
  nlohmann::json report;
  nlohmann::json all = nlohmann::json::array();
  nlohmann::json damages = nlohmann::json::array();
  std::vector<RecordingQuality> assessed;
  std::size_t sound = 0;
  for (const auto& path : o.input.paths) {
    auto recording = open_untold(std::span(&path, 1), o.input.options());
    auto result = recording ? Expected<RecordingCheck>{} : fail(recording);
    if (recording) {
      Progress progress("checking " + path.filename().string(), total_bytes(*recording));
      result = check(*recording, options, progress.callback());
    }
    if (!result) {
      exit_code = std::max(exit_code, fail_with(result.error()));
      if (result.error().code == ErrorCode::interrupted) return exit_code;
      continue;
    }
    if (!result->sound()) exit_code = std::max(exit_code, 1);
    if (result->sound()) ++sound;
    if (o.json) {
      all.push_back(to_json(path.string(), *result));
      for (auto& damage : damages_json(recording->damages(), path, stream_ids(*recording))) damages.push_back(damage);
    } else if (o.quiet) {
      fmt::print("{}: {}\n", path.string(), verdict(*result));
    } else {
      print_text(path.string(), *result);
    }
    if (!with_quality) continue;
    auto quality = assess_one(*recording, path);
    if (!quality) return fail_with(quality.error());
    const auto broken = broken_limits(profile, *quality);
    if (!broken.empty()) exit_code = std::max(exit_code, 1);
    if (o.json) {
      all.back()["quality"] = quality_json(*quality, broken);
    } else {
      print_quality(*quality, broken);
    }
    assessed.push_back(std::move(*quality));
  }
  if (!o.json && o.input.paths.size() > 1)
    fmt::print("{} recordings: {} sound, {} not\n", o.input.paths.size(), sound, o.input.paths.size() - sound);
  if (with_quality) {
    std::vector<RecordingQuality> reference;
    for (const auto& path : o.against) {
      auto recording = o.input.open_one(path);
      if (!recording) return fail_with(recording.error());
      auto quality = assess_one(*recording, path);
      if (!quality) return fail_with(quality.error());
      reference.push_back(std::move(*quality));
    }
    const auto drifts = drift_between(reference, assessed);
    auto broken = broken_dataset_limits(profile, assessed);
    for (const auto& problem : broken_drift_limits(profile, drifts)) broken.push_back(problem);
    if (!broken.empty()) exit_code = std::max(exit_code, 1);
    if (o.json) {
      report["dataset"] = dataset_json(assessed, drifts, broken);
    } else {
      print_dataset(assessed, drifts, broken);
    }
  }
  if (!o.json) return exit_code;
  for (auto& damage : damages_json()) damages.push_back(damage);  // of those that --against named
  report["recordings"] = std::move(all);
  report["damages"] = std::move(damages);
  print_json(report);
  return exit_code;
}

}  // namespace

void add_check(Command& app, Run& run) {
  auto* command = app.add_subcommand("check", "Check whether recordings are sound: structure, checksums, time, sizes");
  auto o = std::make_shared<CheckArguments>();
  o->input.add_to(*command, "Recordings to check, each by itself (.sds or .sdsz)", true);
  command->add_option("--tick-frequency", o->tick_frequency, "Tick frequency, instead of the metadata's (else 1000)")
      ->transform(takes_frequency())
      ->type_name("HZ");
  command->add_option("-t,--tick-rate", o->tick_frequency)
      ->transform(takes_frequency())
      ->excludes("--tick-frequency")
      ->group("");
  command->add_flag("--quality", o->quality,
                    "Also report on the data: rates, missing samples, clipping, stuck values, noise, offsets; and over "
                    "several recordings: balance of the labels");
  command
      ->add_option("--profile", o->profile,
                   "Limits for the quality, in YAML (docs/quality.md); broken ones: exit code 1")
      ->type_name("FILE");
  command
      ->add_option("--against", o->against,
                   "Also report how the values' distributions have drifted from these recordings'")
      ->type_name("RECORDING");
  auto* quiet = command->add_flag("-q,--quiet", o->quiet, "One line for each recording");
  command->add_flag("--json", o->json, "Report as JSON")->excludes(quiet);
  command->footer(
      "Unsound, exit code 1: a torn end, damaged sections, recorded losses, timeslots that descend (a wrap-around at\n"
      "2^32 is none), block sizes that do not fit the metadata, metadata that cannot be read. Jitter, gaps in time,\n"
      "duplicate timeslots and empty blocks are reported, but sound.");
  command->callback([o, &run] { run = [o] { return run_check(*o); }; });
}

}  // namespace sds::cli
