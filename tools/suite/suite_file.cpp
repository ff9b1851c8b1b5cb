// Reads suite files: docs/suites.md.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>
#include <glob.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sds/format/file.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"
#include "sds/format/yaml_map.hpp"
#include "sds/player/fingerprint.hpp"
#include "suite.hpp"
#include "suite_defaults.hpp"

namespace sds {

namespace {

constexpr std::size_t kMaxTests = 100000;

class SuiteReader {
 public:
  explicit SuiteReader(const std::filesystem::path& path) : folder_(path.parent_path()) {}

  Suite read(const YAML::Node& root) {
    YamlMap top(root, "the file");
    YamlMap map(top.need("suite"), "'suite'");
    top.finish();
    suite_.name = yaml_string(map.need("name"), "name");
    (void)map.string("description", "");
    defaults_.emplace(map.find("defaults"));
    const YAML::Node cases = map.need("cases");
    map.finish();
    if (!cases.IsSequence() || cases.size() == 0) yaml_problem(cases, "'cases:' must be a list of at least one case");
    std::set<std::string> names;
    for (const auto& node : cases) {
      if (!node.IsMap()) yaml_problem(node, "a case must be a mapping of keys to values");
      read_case(node, names);
    }
    defaults_->finish();
    refuse_expected_recordings();
    return std::move(suite_);
  }

 private:
  void read_case(const YAML::Node& own, std::set<std::string>& names) {
    YAML::Node node = defaults_->merge(own);
    YamlMap map(node, "a case", own);
    TestSpec test;
    test.suite = suite_.name;
    test.case_name = yaml_string(map.need("name"), "name");
    if (auto ok = check_stream_name(test.case_name); !ok) yaml_problem(own, ok.error().message);
    if (test.case_name.starts_with('.')) yaml_problem(own, "a case's name must not begin with a dot");
    if (!names.insert(test.case_name).second)
      yaml_problem(own, fmt::format("two cases are named '{}'", test.case_name));
    const std::vector<std::string> patterns = yaml_strings(map.need("recordings"), "recordings");
    if (const auto yaml = map.string("yaml", ""); !yaml.empty()) test.metadata = resolve(yaml);
    test.metadata_may_be_idle = defaults_->has_given("yaml");
    const std::string expected = map.string("expected", "");
    read_what_runs(map, own, test.job.algorithm);
    read_right_answer(map, own, test.label);
    read_events(map, own, test);
    refuse_idle(node, own, test, expected.empty());
    read_job(map, test.job);
    test.tolerances.streams = name_pairs(map.strings("compare"));
    test.tolerances.channels = name_pairs(map.strings("compare-channels"));
    read_tolerances(map, test.tolerances);
    read_label(map, test.label);
    read_limits(map, test.limits);
    check_events(own, test);
    test.allow_damage = map.flag("allow-damage", false);
    map.finish();
    defaults_->end_case();
    if (expected.empty() && !test.label.is_there() && !test.events && test.job.repeat == 1 && !test.job.check_reset &&
        !test.limits.any())
      suite_.notes.push_back(
          fmt::format("case {} expects nothing: it only shows that the algorithm does not fail", test.case_name));
    add_tests(test, patterns, expected, own);
  }

  void refuse_idle(YAML::Node& node, const YAML::Node& own, const TestSpec& test, bool expects_nothing) {
    using Kind = AlgorithmSpec::Kind;
    const Kind kind = test.job.algorithm.kind;
    const bool has_stages = kind == Kind::model || kind == Kind::pipeline;
    const auto refuse = [&](bool is_idle, const std::vector<std::string>& keys, const char* needed) {
      if (is_idle) defaults_->refuse(node, own, keys, needed);
    };
    refuse(has_stages, {"config"}, "algorithm:' or 'worker:");
    refuse(!has_stages, {"engine"}, "model:' or 'pipeline:");
    refuse(kind != Kind::library, {"out", "input-buffer-bytes"}, "algorithm:");
    refuse(kind == Kind::model || kind == Kind::worker, {"memory-limit-mib"}, "algorithm:' or 'pipeline:");
    refuse(expects_nothing, {"tolerance", "relative-tolerance", "compare", "compare-channels"}, "expected:");
    refuse(!test.label.is_there() && !test.events, {"judge", "classes"}, "label:' or 'events:");
    refuse(!test.label.is_there(), {"decide", "accept", "limits.accuracy"}, "label:");
    refuse(!test.events, {"limits.precision", "limits.recall", "limits.f1", "limits.onset-ms"}, "events:");
    refuse(!test.label.is_there() || test.label.decide != TestLabel::Decide::event, {"none"}, "decide: event");
    refuse_other_labels(node, own, test.label);
  }

