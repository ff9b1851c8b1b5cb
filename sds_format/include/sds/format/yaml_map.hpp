// Reads the YAML of pipelines and suites strictly: unknown keys and wrong types are errors with their line.
// Used inside parse functions that turn YamlProblem into an Error; nothing of it crosses a public boundary.
#pragma once

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sds/format/error.hpp"
#include "sds/format/exact_value.hpp"

namespace sds {

/// Thrown where the text does not say what it should; `line` counts from 1, 0 where not known.
struct YamlProblem {
  int line = 0;
  std::string message;
};

[[noreturn]] void yaml_problem(const YAML::Node& where, std::string message);
/// A problem where one of the names stands twice: "column 'x' stands twice".
void refuse_repeated(const YAML::Node& where, const char* what, const std::vector<std::string>& names);
/// Scalars of a list; a single scalar is a list of one.
std::vector<std::string> yaml_strings(const YAML::Node& node, const std::string& key);
double yaml_number(const YAML::Node& node, const std::string& key);
ExactNumber yaml_exact_number(const YAML::Node& node, const std::string& key);
/// A whole number from `least` to `most`.
std::uint64_t yaml_integer(const YAML::Node& node, const std::string& key, std::uint64_t least, std::uint64_t most);
std::string yaml_string(const YAML::Node& node, const std::string& key);

/// A mapping whose keys are asked for one by one; what was never asked for is an unknown key.
class YamlMap {
 public:
  /// `what` is for messages: "stage 'window'". A node that is no mapping is a problem.
  YamlMap(const YAML::Node& node, std::string what);
  /// Same, of a mapping that was put together from others: what is missing is missing at `where`.
  YamlMap(const YAML::Node& node, std::string what, const YAML::Node& where);

  [[nodiscard]] YAML::Node find(const std::string& key);  ///< undefined if absent
  [[nodiscard]] YAML::Node need(const std::string& key);
  [[nodiscard]] std::string string(const std::string& key, const std::string& otherwise);
  [[nodiscard]] double number(const std::string& key, double otherwise);
  [[nodiscard]] std::optional<double> number(const std::string& key);
  [[nodiscard]] std::optional<ExactNumber> exact_number(const std::string& key);
  [[nodiscard]] std::uint64_t integer(const std::string& key, std::uint64_t otherwise, std::uint64_t least,
                                      std::uint64_t most);
  [[nodiscard]] std::vector<std::string> strings(const std::string& key);
  [[nodiscard]] bool flag(const std::string& key, bool otherwise);
  [[nodiscard]] const YAML::Node& node() const { return node_; }
  /// A problem if there is a key that nobody asked for, or one twice.
  void finish() const;

 private:
  YAML::Node node_;
  YAML::Node where_;
  std::string what_;
  std::set<std::string> known_;
};

/// The document of the text, as YAML::Load has it. A key that stands twice in a mapping, of which YAML::Load drops one,
/// and another document behind it, which it does not read, are a YAML::Exception with their line, too.
YAML::Node load_yaml(const std::string& text);

/// Reads a YAML file (at most 1 MiB) and hands its root to `parse`; problems become errors that name file and line.
Expected<void> read_yaml_file(const std::filesystem::path& path, const std::function<void(const YAML::Node&)>& parse);
/// The same of a file's text, for whoever needs that, too.
Expected<void> read_yaml_text(const std::string& text, const std::filesystem::path& path,
                              const std::function<void(const YAML::Node&)>& parse);

}  // namespace sds
