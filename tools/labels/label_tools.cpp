#include "label_tools.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "csv_reader.hpp"
#include "sample_reader.hpp"
#include "sds/format/elapsed.hpp"
#include "time_span.hpp"

namespace sds {

namespace {

constexpr double kAudacityDigits = 1e-9;  // those that a label track has at most

// `l` is one of the file's.
std::string describe(const LabelFile& file, const Label& l) {
  // By the number that `label list` and `label rm` know it by.
  const auto number = &l - file.labels.data() + 1;
  const std::string line = l.line > 0 ? fmt::format(", line {}", l.line) : "";
  return fmt::format("label {}{}: {} [{}, {}) s", number, line, l.name, file.seconds_of(l.begin),
                     file.seconds_of(l.end));
}

void find_overlaps(const LabelFile& file, std::vector<std::string>& problems) {
  // By stream and author, in the order of their begins: the one that reaches farthest so far is what may be run into.
  std::map<std::pair<std::string, std::string>, std::vector<const Label*>> groups;
  for (const auto& label : file.labels) groups[{label.stream, label.author}].push_back(&label);
  for (auto& [key, labels] : groups) {
    std::stable_sort(labels.begin(), labels.end(), [](const Label* a, const Label* b) { return a->begin < b->begin; });
    const Label* farthest = nullptr;
    for (const Label* label : labels) {
      if (farthest != nullptr && label->begin < farthest->end)
        problems.push_back(describe(file, *label) + " overlaps " + describe(file, *farthest));
      if (farthest == nullptr || label->end > farthest->end) farthest = label;
    }
  }
}

// The time of a label of another program's file.
Expected<TimeSpan> span_from(double from, double to, const Instant& origin) {
  const double origin_s = seconds(origin.tick, origin.frequency);
  const LabelFile milliseconds;
  for (const double time : {from, to})
    if (auto tick = milliseconds.tick_of(time + origin_s); !tick) return fail(tick);
  if (to < from)
    return fail(ErrorCode::bad_input, fmt::format("the label ends ({} s) before it begins ({} s)", to, from));
  return TimeSpan{std::max(0.0, from + origin_s), std::max(0.0, to + origin_s)};
}

tl::unexpected<Error> at_line(std::uint64_t line, const Error& error, const std::filesystem::path& path) {
  return fail(ErrorCode::bad_input, fmt::format("line {}: {}", line, error.message), path);
}

bool same_times(const LabelFile& file, const Label& label, const LabelFile& other, const Label& of_other) {
  return std::is_eq(compare({label.begin, file.tick_frequency}, {of_other.begin, other.tick_frequency})) &&
         std::is_eq(compare({label.end, file.tick_frequency}, {of_other.end, other.tick_frequency}));
}

// Ticks that hold a time, too, and all that `ticks` do; these, where there are none.
Frequency ticks_that_hold(double time_s, const Frequency& ticks) {
  LabelFile file;
  file.tick_frequency = ticks;
  if (const auto tick = file.tick_of(time_s); !tick || file.seconds_of(*tick) == time_s) return ticks;
  const auto decimal = decimal_ticks(time_s);
  return decimal ? common_ticks(ticks, *decimal).value_or(ticks) : ticks;
}

// The tick that a time is on, else the one before or behind it.
std::uint64_t tick_beside(const LabelFile& file, double time_s, bool behind) {
  const std::uint64_t tick = file.tick_of(time_s).value_or(0);
  const double at = file.seconds_of(tick);
  if (behind) return at < time_s ? tick + 1 : tick;
  return at > time_s && tick > 0 ? tick - 1 : tick;
}

bool fits(const LabelFile& file, const Frequency& ticks) {
  return std::all_of(file.labels.begin(), file.labels.end(), [&](const Label& label) {
    return check_label(in_ticks(label, file.tick_frequency, ticks)).has_value();  // not beyond the largest tick
  });
}

bool holds(const Frequency& ticks, const LabelFile& file) {
  LabelFile with;
  with.tick_frequency = ticks;
  return std::all_of(file.labels.begin(), file.labels.end(), [&](const Label& label) {
    return same_times(with, in_ticks(label, file.tick_frequency, ticks), file, label);
  });
}

// Gives `file` ticks that hold its own labels and times of others, unless these are too fast for any label of both.
bool take_ticks(LabelFile& file, const LabelFile& other, const Frequency& of_others) {
  const auto ticks = common_ticks(file.tick_frequency, of_others);
  if (!ticks) return false;
  if (!fits(file, *ticks) || !fits(other, *ticks)) return false;
  for (auto& label : file.labels) label = in_ticks(label, file.tick_frequency, *ticks);
  file.tick_frequency = *ticks;
  return true;
}

// Gives `file` ticks that hold the labels of both, where its own do not; where there are none, the finest decimal ones
// (place_labels()).
void take_ticks_of_both(LabelFile& file, const LabelFile& other) {
  if (holds(file.tick_frequency, other)) return;
  if (take_ticks(file, other, other.tick_frequency)) return;
  for (const auto& decimal : finer_decimals(file.tick_frequency))
    if (take_ticks(file, other, decimal)) return;
}

}  // namespace

Expected<std::vector<std::string>> check_labels(const LabelFile& file, const Recording& recording) {
  std::vector<std::string> problems;
  std::map<std::string, std::optional<TimeSpan>> spans;
  auto whole = time_span(recording);
  if (!whole) return fail(whole);
  spans[""] = *whole;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    auto span = time_span(recording, i);
    if (!span) return fail(span);
    spans[recording.streams()[i].id] = *span;
  }
  for (const auto& label : file.labels) {
    if (!file.classes.empty() && std::find(file.classes.begin(), file.classes.end(), label.name) == file.classes.end())
      problems.push_back(describe(file, label) + ": the class is not among 'classes:'");
    if (label.begin == label.end) problems.push_back(describe(file, label) + " is empty");
    const auto span = spans.find(label.stream);
    if (span == spans.end()) {
      problems.push_back(fmt::format("{}: the recording has no stream '{}'", describe(file, label), label.stream));
    } else if (!span->second) {
      problems.push_back(describe(file, label) + ": there is no data");
    } else {
      // A label may reach one tick beyond, for rounding.
      const double tick = 1 / file.tick_frequency.hz();
      if (file.seconds_of(label.begin) < span->second->begin - tick ||
          file.seconds_of(label.end) > span->second->end + tick)
        problems.push_back(fmt::format("{} lies outside of the recording, [{}, {}) s", describe(file, label),
                                       span->second->begin, span->second->end));
    }
  }
  find_overlaps(file, problems);
  return problems;
}

