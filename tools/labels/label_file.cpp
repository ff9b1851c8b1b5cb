#include "label_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <system_error>
#include <tuple>

#include "sds/format/links.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/yaml_map.hpp"

namespace sds {

namespace {

constexpr std::uint64_t kMaxTick = std::uint64_t{1} << 53;

// The text in double quotes, unless YAML reads it as the same text without.
std::string scalar(const std::string& text) {
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '/';
  };
  const bool starts_well =
      !text.empty() && ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z') || text[0] == '_');
  // What YAML takes for something else than text.
  static constexpr std::array<std::string_view, 9> words{"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  std::string lower = text;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const bool word = std::find(words.begin(), words.end(), lower) != words.end();
  if (starts_well && !word && std::all_of(text.begin(), text.end(), harmless)) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string required_text(YamlMap& map, const std::string& key) {
  const YAML::Node node = map.need(key);
  std::string text = yaml_string(node, key);
  if (text.empty()) yaml_problem(node, fmt::format("'{}:' must not be empty", key));
  return text;
}

std::uint64_t tick_at(const LabelFile& file, YamlMap& map, const char* tick_key, const char* second_key) {
  const YAML::Node tick_node = map.find(tick_key);
  const YAML::Node second_node = map.find(second_key);
  std::optional<std::uint64_t> tick;
  if (tick_node.IsDefined()) tick = yaml_integer(tick_node, tick_key, 0, kMaxTick);
  if (!second_node.IsDefined()) {
    if (!tick) yaml_problem(map.node(), fmt::format("neither '{}:' (ticks) nor '{}:' (seconds)", tick_key, second_key));
    return *tick;
  }
  const double time = yaml_number(second_node, second_key);
  const auto at = file.tick_of(time);
  if (!at) yaml_problem(second_node, fmt::format("'{}:' {}", second_key, at.error().message));
  if (tick && *at != *tick)
    yaml_problem(second_node, fmt::format("'{}: {}' is tick {}, but '{}:' says {}: leave one of them out", second_key,
                                          time, *at, tick_key, *tick));
  return *at;
}

Label parse_label(const LabelFile& file, const YAML::Node& node) {
  YamlMap map(node, "a label");
  Label label;
  label.line = node.Mark().line + 1;
  label.name = required_text(map, "class");
  label.begin = tick_at(file, map, "begin", "from");
  label.end = tick_at(file, map, "end", "to");
  if (label.end < label.begin)
    yaml_problem(node, fmt::format("the label ends (tick {}) before it begins ({})", label.end, label.begin));
  label.stream = map.string("stream", "");
  label.author = map.string("author", "");
  label.note = map.string("note", "");
  label.confidence = map.number("confidence");
  if (label.confidence && !(*label.confidence >= 0 && *label.confidence <= 1))
    yaml_problem(map.find("confidence"), "'confidence:' must lie between 0 and 1");
  map.finish();
  return label;
}

void parse_root(const YAML::Node& root, LabelFile& file) {
  if (!root.IsMap() || !root["labels"].IsDefined()) yaml_problem(root, "no 'labels:' at the top");
  YamlMap top(root, "the file");
  YamlMap map(top.need("labels"), "labels");
  static_cast<void>(map.integer("version", 1, 1, 1));
  const YAML::Node frequency = map.find("tick-frequency");
  if (frequency.IsDefined()) {
    auto parsed = Frequency::parse(yaml_string(frequency, "tick-frequency"));
    if (!parsed) yaml_problem(frequency, "'tick-frequency:' " + parsed.error().message);
    file.tick_frequency = *parsed;
  }
  file.classes = map.strings("classes");
  const YAML::Node intervals = map.find("intervals");
  if (intervals.IsDefined() && !intervals.IsNull()) {
    if (!intervals.IsSequence()) yaml_problem(intervals, "'intervals:' must be a list");
    if (intervals.size() > LabelFile::max_labels)
      yaml_problem(intervals, fmt::format("more than {} labels", LabelFile::max_labels));
    for (const auto& node : intervals) file.labels.push_back(parse_label(file, node));
  }
  map.finish();
  top.finish();
}

// Where the intervals begin in a file like those that sdskit writes: a line each, to the end of the file. A node of
// yaml-cpp takes a kilobyte, so that the lines of such a file are read some at a time.
std::optional<std::size_t> intervals_by_line(std::string_view yaml) {
  constexpr std::string_view head = "\n  intervals:\n";
  const std::size_t at = yaml.find(head);
  if (at == std::string_view::npos || !yaml.ends_with('\n')) return std::nullopt;
  for (std::size_t line = at + head.size(); line < yaml.size();) {
    const std::size_t end = yaml.find('\n', line);
    const std::string_view one = yaml.substr(line, end - line);
    if (!one.starts_with("    - {") || !one.ends_with('}')) return std::nullopt;
    line = end + 1;
  }
  return at + head.size();
}

// False: it is not what it looks like, or something is wrong with it, which the whole file's tree tells better.
bool parse_by_line(const std::string& yaml, LabelFile& file) {
  constexpr std::size_t kLines = 1000;
  const auto first = intervals_by_line(yaml);
  if (!first) return false;
  try {
    parse_root(load_yaml(yaml.substr(0, *first)), file);
    auto line = static_cast<int>(std::count(yaml.begin(), yaml.begin() + static_cast<std::ptrdiff_t>(*first), '\n'));
    for (std::size_t at = *first; at < yaml.size();) {
      std::size_t end = at;
      std::size_t lines = 0;
      for (; lines < kLines && end < yaml.size(); ++lines) end = yaml.find('\n', end) + 1;
      // A label is one mapping, whose keys YamlMap looks at.
      const YAML::Node some = YAML::Load(yaml.substr(at, end - at));
      if (!some.IsSequence() || some.size() != lines || file.labels.size() + lines > LabelFile::max_labels)
        return false;
      for (const auto& node : some) {
        file.labels.push_back(parse_label(file, node));
        file.labels.back().line += line;
      }
      line += static_cast<int>(lines);
      at = end;
    }
    return true;
  } catch (const YamlProblem&) {
  } catch (const YAML::Exception&) {
  }
  return false;
}

}  // namespace

Expected<void> check_label(const Label& label) {
  if (label.name.empty()) return fail(ErrorCode::usage, "the class must not be empty");
  for (const auto& [what, text] :
       {std::pair{"class", &label.name}, {"stream", &label.stream}, {"author", &label.author}, {"note", &label.note}})
    if (find_invalid_utf8(*text)) return fail(ErrorCode::usage, fmt::format("the {} is not valid UTF-8", what));
  if (label.end < label.begin) return fail(ErrorCode::usage, "the label ends before it begins");
  if (label.end > kMaxTick) return fail(ErrorCode::usage, fmt::format("tick {} is no time of a recording", label.end));
  if (label.confidence && !(*label.confidence >= 0 && *label.confidence <= 1))
    return fail(ErrorCode::usage, "the confidence must lie between 0 and 1");
  return {};
}

std::string no_such_class(const LabelFile& file, const std::string& name) {
  std::set<std::string> classes;
  for (const auto& label : file.labels) classes.insert(label.name);
  std::string text = fmt::format("no label has the class '{}'; there are", name);
  if (classes.empty()) return text + " no labels";
  std::size_t told = 0;
  for (const auto& known : classes) {
    if (++told > 20) return text + fmt::format(" and {} more", classes.size() - 20);
    text += (told == 1 ? ": " : ", ") + known;
  }
  return text;
}

bool Label::operator==(const Label& o) const {
  return std::tie(name, begin, end, stream, author, note, confidence) ==
         std::tie(o.name, o.begin, o.end, o.stream, o.author, o.note, o.confidence);
}

Expected<std::uint64_t> LabelFile::tick_of(double time_s) const {
  const auto tick =
      std::round(static_cast<long double>(time_s) * tick_frequency.numerator / tick_frequency.denominator);
  if (!(tick >= 0) || tick > static_cast<long double>(kMaxTick))
    return fail(ErrorCode::usage, fmt::format("{} s is no time of a recording", time_s));
  return static_cast<std::uint64_t>(tick);
}

void LabelFile::sort() {
  const auto key = [](const Label& l) { return std::tie(l.begin, l.end, l.name, l.stream, l.author); };
  std::stable_sort(labels.begin(), labels.end(), [&](const Label& a, const Label& b) { return key(a) < key(b); });
}

std::string LabelFile::to_yaml() const {
  std::string out = "labels:\n  version: 1\n";
  out += fmt::format("  tick-frequency: {}\n", tick_frequency.to_string());
  if (!classes.empty()) {
    out += "  classes: [";
    for (std::size_t i = 0; i < classes.size(); ++i) out += (i == 0 ? "" : ", ") + scalar(classes[i]);
    out += "]\n";
  }
  out += labels.empty() ? "  intervals: []\n" : "  intervals:\n";
  for (const auto& l : labels) {
    out += fmt::format("    - {{class: {}, begin: {}, end: {}, from: {}, to: {}", scalar(l.name), l.begin, l.end,
                       seconds_of(l.begin), seconds_of(l.end));
    if (!l.stream.empty()) out += ", stream: " + scalar(l.stream);
    if (!l.author.empty()) out += ", author: " + scalar(l.author);
    if (l.confidence) out += fmt::format(", confidence: {}", *l.confidence);
    if (!l.note.empty()) out += ", note: " + scalar(l.note);
    out += "}\n";
  }
  return out;
}

Expected<LabelFile> LabelFile::parse(const std::string& yaml, const std::filesystem::path& path) {
  LabelFile file;
  if (parse_by_line(yaml, file)) return file;
  file = {};
  try {
    parse_root(load_yaml(yaml), file);
  } catch (const YamlProblem& p) {
    return fail(ErrorCode::bad_input, (p.line > 0 ? fmt::format("line {}: ", p.line) : std::string()) + p.message,
                path);
  } catch (const YAML::Exception& e) {
    return fail(ErrorCode::bad_input, fmt::format("line {}: {}", e.mark.line + 1, e.msg), path);
  }
  return file;
}

Expected<LabelFile> LabelFile::load(const std::filesystem::path& path) {
  auto text = read_small_file(path, max_bytes);
  if (!text) return fail(text);
  if (const auto bad = find_invalid_utf8(*text)) return fail(ErrorCode::bad_input, "not valid UTF-8", path, *bad);
  return parse(*text, path);
}

Expected<std::string> LabelFile::checked_yaml() const {
  for (const auto& label : labels)
    if (auto good = check_label(label); !good) return fail(good);
  if (labels.size() > max_labels) return fail(ErrorCode::limit, fmt::format("more than {} labels", max_labels));
  std::string yaml = to_yaml();
  if (yaml.size() > max_bytes)
    return fail(ErrorCode::limit, fmt::format("the labels take more than {} MiB", max_bytes >> 20));
  if (find_invalid_utf8(yaml)) return fail(ErrorCode::usage, "a class is not valid UTF-8");
  const auto back = parse(yaml, {});
  if (!back) return fail(ErrorCode::usage, "the labels could not be read again: " + back.error().message);
  if (back->labels != labels || back->classes != classes)
    return fail(ErrorCode::usage, "the labels would be others when they are read again");
  return yaml;
}

Expected<void> LabelFile::save(const std::filesystem::path& path) const {
  auto yaml = checked_yaml();
  if (!yaml) return fail(yaml);
  return write_text_file(path, *yaml);
}

std::filesystem::path label_path_beside(std::filesystem::path name) { return name.replace_extension(".labels.yml"); }

std::filesystem::path label_path(const std::filesystem::path& recording) {
  const auto names = along_links(recording);
  for (const auto& name : names)
    if (auto path = label_path_beside(name); may_exist(path)) return path;
  return label_path_beside(names.back());
}

bool may_exist(const std::filesystem::path& path) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  return type != std::filesystem::file_type::not_found && error != std::errc::filename_too_long;
}

bool can_have_labels(const std::filesystem::path& recording) {
  std::error_code ignored;
  const auto status = std::filesystem::status(recording, ignored);
  return !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
}

Expected<LabelFile> labels_beside(const Recording& recording) {
  const auto path = label_path(recording.path());
  if (may_exist(path)) return LabelFile::load(path);
  LabelFile file;
  if (!recording.streams().empty()) file.tick_frequency = recording.streams().front().tick_frequency();
  return file;
}

Frequency ticks_of_label(const Recording& recording, const LabelFile& labels, const Label& label) {
  for (const auto& stream : recording.streams())
    if (!label.stream.empty() && stream.id == label.stream) return stream.tick_frequency();
  return labels.tick_frequency;
}

}  // namespace sds