  // Of recordings that have their labels in their names, each test tells which of these it has.
  void refuse_other_labels(YAML::Node& node, const YAML::Node& own, const TestLabel& label) {
    if (label.label.empty() || !node["accept"].IsDefined()) return;
    std::vector<std::string> others;
    for (const auto& item : node["accept"])
      if (item.first.Scalar() != label.label) others.push_back(item.first.Scalar());
    for (const auto& other : others) defaults_->refuse(node, own, {"accept." + other}, "label: " + other);
  }

  // What --update records must not become a recording that a pattern finds, however the two are written.
  void refuse_expected_recordings() const {
    std::set<std::filesystem::path> recordings;
    for (const auto& test : suite_.tests) recordings.insert(in_real_folder(test.recording));
    std::vector<std::set<std::filesystem::path>> folders;
    for (const auto& pattern : patterns_) {
      folders.emplace_back();
      for (const auto& folder : expand(pattern.parent_path())) folders.back().insert(in_real_folder(folder / "x"));
    }
    for (const auto& [path, where] : expected_) {
      const auto real = in_real_folder(path);
      if (recordings.contains(real)) continue;
      for (std::size_t i = 0; i < patterns_.size(); ++i) {
        const bool is_found = folders[i].contains(real.parent_path() / "x") &&
                              ::fnmatch(patterns_[i].filename().c_str(), real.filename().c_str(), FNM_PERIOD) == 0;
        // Also in a folder that is not there yet.
        if (is_found || ::fnmatch(std::filesystem::absolute(patterns_[i]).c_str(),
                                  std::filesystem::absolute(path).c_str(), FNM_PATHNAME | FNM_PERIOD) == 0)
          yaml_problem(where,
                       fmt::format("'expected: {}' matches the recordings '{}': the next run would take it for one",
                                   path.string(), patterns_[i].string()));
      }
    }
  }

  static std::filesystem::path in_real_folder(const std::filesystem::path& path) {
    std::error_code error;
    const auto folder = path.parent_path();
    return std::filesystem::weakly_canonical(folder.empty() ? "." : folder, error) / path.filename();
  }

  void read_what_runs(YamlMap& map, const YAML::Node& where, AlgorithmSpec& spec) {
    int kinds = 0;
    for (const char* kind : {"algorithm", "model", "pipeline", "worker"}) {
      const YAML::Node value = map.find(kind);
      if (!value.IsDefined()) continue;
      ++kinds;
      if (std::string_view(kind) == "worker") {
        spec.kind = AlgorithmSpec::Kind::worker;
        spec.command = yaml_strings(value, kind);
        continue;
      }
      spec = parse_algorithm(yaml_string(value, kind));
      if (std::string_view(kind) == "model") spec.kind = AlgorithmSpec::Kind::model;
      if (std::string_view(kind) == "pipeline") spec.kind = AlgorithmSpec::Kind::pipeline;
      spec.path = spec.kind == AlgorithmSpec::Kind::library ? find_library(spec.path) : resolve(spec.path);
    }
    if (kinds != 1)
      yaml_problem(where, "a case needs one of algorithm, model, pipeline and worker (in 'defaults:', or in the case)");
  }

