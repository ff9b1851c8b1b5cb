#include "run_again.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <optional>

#include "sds/player/fingerprint.hpp"
#include "shell_text.hpp"

namespace sds {

namespace {

class CommandLine {
 public:
  explicit CommandLine(const std::string& command) : text_("sds " + command) {}
  void add(const std::string& word) { text_ += " " + shell_quoted(word); }
  void add(const std::string& option, const std::string& value) {
    // A value that begins with a dash would be taken for an option.
    if (value.starts_with('-')) return add(option + "=" + value);
    add(option);
    add(value);
  }
  void add(const std::string& option, std::uint64_t value, std::uint64_t usual) {
    if (value != usual) add(option, std::to_string(value));
  }
  // As it is: a shell is to look into it.
  void add_shell(const std::string& text) { text_ += " " + text; }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string option_of(AlgorithmSpec::Kind kind) {
  switch (kind) {
    case AlgorithmSpec::Kind::model:
      return "--model";
    case AlgorithmSpec::Kind::pipeline:
      return "--pipeline";
    case AlgorithmSpec::Kind::worker:
      return "--worker";
    case AlgorithmSpec::Kind::library:
      break;
  }
  return "--algorithm";
}

// A path that begins with a dash would be taken for an option.
std::string no_option(const std::filesystem::path& path) {
  return path.string().starts_with('-') ? "./" + path.string() : path.string();
}

// "A=B", or "A" for one name on both sides (name_pairs()).
std::string pair_text(const std::pair<std::string, std::string>& names) {
  const auto escaped = [](const std::string& name) {
    std::string text;
    for (const char c : name) text += c == '=' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return text;
  };
  return names.first == names.second ? escaped(names.first) : escaped(names.first) + "=" + escaped(names.second);
}

std::optional<std::string> why_no_command(const AlgorithmSpec& spec) {
  if (spec.configuration.starts_with('@')) return "'config:' begins with '@', which --config takes for a file";
  for (const auto& word : spec.command)
    if (word.empty() || word.find(' ') != std::string::npos)
      return fmt::format("--worker cannot take the word '{}' of 'worker:', which is empty or has a space", word);
  return std::nullopt;
}

// Hidden, so that the patterns of suites in that folder do not find it; the same for the same replay.
std::string output_of(const std::string& replay) {
  Fingerprint digest;
  digest.add(0, 0, {}, as_bytes(replay));
  return fmt::format("\"${{TMPDIR:-/tmp}}\"/.sds-again-{}.sdsz", digest.hex().substr(0, 16));
}

}  // namespace

std::vector<std::string> how_to_run_again(const TestSpec& test, const std::set<JobPart>& idle, bool metadata_are_idle) {
  const ReplayJob& job = test.job;
  const AlgorithmSpec& spec = job.algorithm;
  const bool is_library = spec.kind == AlgorithmSpec::Kind::library;
  if (const auto why = why_no_command(spec)) return {"no command shows it again: " + *why};
  CommandLine replay("replay");
  replay.add(no_option(test.recording));
  if (test.metadata && !metadata_are_idle) replay.add("--yaml", test.metadata->string());
  replay.add(option_of(spec.kind), spec.kind == AlgorithmSpec::Kind::worker
                                       ? fmt::format("{}", fmt::join(spec.command, " "))
                                       : spec.path.string());
  if (!spec.engine.empty()) replay.add("--engine", spec.engine);
  if (!spec.configuration.empty() && !idle.contains(JobPart::configuration)) replay.add("--config", spec.configuration);
  if (!idle.contains(JobPart::inputs))
    for (const auto& input : job.inputs) replay.add("--in", input);
  if (is_library && !spec.arm_output.name.empty() && !idle.contains(JobPart::arm_output))
    replay.add("--out", fmt::format("{}:{}", spec.arm_output.name, spec.arm_output.max_bytes));
  if (!job.out_metadata.empty() && !idle.contains(JobPart::out_metadata))
    replay.add("--out-yaml", job.out_metadata.string());
  replay.add("--timeout", static_cast<std::uint64_t>(spec.timeout.count()), 10000);
  if (is_library || spec.kind == AlgorithmSpec::Kind::pipeline) replay.add("--memory", spec.memory_limit >> 20, 2048);
  replay.add("--input-buffer", spec.input_buffer_bytes, 0);
  replay.add("--repeat", job.repeat, 1);
  if (job.check_reset) replay.add("--check-reset");
  const std::string output = output_of(replay.text());
  replay.add("-o");
  replay.add_shell(output);
  replay.add("--force");  // of an earlier time
  std::vector<std::string> notes{"again: " + replay.text()};
  std::error_code error;
  if (test.expected.empty() || !std::filesystem::exists(test.expected, error)) return notes;
  CommandLine compare("compare");
  compare.add(no_option(test.expected));
  compare.add_shell(output);
  for (const auto& names : test.tolerances.streams) compare.add("--stream", pair_text(names));
  for (const auto& names : test.tolerances.channels) compare.add("--channel", pair_text(names));
  const auto add_tolerances = [&](const char* option, double of_all, const std::map<std::string, double>& by_channel) {
    if (of_all != 0) compare.add(option, fmt::format("{}", of_all));
    for (const auto& [name, tolerance] : by_channel) compare.add(option, fmt::format("{}={}", name, tolerance));
  };
  add_tolerances("--tolerance", test.tolerances.absolute_all, test.tolerances.absolute);
  add_tolerances("--relative", test.tolerances.relative_all, test.tolerances.relative);
  notes.push_back("again: " + compare.text());
  return notes;
}

}  // namespace sds
