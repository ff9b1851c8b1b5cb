#include "event_judge.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "class_number.hpp"
#include "duration_text.hpp"
#include "judged_output.hpp"
#include "label_file.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {

constexpr std::size_t kMaxEvents = 1'000'000;
constexpr std::size_t kMaxTold = 10;  // of what was missed, and of what is wrong

class EventJudge {
 public:
  EventJudge(const TestSpec& test, TestResult& result) : test_(test), rule_(*test.events), result_(result) {}

  Expected<void> judge(const Recording& recording, const std::filesystem::path& path) {
    if (auto read = read_labels(recording); !read) return read;
    if (auto read = read_events(path); !read) return read;
    const EventMatch match = match_events(labels_, events_, rule_.tolerance_ns);
    result_.events = match.by_class;
    const EventScore all = match.all();
    result_.notes.push_back(fmt::format("{} of {} labels are found, {} of {} events are wrong, with a tolerance of {}",
                                        all.right, all.labels, all.found - all.right, all.found,
                                        human_seconds(static_cast<double>(rule_.tolerance_ns) / 1e9)));
    if (check_limits(match, all)) return {};
    tell("missed", match.missed, [&](std::size_t i) {
      return fmt::format("{} from {} s to {} s", labels_[i].name, time_of(labels_[i].begin), time_of(labels_[i].end));
    });
    tell("wrong", match.wrong,
         [&](std::size_t i) { return fmt::format("{} at {} s", events_[i].name, time_of(events_[i].at)); });
    return {};
  }

 private:
  static std::string time_of(const Instant& at) { return seconds_text(seconds(at.tick, at.frequency)); }
  void fails(std::string reason) { result_.reasons.push_back(std::move(reason)); }
  [[nodiscard]] bool is_ignored(const std::string& name) const { return rule_.ignore.contains(name); }
  [[nodiscard]] bool is_class(const std::string& name) const {
    const auto& classes = test_.label.classes;
    return std::find(classes.begin(), classes.end(), name) != classes.end();
  }

  Expected<void> read_labels(const Recording& recording) {
    auto file = labels_of(recording);
    if (!file) return fail(file);
    if (file->labels.empty() && label_files(recording).empty())
      return fail(ErrorCode::bad_input,
                  fmt::format("there are no labels for 'events:': neither {} nor a class in its name",
                              label_path(recording.path()).string()));
    std::set<std::string> streams;
    for (const auto& label : file->labels)
      if (!label.stream.empty()) streams.insert(label.stream);
    if (rule_.stream.empty() && streams.size() > 1)
      return fail(ErrorCode::bad_input,
                  fmt::format("its labels are about several streams: choose one with 'events: stream:'; there are: {}",
                              fmt::join(streams, ", ")));
    if (!rule_.stream.empty())
      if (auto found = recording.find_stream(rule_.stream); !found) return fail(found);
    std::set<std::string> unknown;
    std::size_t chosen = 0;
    for (const auto& label : file->labels) {
      if (!label.stream.empty() && !recording.find_stream(label.stream))
        return fail(ErrorCode::bad_input,
                    fmt::format("the label '{}' is about a stream '{}' that there is not", label.name, label.stream));
      if (!rule_.stream.empty() && !label.stream.empty() && label.stream != rule_.stream) continue;
      ++chosen;
      if (is_ignored(label.name)) continue;
      labels_.push_back({label.name, {label.begin, file->tick_frequency}, {label.end, file->tick_frequency}});
      if (!is_class(label.name)) unknown.insert(label.name);
    }
    if (!unknown.empty())
      return fail(ErrorCode::bad_input,
                  fmt::format("labels that are none of 'classes:' cannot be found: {}", fmt::join(unknown, ", ")));
    if (chosen == 0 && !file->labels.empty())
      return fail(ErrorCode::bad_input,
                  fmt::format("none of its {} labels is about {}", file->labels.size(), rule_.stream));
    return {};
  }