  void read_job(YamlMap& map, ReplayJob& job) {
    if (const auto engine = map.string("engine", ""); !engine.empty()) job.algorithm.engine = engine;
    job.algorithm.configuration = map.string("config", "");
    job.algorithm.timeout = std::chrono::milliseconds(map.integer("timeout-ms", 10000, 1, 86400000));
    job.algorithm.memory_limit = map.integer("memory-limit-mib", 2048, 0, 1 << 20) << 20;
    job.algorithm.input_buffer_bytes = map.integer("input-buffer-bytes", 0, 0, 1 << 25);
    if (const auto yaml = map.string("out-yaml", ""); !yaml.empty()) job.out_metadata = resolve(yaml);
    job.inputs = map.strings("in");
    job.repeat = static_cast<unsigned>(map.integer("repeat", 1, 1, 100));
    job.check_reset = map.flag("check-reset", false);
    read_out(map, job.algorithm);
    // Whether these fit, only what runs can tell. Inputs are named together with what runs.
    for (const auto part : {JobPart::configuration, JobPart::arm_output, JobPart::out_metadata})
      if (defaults_->has_given(key_of(part))) job.may_be_idle.insert(part);
    if (defaults_->has_given("in") && !defaults_->has_given(what_runs(map))) job.may_be_idle.insert(JobPart::inputs);
  }

  static std::string what_runs(YamlMap& map) {
    for (const char* kind : {"algorithm", "model", "pipeline", "worker"})
      if (map.find(kind).IsDefined()) return kind;
    return "";
  }

  static void read_out(YamlMap& map, AlgorithmSpec& spec) {
    const YAML::Node out = map.find("out");
    if (!out.IsDefined()) return;
    const std::string text = yaml_string(out, "out");
    auto port = parse_output_port(text);
    if (!port) yaml_problem(out, fmt::format("'out: {}' {}", text, port.error().message));
    spec.arm_output = std::move(*port);
  }

  void read_tolerances(YamlMap& map, CompareOptions& options) const {
    const auto read = [&](const std::string& key, std::map<std::string, double>& by_channel, double& of_all,
                          std::set<std::string>& may_be_idle, double most) {
      const YAML::Node node = map.find(key);
      const auto value = [&](const YAML::Node& number, const std::string& name) {
        const double given = not_negative(number, name);
        if (given > most) yaml_problem(number, fmt::format("'{}: {}' is no share from 0 to 1", name, given));
        return given;
      };
      if (node.IsDefined() && node.IsMap()) {
        for (const auto& item : node) {
          const std::string name = yaml_string(item.first, key);
          by_channel[name] = value(item.second, name);
          if (defaults_->has_given(fmt::format("{}.{}", key, name))) may_be_idle.insert(name);
        }
      } else if (node.IsDefined()) {
        of_all = value(node, key);
        if (defaults_->has_given(key)) may_be_idle.insert(CompareOptions::all_channels);
      }
    };
    read("tolerance", options.absolute, options.absolute_all, options.absolute_may_be_idle,
         std::numeric_limits<double>::max());
    read("relative-tolerance", options.relative, options.relative_all, options.relative_may_be_idle, 1);
  }

  static double not_negative(const YAML::Node& node, const std::string& key) {
    const double value = yaml_number(node, key);
    if (value < 0) yaml_problem(node, fmt::format("'{}: {}' is below 0", key, value));
    return value;
  }

  static void read_right_answer(YamlMap& map, const YAML::Node& where, TestLabel& label) {
    label.label = map.string("label", "");
    label.from_file = map.flag("label-from-file", false);
    if (label.from_file && !label.label.empty())
      yaml_problem(where, "a case has 'label:' or 'label-from-file:', not both");
    const YAML::Node decide = map.find("decide");
    if (!decide.IsDefined()) return;
    const std::string text = yaml_string(decide, "decide");
    if (text == "mean") {
      label.decide = TestLabel::Decide::mean;
    } else if (text == "each") {
      label.decide = TestLabel::Decide::each;
    } else if (text == "event") {
      label.decide = TestLabel::Decide::event;
    } else {
      yaml_problem(decide, fmt::format("'decide: {}' must be mean, each or event", text));
    }
  }

  static std::uint64_t nanoseconds(const YAML::Node& node, const char* key, double ms) {
    if (ms > 1e9) yaml_problem(node, fmt::format("'{}:' is more than ten days", key));
    return static_cast<std::uint64_t>(std::llround(ms * 1e6));
  }

