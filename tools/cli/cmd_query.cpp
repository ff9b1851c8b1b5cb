#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.hpp"
#include "csv_export.hpp"
#include "label_tools.hpp"
#include "losses_within.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "query.hpp"
#include "report.hpp"
#include "time_span.hpp"
#include "value_text.hpp"

namespace sds::cli {

namespace {

struct QueryArguments {
  InputOptions input;
  std::filesystem::path path;
  PartOptions part;
  std::string condition;
  double merge_gap = 0;
  double min_duration = 0;
  bool count = false;
  bool rows = false;
  bool explain = false;
  bool exact = false;
  std::string stream;
  std::vector<std::string> streams;
  std::optional<std::string> add_label;
  bool json = false;
};

void print_plan(const QueryResult& result) {
  for (const auto& entry : result.plan) {
    if (entry.sections == 0) {
      tell("plan: {}: no sections with statistics, all of it is read ({})\n", entry.stream,
           human_bytes(entry.bytes_read));
      continue;
    }
    tell("plan: {}: {} of {} sections read ({} of {}); {} can hold no match, {} match throughout\n", entry.stream,
         grouped(entry.sections_read), grouped(entry.sections), human_bytes(entry.bytes_read), human_bytes(entry.bytes),
         grouped(entry.sections_never), grouped(entry.sections_always));
  }
}

// "Never" is not known where blocks of a stream that was asked for are lost in that time, to damage or when it was
// recorded.
int when_never_true(const Recording& recording, const QueryResult& result, const TimeRanges& within) {
  const LossesWithin losses(recording, within);
  const auto is_asked_for = [&](std::size_t stream) {
    const std::string& id = recording.streams()[stream].id;
    return std::find(result.streams.begin(), result.streams.end(), id) != result.streams.end();
  };
  const auto concern = [&](std::size_t stream, const std::vector<Gap>& gaps) {
    return std::any_of(gaps.begin(), gaps.end(),
                       [&](const Gap& gap) { return losses.concern(recording, stream, gap); });
  };
  for (std::size_t i = 0; recording.sdsz() && i < recording.streams().size(); ++i) {
    const SdszStream& stream = recording.sdsz()->streams()[i];
    // What may be missing where nobody writes any more is a gap in each copy.
    const bool may_be_missing = !recording.sdsz()->being_written() && concern(i, stream.doubts);
    if (is_asked_for(i) && (may_be_missing || concern(i, stream.gaps))) return 3;
  }
  for (const auto& damage : recording.damages()) {
    if (damage.harmless || damage.blocks == 0 || !losses.concern(damage)) continue;
    if (damage.has_doubts && !recording.sdsz()->being_written()) continue;  // those were looked at
    if (!damage.stream || is_asked_for(*damage.stream)) return 3;
  }
  return 1;
}

int print_rows(const Recording& recording, const QueryResult& result, const TimeRanges& within,
               const QueryArguments& o) {
  std::string id = o.stream;
  if (id.empty()) {
    if (result.streams.size() != 1)
      return fail_with({ErrorCode::usage, "--rows prints one stream: choose it with -s", {}, {}});
    id = result.streams.front();
  }
  auto stream = recording.find_stream(id);
  if (!stream) return fail_with(stream.error());
  SampleOptions options;
  options.within = result.ranges;
  auto sink = OutputFile::standard_output();
  Progress progress("reading", recording.streams()[*stream].raw_bytes);
  auto report = export_csv(recording, *stream, *sink, options, progress.callback());
  if (!report) return fail_with(report.error());
  return report->rows > 0 ? 0 : when_never_true(recording, result, within);
}

int run_query(const QueryArguments& o) {
  if (o.rows && o.json) return fail_with({ErrorCode::usage, "--json and --rows: choose one of the two", {}, {}});
  auto recording = o.input.open_one(o.path);
  if (!recording) return fail_with(recording.error());
  auto condition = Condition::parse(o.condition);
  if (!condition) return fail_with(condition.error());
  auto within = o.part.ranges(*recording);
  if (!within) return fail_with(within.error());
  // Before anything is searched for.
  if (o.add_label)
    if (auto good = check_label({*o.add_label, 0, 0, "", "", o.condition, {}, 0}); !good)
      return fail_with(good.error());
  QueryOptions options;
  options.within = std::move(*within);
  tell_only_within(*recording, options.within);
  options.merge_gap_s = o.merge_gap;
  options.min_duration_s = o.min_duration;
  auto result = [&] {
    Progress progress("searching", 0);
    return query(*recording, *condition, options, progress.callback());
  }();
  if (!result) return fail_with(result.error());
  for (const auto& note : result->notes) warn(note);
  if (o.explain) print_plan(*result);
  if (o.add_label) {
    const auto lock = lock_labels(label_path(recording->path()));
    if (!lock) return fail_with(lock.error());
    auto labels = labels_beside(*recording);
    if (!labels) return fail_with(labels.error());
    if (labels->labels.empty() && !recording->streams().empty())
      labels->tick_frequency = recording->streams().front().tick_frequency();
    std::vector<TimedLabel> made;
    for (const auto& range : result->ranges)
      made.push_back({{*o.add_label, 0, 0, "", "sds query", o.condition, {}, 0}, range});
    auto done = add_labels(*labels, std::move(made), sample_frequencies(*recording), false);
    if (!done) return fail_with(done.error());
    warn_of_rounded(done->rounded, *labels);
    if (done->added > 0)
      if (auto saved = labels->save(label_path(recording->path())); !saved) return fail_with(saved.error());
    const std::size_t known = done->placed - done->added;
    tell("{}: {} of class {} added{}\n", label_path(recording->path()).string(), counted(done->added, "label"),
         *o.add_label,
         known > 0 ? fmt::format(", {} {} there already", grouped(known), known == 1 ? "was" : "were") : "");
  }
  if (o.rows) return print_rows(*recording, *result, options.within, o);
  const int exit_code = result->ranges.empty() ? when_never_true(*recording, *result, options.within) : 0;
  if (o.json) {
    nlohmann::json json{
        {"intervals", result->ranges.size()}, {"seconds", total_seconds(result->ranges)}, {"streams", result->streams}};
    if (result->streams.size() == 1) json["samples"] = result->matches;
    if (!o.count) {
      json["ranges"] = nlohmann::json::array();
      for (const auto& range : result->ranges) json["ranges"].push_back({{"from", range.begin}, {"to", range.end}});
    }
    json["damages"] = damages_json();
    json["plan"] = nlohmann::json::array();
    for (const auto& p : result->plan)
      json["plan"].push_back({{"stream", p.stream},
                              {"sections", p.sections},
                              {"sections_read", p.sections_read},
                              {"sections_never", p.sections_never},
                              {"sections_always", p.sections_always},
                              {"bytes", p.bytes},
                              {"bytes_read", p.bytes_read}});
    print_json(json);
    return exit_code;
  }
  if (!o.count)
    for (const auto& range : result->ranges)
      fmt::print("{:.6f}\t{:.6f}\t{:.6f}\n", range.begin, range.end, range.end - range.begin);
  const std::string total = fmt::format(
      "{}, {}{}\n", counted(result->ranges.size(), "interval"), human_seconds(total_seconds(result->ranges)),
      result->streams.size() == 1 ? ", " + counted(result->matches, "sample") + " before gaps are joined" : "");
  (void)std::fputs(total.c_str(), o.count ? stdout : stderr);
  return exit_code;
}

int run_stats(const QueryArguments& o) {
  auto recording = o.input.open();
  if (!recording) return fail_with(recording.error());
  auto streams = choose_streams(*recording, o.streams);
  if (!streams) return fail_with(streams.error());
  auto within = o.part.ranges_of_each(*recording, *streams);
  if (!within) return fail_with(within.error());
  const bool part = *within != StreamTimes();
  if (o.exact && part) return fail_with({ErrorCode::usage, "--exact: a part of the time is always read", {}, {}});
  tell_only_within(*recording, *within);
  warn_of_rounded(*recording, o.part);
  std::vector<std::string> left_out;  // of several streams, those of which nothing was asked for
  if (streams->size() > 1 && !within->of_any().empty())
    std::erase_if(*streams, [&](std::size_t i) {
      if (!within->of(i).empty() || why_no_samples(recording->streams()[i])) return false;
      left_out.push_back(left_out_by_label(recording->streams()[i].id, o.part.labels));
      return true;
    });
  if (auto there = need_values(*recording, *streams); !there) return fail_with(there.error());
  auto summaries = [&] {
    Progress progress("reading", total_bytes(*recording));
    return summarize_values(*recording, *streams, o.exact, *within, progress.callback());
  }();
  if (!summaries) return fail_with(summaries.error());
  const bool empty = std::all_of(summaries->begin(), summaries->end(),
                                 [](const ValueSummary& s) { return s.count == 0 && s.nan_count == 0; });
  if (empty && part) {
    const auto covered = spans_text(*recording, *streams);
    if (!covered) return fail_with(covered.error());
    return fail_with({recording->damages().empty() ? ErrorCode::usage : ErrorCode::bad_input,
                      "no sample is in the time that was asked for: " + *covered,
                      recording->path(),
                      {}});
  }
  for (const auto& text : left_out) warn(text);
  if (o.json) {
    auto all = nlohmann::json::array();
    const auto of_values = [](const ValueSummary& s, const nlohmann::json& number) {
      return s.count > 0 ? number : nlohmann::json(nullptr);
    };
    for (const auto& s : *summaries)
      all.push_back({{"stream", s.stream},
                     {"channel", s.name},
                     {"unit", s.unit},
                     {"count", s.count},
                     {"nan", s.nan_count},
                     {"min", of_values(s, value_json(s.min, s.whole))},
                     {"max", of_values(s, value_json(s.max, s.whole))},
                     {"mean", of_values(s, s.mean)},
                     {"deviation", s.deviation ? nlohmann::json(*s.deviation) : nlohmann::json(nullptr)},
                     {"from_index", s.from_index}});
    print_json({{"channels", all}, {"damages", damages_json()}});
    return 0;
  }
  std::size_t width = 7;
  const auto full_name = [](const ValueSummary& s) {
    return s.stream + "." + s.name + (s.unit.empty() ? "" : " (" + s.unit + ")");
  };
  std::size_t of_extremes = 13;
  for (const auto& s : *summaries) {
    width = std::max(width, full_name(s).size());
    for (const auto* extreme : {&s.min, &s.max})
      of_extremes = std::max(of_extremes, value_text(*extreme, s.whole).size());
  }
  const auto print_row = [&](const auto&... texts) {
    fmt::print("{:<{}} {:>14} {:>8} {:>{}} {:>{}} {:>13} {:>13}\n", texts...);
  };
  print_row("channel", width, "count", "nan", "min", of_extremes, "max", of_extremes, "mean", "deviation");
  bool any_index = false;
  for (const auto& s : *summaries) {
    any_index = any_index || s.from_index;
    const std::string name = full_name(s);
    if (s.count == 0) {
      fmt::print("{:<{}} {:>14} {:>8}\n", name, width, 0, grouped(s.nan_count));
      continue;
    }
    print_row(name, width, grouped(s.count), grouped(s.nan_count), value_text(s.min, s.whole), of_extremes,
              value_text(s.max, s.whole), of_extremes, value_text(s.mean, false),
              s.deviation ? value_text(*s.deviation, false) : "-");
  }
  for (const auto i : *streams)
    if (const auto why = why_no_samples(recording->streams()[i]))
      warn(recording->streams()[i].id + " is left out: " + *why);
  if (any_index) tell("from the index, without reading the data (--exact reads it, for the deviation)\n");
  return 0;
}

}  // namespace

void add_query(Command& app, Run& run) {
  auto* command = app.add_subcommand("query", "Find when a condition on channels was true");
  auto o = std::make_shared<QueryArguments>();
  command->add_option("recording", o->path, "The recording: a .sdsz file is searched by its statistics")->required();
  command->add_option("condition", o->condition, "Such as 'ax > 2 and Temperature.temperature < 30'")->required();
  command->add_option("-y,--yaml", o->input.metadata, "Metadata file for plain .sds input")->type_name("FILE");
  o->part.add_to(*command);
  command->add_option("--merge-gap", o->merge_gap, "Matches at most so far apart are one")
      ->transform(takes_time())
      ->type_name("TIME")
      ->check(not_negative());
  command->add_option("--min-duration", o->min_duration, "Leave out shorter matches (after --merge-gap)")
      ->transform(takes_time())
      ->type_name("TIME")
      ->check(not_negative());
  command->add_flag("--count", o->count, "Only how many, and how long");
  auto* rows = command->add_flag("--rows", o->rows, "The samples in the intervals, as CSV");
  command->add_option("-s,--stream", o->stream, "The stream that --rows prints")->type_name("ID")->needs(rows);
  command->add_option("--add-label", o->add_label, "Make labels of this class of the intervals")->type_name("CLASS");
  command->add_flag("--explain", o->explain, "Tell which sections were read, on standard error");
  command->add_flag("--json", o->json, "Report as JSON");
  command->footer(
      "Prints begin, end and duration in seconds. Exit code 1: never true; 3: not in what is left of a damaged "
      "recording.\n\n"
      "Conditions: < <= > >= == !=, and or not, + - * /, abs() sqrt() min(,) max(,), numbers in physical units;\n"
      "channels as ax, Imu.ax, scores[2], `odd name`. A sample's values hold until the next sample of its stream, so\n"
      "streams of different rates can be joined. A comparison takes channels of one stream.\n\n"
      "Example: sds query walk.sdsz 'abs(ax) > 1.2' --merge-gap 0.5 --min-duration 1 --explain");
  command->callback([o, &run] { run = [o] { return run_query(*o); }; });

  auto* stats =
      app.add_subcommand("stats", "Count, extremes and mean of every channel, from the index where it has them");
  auto s = std::make_shared<QueryArguments>();
  s->input.add_to(*stats, "The recording (.sds files or one .sdsz)", true);
  stats->add_option("-s,--stream", s->streams, "Only this stream. May be given several times")->type_name("ID");
  s->part.add_to(*stats);
  stats->add_flag("--exact", s->exact, "Read the data, for the standard deviation (of a part it always is)");
  stats->add_flag("--json", s->json, "Report as JSON");
  stats->callback([s, &run] { run = [s] { return run_stats(*s); }; });
}

}  // namespace sds::cli