  Expected<void> read_events(const std::filesystem::path& path) {
    auto outputs = open_until_end(path);
    if (!outputs) return fail(outputs);
    const auto index = judged_output(*outputs, test_.label.output, "its values are no numbers of classes");
    if (!index) return fail(index);
    const StreamInfo& stream = outputs->streams()[*index];
    const auto channel = class_number_channel(*stream.metadata, "events:");
    if (!channel) return fail(channel);
    auto cursor = outputs->cursor(*index);
    if (!cursor) return fail(cursor);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) return {};
      if ((*block)->data.size() != stream.metadata->sample_bytes)
        return fail(ErrorCode::bad_input,
                    fmt::format("the output {} of tick {} has {} bytes: an event has a time of its own, and so a block "
                                "of {}",
                                stream.id, (*block)->tick, (*block)->data.size(), stream.metadata->sample_bytes));
      std::string name = class_of(**channel, (*block)->data.data(), test_.label.classes);
      if (is_ignored(name)) continue;
      if (events_.size() == kMaxEvents)
        return fail(ErrorCode::limit, fmt::format("more than {} events came out", kMaxEvents));
      events_.push_back({std::move(name), {(*block)->tick, stream.metadata->tick_frequency}});
    }
  }

  // True if all are kept.
  bool check_limits(const EventMatch& match, const EventScore& all) {
    const std::size_t before = result_.reasons.size();
    const TestLimits& limits = test_.limits;
    EventLimit f1 = limits.f1;
    if (!limits.precision.any() && !limits.recall.any() && !f1.any()) f1.all = 1;
    check("precision", limits.precision, match, all, &EventScore::precision,
          [](const EventScore& s) { return fmt::format("{} of {} events are right", s.right, s.found); });
    check("recall", limits.recall, match, all, &EventScore::recall,
          [](const EventScore& s) { return fmt::format("{} of {} labels are found", s.right, s.labels); });
    check("F1", f1, match, all, &EventScore::f1, [](const EventScore& s) {
      return fmt::format("{} of {} labels are found, {} of {} events are right", s.right, s.labels, s.right, s.found);
    });
    if (limits.onset_ns) check_onsets(match, all, *limits.onset_ns);
    return result_.reasons.size() == before;
  }

  void check_onsets(const EventMatch& match, const EventScore& all, std::uint64_t limit_ns) {
    note_use("onset-ms", "", all.right > 0);
    const bool is_late = std::any_of(match.right.begin(), match.right.end(), [&](const auto& pair) {
      return are_farther_apart(labels_[pair.first].begin, events_[pair.second].at, limit_ns);
    });
    if (is_late)
      fails(fmt::format("an event lies {} from its label's begin, more than the limit of {:.6g} ms",
                        human_seconds(all.largest_onset_s), static_cast<double>(limit_ns) / 1e6));
  }

  template <class Counts>
  void check(const char* what, const EventLimit& limit, const EventMatch& match, const EventScore& all,
             double (EventScore::*rate)() const, const Counts& counts) {
    if (limit.all) check_one(what, "", all, *limit.all, (all.*rate)(), counts);
    for (const auto& [name, least] : limit.by_class) {
      const auto found = match.by_class.find(name);
      const EventScore score = found == match.by_class.end() ? EventScore() : found->second;
      check_one(what, name, score, least, (score.*rate)(), counts);
    }
  }

  // A rate without a case judges nothing. Where labels are there and no event came, precision fails, for silence is
  // none; a recall without labels must have some in another test of the case.
  template <class Counts>
  void check_one(const std::string& what, const std::string& name, const EventScore& score, double least, double value,
                 const Counts& counts) {
    const std::string of = name.empty() ? "" : name + ": ";
    if (value < least)
      fails(fmt::format("{}{} is {:.4g}, below the limit of {:.4g}: {}", of, what, value, least, counts(score)));
    if (std::isnan(value) && score.labels > 0)
      fails(fmt::format("{}{} is undefined: no event came, for {} labels", of, what, score.labels));
    // Where no label and no event is, all is well; but a class must be there, and a recall must have labels, in some
    // test.
    if (what == "recall") note_use(what, name, score.labels > 0);
    if (what != "recall" && !name.empty()) note_use(what, name, score.labels + score.found > 0);
  }

  void note_use(const std::string& what, const std::string& name, bool is_useful) {
    (is_useful ? result_.useful : result_.idle)
        .insert(
            fmt::format("the limit of {}{} of the case {}", what, name.empty() ? "" : " of " + name, test_.case_name));
  }

  template <class Text>
  void tell(const char* what, const std::vector<std::size_t>& which, const Text& text) {
    for (std::size_t i = 0; i < which.size() && i < kMaxTold; ++i) fails(fmt::format("{}: {}", what, text(which[i])));
    if (which.size() > kMaxTold) fails(fmt::format("{}: {} in all", what, which.size()));
  }

  const TestSpec& test_;
  const TestEvents& rule_;
  TestResult& result_;
  std::vector<EventLabel> labels_;
  std::vector<FoundEvent> events_;
};

}  // namespace

void judge_events(const TestSpec& test, const Recording& recording, const std::filesystem::path& outputs,
                  TestResult& result) {
  if (auto judged = EventJudge(test, result).judge(recording, outputs); !judged) {
    result.reasons.push_back(judged.error().to_string());
    result.is_judged = false;
  }
}

}  // namespace sds
