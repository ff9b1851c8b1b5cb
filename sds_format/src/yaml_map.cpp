#include "sds/format/yaml_map.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>

#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "sds/format/file.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

namespace {

// Looks at the keys of all mappings of a document, as they are read.
class KeyChecker final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override { ++documents_; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { take(mark, "~"); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto scalar = scalars_.find(anchor);
    take(mark, scalar == scalars_.end() ? std::nullopt : std::optional(scalar->second));
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor, const std::string& value) override {
    if (anchor != 0) scalars_[anchor] = value;
    take(mark, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    take(mark, std::nullopt);
    open_.push_back({false, false, {}});
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    take(mark, std::nullopt);
    open_.push_back({true, false, {}});
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Collection {
    bool is_map;
    bool has_key;  // what comes next is the value of a key
    std::set<std::string> keys;
  };

  // A node begins; `scalar` is its text if it has one.
  void take(const YAML::Mark& mark, const std::optional<std::string>& scalar) {
    if (documents_ > 1 && scalar != "~") throw YAML::ParserException(mark, "a second document: one is read");
    if (open_.empty() || !open_.back().is_map) return;
    Collection& map = open_.back();
    map.has_key = !map.has_key;
    if (map.has_key && scalar && !map.keys.insert(*scalar).second)
      throw YAML::ParserException(mark, fmt::format("the key '{}' is there twice", scalar->substr(0, 40)));
  }

  int documents_ = 0;
  std::vector<Collection> open_;
  std::map<YAML::anchor_t, std::string> scalars_;
};

}  // namespace

YAML::Node load_yaml(const std::string& text) {
  {
    std::istringstream stream(text);
    KeyChecker checker;
    YAML::Parser parser(stream);
    // Of the second one what it begins with is enough; behind what it cannot read the parser finds documents for ever.
    if (parser.HandleNextDocument(checker)) parser.HandleNextDocument(checker);
  }
  return YAML::Load(text);
}

void yaml_problem(const YAML::Node& where, std::string message) {
  throw YamlProblem{where.IsDefined() ? where.Mark().line + 1 : 0, std::move(message)};
}

std::string yaml_string(const YAML::Node& node, const std::string& key) {
  if (!node.IsScalar()) yaml_problem(node, fmt::format("'{}:' must be a single value", key));
  return node.Scalar();
}

std::vector<std::string> yaml_strings(const YAML::Node& node, const std::string& key) {
  std::vector<std::string> all;
  if (node.IsScalar()) return {node.Scalar()};
  if (!node.IsSequence()) yaml_problem(node, fmt::format("'{}:' must be a value or a list of values", key));
  for (const auto& item : node) all.push_back(yaml_string(item, key));
  return all;
}

void refuse_repeated(const YAML::Node& where, const char* what, const std::vector<std::string>& names) {
  std::set<std::string> seen;
  for (const auto& name : names)
    if (!seen.insert(name).second) yaml_problem(where, fmt::format("{} '{}' stands twice", what, name));
}

ExactNumber yaml_exact_number(const YAML::Node& node, const std::string& key) {
  const std::string text = yaml_string(node, key);
  const auto value = exact_number(text);
  if (!value || !std::isfinite(value->rounded()))
    yaml_problem(node, fmt::format("'{}: {}' must be a number", key, text.substr(0, 40)));
  return *value;
}

double yaml_number(const YAML::Node& node, const std::string& key) { return yaml_exact_number(node, key).rounded(); }

std::uint64_t yaml_integer(const YAML::Node& node, const std::string& key, std::uint64_t least, std::uint64_t most) {
  const std::string text = yaml_string(node, key);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
    yaml_problem(node,
                 fmt::format("'{}: {}' must be a whole number from {} to {}", key, text.substr(0, 40), least, most));
  return value;
}

YamlMap::YamlMap(const YAML::Node& node, std::string what) : YamlMap(node, std::move(what), node) {}

YamlMap::YamlMap(const YAML::Node& node, std::string what, const YAML::Node& where)
    : node_(node), where_(where), what_(std::move(what)) {
  if (!node_.IsMap()) yaml_problem(where_, fmt::format("{} must be a mapping of keys to values", what_));
}

YAML::Node YamlMap::find(const std::string& key) {
  known_.insert(key);
  return static_cast<const YAML::Node&>(node_)[key];
}

YAML::Node YamlMap::need(const std::string& key) {
  YAML::Node value = find(key);
  if (!value.IsDefined()) yaml_problem(where_, fmt::format("{} needs '{}:'", what_, key));
  return value;
}

std::string YamlMap::string(const std::string& key, const std::string& otherwise) {
  const YAML::Node value = find(key);
  return value.IsDefined() ? yaml_string(value, key) : otherwise;
}

std::optional<double> YamlMap::number(const std::string& key) {
  const YAML::Node value = find(key);
  return value.IsDefined() ? std::optional(yaml_number(value, key)) : std::nullopt;
}

std::optional<ExactNumber> YamlMap::exact_number(const std::string& key) {
  const YAML::Node value = find(key);
  return value.IsDefined() ? std::optional(yaml_exact_number(value, key)) : std::nullopt;
}

double YamlMap::number(const std::string& key, double otherwise) { return number(key).value_or(otherwise); }

std::uint64_t YamlMap::integer(const std::string& key, std::uint64_t otherwise, std::uint64_t least,
                               std::uint64_t most) {
  const YAML::Node value = find(key);
  return value.IsDefined() ? yaml_integer(value, key, least, most) : otherwise;
}

std::vector<std::string> YamlMap::strings(const std::string& key) {
  const YAML::Node value = find(key);
  return value.IsDefined() ? yaml_strings(value, key) : std::vector<std::string>{};
}

bool YamlMap::flag(const std::string& key, bool otherwise) {
  const YAML::Node value = find(key);
  if (!value.IsDefined()) return otherwise;
  const std::string text = yaml_string(value, key);
  if (text != "true" && text != "false") yaml_problem(value, fmt::format("'{}: {}' must be true or false", key, text));
  return text == "true";
}

void YamlMap::finish() const {
  std::set<std::string> seen;
  for (const auto& item : node_) {
    const std::string key = item.first.IsScalar() ? item.first.Scalar() : "(not a name)";
    if (!seen.insert(key).second) yaml_problem(item.first, fmt::format("the key '{}' is there twice", key));
    if (!known_.contains(key))
      yaml_problem(item.first, fmt::format("{} has no key '{}'; it has: {}", what_, key, fmt::join(known_, ", ")));
  }
}

Expected<void> read_yaml_file(const std::filesystem::path& path, const std::function<void(const YAML::Node&)>& parse) {
  auto text = read_small_file(path, limits::max_metadata_bytes);
  return text ? read_yaml_text(*text, path, parse) : fail(text);
}

Expected<void> read_yaml_text(const std::string& text, const std::filesystem::path& path,
                              const std::function<void(const YAML::Node&)>& parse) {
  if (const auto bad = find_invalid_utf8(text)) return fail(ErrorCode::bad_input, "not valid UTF-8", path, *bad);
  try {
    parse(load_yaml(text));
  } catch (const YamlProblem& p) {
    return fail(ErrorCode::bad_input, (p.line > 0 ? fmt::format("line {}: ", p.line) : std::string()) + p.message,
                path);
  } catch (const YAML::Exception& e) {
    return fail(ErrorCode::bad_input, fmt::format("line {}: {}", e.mark.line + 1, e.msg), path);
  }
  return {};
}

}  // namespace sds
