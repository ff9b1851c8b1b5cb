// Regression suites: cases of recordings, algorithms and expectations in YAML (docs/suites.md), run in parallel
// processes, with results that can be joined from the parts of a sharded run.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compare.hpp"
#include "event_match.hpp"
#include "sds/bridge/replay_job.hpp"

namespace sds {

/// Least rate of events: of all classes together, or of some.
struct EventLimit {
  std::optional<double> all;
  std::map<std::string, double> by_class;

  [[nodiscard]] bool any() const { return all || !by_class.empty(); }
};

/// Bounds that a test must keep; absent ones do not count.
struct TestLimits {
  std::optional<double> accuracy;  ///< least share of right decisions of a test
  std::optional<double> p50_us;    ///< most for an execution, in microseconds
  std::optional<double> p99_us;
  std::optional<double> max_us;
  std::optional<double> real_time;   ///< least multiple of real time
  std::optional<double> memory_mib;  ///< most for the algorithm's process
  EventLimit precision;
  EventLimit recall;
  EventLimit f1;
  std::optional<std::uint64_t> onset_ns;  ///< most between a label's begin and the event that finds it

  [[nodiscard]] bool any_of_events() const { return precision.any() || recall.any() || f1.any() || onset_ns; }
  [[nodiscard]] bool any() const { return accuracy || p50_us || p99_us || max_us || real_time || memory_mib; }
};

/// How a test is judged by its label.
struct TestLabel {
  enum class Decide { mean, each, event };
  std::string label;                                        ///< the right answer; empty: the test has no label
  bool from_file = false;                                   ///< the right answer is the label in the recording's name
  std::map<std::string, std::vector<std::string>> accepts;  ///< classes that are right for a label, if not its own name
  std::set<std::string> default_accepts;                    ///< labels of `accepts` that the defaults name
  std::string output;                ///< stream that is judged; empty: the algorithm's first output
  std::vector<std::string> classes;  ///< names of its values; empty: its channels
  Decide decide = Decide::mean;
  std::string none;  ///< with Decide::event: the class where nothing was detected

  [[nodiscard]] bool is_there() const { return !label.empty() || from_file; }
};

/// How a test's events are judged by the recording's labels.
struct TestEvents {
  std::uint64_t tolerance_ns = 200'000'000;
  std::set<std::string> ignore;  ///< classes that are no events
  std::string stream;            ///< only labels about this one, or about the whole recording
};

/// One recording through one algorithm.
struct TestSpec {
  std::string suite;
  std::string case_name;
  std::string name;  ///< "case/recording"
  std::filesystem::path recording;
  std::optional<std::filesystem::path> metadata;
  bool metadata_may_be_idle = false;  ///< they are for others, too: where the recording has some, for that of its name
  ReplayJob job;
  std::filesystem::path expected;  ///< recorded outputs to compare with; empty: none
  CompareOptions tolerances;
  TestLabel label;
  std::optional<TestEvents> events;  ///< instead of one right answer; `label` has the output and its classes
  TestLimits limits;
  bool allow_damage = false;  ///< a recording that is damaged does not fail the test
};

struct Suite {
  std::string name;
  std::string digest;           ///< of the file's contents and of its tests' names
  std::vector<TestSpec> tests;  ///< in a stable order: that of the file, recordings by name
  std::vector<std::string> notes;
};

/// How suites call it: "config"
const char* key_of(JobPart part);

/// Reads a suite file and looks up its recordings. Paths in it are relative to its folder. Errors name the line.
Expected<Suite> load_suite(const std::filesystem::path& path);

/// One judgement of a class: of a recording, or of one output block.
struct Decision {
  std::string label;
  std::string predicted;
  bool right = false;
  std::map<std::string, long double> scores;  ///< by class; empty for events
};

/// How often a test decided so, and whether that is right.
struct DecisionCount {
  std::string label;
  std::string predicted;
  bool right = false;
  std::uint64_t count = 0;
};

/// A channel around the first value that differs from what is expected.
struct DifferencePicture {
  std::string title;   ///< "ML_Out.walk"
  double first_s = 0;  ///< of the block in which the first difference is
  std::vector<double> expected_s;
  std::vector<double> expected;
  std::vector<double> came_s;
  std::vector<double> came;
};

struct TestResult {
  enum class Status { passed, failed, error };
  std::string suite;
  std::string case_name;
  std::string name;
  std::string algorithm;
  std::size_t index = 0;  ///< in the suite
  Status status = Status::error;
  std::vector<std::string> reasons;  ///< why it is not passed
  std::vector<std::string> notes;
  std::string input_fingerprint;
  std::string output_fingerprint;
  std::uint64_t executions = 0;
  double recorded_seconds = 0;
  std::set<std::string> useful;                ///< what the suite says for several tests, and has an effect in this one
  std::set<std::string> idle;                  ///< and what has none
  bool is_judged = true;                       ///< false: not to the end, so that more might have had an effect
  std::vector<DecisionCount> decision_counts;  ///< all decisions
  std::vector<Decision> decisions;             ///< of very many the first ones
  std::map<std::string, EventScore> events;    ///< by class
  std::vector<DifferencePicture> pictures;
  // Measured, of several runs the largest of each:
  double wall_seconds = 0;
  double p50_us = 0;
  double p90_us = 0;
  double p99_us = 0;
  double max_us = 0;
  double memory_mib = 0;