Frequency ticks_of_files(std::span<const LabelFile> files) {
  if (files.empty()) return {};
  const Frequency finest = std::max_element(files.begin(), files.end(), [](const LabelFile& a, const LabelFile& b) {
                             return a.tick_frequency.hz() < b.tick_frequency.hz();
                           })->tick_frequency;
  const auto all_fit = [&](const Frequency& ticks) {
    return std::all_of(files.begin(), files.end(), [&](const LabelFile& file) { return fits(file, ticks); });
  };
  if (std::all_of(files.begin(), files.end(), [&](const LabelFile& file) { return holds(finest, file); }) &&
      all_fit(finest))
    return finest;
  std::optional<Frequency> all = finest;
  for (const auto& file : files) all = all ? common_ticks(*all, file.tick_frequency) : all;
  if (all && all_fit(*all)) return *all;
  for (const auto& decimal : finer_decimals(finest))
    if (const auto common = common_ticks(finest, decimal); common && all_fit(*common)) return *common;
  return finest;
}

Expected<std::size_t> merge_labels(LabelFile& file, const LabelFile& other) {
  take_ticks_of_both(file, other);
  return take_labels(file, other);
}

Expected<std::size_t> take_labels(LabelFile& file, const LabelFile& other) {
  std::size_t rounded = 0;
  const bool nothing_yet = file.labels.empty() && file.classes.empty();
  const auto key = [](const Label& l) {
    return std::tie(l.name, l.begin, l.end, l.stream, l.author, l.note, l.confidence);
  };
  const auto less = [key](const Label* a, const Label* b) { return key(*a) < key(*b); };
  std::set<const Label*, decltype(less)> known(less);
  file.labels.reserve(file.labels.size() + other.labels.size());  // what is known stays where it is
  for (const auto& label : file.labels) known.insert(&label);
  for (Label label : other.labels) {
    if (!(other.tick_frequency == file.tick_frequency)) {
      const Label exact = label;
      label.begin = last_tick_until({label.begin, other.tick_frequency}, file.tick_frequency);
      label.end = last_tick_until({label.end, other.tick_frequency}, file.tick_frequency);
      if (auto good = check_label(label); !good) return fail(good);
      if (!same_times(file, label, other, exact)) ++rounded;
    }
    label.line = 0;
    if (known.contains(&label)) continue;
    if (auto added = append_label(file.labels, std::move(label)); !added) return fail(added);
    known.insert(&file.labels.back());
  }
  // Known classes stay known; where any class was known, it is.
  if (nothing_yet) file.classes = other.classes;
  if (!file.classes.empty())
    for (const auto& name : other.classes)
      if (std::find(file.classes.begin(), file.classes.end(), name) == file.classes.end()) file.classes.push_back(name);
  file.sort();
  return rounded;
}

