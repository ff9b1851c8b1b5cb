#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "class_cover.hpp"
#include "command.hpp"
#include "label_auto.hpp"
#include "label_compare.hpp"
#include "label_tools.hpp"
#include "opened.hpp"
#include "option_values.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "report.hpp"
#include "sample_reader.hpp"
#include "sds/format/partial_file.hpp"
#include "time_span.hpp"

namespace sds::cli {

namespace {

namespace fs = std::filesystem;

struct LabelArguments {
  InputOptions input;
  std::vector<fs::path> files;
  fs::path labels;  // instead of the file beside the recording
  std::string name;
  std::string new_name;
  std::optional<double> from;
  std::optional<double> to;
  std::optional<std::uint64_t> from_tick;
  std::optional<std::uint64_t> to_tick;
  std::optional<double> by;
  std::string stream;
  std::string author;
  std::string note;
  std::optional<double> confidence;
  std::vector<std::size_t> numbers;
  bool all = false;
  double gap = -1;
  std::string format;
  fs::path file;
  bool normalize = false;
  bool force = false;
  bool json = false;
  ActivityOptions activity;
  ScoreOptions scores;
  std::string score_threshold;
  std::string from_scores;
};

// A recording and the labels beside it.
struct Opened {
  Recording recording;
  fs::path path;
  LabelFile file;
  std::optional<FolderLock> lock;
};

enum class For { reading, making, changing };

// For changing: from here on until the end of Opened, nobody else changes them. For reading, a file that is named must
// be there; others are made.
Expected<Opened> open(const LabelArguments& o, For purpose) {
  auto recording = o.input.open();
  if (!recording) return fail(recording);
  const fs::path path = o.labels.empty() ? label_path(recording->path()) : o.labels;
  std::optional<FolderLock> lock;
  if (purpose == For::changing) {
    auto locked = lock_labels(path);
    if (!locked) return fail(locked);
    lock.emplace(std::move(*locked));
  }
  Expected<LabelFile> file = LabelFile{};
  if (o.labels.empty()) {
    file = purpose == For::changing ? labels_beside(*recording) : labels_of(*recording);
  } else if (purpose == For::reading || may_exist(o.labels)) {
    file = LabelFile::load(o.labels);
  }
  if (!file) return fail(file);
  if (file->labels.empty() && file->classes.empty() && !recording->streams().empty())
    file->tick_frequency = recording->streams().front().tick_frequency();
  return Opened{std::move(*recording), path, std::move(*file), std::move(lock)};
}

// What was done to the labels: in words, and as JSON.
int report(const LabelArguments& o, const Opened& opened, const std::string& what, nlohmann::json done) {
  if (o.json) {
    done["file"] = opened.path.string();
    done["label_count"] = opened.file.labels.size();
    done["damages"] = damages_json();
    print_json(done);
  } else {
    fmt::print("{}: {}, {} in all\n", opened.path.string(), what, counted(opened.file.labels.size(), "label"));
  }
  return 0;
}

int saved(const LabelArguments& o, const Opened& opened, const std::string& what, const nlohmann::json& done) {
  if (auto written = opened.file.save(opened.path); !written) return fail_with(written.error());
  return report(o, opened, what, done);
}

std::string row(const LabelFile& file, std::size_t i) {
  const Label& l = file.labels[i];
  std::string extra;
  if (!l.stream.empty()) extra += "  stream " + l.stream;
  if (!l.author.empty()) extra += "  by " + l.author;
  if (l.confidence) extra += fmt::format("  confidence {}", *l.confidence);
  if (!l.note.empty()) extra += "  \"" + l.note + "\"";
  return fmt::format("{:>5}  {:>12.3f} {:>12.3f}  {:>10}  {:<16}{}", i + 1, file.seconds_of(l.begin),
                     file.seconds_of(l.end), human_seconds(file.seconds_of(l.end) - file.seconds_of(l.begin)), l.name,
                     extra);
}

int run_list(const LabelArguments& o) {
  auto opened = open(o, For::reading);
  if (!opened) return fail_with(opened.error());
  const LabelFile& file = opened->file;
  const auto is_wanted = [&](const Label& label) { return o.name.empty() || label.name == o.name; };
  if (std::none_of(file.labels.begin(), file.labels.end(), is_wanted) && !o.name.empty())
    return fail_with({ErrorCode::usage, no_such_class(file, o.name), opened->path, {}});
  auto seconds = labelled_seconds(opened->recording, file);
  if (!seconds) return fail_with(seconds.error());
  std::erase_if(*seconds, [&](const auto& of_class) { return !o.name.empty() && of_class.first != o.name; });
  if (o.json) {
    auto all = nlohmann::json::array();
    for (const auto& l : file.labels) {
      if (!is_wanted(l)) continue;
      nlohmann::json entry{{"class", l.name},
                           {"begin", l.begin},
                           {"end", l.end},
                           {"from", file.seconds_of(l.begin)},
                           {"to", file.seconds_of(l.end)},
                           {"stream", l.stream},
                           {"author", l.author},
                           {"note", l.note}};
      if (l.confidence) entry["confidence"] = *l.confidence;
      all.push_back(entry);
    }
    print_json(nlohmann::json{
        {"file", opened->path.string()}, {"labels", all}, {"classes", *seconds}, {"damages", damages_json()}});
    return 0;
  }
  std::error_code ignored;
  fmt::print("{}\n", fs::exists(opened->path, ignored) ? opened->path.string() : "no label file");
  if (file.labels.empty()) {
    fmt::print("no labels\n");
    return 0;
  }
  fmt::print("{:>5}  {:>12} {:>12}  {:>10}  {}\n", "", "from (s)", "to (s)", "", "class");
  std::map<std::string, std::size_t> classes;
  for (std::size_t i = 0; i < file.labels.size(); ++i) {
    const Label& l = file.labels[i];
    if (!is_wanted(l)) continue;
    fmt::print("{}\n", row(file, i));
    ++classes[l.name];
  }
  for (const auto& [name, count] : classes)
    fmt::print("{}: {}, {} labelled\n", name, counted(count, "label"), human_seconds(seconds->at(name)));
  return 0;
}

// Those that `--from-tick` means: of the stream that the label is about, or of the first one. Those of a label file
// change with what is in it.
Frequency ticks_of_edges(const Recording& recording, const Label& label) {
  for (const auto& stream : recording.streams())
    if (stream.id == label.stream) return stream.tick_frequency();
  return recording.streams().empty() ? Frequency{} : recording.streams().front().tick_frequency();
}

// Where an edge is, in seconds.
Expected<double> edge(const Frequency& ticks, std::optional<std::uint64_t> tick, std::optional<double> time,
                      const char* what) {
  if (tick) return seconds(*tick, ticks);
  if (time) return *time;
  return fail(ErrorCode::usage, fmt::format("say where the label {}: --{} S, or --{}-tick N", what,
                                            what[0] == 'b' ? "from" : "to", what[0] == 'b' ? "from" : "to"));
}

// Warns of what is odd about the labels; they are kept all the same.
void warn_of_problems(const Opened& opened) {
  LabelFile file = opened.file;
  for (auto& label : file.labels) label.line = 0;  // in the file that is going to be replaced
  auto problems = check_labels(file, opened.recording);
  if (!problems) return;
  std::size_t shown = 0;
  for (const auto& problem : *problems)
    if (++shown <= 5) warn(problem);
  if (shown > 5) warn(fmt::format("... and {} more (sds label check)", shown - 5));
}

int run_add(const LabelArguments& o) {
  auto opened = open(o, For::changing);
  if (!opened) return fail_with(opened.error());
  TimedLabel made;
  Label& label = made.label;
  label.name = o.name;
  if (!o.stream.empty()) {
    auto stream = opened->recording.find_stream(o.stream);
    if (!stream) return fail_with(stream.error());
    label.stream = opened->recording.streams()[*stream].id;
  }
  const Frequency ticks = ticks_of_edges(opened->recording, label);
  auto begin = edge(ticks, o.from_tick, o.from, "begins");
  if (!begin) return fail_with(begin.error());
  auto end = edge(ticks, o.to_tick, o.to, "ends");
  if (!end) return fail_with(end.error());
  if (*end < *begin) return fail_with({ErrorCode::usage, "the label ends before it begins", {}, {}});
  made.span = {*begin, *end};
  label.author = o.author;
  label.note = o.note;
  label.confidence = o.confidence;
  auto done = add_labels(opened->file, {std::move(made)}, sample_frequencies(opened->recording));
  if (!done) return fail_with(done.error());
  if (done->added == 0)
    return report(o, *opened, "added nothing: the very same label is there already", {{"added", 0}});
  warn_of_rounded(done->rounded, opened->file);
  warn_of_problems(*opened);
  return saved(o, *opened, fmt::format("added {}", o.name), {{"added", 1}});
}

// The labels that --class and the numbers choose, by index.
Expected<std::vector<std::size_t>> chosen(const Opened& opened, const LabelArguments& o) {
  std::vector<std::size_t> indices;
  if (o.all && (!o.name.empty() || !o.numbers.empty()))
    return fail(ErrorCode::usage, "--all is every label, whatever its class and number: leave it or the others out");
  for (const std::size_t number : o.numbers) {
    if (number == 0 || number > opened.file.labels.size())
      return fail(ErrorCode::usage,
                  fmt::format("there is no label {}; there are {}", number, opened.file.labels.size()), opened.path);
    indices.push_back(number - 1);
  }
  if (!o.name.empty() || o.all) {
    bool any = false;
    for (std::size_t i = 0; i < opened.file.labels.size(); ++i) {
      const bool of_class = !o.name.empty() && opened.file.labels[i].name == o.name;
      any = any || of_class;
      if (o.all || of_class) indices.push_back(i);
    }
    if (!o.name.empty() && !any) return fail(ErrorCode::usage, no_such_class(opened.file, o.name), opened.path);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  if (indices.empty())
    return fail(ErrorCode::usage,
                o.all ? "there are no labels"
                      : "no label is chosen: give numbers as `sds label list` shows them, --class, or --all",
                opened.path);
  return indices;
}

int run_rm(const LabelArguments& o) {
  auto opened = open(o, For::changing);
  if (!opened) return fail_with(opened.error());
  auto indices = chosen(*opened, o);
  if (!indices) return fail_with(indices.error());
  for (auto i = indices->rbegin(); i != indices->rend(); ++i)
    opened->file.labels.erase(opened->file.labels.begin() + static_cast<std::ptrdiff_t>(*i));
  return saved(o, *opened, fmt::format("removed {}", indices->size()), {{"removed", indices->size()}});
}

int run_rename(const LabelArguments& o) {
  auto opened = open(o, For::changing);
  if (!opened) return fail_with(opened.error());
  std::size_t count = 0;
  for (auto& label : opened->file.labels)
    if (label.name == o.name) {
      label.name = o.new_name;
      ++count;
    }
  for (auto& name : opened->file.classes)
    if (name == o.name) name = o.new_name;
  if (count == 0) return fail_with({ErrorCode::usage, no_such_class(opened->file, o.name), opened->path, {}});
  opened->file.sort();
  return saved(o, *opened, fmt::format("renamed {} from {} to {}", count, o.name, o.new_name), {{"renamed", count}});
}

int run_move(const LabelArguments& o) {
  auto opened = open(o, For::changing);
  if (!opened) return fail_with(opened.error());
  auto indices = chosen(*opened, o);
  if (!indices) return fail_with(indices.error());
  const bool edges = o.from || o.to || o.from_tick || o.to_tick;
  if (edges == o.by.has_value())
    return fail_with({ErrorCode::usage, "say --by S, or where one label begins (--from) or ends (--to)", {}, {}});
  if (edges && indices->size() != 1)
    return fail_with({ErrorCode::usage, "only one label can be given a new beginning or end", {}, {}});
  LabelFile& file = opened->file;
  std::vector<TimedLabel> moved;
  for (const std::size_t i : *indices) {
    if (o.by) break;
    const Label& l = file.labels[i];
    TimeSpan span{file.seconds_of(l.begin), file.seconds_of(l.end)};
    const Frequency ticks = ticks_of_edges(opened->recording, l);
    if (o.from || o.from_tick) span.begin = *edge(ticks, o.from_tick, o.from, "begins");
    if (o.to || o.to_tick) span.end = *edge(ticks, o.to_tick, o.to, "ends");
    if (span.end < span.begin) return fail_with({ErrorCode::usage, "the label would end before it begins", {}, {}});
    moved.push_back({l, span});
  }
  const auto of_samples = sample_frequencies(opened->recording);
  if (o.by) {
    auto done = shift_labels(file, *indices, *o.by, of_samples);
    if (!done) return fail_with(done.error());
    if (done->rounded > 0)
      warn(fmt::format("{} {} rounded to ticks of {} Hz: no ticks hold {} s, moved by {} s",
                       counted(done->rounded, "label"), done->rounded == 1 ? "is" : "are",
                       file.tick_frequency.to_string(), *o.by, done->by_s));
  } else {
    auto done = move_labels(file, *indices, std::move(moved), of_samples);
    if (!done) return fail_with(done.error());
    warn_of_rounded(*done, file);
  }
  warn_of_problems(*opened);
  return saved(o, *opened, fmt::format("moved {}", indices->size()), {{"moved", indices->size()}});
}

int run_merge(const LabelArguments& o) {
  auto opened = open(o, For::changing);
  if (!opened) return fail_with(opened.error());
  const std::size_t before = opened->file.labels.size();
  for (const auto& path : o.files) {
    auto other = LabelFile::load(path);
    if (!other) return fail_with(other.error());
    auto rounded = merge_labels(opened->file, *other);
    if (!rounded) return fail_with(rounded.error());
    if (*rounded > 0)
      warn(fmt::format("{}: {} {} rounded to ticks of {} Hz: no ticks hold those of both files", path.string(),
                       counted(*rounded, "label"), *rounded == 1 ? "is" : "are",
                       opened->file.tick_frequency.to_string()));
  }
  const std::size_t added = opened->file.labels.size() - before;
  if (o.gap >= 0) join_labels(opened->file, o.gap);
  const std::size_t joined = before + added - opened->file.labels.size();
  warn_of_problems(*opened);
  return saved(o, *opened, fmt::format("added {}, joined {}", added, joined), {{"added", added}, {"joined", joined}});
}

int run_check(const LabelArguments& o) {
  int exit_code = 0;
  auto all = nlohmann::json::array();
  for (const auto& path : o.input.paths) {
    auto recording = o.input.open_one(path);
    if (!recording) return fail_with(recording.error());
    auto file = o.labels.empty() ? labels_of(*recording) : LabelFile::load(o.labels);
    if (!file) {
      exit_code = std::max(exit_code, fail_with(file.error()));
      continue;
    }
    auto problems = check_labels(*file, *recording);
    if (!problems) return fail_with(problems.error());
    if (!problems->empty()) exit_code = std::max(exit_code, 1);
    if (o.json) {
      all.push_back({{"recording", path.string()}, {"label_count", file->labels.size()}, {"problems", *problems}});
      continue;
    }
    for (const auto& problem : *problems) fmt::print("{}: {}\n", path.string(), problem);
    fmt::print("{}: {}, {}\n", path.string(), counted(file->labels.size(), "label"),
               problems->empty() ? "good" : counted(problems->size(), "problem"));
  }
  if (o.json) print_json({{"recordings", all}, {"damages", damages_json()}});
  return exit_code;
}

// The streams that an exchanged file is about: -s, or all.
Expected<std::vector<std::size_t>> exchanged(const Opened& opened, const LabelArguments& o) {
  return choose_streams(opened.recording, o.stream.empty() ? std::vector<std::string>{} : std::vector{o.stream});
}

// Where other programs' times begin: at the first block of the stream with --normalize, else at the clock's zero.
Expected<LabelOrigins> origins(const Opened& opened, const std::vector<std::size_t>& streams, const LabelArguments& o) {
  if (!o.normalize) return LabelOrigins();
  return LabelOrigins::first_blocks(opened.recording, streams);
}

// An Audacity track says of no label which stream it is about: there is one place for all where times begin.
Expected<Instant> only_origin(const Opened& opened, const std::vector<std::size_t>& streams,
                              const LabelOrigins& origins) {
  if (!origins.one_for_all())
    return fail(ErrorCode::usage,
                "the streams begin at different blocks: choose the one that times count from with -s, or write CSV",
                opened.recording.path());
  return origins.of(streams.size() == 1 ? opened.recording.streams()[streams.front()].id : "").value_or(Instant{});
}

void warn_of_what_a_track_lacks(const LabelFile& file) {
  const auto any = [&](const auto& has) { return std::any_of(file.labels.begin(), file.labels.end(), has); };
  std::vector<std::string> lost;
  if (any([](const Label& l) { return !l.stream.empty(); })) lost.emplace_back("streams");
  if (any([](const Label& l) { return !l.author.empty(); })) lost.emplace_back("authors");
  if (any([](const Label& l) { return l.confidence.has_value(); })) lost.emplace_back("confidences");
  if (any([](const Label& l) { return !l.note.empty(); })) lost.emplace_back("notes");
  if (!lost.empty())
    warn(fmt::format("an Audacity track has no place for the labels' {}: CSV keeps them", fmt::join(lost, ", ")));
  if (any([](const Label& l) { return l.name.find_first_of("\t\n\r") != std::string::npos; }))
    warn("tabs and ends of lines in classes are written as spaces: they would divide the lines of an Audacity track");
}

bool is_csv(const LabelArguments& o) { return o.format.empty() ? o.file.extension() == ".csv" : o.format == "csv"; }

int run_import(const LabelArguments& o) {
  auto opened = open(o, For::changing);
  if (!opened) return fail_with(opened.error());
  auto text = read_small_file(o.file, LabelFile::max_bytes);
  if (!text) return fail_with(text.error());
  auto streams = exchanged(*opened, o);
  if (!streams) return fail_with(streams.error());
  auto zero = origins(*opened, *streams, o);
  if (!zero) return fail_with(zero.error());
  const std::string stream = o.stream.empty() ? "" : opened->recording.streams()[streams->front()].id;
  Expected<std::vector<TimedLabel>> read = std::vector<TimedLabel>();
  if (is_csv(o)) {
    read = read_label_csv(*text, *zero, stream, o.file);
  } else {
    auto one = only_origin(*opened, *streams, *zero);
    if (!one) return fail_with(one.error());
    read = read_audacity(*text, *one, o.file);
    if (read)
      for (auto& timed : *read) timed.label.stream = stream;
  }
  if (!read) return fail_with(read.error());
  for (auto& timed : *read) {
    Label& label = timed.label;
    if (label.stream.empty()) continue;
    auto about = opened->recording.find_stream(label.stream);
    if (!about)
      return fail_with(
          {ErrorCode::bad_input, fmt::format("line {}: {}", label.line, about.error().message), o.file, {}});
    label.stream = opened->recording.streams()[*about].id;
  }
  if (!o.author.empty())
    for (auto& one : *read) one.label.author = o.author;
  auto done = add_labels(opened->file, std::move(*read), sample_frequencies(opened->recording));
  if (!done) return fail_with(done.error());
  warn_of_rounded(done->rounded, opened->file);
  warn_of_problems(*opened);
  return saved(o, *opened, fmt::format("imported {}", done->added), {{"imported", done->added}});
}

int run_export(const LabelArguments& o) {
  if (o.json && (o.file.empty() || o.file == "-"))
    return fail_with({ErrorCode::usage, "--json: standard output has the labels: say where they go with -o", {}, {}});
  auto opened = open(o, For::reading);
  if (!opened) return fail_with(opened.error());
  auto streams = exchanged(*opened, o);
  if (!streams) return fail_with(streams.error());
  auto zero = origins(*opened, *streams, o);
  if (!zero) return fail_with(zero.error());
  LabelFile& file = opened->file;
  if (!o.stream.empty())
    std::erase_if(file.labels, [&](const Label& label) {
      return !label.stream.empty() && label.stream != opened->recording.streams()[streams->front()].id;
    });
  const auto strange = std::find_if(file.labels.begin(), file.labels.end(),
                                    [&](const Label& label) { return !zero->of(label.stream).has_value(); });
  if (strange != file.labels.end())
    return fail_with({ErrorCode::usage,
                      fmt::format("a label is about '{}', which is no stream with blocks: it has no time from 0 on",
                                  strange->stream),
                      opened->path,
                      {}});
  std::string text;
  if (is_csv(o)) {
    if (!zero->one_for_all()) {
      std::vector<std::string> ids;
      for (const auto& stream : opened->recording.streams())
        if (zero->of(stream.id)) ids.push_back(stream.id);
      if (const std::size_t divided = divide_by_stream(file, ids); divided > 0)
        note(
            fmt::format("{} of the whole recording {} told once for each stream: their times begin at different blocks",
                        counted(divided, "label"), divided == 1 ? "is" : "are"));
    }
    text = write_label_csv(file, *zero);
  } else {
    auto one = only_origin(*opened, *streams, *zero);
    if (!one) return fail_with(one.error());
    warn_of_what_a_track_lacks(file);
    text = write_audacity(file, *one);
  }
  if (o.file.empty() || o.file == "-") {
    auto sink = OutputFile::standard_output();
    auto done = sink->append(as_bytes(text));
    return done ? 0 : fail_with(done.error());
  }
  reads(opened->path);
  if (auto done = write_text_file(o.file, text, if_exists(o.force)); !done) return fail_with(done.error());
  if (o.json) {
    print_json({{"output", o.file.string()}, {"label_count", opened->file.labels.size()}, {"damages", damages_json()}});
    return 0;
  }
  fmt::print("{}: {}\n", o.file.string(), counted(opened->file.labels.size(), "label"));
  return 0;
}

std::string activity_text(const ActivityReport& report, double frame_s) {
  const auto level = [](const std::optional<double>& value) { return value ? fmt::format("{:.6g}", *value) : "?"; };
  std::string text = fmt::format("{} frames of {} s", grouped(report.frames), frame_s);
  if (report.without_level > 0)
    text += fmt::format(", {} of them with less than two numbers", grouped(report.without_level));
  return text + fmt::format("; noise floor {}, threshold {}", level(report.floor), level(report.threshold));
}

nlohmann::json activity_json(const ActivityReport& report) {
  return {{"frames", report.frames},
          {"frames_without_level", report.without_level},
          {"noise_floor", or_null(report.floor)},
          {"threshold", or_null(report.threshold)}};
}

int run_auto(const LabelArguments& o) {
  if (o.activity.active.empty() && o.activity.silent.empty())
    return fail_with(
        {ErrorCode::usage, "--active and --silent are both empty: there is nothing to call a label", {}, {}});
  for (const auto& name : {o.activity.active, o.activity.silent})
    if (auto good = check_label({name, 0, 0, "", "", "", {}, 0}); !good && !name.empty())
      return fail_with(good.error());
  auto opened = open(o, For::making);
  if (!opened) return fail_with(opened.error());
  std::vector<TimedLabel> made;
  std::vector<Frequency> of_samples;  // of the scores of another recording
  nlohmann::json done_json{{"made", 0}, {"added", 0}};
  if (!o.from_scores.empty()) {
    // The scores may stand in another recording: the outputs of a replay.
    auto scores = o.file.empty() ? Expected<Recording>(opened->recording) : open_recording(o.file, {});
    if (!scores) return fail_with(scores.error());
    auto stream = scores->find_stream(o.from_scores);
    if (!stream) return fail_with(stream.error());
    if (!o.file.empty()) of_samples = sample_frequencies(*scores, {{*stream}});
    Progress progress("labelling", scores->streams()[*stream].raw_bytes);
    ScoreOptions options = o.scores;
    if (!o.score_threshold.empty()) options.threshold = *exact_number(o.score_threshold);
    if (auto done = label_scores(*scores, *stream, options, made, progress.callback()); !done)
      return fail_with(done.error());
  } else {
    std::size_t index = 0;
    if (!o.stream.empty() || opened->recording.streams().size() > 1) {
      if (o.stream.empty())
        return fail_with({ErrorCode::usage, "the recording has several streams: choose one with -s", {}, {}});
      auto stream = opened->recording.find_stream(o.stream);
      if (!stream) return fail_with(stream.error());
      index = *stream;
    }
    Progress progress("labelling", opened->recording.streams()[index].raw_bytes);
    auto activity = label_activity(opened->recording, index, o.activity, made, progress.callback());
    if (!activity) return fail_with(activity.error());
    done_json["activity"] = activity_json(*activity);
    if (!o.json) fmt::print("{}\n", activity_text(*activity, o.activity.frame_s));
    if (activity->frames > 0 && activity->without_level == activity->frames)
      warn("no frame has two numbers, which a level takes: a longer --frame has more");
  }
  if (made.empty()) {
    if (o.json) return report(o, *opened, "", done_json);
    fmt::print("made no labels: {} is left as it is\n", opened->path.string());
    return 0;
  }
  // What takes long is done: others may have changed the labels meanwhile.
  auto changed = open(o, For::changing);
  if (!changed) return fail_with(changed.error());
  for (const auto& frequency : sample_frequencies(changed->recording)) of_samples.push_back(frequency);
  auto done = add_labels(changed->file, std::move(made), of_samples, false);
  if (!done) return fail_with(done.error());
  warn_of_rounded(done->rounded, changed->file);
  done_json["made"] = done->placed;
  done_json["added"] = done->added;
  return saved(o, *changed, fmt::format("made {}, {} of them new", done->placed, done->added), done_json);
}

void add_interval(Command& command, LabelArguments& o) {
  command.add_option("--from", o.from, "Begin, of the recording's clock: 12.5 (seconds), 500ms, 1:02")
      ->transform(takes_time())
      ->type_name("TIME");
  command.add_option("--to", o.to, "End (not included)")->transform(takes_time())->type_name("TIME");
  command.add_option("--from-tick", o.from_tick, "Begin, in ticks of the label's stream, else of the first one")
      ->type_name("N")
      ->excludes("--from");
  command.add_option("--to-tick", o.to_tick, "End (not included), in such ticks")->type_name("N")->excludes("--to");
}

// A subcommand with what all of them share.
Command* add_command(Command& parent, Run& run, const char* name, const char* description,
                     const std::shared_ptr<LabelArguments>& o, int (*function)(const LabelArguments&),
                     bool many = false) {
  auto* command = parent.add_subcommand(name, description);
  o->input.add_to(*command, many ? "Recordings" : "The recording (a .sds file or one .sdsz)", many);
  command->add_option("--labels", o->labels, "The label file, instead of <recording>.labels.yml")->type_name("FILE");
  command->add_flag("--json", o->json, "Report as JSON");
  command->callback([o, &run, function] { run = [o, function] { return function(*o); }; });
  return command;
}

}  // namespace

void add_label(Command& app, Run& run) {
  auto* label = app.add_subcommand("label", "Say what happens when in a recording: <recording>.labels.yml");
  label->require_subcommand(1);
  label->footer("The file is described in docs/labels.md; it is text, made to be read, edited and kept in git.");
  const auto options = [] { return std::make_shared<LabelArguments>(); };

  auto o = options();
  auto* add = add_command(*label, run, "add", "Add a label", o, run_add);
  add->add_option("-c,--class", o->name, "What it is")->required()->type_name("NAME");
  add_interval(*add, *o);
  add->add_option("-s,--stream", o->stream, "The stream that it is about (default: the whole recording)")
      ->type_name("ID");
  add->add_option("--author", o->author, "Who says so")->type_name("NAME");
  add->add_option("--note", o->note, "Anything else")->type_name("TEXT");
  add->add_option("--confidence", o->confidence, "How sure, 0 to 1 or per cent")
      ->transform(takes_share())
      ->type_name("SHARE");
  add->footer("Example: sds label add walk.sdsz -c walk --from 12.5 --to 80");

  o = options();
  auto* list = add_command(*label, run, "list", "List labels, numbered, with the time of each class", o, run_list);
  list->add_option("-c,--class", o->name, "Only this class")->type_name("NAME");

  o = options();
  auto* rm = add_command(*label, run, "rm", "Remove labels", o, run_rm);
  rm->add_option("-n,--number", o->numbers, "As `list` numbers them. May be given several times")->type_name("N");
  rm->add_option("-c,--class", o->name, "All of this class")->type_name("NAME");
  rm->add_flag("--all", o->all, "All");

  o = options();
  auto* rename = add_command(*label, run, "rename", "Give a class another name", o, run_rename);
  rename->add_option("--class,-c", o->name, "The class")->required()->type_name("NAME");
  rename->add_option("--to", o->new_name, "Its new name")->required()->type_name("NAME");

  o = options();
  auto* move = add_command(*label, run, "move", "Shift labels, or give one another begin or end", o, run_move);
  move->add_option("-n,--number", o->numbers, "As `list` numbers them. May be given several times")->type_name("N");
  move->add_option("-c,--class", o->name, "All of this class")->type_name("NAME");
  move->add_flag("--all", o->all, "All");
  move->add_option("--by", o->by, "Shift by so much; negative: earlier")->transform(takes_time())->type_name("TIME");
  add_interval(*move, *o);

  o = options();
  auto* merge = add_command(*label, run, "merge", "Add the labels of other label files; equal ones once", o, run_merge);
  merge->add_option("--with", o->files, "A label file. May be given several times")->type_name("FILE");
  merge->add_option("--join", o->gap, "Make one of labels of a class that are at most so far apart")
      ->transform(takes_time())
      ->type_name("TIME");

  o = options();
  add_command(*label, run, "check", "Overlaps, unknown classes, intervals outside the recording: exit code 1", o,
              run_check, true);

  auto comparison = std::make_shared<LabelComparison>();
  auto* compare = label->add_subcommand(
      "compare", "How far two annotators agree: time, Cohen's kappa, what was confused; or which events were found");
  compare->add_option("files", comparison->files, "Two label files; with --events, A is right, and B is judged")
      ->required()
      ->expected(2)
      ->type_name("A B");
  auto* events = compare->add_flag(
      "--events", comparison->events,
      "Instead: which labels of A the labels of B find where they begin: precision, recall, F1, onsets");
  compare
      ->add_option("--tolerance", comparison->tolerance_s,
                   "How far in front of a label and behind it an event still finds it (default 200ms; a number alone: "
                   "seconds)")
      ->transform(takes_time())
      ->check(not_negative())
      ->type_name("TIME")
      ->needs(events);
  compare->add_option("-s,--stream", comparison->stream, "Only labels about this stream, or about the whole recording")
      ->type_name("ID")
      ->needs(events);
  compare->add_flag("--json", comparison->json, "Report as JSON");
  compare->callback([comparison, &run] { run = [comparison] { return run_label_compare(*comparison); }; });

  const auto add_exchange = [](Command& command, LabelArguments& e) {
    command.add_option("--format", e.format, "audacity (a label track) or csv; default by the file's name")
        ->check(one_of({"audacity", "csv"}));
    command.add_flag("--normalize", e.normalize, "The file's times count from the first block of the stream");
  };
  o = options();
  auto* import = add_command(*label, run, "import", "Read an Audacity label track, or CSV", o, run_import);
  names_inputs(*import->add_option("-i,--input", o->file, "The file to read")->required()->type_name("FILE"));
  import
      ->add_option("-s,--stream", o->stream,
                   "The stream that the labels are about, where the file has no column for it")
      ->type_name("ID");
  import->add_option("--author", o->author, "Who says so")->type_name("NAME");
  add_exchange(*import, *o);

  o = options();
  auto* exporter = add_command(*label, run, "export", "Write an Audacity label track, or CSV", o, run_export);
  exporter->add_option("-o,--output", o->file, "The file to write (default: standard output)")
      ->check([](const std::string& name) {
        return names_folder(name) ? "" : wrong_ending(name, {".csv", ".txt"});
      })
      ->type_name("FILE");
  exporter->add_flag("-f,--force", o->force, "Replace an existing output");
  exporter->add_option("-s,--stream", o->stream, "Only labels about this stream, or about the whole recording")
      ->type_name("ID");
  add_exchange(*exporter, *o);

  o = options();
  auto* automatic =
      add_command(*label, run, "auto", "Make labels from the data: activity, or an algorithm's scores", o, run_auto);
  automatic->add_option("-s,--stream", o->stream, "The stream to segment by its energy")->type_name("ID");
  automatic->add_option("--channel", o->activity.channels, "Only this channel. May be given several times")
      ->type_name("NAME");
  automatic->add_option("--frame", o->activity.frame_s, "Length of a frame (default 50ms; a number alone: seconds)")
      ->transform(takes_time())
      ->type_name("TIME");
  automatic
      ->add_option("--threshold", o->activity.threshold,
                   "Level above which a frame is active, in physical units: RMS about the frame's mean, of several "
                   "channels that of their vector (default: the 10th percentile of the frames' levels times --factor)")
      ->type_name("X");
  automatic->add_option("--factor", o->activity.factor, "See --threshold (default 4)")->type_name("X");
  automatic->add_option("--min-active", o->activity.min_active_s, "Shorter activity is none (default 200ms)")
      ->transform(takes_time())
      ->type_name("TIME");
  automatic->add_option("--min-silent", o->activity.min_silent_s, "Shorter silence is none (default 200ms)")
      ->transform(takes_time())
      ->type_name("TIME");
  automatic->add_option("--active", o->activity.active, "Class of activity (default active)")->type_name("NAME");
  automatic->add_option("--silent", o->activity.silent, "Class of silence (default: no label)")->type_name("NAME");
  automatic
      ->add_option("--scores", o->from_scores,
                   "Instead: a stream of scores; the channel with the largest value is the class")
      ->type_name("ID");
  automatic->add_option("--scores-from", o->file, "The recording with the scores, if it is another one")
      ->type_name("FILE");
  automatic->add_option("--score-channel", o->scores.channels, "Only these channels are scores")->type_name("NAME");
  automatic->add_option("--score-threshold", o->score_threshold, "A largest score below it is no class")
      ->check([](const std::string& text) {
        const auto number = exact_number(text);
        return number && !std::isnan(number->rounded()) ? std::string() : fmt::format("'{}' is no number", text);
      })
      ->type_name("X");
  automatic->add_option("--min-duration", o->scores.min_duration_s, "Shorter labels from scores are left out")
      ->transform(takes_time())
      ->type_name("TIME");
  // What one way knows has no effect on the other.
  auto* scores = automatic->get_option("--scores");
  for (const char* of_activity : {"--stream", "--channel", "--frame", "--threshold", "--factor", "--min-active",
                                  "--min-silent", "--active", "--silent"})
    scores->excludes(automatic->get_option(of_activity));
  for (const char* of_scores : {"--scores-from", "--score-channel", "--score-threshold", "--min-duration"})
    automatic->get_option(of_scores)->needs(scores);
  automatic->footer("Example: sds label auto clip.sdsz -s Microphone --active speech --silent silence");
}

}  // namespace sds::cli
