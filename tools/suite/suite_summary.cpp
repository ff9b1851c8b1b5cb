// What many results say together, and results as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "median.hpp"
#include "shell_text.hpp"
#include "suite.hpp"

namespace sds {

namespace {

using nlohmann::json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Area under the ROC curve: the share of pairs of a right and a wrong one in which the right one scores higher.
double area_under_curve(std::vector<std::pair<long double, bool>> scored) {
  std::sort(scored.begin(), scored.end());
  double rank_sum = 0;
  double positives = 0;
  for (std::size_t i = 0; i < scored.size();) {
    std::size_t end = i;
    while (end < scored.size() && scored[end].first == scored[i].first) ++end;
    const double rank = static_cast<double>(i + end + 1) / 2;  // equal scores share the mean of their ranks
    for (; i < end; ++i)
      if (scored[i].second) {
        rank_sum += rank;
        positives += 1;
      }
  }
  const double negatives = static_cast<double>(scored.size()) - positives;
  if (positives == 0 || negatives == 0) return kNan;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

// Names of files, which are in many texts, need not be UTF-8.
std::vector<std::string> utf8_texts(std::vector<std::string> texts) {
  for (auto& text : texts) text = utf8_text(text);
  return texts;
}

double ratio(double part, double whole) { return whole > 0 ? part / whole : kNan; }

// Of names in order.
std::size_t position(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<std::size_t>(std::lower_bound(names.begin(), names.end(), name) - names.begin());
}

void count_decisions(const std::vector<TestResult>& results, SuiteSummary& summary) {
  std::set<std::string> labels;
  std::set<std::string> classes;
  for (const auto& result : results)
    for (const auto& decided : result.decision_counts) {
      labels.insert(decided.label);
      classes.insert(decided.predicted);
    }
  summary.labels.assign(labels.begin(), labels.end());
  classes.insert(labels.begin(), labels.end());
  summary.classes.assign(classes.begin(), classes.end());
  summary.confusion.assign(summary.labels.size(), std::vector<std::uint64_t>(summary.classes.size()));
  summary.right_of = summary.confusion;
  for (const auto& result : results)
    for (const auto& decided : result.decision_counts) {
      const std::uint64_t right = decided.right ? decided.count : 0;
      summary.decisions += decided.count;
      summary.right += right;
      const std::size_t l = position(summary.labels, decided.label);
      const std::size_t c = position(summary.classes, decided.predicted);
      summary.confusion[l][c] += decided.count;
      summary.right_of[l][c] += right;
    }
}

void report_classes(const std::vector<TestResult>& results, SuiteSummary& summary) {
  const bool all_are_listed = std::all_of(results.begin(), results.end(), [](const auto& result) {
    return result.decisions.size() == result.decision_count();
  });
  for (std::size_t c = 0; c < summary.classes.size(); ++c) {
    ClassReport report;
    report.name = summary.classes[c];
    const std::size_t row = position(summary.labels, report.name);
    const bool is_label = row < summary.labels.size() && summary.labels[row] == report.name;
    double predicted = 0;
    double right = 0;
    for (std::size_t l = 0; l < summary.labels.size(); ++l) {
      predicted += static_cast<double>(summary.confusion[l][c]);
      right += static_cast<double>(summary.right_of[l][c]);
    }
    report.precision = ratio(right, predicted);
    right = 0;
    if (is_label) {
      for (const auto count : summary.confusion[row]) report.count += count;
      for (const auto count : summary.right_of[row]) right += static_cast<double>(count);
    }
    report.recall = ratio(right, static_cast<double>(report.count));
    std::vector<std::pair<long double, bool>> scored;
    for (const auto& result : results)
      for (const auto& decision : result.decisions)
        if (const auto score = decision.scores.find(report.name); score != decision.scores.end())
          scored.emplace_back(score->second, decision.label == report.name);
    report.auc = all_are_listed ? area_under_curve(std::move(scored)) : kNan;
    summary.by_class.push_back(std::move(report));
  }
}

// JSON has no infinity, and its numbers are doubles to most who read it. Whole numbers keep all their digits; others
// that no double holds are texts.
json score_json(long double score) {
  if (!std::isfinite(score)) return score > 0 ? "inf" : "-inf";
  const bool is_large_whole = std::abs(score) >= 0x1p53L && std::trunc(score) == score;
  if (is_large_whole && score >= -0x1p63L && score < 0x1p63L) return static_cast<std::int64_t>(score);
  if (is_large_whole && score > 0 && score < 0x1p64L) return static_cast<std::uint64_t>(score);
  if (static_cast<long double>(static_cast<double>(score)) == score) return static_cast<double>(score);
  return fmt::format("{:.{}g}", score, std::numeric_limits<long double>::max_digits10);
}

long double score_of(const json& score) {
  if (score.is_number_unsigned()) return static_cast<long double>(score.get<std::uint64_t>());
  if (score.is_number_integer()) return static_cast<long double>(score.get<std::int64_t>());
  if (!score.is_string()) return score.get<double>();
  const auto text = score.get<std::string>();
  return std::strtold(text.c_str(), nullptr);  // "inf" is one, too
}

json decision_json(const Decision& d) {
  json scores = json::object();
  for (const auto& [name, score] : d.scores) scores[name] = score_json(score);
  return {{"label", d.label}, {"predicted", d.predicted}, {"right", d.right}, {"scores", scores}};
}

// A value that is no number, or infinite, is null: there is nothing to draw.
json picture_json(const DifferencePicture& p) {
  return {{"title", p.title},       {"first_s", p.first_s}, {"expected_s", p.expected_s},
          {"expected", p.expected}, {"came_s", p.came_s},   {"came", p.came}};
}

DifferencePicture picture_of(const json& p) {
  const auto numbers = [&](const char* key) {
    std::vector<double> values;
    for (const auto& value : p.at(key)) values.push_back(value.is_null() ? kNan : value.get<double>());
    return values;
  };
  return {p.at("title"),       p.at("first_s"),   numbers("expected_s"),
          numbers("expected"), numbers("came_s"), numbers("came")};
}

json events_json(const std::map<std::string, EventScore>& events) {
  json classes = json::object();
  for (const auto& [name, e] : events)
    classes[name] = {{"labels", e.labels},
                     {"events", e.found},
                     {"right", e.right},
                     {"onset_sum_s", e.onset_sum_s},
                     {"largest_onset_s", e.right > 0 ? json(e.largest_onset_s) : json(nullptr)}};
  return classes;
}

std::map<std::string, EventScore> events_of(const json& classes) {
  std::map<std::string, EventScore> events;
  for (const auto& [name, e] : classes.items()) {
    const json& largest = e.at("largest_onset_s");
    events[name] = {e.at("labels"), e.at("events"), e.at("right"), e.at("onset_sum_s"),
                    largest.is_null() ? 0 : largest.get<double>()};
  }
  return events;
}

std::vector<DecisionCount> counts_of(const json& list) {
  std::vector<DecisionCount> counts;
  for (const auto& c : list) counts.push_back({c.at("label"), c.at("predicted"), c.at("right"), c.at("count")});
  return counts;
}

}  // namespace

std::uint64_t TestResult::decision_count() const {
  std::uint64_t sum = 0;
  for (const auto& decided : decision_counts) sum += decided.count;
  return sum;
}

std::uint64_t TestResult::right_count() const {
  std::uint64_t sum = 0;
  for (const auto& decided : decision_counts) sum += decided.right ? decided.count : 0;
  return sum;
}

const char* name_of(TestResult::Status status) {
  return status == TestResult::Status::passed ? "passed" : status == TestResult::Status::failed ? "failed" : "error";
}

bool fail_idle_settings(std::vector<TestResult>& results) {
  std::set<std::string> useful;
  for (const auto& result : results) {
    if (result.status == TestResult::Status::error || !result.is_judged) return false;
    useful.insert(result.useful.begin(), result.useful.end());
  }
  bool any = false;
  for (auto& result : results)
    for (const auto& idle : result.idle) {
      if (useful.contains(idle)) continue;
      any = true;
      result.status = TestResult::Status::failed;
      result.reasons.push_back(idle + " has no effect in any test");
    }
  return any;
}

SuiteSummary summarize(const std::vector<TestResult>& results) {
  SuiteSummary summary;
  std::vector<double> medians;
  for (const auto& result : results) {
    summary.passed += result.status == TestResult::Status::passed ? 1 : 0;
    summary.failed += result.status == TestResult::Status::failed ? 1 : 0;
    summary.errors += result.status == TestResult::Status::error ? 1 : 0;
    summary.executions += result.executions;
    summary.recorded_seconds += result.recorded_seconds;
    summary.wall_seconds += result.wall_seconds;
    summary.p99_us = std::max(summary.p99_us, result.p99_us);
    if (result.executions > 0) medians.push_back(result.p50_us);
  }
  if (!medians.empty()) summary.p50_us = median(std::move(medians));
  for (const auto& result : results)
    for (const auto& [name, score] : result.events) summary.events[name] += score;
  count_decisions(results, summary);
  report_classes(results, summary);
  return summary;
}

nlohmann::json results_to_json(const std::vector<TestResult>& results) {
  json tests = json::array();
  for (const auto& r : results) {
    json counts = json::array();
    for (const auto& c : r.decision_counts)
      counts.push_back({{"label", c.label}, {"predicted", c.predicted}, {"right", c.right}, {"count", c.count}});
    json decisions = json::array();
    for (const auto& decision : r.decisions) decisions.push_back(decision_json(decision));
    json pictures = json::array();
    for (const auto& picture : r.pictures) pictures.push_back(picture_json(picture));
    tests.push_back({{"suite", r.suite},
                     {"case", r.case_name},
                     {"name", utf8_text(r.name)},
                     {"algorithm", r.algorithm},
                     {"index", r.index},
                     {"status", name_of(r.status)},
                     {"reasons", utf8_texts(r.reasons)},
                     {"notes", utf8_texts(r.notes)},
                     {"input_fingerprint", r.input_fingerprint},
                     {"output_fingerprint", r.output_fingerprint},
                     {"executions", r.executions},
                     {"recorded_seconds", r.recorded_seconds},
                     {"useful_settings", r.useful},
                     {"idle_settings", r.idle},
                     {"judged", r.is_judged},
                     {"decision_counts", counts},
                     {"decisions", decisions},
                     {"events", events_json(r.events)},
                     {"pictures", pictures},
                     {"measured",
                      {{"wall_seconds", r.wall_seconds},
                       {"p50_us", r.p50_us},
                       {"p90_us", r.p90_us},
                       {"p99_us", r.p99_us},
                       {"max_us", r.max_us},
                       {"memory_mib", r.memory_mib}}}});
  }
  return {{"sdskit-test-results", 2}, {"tests", tests}};
}

Expected<std::vector<TestResult>> results_from_json(const nlohmann::json& root) {
  try {
    if (root.at("sdskit-test-results") != 2)
      return fail(ErrorCode::unsupported, "test results of a version that is not known");
    std::vector<TestResult> results;
    for (const auto& t : root.at("tests")) {
      TestResult r;
      r.suite = t.at("suite");
      r.case_name = t.at("case");
      r.name = t.at("name");
      r.algorithm = t.at("algorithm");
      r.index = t.at("index");
      const std::string status = t.at("status");
      r.status = status == "passed"   ? TestResult::Status::passed
                 : status == "failed" ? TestResult::Status::failed
                                      : TestResult::Status::error;
      r.reasons = t.at("reasons").get<std::vector<std::string>>();
      r.notes = t.at("notes").get<std::vector<std::string>>();
      r.input_fingerprint = t.at("input_fingerprint");
      r.output_fingerprint = t.at("output_fingerprint");
      r.executions = t.at("executions");
      r.recorded_seconds = t.at("recorded_seconds");
      r.useful = t.at("useful_settings").get<std::set<std::string>>();
      r.idle = t.at("idle_settings").get<std::set<std::string>>();
      r.is_judged = t.at("judged");
      r.decision_counts = counts_of(t.at("decision_counts"));
      for (const auto& d : t.at("decisions")) {
        r.decisions.push_back({d.at("label"), d.at("predicted"), d.at("right"), {}});
        for (const auto& [name, score] : d.at("scores").items()) r.decisions.back().scores[name] = score_of(score);
      }
      r.events = events_of(t.at("events"));
      for (const auto& p : t.at("pictures")) r.pictures.push_back(picture_of(p));
      const auto& measured = t.at("measured");
      r.wall_seconds = measured.at("wall_seconds");
      r.p50_us = measured.at("p50_us");
      r.p90_us = measured.at("p90_us");
      r.p99_us = measured.at("p99_us");
      r.max_us = measured.at("max_us");
      r.memory_mib = measured.at("memory_mib");
      results.push_back(std::move(r));
    }
    return results;
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::bad_input, std::string("no results of sds test: ") + error.what());
  }
}

}  // namespace sds