Expected<AddedLabels> add_labels(LabelFile& file, std::vector<TimedLabel> labels,
                                 const std::vector<Frequency>& of_samples, bool keep_empty) {
  auto placed = place_labels(std::move(labels), file.tick_frequency, of_samples);
  if (!placed) return fail(placed);
  if (!keep_empty) std::erase_if(placed->file.labels, [](const Label& label) { return label.begin == label.end; });
  const std::size_t before = file.labels.size();
  auto rounded = merge_labels(file, placed->file);
  if (!rounded) return fail(rounded);
  return AddedLabels{placed->file.labels.size(), file.labels.size() - before, std::max(placed->rounded, *rounded)};
}

Expected<std::size_t> move_labels(LabelFile& file, const std::vector<std::size_t>& indices,
                                  std::vector<TimedLabel> moved, const std::vector<Frequency>& of_samples) {
  auto placed = place_labels(std::move(moved), file.tick_frequency, of_samples);
  if (!placed) return fail(placed);
  take_ticks_of_both(file, placed->file);
  for (std::size_t k = 0; k < indices.size(); ++k)
    file.labels[indices[k]] = in_ticks(placed->file.labels[k], placed->file.tick_frequency, file.tick_frequency);
  file.sort();
  return placed->rounded;
}

std::map<double, std::string> class_timeline(const LabelFile& file, const std::string& stream) {
  std::set<double> times;
  std::vector<const Label*> labels;
  for (const auto& label : file.labels) {
    if (label.end == label.begin || (!label.stream.empty() && label.stream != stream)) continue;
    labels.push_back(&label);
    times.insert(file.seconds_of(label.begin));
    times.insert(file.seconds_of(label.end));
  }
  // The last one that is open is the class, in whatever order labels are in the file.
  std::sort(labels.begin(), labels.end(), [](const Label* a, const Label* b) {
    return std::tie(a->begin, b->end, b->name) < std::tie(b->begin, a->end, a->name);
  });
  std::map<double, std::string> changes;
  std::vector<const Label*> open;
  std::size_t next = 0;
  for (const double t : times) {
    while (next < labels.size() && file.seconds_of(labels[next]->begin) <= t) open.push_back(labels[next++]);
    std::erase_if(open, [&](const Label* l) { return file.seconds_of(l->end) <= t; });
    changes[t] = open.empty() ? "" : open.back()->name;
  }
  return changes;
}

std::size_t divide_by_stream(LabelFile& file, const std::vector<std::string>& streams) {
  std::vector<Label> labels;
  std::size_t divided = 0;
  for (const Label& label : file.labels) {
    if (!label.stream.empty()) {
      labels.push_back(label);
      continue;
    }
    ++divided;
    for (const auto& stream : streams) {
      labels.push_back(label);
      labels.back().stream = stream;
    }
  }
  file.labels = std::move(labels);
  return divided;
}

