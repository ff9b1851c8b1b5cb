// What a case says, and what the defaults of its suite say for it. One rule for all keys (docs/suites.md): what a case
// says has an effect there, or takes a default back; what the defaults say has an effect in a case.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sds/format/yaml_map.hpp"

namespace sds {

/// Problems are thrown: see YamlProblem.
class SuiteDefaults {
 public:
  /// `defaults` may be undefined.
  explicit SuiteDefaults(const YAML::Node& defaults);

  /// The case, and the defaults for what it does not say; where both have a mapping, for each key of it. Empty values
  /// are gone, and with them the defaults that they take back.
  YAML::Node merge(const YAML::Node& own);
  /// That `keys` of `merged` have no effect in the case, for want of what is `needed`: a problem where the case itself
  /// says one, else gone. `limits.accuracy` is a key of a mapping.
  void refuse(YAML::Node& merged, const YAML::Node& own, const std::vector<std::string>& keys,
              const std::string& needed);
  /// The case is as it is: its defaults have an effect.
  void end_case();
  /// A problem if one of the defaults fits no case.
  void finish() const;

  /// Whether the present case has this from the defaults alone.
  [[nodiscard]] bool has_given(const std::string& key) const { return given_.contains(key); }

 private:
  YAML::Node defaults_;
  std::map<std::string, YAML::Node> all_;      // by key, keys of mappings for themselves: "limits.accuracy"
  std::set<std::string> given_;                // to the present case
  std::set<std::string> fitting_;              // it, and what the present case says otherwise
  std::set<std::string> useful_;               // in one of the cases
  std::map<std::string, std::string> needed_;  // where they had no effect
};

}  // namespace sds
