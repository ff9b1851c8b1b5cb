#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "outputs.hpp"
#include "plot.hpp"
#include "progress_line.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

struct PlotArguments {
  InputOptions input;
  std::filesystem::path output;
  PlotOptions plot;
  std::vector<std::filesystem::path> below;
  std::vector<std::filesystem::path> with;
  unsigned width = 1600;
  bool no_spectrogram = false;
  bool no_sound = false;
  bool force = false;
  bool json = false;
};

int run_plot(PlotArguments o) {
  const std::string extension = o.output.extension().string();
  if (extension != ".png" && extension != ".svg" && extension != ".html")
    return fail_with({ErrorCode::usage, "the output is named .png, .svg or .html", o.output, {}});
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  std::vector<Recording> below;
  std::vector<Recording> with;
  for (auto [paths, list] : {std::pair{&o.below, &below}, {&o.with, &with}})
    for (const auto& path : *paths) {
      auto other = o.input.open_one(path);
      if (!other) return fail_with(other.error());
      list->push_back(std::move(*other));
    }
  // A page can be zoomed into: it gets more than its width.
  o.plot.columns = extension == ".html" ? 4 * std::size_t{o.width} : o.width;
  o.plot.spectrogram = !o.no_spectrogram;
  o.plot.sound = extension == ".html" && !o.no_sound;
  Progress progress("reading", total_bytes(*recording));
  auto plot = collect_plot(*recording, below, with, o.plot, progress.callback());
  if (!plot) return fail_with(plot.error());
  for (const auto& note : plot->notes) warn(note);
  auto done = extension == ".html" ? write_plot_page(*plot, o.output, o.force)
                                   : draw_with_gnuplot(*plot, o.output, o.width, o.force, progress.callback());
  if (!done) return fail_with(done.error());
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(o.output, ignored);
  const bool from_index = plot->streams_read == 0 && !plot->panels.empty();
  if (o.json) {
    print_json(nlohmann::json{{"output", o.output.string()},
                              {"panel_count", plot->panels.size() + plot->spectrograms.size()},
                              {"label_count", plot->labels.size()},
                              {"bytes", bytes},
                              {"begin", plot->begin},
                              {"end", plot->end},
                              {"from_index", from_index},
                              {"damages", damages_json()},
                              {"notes", plot->notes}});
    return 0;
  }
  fmt::print("{}: {}, {}, {}{}\n", o.output.string(), counted(plot->panels.size() + plot->spectrograms.size(), "panel"),
             counted(plot->labels.size(), "label"), human_bytes(bytes), from_index ? ", drawn from the index" : "");
  return 0;
}

}  // namespace

void add_plot(Command& app, Run& run) {
  auto* command = app.add_subcommand("plot", "Draw a recording: PNG, SVG, or a page to zoom into");
  auto o = std::make_shared<PlotArguments>();
  o->input.add_to(*command, "The recording (.sds files or one .sdsz)", true);
  command->add_option("-o,--output", o->output, "The picture: .png, .svg or .html")
      ->required()
      ->check(named_like({".png", ".svg", ".html"}))
      ->type_name("FILE");
  command->add_option("-s,--stream", o->plot.streams, "Only this stream. May be given several times")->type_name("ID");
  command->add_option("--channel", o->plot.channels, "Only this channel. May be given several times")
      ->type_name("NAME");
  command->add_option("--from", o->plot.from, "From this time on: 12.5 (seconds), 500ms, 1:02")
      ->transform(takes_time())
      ->type_name("TIME");
  command->add_option("--to", o->plot.to, "Up to this time")->transform(takes_time())->type_name("TIME");
  command->add_option("--below", o->below, "Another recording, beneath: the outputs of a replay")->type_name("FILE");
  command->add_option("--with", o->with, "Another recording, into the panels of the same streams: to compare")
      ->type_name("FILE");
  command->add_option("--width", o->width, "Width in pixels (default 1600)")->check(in_range(200, 20000));
  command->add_flag("--no-spectrogram", o->no_spectrogram, "Audio without spectrograms");
  command->add_flag("--no-sound", o->no_sound, "Pages without the sound");
  command->add_flag("-f,--force", o->force, "Replace an existing output");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "PNG and SVG are drawn by gnuplot; a page is one file that needs nothing else. A stream of which there is very "
      "much\n"
      "(.sdsz, as many sections as half the picture's columns) is drawn from the index, in a moment.\n\n"
      "Example: sds plot walk.sdsz --below replayed.sdsz -o walk.html");
  command->callback([o, &run] { run = [o] { return run_plot(*o); }; });
}

}  // namespace sds::cli
