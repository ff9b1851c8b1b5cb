#include "output_metadata.hpp"

#include <fmt/format.h>

#include "sds/format/metadata.hpp"
#include "sds/format/yaml_map.hpp"

namespace sds {

namespace {

std::size_t begin_of_line(const std::string& text, int line) {
  std::size_t at = 0;
  for (; line > 0 && at != std::string::npos; --line) {
    at = text.find('\n', at);
    if (at != std::string::npos) ++at;
  }
  return at;
}

}  // namespace

std::optional<std::string> with_tick_frequency(const std::string& yaml, const Frequency& frequency) {
  std::string text = yaml;
  try {
    const YAML::Node sds = load_yaml(yaml)["sds"];
    if (sds["tick-frequency"].IsDefined() || frequency == Frequency{}) return yaml;
    const auto line = begin_of_line(text, sds.Mark().line);
    if (line == std::string::npos) return std::nullopt;
    const auto column = static_cast<std::size_t>(sds.Mark().column);
    const std::string entry = "tick-frequency: " + frequency.to_string();
    if (sds.Style() == YAML::EmitterStyle::Flow) {
      if (text.size() <= line + column || text[line + column] != '{') return std::nullopt;
      text.insert(line + column + 1, entry + ", ");
    } else {
      const bool carriage_returns = line >= 2 && text[line - 2] == '\r';
      text.insert(line, std::string(column, ' ') + entry + (carriage_returns ? "\r\n" : "\n"));
    }
  } catch (const YAML::Exception&) {
    return std::nullopt;
  }
  const auto parsed = Metadata::parse(text, "");
  if (!parsed || parsed->tick_frequency != frequency) return std::nullopt;
  return text;
}

}  // namespace sds