void shorten_labels(LabelFile& file, const Recording& recording, const StreamTimes& within) {
  if (within == StreamTimes()) return;
  std::map<std::string, const TimeRanges*> times;
  for (std::size_t i = 0; i < recording.streams().size(); ++i) times[recording.streams()[i].id] = &within.of(i);
  struct Piece {
    Label label;
    TimeSpan whole;
    TimeSpan span;
  };
  std::vector<Piece> pieces;
  for (const auto& label : file.labels) {
    const auto of_stream = times.find(label.stream);
    const TimeSpan whole{file.seconds_of(label.begin), file.seconds_of(label.end)};
    for (const auto& span : both(of_stream == times.end() ? within.of_any() : *of_stream->second, {whole}))
      pieces.push_back({label, whole, span});
  }
  Frequency ticks = file.tick_frequency;
  for (const auto& [label, whole, span] : pieces)
    for (const double edge : {span.begin, span.end})
      if (edge != whole.begin && edge != whole.end) ticks = ticks_that_hold(edge, ticks);
  if (!std::all_of(file.labels.begin(), file.labels.end(), [&](const Label& label) {
        return check_label(in_ticks(label, file.tick_frequency, ticks)).has_value();
      }))
    ticks = file.tick_frequency;  // beyond the largest tick
  file.labels.clear();
  const Frequency before = std::exchange(file.tick_frequency, ticks);
  for (auto& [label, whole, span] : pieces) {
    label = in_ticks(std::move(label), before, ticks);
    if (span.begin > whole.begin) label.begin = std::max(label.begin, tick_beside(file, span.begin, false));
    if (span.end < whole.end) label.end = std::min(label.end, tick_beside(file, span.end, true));
    if (label.begin < label.end) file.labels.push_back(std::move(label));
  }
  file.sort();
}

Expected<LabelOrigins> LabelOrigins::first_blocks(const Recording& recording, const std::vector<std::size_t>& streams) {
  LabelOrigins origins;
  auto& known = origins.by_stream_.emplace();
  for (std::size_t i = 0; i < recording.streams().size(); ++i) {
    const StreamInfo& stream = recording.streams()[i];
    auto first = first_tick(recording, i);
    if (!first) return fail(first);
    if (*first) known[stream.id] = {**first, stream.tick_frequency()};
  }
  for (const std::size_t i : streams) {
    const auto at = known.find(recording.streams()[i].id);
    if (at == known.end()) continue;
    const auto [all, first] = known.try_emplace("", at->second);
    if (std::is_neq(compare(all->second, at->second))) origins.one_for_all_ = false;
  }
  known.try_emplace("", Instant{});
  return origins;
}

std::optional<Instant> LabelOrigins::of(const std::string& stream) const {
  if (!by_stream_) return Instant{};
  const auto at = by_stream_->find(stream);
  return at == by_stream_->end() ? std::nullopt : std::optional(at->second);
}

void join_labels(LabelFile& file, double gap_s) {
  file.sort();
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> last;  // index in `joined`
  std::vector<Label> joined;
  for (const auto& label : file.labels) {
    const auto key = std::make_tuple(label.name, label.stream, label.author);
    const auto at = last.find(key);
    if (at != last.end() && file.seconds_of(label.begin) <= file.seconds_of(joined[at->second].end) + gap_s +
                                                                time_tolerance(file.seconds_of(label.begin))) {
      joined[at->second].end = std::max(joined[at->second].end, label.end);
      if (joined[at->second].confidence != label.confidence) joined[at->second].confidence.reset();
      if (joined[at->second].note != label.note) joined[at->second].note.clear();
      continue;
    }
    last[key] = joined.size();
    joined.push_back(label);
  }
  file.labels = std::move(joined);
  file.sort();
}

