// sds cut, sds merge, sds resample: new recordings from old ones.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "edit.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "query.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct EditArguments {
  InputOptions input;
  PartOptions part;
  std::filesystem::path output;
  std::vector<std::string> streams;
  std::string where;
  bool no_align = false;
  std::string rate;
  ResampleQuality quality = ResampleQuality::best;
  EditOptions edit;
  bool json = false;
};

nlohmann::json clocks_json(const std::vector<MergedClock>& clocks) {
  auto list = nlohmann::json::array();
  for (const auto& clock : clocks) {
    const bool known = std::isfinite(clock.rate_uncertainty_ppm);
    list.push_back(
        {{"recording", clock.path.string()},
         {"pairs", clock.pairs},
         {"moved_s", clock.moved_s},
         {"last_moved_s", clock.last_moved_s},
         {"moved_uncertainty_s", clock.moved_uncertainty_s},
         {"rate_ppm", known ? nlohmann::json(clock.rate_ppm) : nlohmann::json(nullptr)},
         {"rate_uncertainty_ppm", known ? nlohmann::json(clock.rate_uncertainty_ppm) : nlohmann::json(nullptr)},
         {"rate_applied", clock.rate_applied},
         {"why_not", clock.why_not}});
  }
  return list;
}

void print_clock(const MergedClock& clock, bool first) {
  std::string moved = "its clock is the one that the others are fitted to";
  if (!first)
    moved = fmt::format("its first block is moved by {:+.{}f} s (± {:.1f} ms) to fit the first recording's clock",
                        clock.moved_s, clock.moved_uncertainty_s < 1e-3 ? 4 : 3, clock.moved_uncertainty_s * 1e3);
  std::string rate = "how fast its clock runs is not known";
  if (std::isfinite(clock.rate_uncertainty_ppm))
    rate = fmt::format("its clock runs {:.1f} ppm {} (± {:.1f} ppm)", std::abs(clock.rate_ppm),
                       clock.rate_ppm > 0 ? "slow" : "fast", clock.rate_uncertainty_ppm);
  const std::string done = !clock.rate_applied ? ", taken as nominal: " + clock.why_not
                           : first             ? ", which the others follow"
                                               : ", corrected";
  fmt::print("  {}: {}; {}{}\n", clock.path.string(), moved, rate, done);
}

int print_report(const Expected<EditReport>& report, const EditArguments& o) {
  if (!report) return fail_with(report.error());
  for (const auto& note : report->notes) warn(note);
  if (o.json) {
    nlohmann::json json{{"output", o.output.string()},    {"streams", report->streams}, {"blocks", report->blocks},
                        {"raw_bytes", report->raw_bytes}, {"labels", report->labels},   {"damages", damages_json()},
                        {"notes", report->notes}};
    if (!report->clocks.empty()) json["clocks"] = clocks_json(report->clocks);
    print_json(json);
  } else {
    fmt::print("{}: {}, {}, {} as plain .sds{}\n", o.output.string(), counted(report->streams, "stream"),
               counted(report->blocks, "block"), human_bytes(report->raw_bytes),
               report->labels > 0 ? ", " + counted(report->labels, "label") : "");
    for (const auto& clock : report->clocks) print_clock(clock, &clock == &report->clocks.front());
  }
  return 0;
}

int run_cut(const EditArguments& o) {
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  auto streams = choose_streams(*recording, o.streams);
  if (!streams) return fail_with(streams.error());
  auto within = o.part.ranges(*recording, *streams);
  if (!within) return fail_with(within.error());
  tell_only_within(*recording, *within);
  if (!o.where.empty()) {
    auto condition = Condition::parse(o.where);
    if (!condition) return fail_with(condition.error());
    QueryOptions options;
    options.within = *within;
    Progress progress("searching", 0);
    auto found = query(*recording, *condition, options, progress.callback());
    if (!found) return fail_with(found.error());
    within = found->ranges;
  }
  auto report = [&] {
    Progress progress("cutting", total_bytes(*recording));
    return cut(*recording, *streams, *within, o.output, o.edit, progress.callback());
  }();
  return print_report(report, o);
}

int run_merge(const EditArguments& o) {
  std::vector<MergeInput> inputs;
  std::uint64_t bytes = 0;
  for (const auto& path : o.input.paths) {
    auto recording = o.input.open_one(path);
    if (!recording) return fail_with(recording.error());
    bytes += total_bytes(*recording);
    inputs.push_back({std::move(*recording), path.stem().string()});
  }
  if (inputs.size() < 2) return fail_with({ErrorCode::usage, "give two recordings or more", {}, {}});
  auto report = [&] {
    Progress progress("merging", bytes);
    return merge(inputs, !o.no_align, o.output, o.edit, progress.callback());
  }();
  const int exit_code = print_report(report, o);
  if (!report && std::all_of(o.input.paths.begin(), o.input.paths.end(),
                             [](const auto& path) { return path.extension() == ".sds"; }))
    note("`sds pack` makes one recording of the plain files of one device");
  return exit_code;
}

