#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "command.hpp"
#include "event_table.hpp"
#include "outputs.hpp"
#include "progress_line.hpp"
#include "scratch_folder.hpp"
#include "sds/bridge/child_process.hpp"
#include "sds/format/file.hpp"
#include "sds/format/partial_file.hpp"
#include "shell_text.hpp"
#include "suite.hpp"
#include "suite_part.hpp"

namespace sds::cli {

namespace {

struct Outputs {
  std::filesystem::path junit;
  std::filesystem::path html;
  std::filesystem::path results;
  bool force = false;
  bool json = false;
};

struct TestArguments {
  std::filesystem::path suite;
  unsigned jobs = 0;
  std::string shard;
  bool update = false;
  std::filesystem::path keep;
  bool list = false;
  std::string filter;
  Outputs outputs;
  // Hidden: a child process runs one test, the very one that its parent means.
  std::string run_name;
  std::filesystem::path run_recording;
  std::string run_digest;  // of the suite
  std::filesystem::path run_result;
};

struct Shard {
  std::size_t index = 0;
  std::size_t of = 1;
};

Expected<Shard> parse_shard(const std::string& text) {
  Shard shard;
  if (text.empty()) return shard;
  const auto is_number = [](std::string_view digits, std::size_t& number) {
    const char* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, number);
    return read.ec == std::errc{} && read.ptr == end;
  };
  const std::size_t slash = std::min(text.find('/'), text.size() - 1);
  if (!is_number(std::string_view(text).substr(0, slash), shard.index) ||
      !is_number(std::string_view(text).substr(slash + 1), shard.of) || shard.index == 0 || shard.index > shard.of)
    return fail(ErrorCode::usage, fmt::format("--shard '{}' is not i/n with i from 1 to n", text));
  --shard.index;
  return shard;
}

// Before the tests run, which may take long.
Expected<void> refuse_existing(const Outputs& outputs) {
  for (const auto& path : {outputs.junit, outputs.html, outputs.results})
    if (auto ok = path.empty() ? Expected<void>() : sds::refuse_existing(path, outputs.force); !ok) return ok;
  return {};
}

std::string dump(const nlohmann::json& json) {
  return json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

const char* status_text(TestResult::Status status) {
  return status == TestResult::Status::passed ? "passed" : status == TestResult::Status::failed ? "FAILED" : "ERROR ";
}

void print_result(const TestResult& r) {
  std::string judged;
  if (r.decisions.size() == 1) judged = "  " + r.decisions[0].predicted;
  fmt::print("{}  {}{}\n", status_text(r.status), r.name, judged);
  for (const auto& reason : r.reasons) fmt::print("          {}\n", visible_text(reason));
  for (const auto& note : r.notes) fmt::print("          note: {}\n", visible_text(note));
}

std::string percent(double share) { return std::isnan(share) ? "-" : fmt::format("{:.1f} %", 100 * share); }

void print_matrix(const SuiteSummary& s) {
  std::size_t width = 6;
  for (const auto& name : s.classes) width = std::max(width, name.size() + 2);
  for (const auto& row : s.confusion)
    for (const auto count : row) width = std::max(width, std::to_string(count).size() + 2);
  std::size_t first = 18;
  for (const auto& name : s.labels) first = std::max(first, name.size() + 1);
  fmt::print("\n{:<{}}", "label \\ predicted", first);
  for (const auto& name : s.classes) fmt::print("{:>{}}", name, width);
  fmt::print("\n");
  for (std::size_t l = 0; l < s.labels.size(); ++l) {
    fmt::print("{:<{}}", s.labels[l], first);
    for (const auto count : s.confusion[l]) fmt::print("{:>{}}", count, width);
    fmt::print("\n");
  }
  fmt::print("\n{:<{}}{:>10}{:>11}{:>9}{:>9}\n", "class", first, "decisions", "precision", "recall", "ROC-AUC");
  for (const auto& c : s.by_class)
    fmt::print("{:<{}}{:>10}{:>11}{:>9}{:>9}\n", c.name, first, c.count, percent(c.precision), percent(c.recall),
               std::isnan(c.auc) ? "-" : fmt::format("{:.4f}", c.auc));
}

void print_summary(const std::vector<TestResult>& results) {
  const SuiteSummary s = summarize(results);
  if (s.decisions > 0) print_matrix(s);
  if (!s.events.empty()) {
    fmt::print("\n");
    print_event_scores(s.events);
  }
  fmt::print("\n");
  if (s.decisions > 0)
    fmt::print("accuracy  {:.2f} % ({} of {} decisions)\n",
               100.0 * static_cast<double>(s.right) / static_cast<double>(s.decisions), grouped(s.right),
               grouped(s.decisions));
  if (s.executions > 0)
    fmt::print("latency   median {:.1f} us, largest p99 {:.1f} us, {} executions\n", s.p50_us, s.p99_us,
               grouped(s.executions));
  fmt::print("{} passed, {} failed, {} with errors\n", s.passed, s.failed, s.errors);
}

// `part`: what the results are a part of; null: they are whole.
int report(std::vector<TestResult> results, const Outputs& outputs, const SuitePart* part) {
  std::stable_sort(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  auto whole = results_to_json(results);
  if (part != nullptr) make_part(whole, *part);
  if (outputs.json) {
    fmt::print("{}", dump(whole));
  } else {
    for (const auto& result : results) print_result(result);
    print_summary(results);
  }
  for (const auto& [path, text] : {std::pair{outputs.junit, outputs.junit.empty() ? "" : junit_xml(results)},
                                   std::pair{outputs.html, outputs.html.empty() ? "" : html_report(results)},
                                   std::pair{outputs.results, outputs.results.empty() ? "" : dump(whole)}})
    if (auto written = path.empty() ? Expected<void>() : write_text_file(path, text, if_exists(outputs.force));
        !written)
      return fail_with(written.error());
  return std::all_of(results.begin(), results.end(),
                     [](const auto& r) { return r.status == TestResult::Status::passed; })
             ? 0
             : 1;
}

Expected<nlohmann::json> read_json(const std::filesystem::path& path) {
  auto text = read_small_file(path, std::size_t{1} << 30);
  if (!text) return fail(text);
  return nlohmann::json::parse(*text, nullptr, false);
}

Expected<std::vector<TestResult>> read_results(const std::filesystem::path& path) {
  auto json = read_json(path);
  if (!json) return fail(json);
  auto results = results_from_json(*json);
  if (!results) results.error().path = path;
  return results;
}

// Runs each test in a process of its own, `jobs` at a time: what one test does cannot reach another.
class Runner {
 public:
  Runner(const TestArguments& options, const Suite& suite, std::vector<std::size_t> tests)
      : options_(options), suite_(suite), tests_(std::move(tests)), results_(tests_.size()) {}

  Expected<std::vector<TestResult>> run() {
    const auto scratch = ScratchFolder::create();
    if (!scratch) return fail(scratch);
    folder_ = scratch->path();
    program_ = program_path().string();
    std::vector<std::thread> threads;
    const unsigned jobs = options_.jobs > 0 ? options_.jobs : std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < std::min<std::size_t>(jobs, tests_.size()); ++i) threads.emplace_back([this] { work(); });
    for (auto& thread : threads) thread.join();
    if (auto go_on = may_go_on(); !go_on) return fail(go_on);
    return std::move(results_);
  }

 private:
  void work() {
    for (;;) {
      const std::size_t next = next_++;
      if (next >= tests_.size() || interrupted()) return;
      results_[next] = run_one(tests_[next]);
    }
  }

  TestResult run_one(std::size_t index) {
    const TestSpec& test = suite_.tests[index];
    const auto file = folder_ / std::to_string(index);
    std::vector<std::string> command{program_,
                                     "test",
                                     options_.suite.string(),
                                     "--run-one=" + test.name,
                                     "--run-recording=" + test.recording.string(),
                                     "--run-digest=" + suite_.digest,
                                     "--run-result=" + file.string()};
    if (options_.update) command.emplace_back("--update");
    if (!options_.keep.empty()) command.push_back("--keep=" + options_.keep.string());
    ChildProcess child;
    std::string problem;
    // What a test leaves behind when it is killed goes away with our folder.
    if (auto started = child.start(command, {}, {"TMPDIR=" + folder_.string()}); !started) {
      problem = started.error().to_string();
    } else {
      while (!child.has_ended() && !interrupted()) ::usleep(500);
      if (interrupted()) return {};
      const int status = child.wait();
      if (status != 0) problem = "the process of the test " + describe_exit(status);
    }
    if (problem.empty()) {
      auto results = read_results(file);
      // Names as JSON has them: a file's name may be no text.
      if (results && results->size() == 1 && results->front().name == utf8_text(test.name))
        return of_test(std::move(results->front()), index);
      problem = !results               ? results.error().to_string()
                : results->size() == 1 ? "its process ran another test: " + results->front().name
                                       : "the process of the test left no result";
    }
    TestResult result;
    result.reasons = {problem};
    return of_test(std::move(result), index);
  }

  TestResult of_test(TestResult result, std::size_t index) const {
    const TestSpec& test = suite_.tests[index];
    result.suite = suite_.name;
    result.case_name = test.case_name;
    result.name = test.name;
    result.index = index;
    return result;
  }

  const TestArguments& options_;
  const Suite& suite_;
  std::vector<std::size_t> tests_;
  std::vector<TestResult> results_;
  std::filesystem::path folder_;
  std::string program_;
  std::atomic<std::size_t> next_{0};
};

// --update replaces a file by what one test put out: an expectation, no file that the suite reads, and of no other
// test.
Expected<void> refuse_shared(const Suite& suite, const std::vector<std::size_t>& chosen) {
  const auto canonical = [](const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::weakly_canonical(path, error);
  };
  std::set<std::filesystem::path> recordings;
  std::set<std::filesystem::path> inputs;
  for (const auto& test : suite.tests) {
    recordings.insert(canonical(test.recording));
    for (const auto& path : {test.job.algorithm.path, test.metadata.value_or(""), test.job.out_metadata})
      if (!path.empty()) inputs.insert(canonical(path));
  }
  std::map<std::filesystem::path, std::string> updated;
  for (const std::size_t i : chosen) {
    const TestSpec& test = suite.tests[i];
    if (test.expected.empty()) continue;
    const auto path = canonical(test.expected);
    if (recordings.contains(path))
      return fail(ErrorCode::usage,
                  fmt::format("--update would replace a recording of the suite, what {} expects", test.name), path);
    if (inputs.contains(path))
      return fail(ErrorCode::usage,
                  fmt::format("--update would replace what the suite runs or reads, what {} expects", test.name), path);
    if (path.extension() != ".sdsz")
      return fail(ErrorCode::usage, fmt::format("--update records .sdsz files, and {} expects another", test.name),
                  path);
    const auto [first, is_new] = updated.emplace(path, test.name);
    if (!is_new)
      return fail(ErrorCode::usage,
                  fmt::format("{} and {} expect the same file: --update needs one for each ({{case}} and {{recording}} "
                              "in 'expected:'), or --filter for one of the tests",
                              first->second, test.name),
                  path);
  }
  return {};
}

// Outputs that an earlier run kept are of another day: with --force they go, also of tests that pass now.
Expected<void> make_room_for_kept(const TestArguments& o, const Suite& suite, const std::vector<std::size_t>& chosen) {
  if (o.keep.empty()) return {};
  for (const std::size_t i : chosen)
    if (auto ok = sds::refuse_existing(kept_outputs(suite.tests[i], o.keep), o.outputs.force); !ok) return ok;
  for (const std::size_t i : chosen) {
    const auto kept = kept_outputs(suite.tests[i], o.keep);
    std::error_code error;
    if (std::filesystem::remove(kept, error); error)
      return fail(ErrorCode::io, fmt::format("cannot remove it: {}", error.message()), kept);
  }
  return {};
}

// The suite is read anew here: what its patterns find may be something else by now.
TestResult run_child_test(const TestArguments& o) {
  const auto suite = load_suite(o.suite);
  if (suite && suite->digest == o.run_digest)
    for (std::size_t i = 0; i < suite->tests.size(); ++i)
      if (const auto& test = suite->tests[i]; test.name == o.run_name && test.recording == o.run_recording)
        return run_test(test, i, {o.update, o.keep});
  TestResult result;
  result.name = o.run_name;
  result.reasons = {"it was not run: the suite, or what its patterns find, changed since the tests began" +
                    (suite ? "" : ": " + suite.error().to_string())};
  return result;
}

int run_child(const TestArguments& o) {
  auto written = write_scratch_file(o.run_result, dump(results_to_json({run_child_test(o)})));
  return written ? 0 : fail_with(written.error());
}

int run_suite(const TestArguments& o) {
  if (!o.run_result.empty()) return run_child(o);
  auto suite = load_suite(o.suite);
  if (!suite) return fail_with(suite.error());
  for (const auto& test : suite->tests) {
    for (const auto& path : {test.recording, test.expected, test.job.algorithm.path}) reads(path);
    if (test.metadata) reads(*test.metadata);
  }
  if (auto ok = refuse_existing(o.outputs); !ok) return fail_with(ok.error());
  auto shard = parse_shard(o.shard);
  if (!shard) return fail_with(shard.error());
  for (const auto& note : suite->notes) warn(note);
  const auto fits = [&](const TestSpec& test) { return test.name.find(o.filter) != std::string::npos; };
  if (std::none_of(suite->tests.begin(), suite->tests.end(), fits))
    return fail_with({ErrorCode::usage, fmt::format("no test's name contains '{}'", o.filter), o.suite, {}});
  SuitePart part{suite->name, suite->digest, o.filter, 0, shard->index + 1, shard->of};
  std::vector<std::size_t> all;
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < suite->tests.size(); ++i) {
    if (!fits(suite->tests[i])) continue;
    if (all.size() % shard->of == shard->index) chosen.push_back(i);
    all.push_back(i);
  }
  part.test_count = all.size();
  if (chosen.empty())
    return fail_with({ErrorCode::usage,
                      fmt::format("part {} of {} has no tests: there are {}", part.number, part.of, part.test_count),
                      o.suite,
                      {}});
  if (o.list) {
    for (const std::size_t i : chosen) fmt::print("{}\n", suite->tests[i].name);
    return 0;
  }
  if (o.update)
    if (auto ok = refuse_shared(*suite, all); !ok) return fail_with(ok.error());
  if (auto ok = make_room_for_kept(o, *suite, chosen); !ok) return fail_with(ok.error());
  const bool are_all = o.shard.empty() && o.filter.empty();
  const auto may_be_idle = [&](std::size_t i) {
    const TestSpec& test = suite->tests[i];
    return !test.job.may_be_idle.empty() || test.metadata_may_be_idle || !test.label.accepts.empty() ||
           !test.tolerances.absolute_may_be_idle.empty() || !test.tolerances.relative_may_be_idle.empty() ||
           (test.events && test.limits.any_of_events());
  };
  if (o.update && are_all && std::any_of(chosen.begin(), chosen.end(), may_be_idle)) {
    // Settings without effect fail tests when all have run: then nothing must have been replaced.
    TestArguments first = o;
    first.update = false;
    first.keep.clear();
    auto looked = Runner(first, *suite, chosen).run();
    if (!looked) return fail_with(looked.error());
    if (fail_idle_settings(*looked)) {
      warn("nothing is replaced: the suite says what has no effect");
      return report(std::move(*looked), o.outputs, nullptr);
    }
  }
  auto results = Runner(o, *suite, std::move(chosen)).run();
  if (!results) return fail_with(results.error());
  if (are_all) fail_idle_settings(*results);
  return report(std::move(*results), o.outputs, o.shard.empty() ? nullptr : &part);
}

int run_merge(const std::vector<std::filesystem::path>& parts, const Outputs& outputs) {
  if (auto ok = refuse_existing(outputs); !ok) return fail_with(ok.error());
  PartsOfSuite joined;
  for (const auto& part : parts) {
    auto json = read_json(part);
    if (!json) return fail_with(json.error());
    if (auto added = joined.add(*json, part); !added) return fail_with(added.error());
  }
  auto whole = joined.whole();
  if (!whole) return fail_with(whole.error());
  return report(std::move(*whole), outputs, nullptr);
}

void add_outputs(Command& command, Outputs& outputs) {
  command.add_option("--junit", outputs.junit, "Write JUnit XML for the CI system")
      ->check(named_like({".xml"}))
      ->type_name("FILE");
  command.add_option("--html", outputs.html, "Write a report for people: one self-contained page")
      ->check(named_like({".html"}))
      ->type_name("FILE");
  command.add_option("--results", outputs.results, "Write all results, for `sds test merge`")
      ->check(named_like({".json"}))
      ->type_name("FILE");
  command.add_flag("-f,--force", outputs.force, "Replace existing reports");
  command.add_flag("--json", outputs.json, "Print the results as JSON");
}

}  // namespace