Agreement agreement(const LabelFile& a, const LabelFile& b) {
  Agreement result;
  std::set<std::string> streams;
  std::map<double, Instant> times;  // exactly, for differences of long times
  for (const auto* file : {&a, &b}) {
    for (const auto& label : file->labels) {
      if (label.end == label.begin) continue;
      if (!label.stream.empty()) streams.insert(label.stream);
      for (const std::uint64_t tick : {label.begin, label.end})
        times.try_emplace(file->seconds_of(tick), Instant{tick, file->tick_frequency});
    }
  }
  result.streams.assign(streams.begin(), streams.end());
  if (streams.empty()) streams.insert("");
  const auto class_at = [](const std::map<double, std::string>& line, double t) {
    auto after = line.upper_bound(t);
    return after == line.begin() ? std::string() : std::prev(after)->second;
  };
  std::map<std::string, double> of_a;
  std::map<std::string, double> of_b;
  for (const auto& stream : streams) {
    const auto left = class_timeline(a, stream);
    const auto right = class_timeline(b, stream);
    for (auto t = times.begin(); t != times.end(); ++t) {
      const auto end = std::next(t);
      if (end == times.end()) break;
      const double span = seconds_since(t->second, end->second);
      const std::string x = class_at(left, t->first);
      const std::string y = class_at(right, t->first);
      result.table[{x, y}] += span;
      of_a[x] += span;
      of_b[y] += span;
      result.compared_s += span;
      if (x == y) result.agreed_s += span;
    }
  }
  result.kappa = std::numeric_limits<double>::quiet_NaN();
  if (result.compared_s <= 0) return result;
  double expected = 0;
  for (const auto& [name, time] : of_a)
    expected += time / result.compared_s * (of_b.count(name) ? of_b[name] : 0) / result.compared_s;
  const double observed = result.agreed_s / result.compared_s;
  if (of_a.size() > 1 || of_b.size() > 1 || of_a.begin()->first != of_b.begin()->first)
    result.kappa = (observed - expected) / (1 - expected);
  return result;
}

Expected<std::vector<TimedLabel>> read_audacity(const std::string& text, const Instant& origin,
                                                const std::filesystem::path& path) {
  std::vector<TimedLabel> labels;
  std::uint64_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view row = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++line;
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty() || row.starts_with('\\')) continue;
    const std::size_t first = row.find('\t');
    const std::size_t second = first == std::string_view::npos ? first : row.find('\t', first + 1);
    if (second == std::string_view::npos)
      return at_line(line, {ErrorCode::bad_input, "expected start, end and text, separated by tabs", {}, {}}, path);
    auto from = parse_csv_number(row.substr(0, first));
    auto to = parse_csv_number(row.substr(first + 1, second - first - 1));
    if (!from || !to) return at_line(line, (from ? to : from).error(), path);
    auto span = span_from(*from, *to, origin);
    if (!span) return at_line(line, span.error(), path);
    Label label;
    label.name = row.substr(second + 1);
    if (label.name.empty()) label.name = "unnamed";
    if (find_invalid_utf8(label.name)) return at_line(line, {ErrorCode::bad_input, "not valid UTF-8", {}, {}}, path);
    const double error = origin.tick == 0 ? 0 : sum_error(*span);
    if (auto added = append_label(labels, {std::move(label), *span, kAudacityDigits, error}); !added)
      return at_line(line, added.error(), path);
  }
  return labels;
}

std::string write_audacity(const LabelFile& file, const Instant& origin) {
  std::string out;
  for (const auto& label : file.labels) {
    std::string name = label.name;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
    out += fmt::format("{}\t{}\t{}\n", decimal_since(origin, {label.begin, file.tick_frequency}),
                       decimal_since(origin, {label.end, file.tick_frequency}), name);
  }
  return out;
}

