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

struct PackArguments {
  InputOptions input;
  std::filesystem::path output;
  unsigned level = 1;
  unsigned threads = 0;
  std::uint32_t section_kib = 1024;
  bool force = false;
  bool json = false;
};

int run_pack(const PackArguments& o) {
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  PackOptions options;
  options.level = static_cast<Level>(o.level);
  options.section_bytes = o.section_kib * 1024;
  options.threads = o.threads;
  options.force = o.force;
  Progress progress("packing", total_bytes(*recording));
  auto report = pack(*recording, o.output, options, progress.callback());
  if (!report) return fail_with(report.error());
  for (const auto& note : report->notes) warn(note);
  const double ratio = static_cast<double>(report->raw_bytes) / static_cast<double>(report->stored_bytes);
  if (o.json) {
    print_json(nlohmann::json{{"output", o.output.string()},
                              {"streams", report->streams},
                              {"blocks", report->blocks},
                              {"raw_bytes", report->raw_bytes},
                              {"stored_bytes", report->stored_bytes},
                              {"labels", text_or_null(report->labels)},
                              {"damages", damages_json()},
                              {"notes", report->notes}});
  } else {
    fmt::print("{}: {}, {}, {} as plain .sds, {} stored, ratio {:.2f}{}\n", o.output.string(),
               counted(report->streams, "stream"), counted(report->blocks, "block"), human_bytes(report->raw_bytes),
               human_bytes(report->stored_bytes), ratio, report->labels.empty() ? "" : "; with its labels");
  }
  return 0;
}

}  // namespace

void add_pack(Command& app, Run& run) {
  auto* command = app.add_subcommand("pack", "Pack .sds files into one compressed .sdsz recording");
  auto o = std::make_shared<PackArguments>();
  o->input.add_to(*command, "The .sds files to pack as the streams of one recording, or a .sdsz to repack", true);
  command->add_option("-o,--output", o->output, "The .sdsz to write")
      ->required()
      ->check(names_recording())
      ->type_name("FILE");
  command->add_option("-l,--level", o->level, "0 store, 1 fast, 2 dense")->check(in_range(0, 2))->capture_default_str();
  command
      ->add_option("--threads", o->threads,
                   "Threads that compress; 0: one for each core. The bytes written are the same for any number")
      ->check(in_range(0, 256))
      ->capture_default_str();
  command->add_option("--section-kib", o->section_kib, "Size of a section in KiB of plain .sds")
      ->check(in_range(16, 16384))
      ->capture_default_str();
  command->add_flag("-f,--force", o->force, "Replace an existing output");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "Metadata is taken from <stream>.sds.yml beside each file and kept byte for byte. `sds unpack` gives back every\n"
      "file exactly as it was, torn ends included.\n\nExample: sds pack Imu.0.sds Microphone.0.sds -o walk.sdsz");
  command->callback([o, &run] { run = [o] { return run_pack(*o); }; });
}

}  // namespace sds::cli
