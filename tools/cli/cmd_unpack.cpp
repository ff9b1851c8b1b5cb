#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "opened.hpp"
#include "outputs.hpp"
#include "pack.hpp"
#include "progress_line.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct UnpackArguments {
  InputOptions input;
  std::filesystem::path directory = ".";
  unsigned threads = 0;
  bool force = false;
  bool json = false;
};

int run_unpack(const UnpackArguments& o) {
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  Progress progress("unpacking", total_bytes(*recording));
  auto report = unpack(*recording, o.directory, {o.threads, o.force}, progress.callback());
  if (!report) return fail_with(report.error());
  for (const auto& note : report->notes) warn(note);
  for (const auto& remark : report->remarks) note(remark);
  if (o.json) {
    nlohmann::json files = nlohmann::json::array();
    for (const auto& file : report->files) files.push_back(file.data.string());
    print_json(nlohmann::json{{"files", files},
                              {"blocks", report->blocks},
                              {"raw_bytes", report->raw_bytes},
                              {"losses", report->losses},
                              {"labels", text_or_null(report->labels)},
                              {"damages", damages_json()},
                              {"notes", report->notes},
                              {"remarks", report->remarks}});
    return report->losses > 0 ? 3 : 0;
  }
  for (const auto& file : report->files)
    fmt::print("{}{}\n", file.data.string(), file.metadata.empty() ? "" : "  (with " + file.metadata + ")");
  if (!report->labels.empty()) fmt::print("{}\n", report->labels.string());
  return report->losses > 0 ? 3 : 0;
}

}  // namespace

void add_unpack(Command& app, Run& run) {
  auto* command = app.add_subcommand("unpack", "Unpack a .sdsz recording into plain .sds files and their metadata");
  auto o = std::make_shared<UnpackArguments>();
  o->input.add_to(*command, "The .sdsz recording", false);
  command->add_option("-o,--output,-d,--directory", o->directory, "Where to; made if needed")
      ->check(names_new_folder())
      ->type_name("DIR")
      ->capture_default_str();
  command->add_option("--threads", o->threads, "Threads that decompress; 0: one for each core")
      ->check(in_range(0, 256))
      ->capture_default_str();
  command->add_flag("-f,--force", o->force, "Replace existing files");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer("Example: sds unpack walk.sdsz -d plain");
  command->callback([o, &run] { run = [o] { return run_unpack(*o); }; });
}

}  // namespace sds::cli