  [[nodiscard]] std::uint64_t decision_count() const;
  [[nodiscard]] std::uint64_t right_count() const;
};

/// "passed", "failed", "error"
const char* name_of(TestResult::Status status);

struct TestRun {
  bool update = false;  ///< replace expectations by what comes out now
  /// Where the outputs of a test that fails are kept: `<case>/<recording>.sdsz`. Empty: nowhere.
  std::filesystem::path keep;
};

/// Where the outputs of a test are kept.
std::filesystem::path kept_outputs(const TestSpec& test, const std::filesystem::path& folder);

/// Runs one test in this process. What goes wrong is in the result; with `update`, what changed is in its notes.
TestResult run_test(const TestSpec& test, std::size_t index, const TestRun& options);

/// Of many results: what one can say of a classifier.
struct ClassReport {
  std::string name;
  std::uint64_t count = 0;  ///< decisions with this label
  double precision = 0;     ///< share of right ones where it was predicted; NaN where it never was
  double recall = 0;        ///< share of right ones where it is the label; NaN where it never is
  double auc =
      0;  ///< area under the ROC curve, one against the rest; NaN where there are no scores, or not all are listed
};

struct SuiteSummary {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::size_t errors = 0;
  std::uint64_t decisions = 0;
  std::uint64_t right = 0;
  std::vector<std::string> labels;   ///< rows of the confusion matrix
  std::vector<std::string> classes;  ///< columns
  std::vector<std::vector<std::uint64_t>> confusion;
  std::vector<std::vector<std::uint64_t>> right_of;  ///< of confusion: decisions that are right
  std::vector<ClassReport> by_class;
  std::map<std::string, EventScore> events;  ///< by class, of all tests
  double p50_us = 0;                         ///< median of the tests' medians
  double p99_us = 0;                         ///< largest of the tests' 99th percentiles
  std::uint64_t executions = 0;
  double recorded_seconds = 0;
  double wall_seconds = 0;  ///< sum over tests
};

/// Of all results of a suite: what it says without effect in any test fails those for which it says it. Tests that did
/// not run, or could not be judged to the end, might have had a use for it. True if there is any.
bool fail_idle_settings(std::vector<TestResult>& results);

SuiteSummary summarize(const std::vector<TestResult>& results);

nlohmann::json results_to_json(const std::vector<TestResult>& results);
/// Reads what results_to_json wrote; anything else is an error.
Expected<std::vector<TestResult>> results_from_json(const nlohmann::json& json);

/// JUnit's XML, as CI systems read it.
std::string junit_xml(const std::vector<TestResult>& results);
/// One self-contained page.
std::string html_report(const std::vector<TestResult>& results);

}  // namespace sds
