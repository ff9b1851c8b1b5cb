// Words as a shell takes them.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "sds/format/metadata.hpp"

namespace sds {

/// The text with `escape` of each byte that is a control character or not UTF-8, and `keep` of each other one.
template <class Keep, class Escape>
std::string with_escapes(std::string_view text, const Keep& keep, const Escape& escape) {
  std::string out;
  while (!text.empty()) {
    const std::size_t good = std::min(find_invalid_utf8(text).value_or(text.size()), text.size());
    for (const char c : text.substr(0, good)) {
      const auto byte = static_cast<unsigned char>(c);
      out += byte < 0x20 || byte == 0x7F ? escape(byte) : keep(c);
    }
    if (good < text.size()) out += escape(static_cast<unsigned char>(text[good]));
    text.remove_prefix(std::min(good + 1, text.size()));
  }
  return out;
}

/// The text with \xff for a byte that is not UTF-8, as texts in JSON must be.
inline std::string utf8_text(std::string_view text) {
  return with_escapes(
      text, [](char c) { return std::string(1, c); },
      [](unsigned char byte) {
        return byte < 0x80 ? std::string(1, static_cast<char>(byte)) : fmt::format("\\x{:02x}", byte);
      });
}

/// The text as a terminal or XML may have it: \x1b for a control character, but for line ends and tabs, and for a byte
/// that is not UTF-8.
inline std::string visible_text(std::string_view text) {
  return with_escapes(
      text, [](char c) { return std::string(1, c); },
      [](unsigned char byte) {
        return byte == '\n' || byte == '\t' ? std::string(1, static_cast<char>(byte)) : fmt::format("\\x{:02x}", byte);
      });
}

/// The word, in quotes where a shell would take it apart or for something else. What cannot be seen, or is not UTF-8,
/// is written as bash, zsh and POSIX's shells of 2024 read it: $'\377'.
inline std::string shell_quoted(const std::string& word) {
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  bool is_escaped = false;
  const std::string escaped = with_escapes(
      word, [](char c) { return c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c); },
      [&](unsigned char byte) {
        is_escaped = true;
        return fmt::format("\\{:03o}", byte);
      });
  if (is_escaped) return "$'" + escaped + "'";
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace sds
