#include "sds/format/names.hpp"

#include <fmt/format.h>

#include <algorithm>

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
  if (name[0] == '.' || std::any_of(name.begin(), name.end(), is_reserved) || find_invalid_utf8(name))
    return fail(ErrorCode::bad_input, "the stream name has characters that a file name must not have");
  return {};
}

Expected<void> check_file_name(const std::string& name) {
  if (name.empty() || name.size() > limits::max_name_bytes || name == "." || name == ".." ||
      name.find('/') != std::string::npos || name.find('\\') != std::string::npos ||
      name.find('\0') != std::string::npos)
    return fail(ErrorCode::bad_input, fmt::format("'{}' is not a plain file name", name.substr(0, 60)));
  return {};
}

}  // namespace sds