Expected<std::vector<TimedLabel>> read_label_csv(const std::string& text, const LabelOrigins& origins,
                                                 const std::string& stream, const std::filesystem::path& path) {
  std::vector<TimedLabel> labels;
  std::vector<std::string> header;
  bool says_stream = false;
  auto done = read_csv(text, ',', path, [&](const CsvRow& row) -> Expected<bool> {
    if (header.empty()) {
      header.assign(row.fields.begin(), row.fields.end());
      for (const char* needed : {"class", "from", "to"})
        if (std::find(header.begin(), header.end(), needed) == header.end())
          return at_line(row.line,
                         {ErrorCode::bad_input,
                          fmt::format("the header has no column '{}'; expected class, from, to (seconds), and perhaps "
                                      "stream, author, confidence, note",
                                      needed),
                          {},
                          {}},
                         path);
      static constexpr std::array<std::string_view, 7> known{"class",  "from",       "to",  "stream",
                                                             "author", "confidence", "note"};
      for (auto name = header.begin(); name != header.end(); ++name) {
        const bool twice = std::find(header.begin(), name, *name) != name;
        if (!twice && std::find(known.begin(), known.end(), *name) != known.end()) continue;
        return at_line(row.line,
                       {ErrorCode::bad_input,
                        fmt::format("column {}, '{}', {}; known are {}", name - header.begin() + 1, *name,
                                    twice ? "is there twice" : "is unknown", fmt::join(known, ", ")),
                        {},
                        {}},
                       path);
      }
      says_stream = std::find(header.begin(), header.end(), "stream") != header.end();
      if (says_stream && !stream.empty() && origins.at_zero())
        return at_line(row.line,
                       {ErrorCode::usage,
                        "the column 'stream' says what each label is about: a chosen one changes nothing",
                        {},
                        {}},
                       path);
      return true;
    }
    if (row.fields.size() != header.size())
      return at_line(row.line,
                     {ErrorCode::bad_input,
                      fmt::format("{} columns, but the header has {}", row.fields.size(), header.size()),
                      {},
                      {}},
                     path);
    const auto field = [&](const char* name) {
      const auto at = std::find(header.begin(), header.end(), name);
      return at == header.end() ? std::string_view() : row.fields[static_cast<std::size_t>(at - header.begin())];
    };
    auto from = parse_csv_number(field("from"));
    auto to = parse_csv_number(field("to"));
    if (!from || !to) return at_line(row.line, (from ? to : from).error(), path);
    const std::string about = says_stream ? std::string(field("stream")) : stream;
    const auto origin = origins.of(about);
    if (!origin)
      return at_line(
          row.line,
          {ErrorCode::bad_input, fmt::format("there is no stream '{}' that times could count from", about), {}, {}},
          path);
    if (about.empty() && !origins.one_for_all())
      return at_line(row.line,
                     {ErrorCode::usage,
                      "says no stream, and times of streams begin at different blocks: choose one with -s",
                      {},
                      {}},
                     path);
    auto span = span_from(*from, *to, *origin);
    if (!span) return at_line(row.line, span.error(), path);
    Label label;
    label.line = static_cast<int>(row.line);
    label.name = field("class");
    if (label.name.empty()) return at_line(row.line, {ErrorCode::bad_input, "the class is empty", {}, {}}, path);
    label.stream = about;
    label.author = field("author");
    label.note = field("note");
    if (!field("confidence").empty()) {
      auto confidence = parse_csv_number(field("confidence"));
      if (!confidence || !(*confidence >= 0 && *confidence <= 1))
        return at_line(row.line, {ErrorCode::bad_input, "the confidence must lie between 0 and 1", {}, {}}, path);
      label.confidence = *confidence;
    }
    for (const auto* words : {&label.name, &label.stream, &label.author, &label.note})
      if (find_invalid_utf8(*words)) return at_line(row.line, {ErrorCode::bad_input, "not valid UTF-8", {}, {}}, path);
    const double error = origin->tick == 0 ? 0 : sum_error(*span);
    if (auto added = append_label(labels, {std::move(label), *span, 0, error}); !added)
      return at_line(row.line, added.error(), path);
    return true;
  });
  if (!done) return fail(done);
  if (header.empty()) return fail(ErrorCode::bad_input, "the file is empty: a header was expected", path);
  return labels;
}

std::string write_label_csv(const LabelFile& file, const LabelOrigins& origins) {
  std::string out = "class,from,to,stream,author,confidence,note\n";
  for (const auto& l : file.labels) {
    const Instant origin = origins.of(l.stream).value_or(Instant{});
    out +=
        fmt::format("{},{},{},{},{},{},{}\n", csv_quoted(l.name), seconds_since(origin, {l.begin, file.tick_frequency}),
                    seconds_since(origin, {l.end, file.tick_frequency}), csv_quoted(l.stream), csv_quoted(l.author),
                    l.confidence ? fmt::format("{}", *l.confidence) : "", csv_quoted(l.note));
  }
  return out;
}

}  // namespace sds
