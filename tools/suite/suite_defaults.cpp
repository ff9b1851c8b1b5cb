#include "suite_defaults.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sds {

namespace {

// Of each of these a case has one: what it says itself stands for what the defaults say.
const std::vector<std::vector<std::string>> kAlternatives = {{"algorithm", "model", "pipeline", "worker"},
                                                             {"label", "label-from-file", "events"}};

bool is_empty(const YAML::Node& value) {
  return value.IsNull() || (value.IsScalar() && value.Scalar().empty()) ||
         ((value.IsSequence() || value.IsMap()) && value.size() == 0);
}

bool is_said(const YAML::Node& map, const std::string& key) {
  return map.IsDefined() && map.IsMap() && map[key].IsDefined();
}

// `label-from-file: false` says nothing else.
bool is_said_otherwise(const YAML::Node& own, const std::string& key) {
  for (const auto& names : kAlternatives) {
    if (std::find(names.begin(), names.end(), key) == names.end()) continue;
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return name != key && is_said(own, name) && !(own[name].IsScalar() && own[name].Scalar() == "false");
    });
  }
  return false;
}

// "limits.accuracy" is the key `accuracy` of the mapping `limits`.
struct Path {
  explicit Path(const std::string& text)
      : outer(text.substr(0, text.find('.'))),
        inner(outer.size() == text.size() ? "" : text.substr(outer.size() + 1)) {}
  [[nodiscard]] const std::string& last() const { return inner.empty() ? outer : inner; }

  std::string outer;
  std::string inner;  // empty: the whole of it
};

YAML::Node find(const YAML::Node& map, const Path& path) {
  const YAML::Node nothing(YAML::NodeType::Undefined);
  if (!is_said(map, path.outer)) return nothing;
  if (path.inner.empty()) return map[path.outer];
  return is_said(map[path.outer], path.inner) ? map[path.outer][path.inner] : nothing;
}

[[noreturn]] void refuse_empty(const YAML::Node& where, const std::string& key) {
  yaml_problem(where, fmt::format("'{}:' is empty", key));
}

}  // namespace

SuiteDefaults::SuiteDefaults(const YAML::Node& defaults) : defaults_(defaults) {
  if (!defaults.IsDefined()) return;
  if (!defaults.IsMap()) yaml_problem(defaults, "'defaults:' must be a mapping");
  for (const auto& item : defaults) {
    const std::string key = yaml_string(item.first, "defaults");
    if (is_empty(item.second)) refuse_empty(item.first, key);
    if (!item.second.IsMap()) {
      all_.emplace(key, item.second);
      continue;
    }
    for (const auto& inner : item.second) {
      const std::string inner_key = yaml_string(inner.first, key);
      if (is_empty(inner.second)) refuse_empty(inner.first, inner_key);
      all_.emplace(fmt::format("{}.{}", key, inner_key), inner.second);
    }
  }
}

YAML::Node SuiteDefaults::merge(const YAML::Node& own) {
  given_.clear();
  fitting_.clear();
  YAML::Node merged(YAML::NodeType::Map);
  for (const auto& item : own) {
    const std::string key = yaml_string(item.first, "a case");
    const bool has_default = is_said(defaults_, key);
    if (is_empty(item.second)) {
      if (!has_default) refuse_empty(item.first, key);
      continue;
    }
    if (!item.second.IsMap()) {
      merged[key] = item.second;
      continue;
    }
    YAML::Node values(YAML::NodeType::Map);
    for (const auto& inner : item.second) {
      const std::string inner_key = yaml_string(inner.first, key);
      const bool has_inner = has_default && is_said(defaults_[key], inner_key);
      if (is_empty(inner.second) && !has_inner) refuse_empty(inner.first, inner_key);
      if (!is_empty(inner.second)) values[inner_key] = inner.second;
    }
    merged[key] = has_default ? values : item.second;  // which knows its line
  }
  for (const auto& [key, value] : all_) {
    const Path path(key);
    if (is_said(own, path.outer)) {
      const YAML::Node said = own[path.outer];
      if (is_empty(said)) continue;
      const bool by_key = !path.inner.empty() && said.IsMap();
      if (!by_key || is_said(said, path.inner)) {
        if (!by_key || !is_empty(said[path.inner])) fitting_.insert(key);  // the case says another value
        continue;
      }
    } else if (is_said_otherwise(own, path.outer)) {
      continue;
    }
    if (path.inner.empty()) {
      merged[key] = value;
    } else {
      merged[path.outer][path.inner] = value;
    }
    given_.insert(key);
    fitting_.insert(key);
  }
  return merged;
}

void SuiteDefaults::refuse(YAML::Node& merged, const YAML::Node& own, const std::vector<std::string>& keys,
                           const std::string& needed) {
  for (const auto& key : keys) {
    const Path path(key);
    if (const YAML::Node said = find(own, path); said.IsDefined() && !is_empty(said))
      yaml_problem(said, fmt::format("'{}:' has no effect without '{}'", path.last(), needed));
    if (path.inner.empty()) {
      merged.remove(key);
    } else if (is_said(merged, path.outer)) {
      merged[path.outer].remove(path.inner);
    }
    for (const auto& [other, value] : all_) {
      if (other != key && !other.starts_with(key + ".")) continue;
      given_.erase(other);
      fitting_.erase(other);
      needed_.emplace(other, needed);
    }
  }
}

void SuiteDefaults::end_case() { useful_.insert(fitting_.begin(), fitting_.end()); }

void SuiteDefaults::finish() const {
  for (const auto& [key, value] : all_) {
    if (useful_.contains(key)) continue;
    const auto needed = needed_.find(key);
    const std::string why = needed == needed_.end() ? "" : fmt::format(" without '{}'", needed->second);
    yaml_problem(value, fmt::format("'{}:' has no effect in any case{}", Path(key).last(), why));
  }
}

}  // namespace sds