  static void read_events(YamlMap& map, const YAML::Node& where, TestSpec& test) {
    const YAML::Node node = map.find("events");
    if (!node.IsDefined()) return;
    if (test.label.is_there()) yaml_problem(where, "a case has a label or 'events:', not both");
    YamlMap values(node, "'events'");
    TestEvents events;
    const YAML::Node tolerance = values.need("tolerance-ms");
    events.tolerance_ns = nanoseconds(tolerance, "tolerance-ms", not_negative(tolerance, "tolerance-ms"));
    const auto ignored = values.strings("ignore");
    events.ignore.insert(ignored.begin(), ignored.end());
    events.stream = values.string("stream", "");
    values.finish();
    test.events = std::move(events);
  }

  void read_label(YamlMap& map, TestLabel& label) {
    const YAML::Node accepts = map.find("accept");
    if (accepts.IsDefined()) {
      if (!accepts.IsMap()) yaml_problem(accepts, "'accept:' must be a mapping of labels to classes");
      for (const auto& item : accepts)
        label.accepts[yaml_string(item.first, "accept")] = yaml_strings(item.second, "accept");
      for (const auto& [name, classes] : label.accepts)
        if (defaults_->has_given("accept." + name)) label.default_accepts.insert(name);
    }
    label.output = map.string("judge", "");
    label.classes = map.strings("classes");
    if (std::set<std::string>(label.classes.begin(), label.classes.end()).size() < label.classes.size())
      yaml_problem(map.find("classes"), "'classes:' names one twice");
    label.none = map.string("none", "none");
  }

  static void check_events(const YAML::Node& where, const TestSpec& test) {
    if (!test.events) return;
    const auto& classes = test.label.classes;
    if (classes.empty()) yaml_problem(where, "'events:' needs 'classes:', the names of the numbers that come out");
    std::size_t ignored = 0;
    for (const auto& name : classes) ignored += test.events->ignore.contains(name) ? 1 : 0;
    for (const auto& name : test.events->ignore)
      if (std::find(classes.begin(), classes.end(), name) == classes.end())
        yaml_problem(where, fmt::format("'ignore: {}' is none of 'classes:'", name));
    if (ignored == classes.size()) yaml_problem(where, "'ignore:' names all of 'classes:'");
    for (const auto* limit : {&test.limits.precision, &test.limits.recall, &test.limits.f1})
      for (const auto& [name, least] : limit->by_class)
        if (std::find(classes.begin(), classes.end(), name) == classes.end() || test.events->ignore.contains(name))
          yaml_problem(where,
                       fmt::format("there is no class '{}' to limit: it is none of 'classes:', or ignored", name));
  }

  static std::optional<double> above_zero(YamlMap& map, const std::string& key) {
    const auto value = map.number(key);
    if (value && *value <= 0) yaml_problem(map.find(key), fmt::format("'{}: {}' must be above 0", key, *value));
    return value;
  }

  static EventLimit event_limit(YamlMap& map, const std::string& key) {
    const auto share = [&](const YAML::Node& node) {
      const double value = yaml_number(node, key);
      if (!(value >= 0 && value <= 1)) yaml_problem(node, fmt::format("'{}: {}' must be from 0 to 1", key, value));
      return value;
    };
    EventLimit limit;
    const YAML::Node node = map.find(key);
    if (!node.IsDefined()) return limit;
    if (!node.IsMap()) {
      limit.all = share(node);
      return limit;
    }
    for (const auto& item : node) limit.by_class[yaml_string(item.first, key)] = share(item.second);
    return limit;
  }

  static void read_limits(YamlMap& map, TestLimits& limits) {
    const YAML::Node node = map.find("limits");
    if (!node.IsDefined()) return;
    YamlMap values(node, "'limits'");
    limits.accuracy = values.number("accuracy");
    if (limits.accuracy && (*limits.accuracy < 0 || *limits.accuracy > 1))
      yaml_problem(values.find("accuracy"), fmt::format("'accuracy: {}' must be from 0 to 1", *limits.accuracy));
    limits.precision = event_limit(values, "precision");
    limits.recall = event_limit(values, "recall");
    limits.f1 = event_limit(values, "f1");
    if (const auto ms = above_zero(values, "onset-ms"))
      limits.onset_ns = nanoseconds(values.find("onset-ms"), "onset-ms", *ms);
    limits.p50_us = above_zero(values, "p50-us");
    limits.p99_us = above_zero(values, "p99-us");
    limits.max_us = above_zero(values, "max-us");
    limits.real_time = above_zero(values, "real-time");
    limits.memory_mib = above_zero(values, "memory-mib");
    values.finish();
  }

