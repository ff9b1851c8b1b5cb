#include "sds/format/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sds/format/limits.hpp"
#include "sds/format/metadata.hpp"

namespace sds {

namespace {

std::string strip_suffix(std::string text, std::string_view suffix) {
  if (text.size() > suffix.size() && text.ends_with(suffix)) text.resize(text.size() - suffix.size());
  return text;
}

bool is_reserved(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x20 || u == 0x7F || std::string_view("\"*/:<>?\\|").find(c) != std::string_view::npos;
}

}  // namespace

std::string SdsFileName::to_string() const {
  return stream + (label.empty() ? "" : "." + label) + (playback ? ".p" : "") + ".sds";
}

std::string class_in_label(const std::string& label) {
  const auto is_number = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  std::string name = label;
  for (auto dot = name.rfind('.'); dot != std::string::npos && is_number(std::string_view(name).substr(dot + 1));
       dot = name.rfind('.'))
    name.resize(dot);
  return is_number(name) ? "" : name;
}

SdsFileName parse_sds_file_name(const std::filesystem::path& file) {
  SdsFileName name;
  std::string stem = strip_suffix(file.filename().string(), ".sds");
  const std::string without_p = strip_suffix(stem, ".p");
  name.playback = without_p.size() != stem.size();
  const std::size_t dot = without_p.find('.', 1);
  name.stream = without_p.substr(0, dot);
  if (dot != std::string::npos) name.label = without_p.substr(dot + 1);
  return name;
}

std::optional<std::filesystem::path> find_metadata(const std::filesystem::path& file, SdsFileName& name) {
  const std::string stem = strip_suffix(strip_suffix(file.filename().string(), ".sds"), ".p");
  const auto directory = file.parent_path();
  for (std::size_t end = stem.size();;) {
    const std::string prefix = stem.substr(0, end);
    for (const char* ending : {".sds.yml", ".sds.yaml"}) {
      std::error_code ignored;
      auto candidate = directory / (prefix + ending);
      if (std::filesystem::is_regular_file(candidate, ignored)) {
        name.stream = prefix;
        name.label = end < stem.size() ? stem.substr(end + 1) : "";
        return candidate;
      }
    }
    end = end == 0 ? std::string::npos : stem.rfind('.', end - 1);
    if (end == std::string::npos || end == 0) return std::nullopt;
  }
}

Expected<void> check_stream_name(const std::string& name) {
  if (name.empty()) return fail(ErrorCode::bad_input, "the stream name is empty");
  if (name.size() > limits::max_name_bytes)
    return fail(ErrorCode::limit,
                fmt::format("a stream name of {} bytes; at most {}", name.size(), limits::max_name_bytes));
  if (std::any_of(name.begin(), name.end(), is_reserved) || find_invalid_utf8(name))
    return fail(ErrorCode::bad_input, "the stream name has characters that a file name must not have");
  return {};
}

std::string to_stream_name(const std::string& name) {
  if (check_stream_name(name)) return name;
  std::string safe = name.substr(0, 200);
  std::replace_if(safe.begin(), safe.end(), is_reserved, '_');
  while (const auto at = find_invalid_utf8(safe)) safe[*at] = '_';
  return safe.empty() ? "unnamed" : safe;
}

std::vector<std::string> ids_of_streams(std::span<const SdsFileName> names) {
  std::map<std::string, int> uses;
  for (const auto& name : names) ++uses[name.stream];
  std::map<std::string, int> taken;
  std::vector<std::string> ids;
  ids.reserve(names.size());
  for (const auto& name : names) {
    std::string id = name.stream;
    if (uses[name.stream] > 1) id += (name.label.empty() ? "" : "." + name.label) + (name.playback ? ".p" : "");
    const int again = taken[id]++;
    ids.push_back(again > 0 ? fmt::format("{}#{}", id, again + 1) : id);
  }
  return ids;
}

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Device names of Windows, whatever follows the first dot.
bool is_device(std::string_view name) {
  std::string base(name.substr(0, name.find('.')));
  while (base.ends_with(' ')) base.pop_back();
  for (char& c : base)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (base == "CON" || base == "PRN" || base == "AUX" || base == "NUL") return true;
  return base.size() == 4 && (base.starts_with("COM") || base.starts_with("LPT")) && base[3] >= '0' && base[3] <= '9';
}

void replace_unsafe(std::string& name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7F || c == '/' || c == '\\') name[i] = '_';
    // U+0080 to U+009F: control characters that terminals obey, too.
    if (c == 0xC2 && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) >= 0x80 &&
        static_cast<unsigned char>(name[i + 1]) <= 0x9F)
      name.replace(i, 2, "_");
  }
}

std::string_view ending_of(std::string_view name) {
  for (const std::string_view known : {".sds", ".sds.yml", ".sds.yaml"})
    if (name.ends_with(known)) return name.substr(name.size() - known.size());
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos || dot == 0 || name.size() - dot > 64 ? std::string_view() : name.substr(dot);
}

}  // namespace

std::string FileNames::take(std::string_view wanted, std::string_view ending,
                            std::span<const std::string_view> companions) {
  if (ending.empty()) {
    ending = ending_of(wanted);
    wanted.remove_suffix(ending.size());
  }
  std::string stem(wanted);
  std::string tail(ending);
  replace_unsafe(stem);
  replace_unsafe(tail);
  const bool known = tail == ".sds" || tail == ".sds.yml" || tail == ".sds.yaml";
  if (stem.empty() && !known) stem = "unnamed";
  if (stem.starts_with('.') && !known) stem[0] = '_';
  if (is_device(stem + tail)) stem.insert(std::min(stem.size(), stem.find('.')), "_");
  std::size_t longest = tail.size();  // endings are short: ours, or an extension
  for (const auto companion : companions) longest = std::max(longest, companion.size());
  for (int n = 1;; ++n) {
    const std::string mark = n == 1 ? "" : fmt::format("~{}", n);
    std::size_t room = std::min(stem.size(), limits::max_name_bytes - longest - mark.size());
    while (room > 0 && room < stem.size() && is_continuation(stem[room])) --room;
    const std::string name = stem.substr(0, room) + mark;
    const auto is_taken = [&](std::string_view end) { return taken_.count(name + std::string(end)) > 0; };
    if (is_taken(tail) || std::any_of(companions.begin(), companions.end(), is_taken)) continue;
    taken_.insert(name + tail);
    for (const auto companion : companions) taken_.insert(name + std::string(companion));
    return name + tail;
  }
}

}  // namespace sds