int run_resample(const EditArguments& o) {
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  auto rate = Frequency::parse(o.rate);
  if (!rate) return fail_with({ErrorCode::usage, "--rate: " + rate.error().message, {}, {}});
  auto streams = choose_streams(*recording, o.streams);
  if (!streams) return fail_with(streams.error());
  if (streams->size() != 1) return fail_with({ErrorCode::usage, "choose one stream with -s", {}, {}});
  auto report = [&] {
    Progress progress("resampling", 2 * recording->streams()[streams->front()].raw_bytes);
    return resample(*recording, streams->front(), *rate, o.quality, o.output, o.edit, progress.callback());
  }();
  return print_report(report, o);
}

void add_output(Command& command, EditArguments& o) {
  command.add_option("-o,--output", o.output, "The .sdsz to write")
      ->required()
      ->check(names_recording())
      ->type_name("FILE");
  command.add_flag("-f,--force", o.edit.force, "Replace an existing output");
  command.add_flag("--json", o.json, "Report as JSON");
}

}  // namespace

void add_edit(Command& app, Run& run) {
  auto o = std::make_shared<EditArguments>();
  auto* cutter = app.add_subcommand("cut", "A part of a recording as a recording of its own, labels included");
  o->input.add_to(*cutter, "The recording (.sds files or one .sdsz)", true);
  o->part.add_to(*cutter);
  cutter->add_option("--where", o->where, "Only where this condition holds (sds query)")->type_name("CONDITION");
  cutter->add_option("-s,--stream", o->streams, "Only this stream. May be given several times")->type_name("ID");
  add_output(*cutter, *o);
  cutter->footer(
      "Blocks are kept whole, with their timeslots: a block stays if any of its samples is in the time asked for, or\n"
      "lasts into it.\n\n"
      "Example: sds cut walk.sdsz --label shake -o shake.sdsz");
  cutter->callback([o, &run] { run = [o] { return run_cut(*o); }; });

  auto m = std::make_shared<EditArguments>();
  auto* merger = app.add_subcommand("merge", "Several devices' recordings on one clock, in one recording");
  m->input.add_to(*merger, "The recordings; the first one's clock is kept", true);
  merger->add_flag("--no-align", m->no_align, "Keep all timeslots as they are, clock pairs or not");
  add_output(*merger, *m);
  merger->footer(
      "Recordings made by `sds serve` hold clock pairs, device tick and time of reception, by which they are moved "
      "onto\n"
      "the first one's clock, and stretched by how much faster or slower theirs runs, where the pairs tell that well\n"
      "enough. The report says how well both are known. Streams whose names are taken get the label of their\n"
      "recording's file name. Labels come along.");
  merger->callback([m, &run] { run = [m] { return run_merge(*m); }; });

  auto r = std::make_shared<EditArguments>();
  auto* resampler = app.add_subcommand("resample", "A stream at another sample rate, as floats in physical units");
  r->input.add_to(*resampler, "The recording (.sds files or one .sdsz)", true);
  resampler->add_option("-s,--stream", r->streams, "The stream")->type_name("ID");
  resampler->add_option("--channel", r->edit.channels, "Only this channel. May be given several times")
      ->type_name("NAME");
  resampler->add_option("--rate", r->rate, "The new sample rate: 100, 100Hz, 16kHz")
      ->required()
      ->transform(takes_frequency())
      ->type_name("HZ");
  const std::map<std::string, ResampleQuality> qualities{
      {"best", ResampleQuality::best}, {"medium", ResampleQuality::medium}, {"fast", ResampleQuality::fast}};
  resampler
      ->add_option(
          "--quality", r->quality,
          "The anti-alias filter, a windowed sinc of libsamplerate: best passes 97 % of the band and keeps aliases "
          "144 dB down (default), medium 90 % and 121 dB, fast 80 % and 97 dB")
      ->transform(takes_word(qualities))
      ->type_name("best|medium|fast");
  add_output(*resampler, *r);
  resampler->footer("Gaps stay gaps. Example: sds resample walk.sdsz -s Imu --rate 100 -o imu100.sdsz");
  resampler->callback([r, &run] { run = [r] { return run_resample(*r); }; });
}

}  // namespace sds::cli
