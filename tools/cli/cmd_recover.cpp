#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "opened.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "recover.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct RecoverArguments {
  std::filesystem::path input;
  std::filesystem::path output;
  bool force = false;
  bool json = false;
};

// What is missing, as far as known.
std::string missing_text(const Damage& damage, const std::vector<std::string>& streams) {
  std::string text =
      damage.bytes > 0 ? fmt::format("at byte {}, {} bytes: ", damage.offset, grouped(damage.bytes)) : "";
  if (damage.stream && *damage.stream < streams.size()) text += fmt::format("stream {}: ", streams[*damage.stream]);
  return text + damage.reason;
}

// One line a stream: how much of it was had.
std::string had_text(const RecoveredStream& stream) {
  if (stream.blocks == 0) return "0 blocks";
  return fmt::format("{}, {} to {} s (ticks {} to {})", counted(stream.blocks, "block"),
                     seconds_text(seconds(*stream.first_tick, stream.tick_frequency)),
                     seconds_text(seconds(*stream.last_tick, stream.tick_frequency)), *stream.first_tick,
                     *stream.last_tick);
}

std::string verdict(const RecoverReport& report) {
  std::string text;
  if (report.still_open) text = *report.still_open + "; ";
  if (!report.missing.empty()) {
    const auto empty = std::count_if(report.stream_list.begin(), report.stream_list.end(),
                                     [](const RecoveredStream& stream) { return stream.blocks == 0; });
    if (report.blocks == 0) return text + "no block could be had";
    if (empty == 0) return text + "what is listed is there";
    return text + fmt::format("what is listed is there; of {} there is nothing",
                              counted(static_cast<std::uint64_t>(empty), "stream"));
  }
  const std::string unread = report.unread_bytes == 0
                                 ? ""
                                 : fmt::format("; what blocks are in {} bytes at the end, which are kept, is not known",
                                               grouped(report.unread_bytes));
  if (report.recorded_losses == 0)
    return text + (report.closed ? "nothing is missing" : "nothing else is missing") + unread;
  return text +
         fmt::format("nothing more is missing than the {} that {} recorded, as gaps",
                     counted(report.recorded_losses, "loss"), report.recorded_losses == 1 ? "was" : "were") +
         unread;
}

nlohmann::json streams_json(const std::vector<RecoveredStream>& streams) {
  auto list = nlohmann::json::array();
  for (const auto& stream : streams)
    list.push_back({{"id", stream.id},
                    {"blocks", stream.blocks},
                    {"tick_frequency_hz", stream.tick_frequency.hz()},
                    {"first_tick", or_null(stream.first_tick)},
                    {"last_tick", or_null(stream.last_tick)}});
  return list;
}

int run_recover(const RecoverArguments& o) {
  if (auto ok = refuse_companion(o.input); !ok) return fail_with(ok.error());
  if (o.input.extension() == ".sds")
    return fail_with({ErrorCode::bad_input,
                      "is a plain file, which holds nothing to recover by: `sds check` says whether it is sound, and "
                      "`sds pack` keeps what can be read",
                      o.input,
                      {}});
  const auto output = o.output.empty() ? recovered_path(o.input) : o.output;
  std::error_code ignored;
  Progress progress("recovering", std::filesystem::file_size(o.input, ignored));
  auto report = recover(o.input, output, o.force, progress.callback());
  if (!report) return fail_with(report.error());
  for (const auto& note : report->notes) warn(note);
  const int exit_code = report->missing.empty() ? 0 : 3;
  std::vector<std::string> ids;
  for (const auto& stream : report->stream_list) ids.push_back(stream.id);
  if (o.json) {
    print_json(nlohmann::json{
        {"recording", o.input.string()},
        {"output", output.string()},
        {"whole",
         report->missing.empty() && report->closed && report->recorded_losses == 0 && report->unread_bytes == 0},
        {"closed", report->closed},
        {"not_closed", report->closed ? nlohmann::json::array() : nlohmann::json{o.input.string()}},
        {"recorded_losses", report->recorded_losses},
        {"unread_bytes", report->unread_bytes},
        {"labels", text_or_null(report->labels)},
        {"notes", report->notes},
        {"streams", report->streams},
        {"stream_list", streams_json(report->stream_list)},
        {"blocks", report->blocks},
        {"raw_bytes", report->raw_bytes},
        {"stored_bytes", report->stored_bytes},
        {"sections_copied", report->sections_copied},
        {"blocks_rebuilt", report->blocks_rebuilt},
        {"damages", damages_json(report->missing, o.input, ids)},
        {"ignored", damages_json(report->ignored, o.input, ids)}});
    return exit_code;
  }
  fmt::print("{}: {}, {}, {} as plain .sds, {} stored; {} copied, {} rebuilt\n", output.string(),
             counted(report->streams, "stream"), counted(report->blocks, "block"), human_bytes(report->raw_bytes),
             human_bytes(report->stored_bytes), counted(report->sections_copied, "section"),
             counted(report->blocks_rebuilt, "block"));
  for (const auto& stream : report->stream_list) fmt::print("  stream     {}: {}\n", stream.id, had_text(stream));
  for (const auto& damage : report->ignored) fmt::print("  left out   {}\n", missing_text(damage, ids));
  for (const auto& damage : report->missing) fmt::print("  MISSING    {}\n", missing_text(damage, ids));
  if (!report->labels.empty()) fmt::print("  labels     {}\n", report->labels.string());
  fmt::print("{}\n", verdict(*report));
  return exit_code;
}

}  // namespace

void add_recover(Command& app, Run& run) {
  auto* command =
      app.add_subcommand("recover", "What can be had of a damaged or unfinished .sdsz, as a closed recording");
  auto o = std::make_shared<RecoverArguments>();
  names_inputs(
      *command->add_option("recording", o->input, "The .sdsz; the log beside it is read, too. Neither is changed")
           ->required());
  command->add_option("-o,--output", o->output, "The .sdsz to write; <name>.recovered.sdsz if not given")
      ->check(names_recording())
      ->type_name("FILE");
  command->add_flag("-f,--force", o->force, "Replace an existing output");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "Keeps every block that can be read, in order, once; searches for the next sound section behind damage; leaves "
      "out\n"
      "sections of other recordings. Where blocks are missing the result has a gap. It is read back and compared "
      "before\n"
      "it gets its name. Labels come along. Exit code 3: something is missing, and the report says what.\n\n"
      "Example: sds recover recording.0.sdsz");
  command->callback([o, &run] { run = [o] { return run_recover(*o); }; });
}

}  // namespace sds::cli
