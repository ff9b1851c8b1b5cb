#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "compare.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "progress_line.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct CompareArguments {
  std::vector<std::filesystem::path> paths;
  std::filesystem::path metadata;
  std::vector<std::string> tolerances;
  std::vector<std::string> streams;
  std::vector<std::string> channels;
  std::vector<std::string> relatives;
  bool argmax = false;
  bool json = false;
};

Expected<CompareOptions> parse(const CompareArguments& o) {
  CompareOptions options;
  options.argmax = o.argmax;
  if (auto parsed = parse_tolerances(o.tolerances, o.relatives, options); !parsed) return fail(parsed);
  options.streams = name_pairs(o.streams);
  options.channels = name_pairs(o.channels);
  return options;
}

int run_compare(const CompareArguments& o) {
  auto options = parse(o);
  if (!options) return fail_with(options.error());
  Recording::Options open_options;
  if (!o.metadata.empty()) open_options.metadata = o.metadata;
  auto a = open_recording(o.paths[0], open_options);
  if (!a) return fail_with(a.error());
  auto b = open_recording(o.paths[1], open_options);
  if (!b) return fail_with(b.error());
  Progress progress("comparing", total_bytes(*a));
  auto result = compare_recordings(*a, *b, *options, progress.callback());
  if (!result) return fail_with(result.error());
  if (o.json) {
    auto json = comparison_json(*result);
    json["damages"] = damages_json();
    print_json(json);
  } else {
    print_comparison(*result);
  }
  return result->equal() ? 0 : 1;
}

}  // namespace

void add_compare(Command& app, Run& run) {
  auto* command = app.add_subcommand("compare", "Compare two recordings value by value, aligned by tick");
  auto o = std::make_shared<CompareArguments>();
  command->add_option("recordings", o->paths, "A and B (.sds or .sdsz)")->required()->expected(2)->type_name("A B");
  command->add_option("-y,--yaml", o->metadata, "Metadata file for plain .sds input")->type_name("FILE");
  command
      ->add_option("-s,--stream", o->streams,
                   "Compare only this stream; ID_A=ID_B where the names differ, \\= for a = in a name. May be given "
                   "several times")
      ->type_name("ID");
  command
      ->add_option("--channel", o->channels,
                   "Compare only this channel; NAME_A=NAME_B where the names differ, \\= for a = in a name. May be "
                   "given several times")
      ->type_name("NAME");
  command
      ->add_option(
          "--tolerance", o->tolerances,
          "Values of CHANNEL (of all, without a name) may differ by ABS, in physical units. May be given several "
          "times")
      ->type_name("[CHANNEL=]ABS");
  command
      ->add_option(
          "--relative", o->relatives,
          "Values of CHANNEL (of all, without a name) may differ by R times the larger of the two. May be given "
          "several times")
      ->type_name("[CHANNEL=]R");
  command->add_flag("--argmax", o->argmax, "Also tell in how many samples the same channel is the largest");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "Exit code 0 if equal within the tolerances, 1 if not.\n\n"
      "Example: sds compare replayed.sdsz session.sdsz -s ML_Out --tolerance idle=0.01");
  command->callback([o, &run] { run = [o] { return run_compare(*o); }; });
}

}  // namespace sds::cli