void add_test(Command& app, Run& run) {
  auto* command = app.add_subcommand("test", "Run a suite of recordings, algorithms and expectations");
  auto o = std::make_shared<TestArguments>();
  names_inputs(*command->add_option("suite", o->suite, "The suite (docs/suites.md)")->type_name("FILE"));
  command->add_option("-j,--jobs", o->jobs, "Tests at the same time; 0: one for each core")
      ->check(in_range(0, 1024))
      ->capture_default_str();
  command->add_option("--shard", o->shard, "Run only part i of n: every n-th of the tests")->type_name("i/n");
  command->add_option("--filter", o->filter, "Run only tests whose name contains this")->type_name("TEXT");
  command->add_flag("--update", o->update, "Replace the expected outputs by what comes out now, and show what changes");
  command
      ->add_option(
          "--keep", o->keep,
          "Keep what comes out of tests that fail, as DIR/<case>/<recording>.sdsz; with --force what an earlier "
          "run kept of the same tests goes")
      ->check([](const std::string& name) { return name.empty() ? "must name a folder" : ""; })
      ->type_name("DIR");
  command->add_flag("--list", o->list, "List the tests and do not run them");
  add_outputs(*command, o->outputs);
  command->add_option("--run-one", o->run_name)->group("");
  command->add_option("--run-recording", o->run_recording)->group("");
  command->add_option("--run-digest", o->run_digest)->group("");
  command->add_option("--run-result", o->run_result)->group("");
  command->footer(
      "Results come in the order of the suite, whatever --jobs. Exit code 0 if all passed, 1 if not.\n\n"
      "Examples:\n"
      "  sds test data/motion-suite.yml --junit out.xml --html report.html\n"
      "  sds test suite.yml --shard 2/4 --results part2.json\n"
      "  sds test merge part1.json part2.json part3.json part4.json --html report.html");
  auto* merge = command->add_subcommand("merge", "Join the results of a suite that was run in parts");
  auto parts = std::make_shared<std::vector<std::filesystem::path>>();
  auto outputs = std::make_shared<Outputs>();
  names_inputs(*merge->add_option("parts", *parts, "What --results wrote")->required()->type_name("FILE..."));
  add_outputs(*merge, *outputs);
  merge->callback([parts, outputs, &run] { run = [parts, outputs] { return run_merge(*parts, *outputs); }; });
  command->callback([o, merge, &run] {
    if (merge->parsed()) return;
    run = [o] {
      if (o->suite.empty()) return fail_with({ErrorCode::usage, "no suite: sds test SUITE.yml", {}, {}});
      return run_suite(*o);
    };
  });
}

}  // namespace sds::cli