  void add_tests(const TestSpec& pattern, const std::vector<std::string>& globs, const std::string& expected,
                 const YAML::Node& where) {
    std::vector<std::filesystem::path> recordings;
    for (const auto& text : globs) {
      const auto found = expand(resolve(text));
      if (found.empty()) yaml_problem(where, fmt::format("no recording matches '{}'", text));
      recordings.insert(recordings.end(), found.begin(), found.end());
      // Others name files that are there.
      if (text.find_first_of("*?[") != std::string::npos) patterns_.push_back(resolve(text).lexically_normal());
    }
    std::set<std::string> names;
    for (const auto& recording : recordings) {
      TestSpec test = pattern;
      test.recording = recording;
      std::string stem = recording.filename().stem().string();
      test.name = test.case_name + "/" + stem;
      if (!names.insert(test.name).second)
        yaml_problem(where, fmt::format("case {} has two recordings named {}", test.case_name, stem));
      if (!expected.empty()) {
        test.expected = resolve(expand_names(expected, test.case_name, stem, where));
        expected_.emplace_back(test.expected.lexically_normal(), where);
      }
      suite_.tests.push_back(std::move(test));
      if (suite_.tests.size() > kMaxTests) yaml_problem(where, fmt::format("more than {} tests", kMaxTests));
    }
  }

  static std::string expand_names(const std::string& text, const std::string& case_name, const std::string& recording,
                                  const YAML::Node& where) {
    std::string expanded;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = text[at] == '{' ? text.find('}', at) : std::string::npos;
      if (end == std::string::npos) {
        expanded += text[at++];
        continue;
      }
      const std::string name = text.substr(at + 1, end - at - 1);
      if (name != "case" && name != "recording")
        yaml_problem(where,
                     fmt::format("'expected: {}' names '{{{}}}'; there is: {{case}}, {{recording}}", text, name));
      expanded += name == "case" ? case_name : recording;
      at = end + 1;
    }
    return expanded;
  }

  // Sorted by name: the same on every machine.
  static std::vector<std::filesystem::path> expand(const std::filesystem::path& pattern) {
    glob_t found{};
    std::vector<std::filesystem::path> paths;
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
      for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
    std::sort(paths.begin(), paths.end());
    return paths;
  }

  [[nodiscard]] std::filesystem::path resolve(const std::filesystem::path& path) const {
    return path.is_absolute() ? path : folder_ / path;
  }
  [[nodiscard]] std::filesystem::path find_library(const std::filesystem::path& name) const {
    return find_algorithm_library(name, folder_);
  }

  std::filesystem::path folder_;
  Suite suite_;
  std::optional<SuiteDefaults> defaults_;
  std::vector<std::filesystem::path> patterns_;                         // of recordings
  std::vector<std::pair<std::filesystem::path, YAML::Node>> expected_;  // and the case
};

}  // namespace

const char* key_of(JobPart part) {
  switch (part) {
    case JobPart::configuration:
      return "config";
    case JobPart::inputs:
      return "in";
    case JobPart::arm_output:
      return "out";
    case JobPart::out_metadata:
      break;
  }
  return "out-yaml";
}

Expected<Suite> load_suite(const std::filesystem::path& path) {
  Suite suite;
  auto text = read_small_file(path, limits::max_metadata_bytes);
  if (!text) return fail(text);
  auto read = read_yaml_text(*text, path, [&](const YAML::Node& root) { suite = SuiteReader(path).read(root); });
  if (!read) return fail(read);
  Fingerprint contents;
  contents.add(0, 0, {}, as_bytes(*text));
  for (const auto& test : suite.tests) contents.add(1, 0, {}, as_bytes(test.name));
  suite.digest = contents.hex();
  return suite;
}

}  // namespace sds
