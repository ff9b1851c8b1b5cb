#include "label_compare.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "command.hpp"
#include "event_match.hpp"
#include "event_table.hpp"
#include "label_tools.hpp"
#include "report.hpp"

namespace sds::cli {

namespace {

int compare_times(const LabelComparison& o, const LabelFile& a, const LabelFile& b) {
  const Agreement result = agreement(a, b);
  if (o.json) {
    auto table = nlohmann::json::array();
    for (const auto& [classes, time] : result.table)
      table.push_back({{"a", classes.first}, {"b", classes.second}, {"seconds", time}});
    print_json(nlohmann::json{{"streams", result.streams},
                              {"compared_s", result.compared_s},
                              {"agreed_s", result.agreed_s},
                              {"kappa", result.kappa},
                              {"table", table}});
    return 0;
  }
  if (result.compared_s <= 0) {
    fmt::print("nothing to compare: neither file has a label that lasts\n");
    return 0;
  }
  fmt::print("compared {}, from the first to the last label of either{}\n", human_seconds(result.compared_s),
             result.streams.size() > 1 ? fmt::format(", of {} streams together", result.streams.size()) : "");
  fmt::print("agreed   {} ({:.1f} %)\n", human_seconds(result.agreed_s), 100 * result.agreed_s / result.compared_s);
  fmt::print("kappa    {}\n", std::isfinite(result.kappa) ? fmt::format("{:.3f}", result.kappa)
                                                          : "undefined: only one class was ever said");
  fmt::print("{:<20} {:<20} {:>10}\n", o.files[0].filename().string(), o.files[1].filename().string(), "time");
  const auto named = [](const std::string& name) { return name.empty() ? std::string("(none)") : name; };
  for (const auto& [classes, time] : result.table)
    fmt::print("{:<20} {:<20} {:>10}{}\n", named(classes.first), named(classes.second), human_seconds(time),
               classes.first == classes.second ? "" : "  differ");
  return 0;
}

// Labels about one stream, and those about the whole recording.
Expected<void> keep_one_stream(const LabelComparison& o, LabelFile& a, LabelFile& b) {
  std::set<std::string> streams;
  for (const auto* file : {&a, &b})
    for (const auto& label : file->labels)
      if (!label.stream.empty()) streams.insert(label.stream);
  if (o.stream.empty() && streams.size() > 1)
    return fail(ErrorCode::usage, fmt::format("the labels are about several streams: choose one with -s; there are: {}",
                                              fmt::join(streams, ", ")));
  if (!o.stream.empty() && !streams.contains(o.stream))
    return fail(ErrorCode::usage,
                fmt::format("no label is about the stream '{}'; there are: {}", o.stream,
                            streams.empty() ? "none about streams" : fmt::format("{}", fmt::join(streams, ", "))));
  for (auto* file : {&a, &b})
    std::erase_if(file->labels, [&](const Label& label) {
      return !o.stream.empty() && !label.stream.empty() && label.stream != o.stream;
    });
  return {};
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr); }

nlohmann::json to_json(const EventScore& score) {
  return {{"labels", score.labels},
          {"events", score.found},
          {"right", score.right},
          {"precision", number(score.precision())},
          {"recall", number(score.recall())},
          {"f1", number(score.f1())},
          {"mean_onset_s", number(score.mean_onset_s())},
          {"largest_onset_s", score.right == 0 ? nlohmann::json(nullptr) : nlohmann::json(score.largest_onset_s)}};
}

int compare_events(const LabelComparison& o, LabelFile a, LabelFile b) {
  if (auto kept = keep_one_stream(o, a, b); !kept) return fail_with(kept.error());
  std::vector<EventLabel> labels;
  for (const auto& label : a.labels)
    labels.push_back({label.name, {label.begin, a.tick_frequency}, {label.end, a.tick_frequency}});
  std::vector<FoundEvent> events;
  for (const auto& label : b.labels) events.push_back({label.name, {label.begin, b.tick_frequency}});
  const EventMatch match =
      match_events(labels, events, static_cast<std::uint64_t>(std::llround(std::min(o.tolerance_s, 9e9) * 1e9)));
  if (o.json) {
    auto classes = nlohmann::json::object();
    for (const auto& [name, score] : match.by_class) classes[name] = to_json(score);
    auto missed = nlohmann::json::array();
    for (const auto i : match.missed)
      missed.push_back({{"class", a.labels[i].name},
                        {"from_s", a.seconds_of(a.labels[i].begin)},
                        {"to_s", a.seconds_of(a.labels[i].end)}});
    auto wrong = nlohmann::json::array();
    for (const auto i : match.wrong)
      wrong.push_back({{"class", b.labels[i].name}, {"at_s", b.seconds_of(b.labels[i].begin)}});
    print_json(nlohmann::json{{"tolerance_s", o.tolerance_s},
                              {"all", to_json(match.all())},
                              {"classes", classes},
                              {"missed", missed},
                              {"wrong", wrong}});
    return 0;
  }
  if (match.by_class.empty()) {
    fmt::print("nothing to compare: neither file has a label\n");
    return 0;
  }
  print_event_scores(match.by_class);
  for (const auto i : match.missed)
    fmt::print("missed  {} s to {} s  {}\n", seconds_text(a.seconds_of(a.labels[i].begin)),
               seconds_text(a.seconds_of(a.labels[i].end)), a.labels[i].name);
  for (const auto i : match.wrong)
    fmt::print("wrong   {} s  {}\n", seconds_text(b.seconds_of(b.labels[i].begin)), b.labels[i].name);
  return 0;
}

}  // namespace

int run_label_compare(const LabelComparison& o) {
  for (const auto& path : o.files)
    if (path.extension() == ".sds" || path.extension() == ".sdsz")
      return fail_with({ErrorCode::usage,
                        fmt::format("is a recording: name label files, such as {}", label_path(path).string()),
                        path,
                        {}});
  auto a = LabelFile::load(o.files[0]);
  if (!a) return fail_with(a.error());
  auto b = LabelFile::load(o.files[1]);
  if (!b) return fail_with(b.error());
  return o.events ? compare_events(o, std::move(*a), std::move(*b)) : compare_times(o, *a, *b);
}

}  // namespace sds::cli
