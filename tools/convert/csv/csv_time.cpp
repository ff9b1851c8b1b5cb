#include "csv_time.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "csv_text.hpp"

namespace sds {

namespace {

using namespace std::string_view_literals;

struct Unit {
  std::string_view name;
  double seconds;
  std::string_view words;  // with a blank around each
};

constexpr std::array kUnits{
    Unit{"s", 1, " s sec secs second seconds "},
    Unit{"ms", 1e-3, " ms msec msecs milli millis millisec millisecs millisecond milliseconds "},
    Unit{"us", 1e-6, " us usec usecs micro micros microsec microsecs microsecond microseconds "},
    Unit{"ns", 1e-9, " ns nsec nsecs nano nanos nanosec nanosecs nanosecond nanoseconds "},
    Unit{"min", 60, " min mins minute minutes "},
    Unit{"h", 3600, " h hr hrs hour hours "},
};

// What may stand beside a unit and says nothing about it: "ms since boot", "in UTC".
constexpr std::string_view kBeside =
    " in since from after of the boot start begin beginning power up on reset epoch unix posix utc gmt local 1970 01 "
    "elapsed "
    "relative absolute device system sensor ";

bool is_one_of(std::string_view words, std::string_view word) {
  return !word.empty() && words.find(" " + std::string(word) + " ") != std::string_view::npos;
}

// In small letters, both letters mu as a u.
std::string plain(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view two = text.substr(i, 2);
    if (two == "\xC2\xB5"sv || two == "\xCE\xBC"sv) {
      result += 'u';
      ++i;
    } else {
      result += text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    }
  }
  return result;
}

bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }

// What stands between these, and a capital behind a small letter begins another word: timeMs.
std::vector<std::string> words_of(std::string_view text, std::string_view between) {
  std::vector<std::string> words(1);
  std::string word;
  const auto end = [&] {
    if (!word.empty()) words.back() = plain(word);
    if (!word.empty()) words.emplace_back();
    word.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i > 0 && is_capital(text[i]) && is_small(text[i - 1])) end();
    if (between.find(text[i]) != std::string_view::npos)
      end();
    else
      word += text[i];
  }
  end();
  words.pop_back();
  return words;
}

// The text in front of the first bracket and behind the last one, and what is in each.
std::pair<std::string, std::vector<std::string>> without_brackets(std::string_view header) {
  std::pair<std::string, std::vector<std::string>> parts;
  while (!header.empty()) {
    const std::size_t open = header.find_first_of("([{");
    parts.first += header.substr(0, open);
    if (open == std::string_view::npos) break;
    header.remove_prefix(open + 1);
    const std::size_t close = std::min(header.find_first_of(")]}"), header.size());
    parts.second.emplace_back(trimmed(header.substr(0, close)));
    header.remove_prefix(std::min(close + 1, header.size()));
    parts.first += ' ';
  }
  return parts;
}

// How many of the words make a name of times.
std::size_t name_length(const std::vector<std::string>& words) {
  const auto at = [&](std::size_t i) { return i < words.size() ? words[i] : ""; };
  if (at(0) == "seconds" && at(1) == "elapsed") return 2;
  if ((at(0) == "date" && at(1) == "time") || (at(0) == "time" && (at(1) == "stamp" || at(1) == "slot"))) return 2;
  return is_one_of(" time timeslot timestamp datetime ", at(0)) ? 1 : 0;
}

}  // namespace

std::optional<std::string> time_unit_of(std::string_view word) {
  for (const Unit& unit : kUnits)
    if (is_one_of(unit.words, plain(word))) return std::string(unit.name);
  return std::nullopt;
}

double seconds_per(const std::string& unit) {
  for (const Unit& one : kUnits)
    if (unit == one.name) return one.seconds;
  return 1;
}

TimeHeader time_header(std::string_view header) {
  const auto [outside, brackets] = without_brackets(header);
  const std::vector<std::string> words = words_of(outside, " \t_-,.:;/");
  const bool letter = !words.empty() && words[0] == "t";
  const std::size_t length = letter ? 1 : name_length(words);
  TimeHeader found;
  const auto take = [&](const std::string& unit, std::string_view where) {
    if (!found.unit.empty() && found.unit != unit) found.unknown = where;
    found.unit = unit;
  };
  if (length > 0 && words[0] == "seconds") take("s", header);
  bool beside = false;
  bool others = false;
  for (std::size_t w = length; w < words.size(); ++w) {
    const auto unit = time_unit_of(words[w]);
    // T_min is the least T.
    if (unit && !(letter && *unit == "min"))
      take(*unit, header);
    else
      (!unit && is_one_of(kBeside, words[w]) ? beside : others) = true;
  }
  for (const auto& text : brackets)
    for (const auto& word : words_of(text, " \t_-,.;")) {
      const auto unit = time_unit_of(word);
      if (unit)
        take(*unit, text);
      else if (!is_one_of(kBeside, word))
        found.unknown = text;
    }
  const bool no_unit = found.unit.empty();
  if (letter && found.unknown.empty() && !others && !(beside && no_unit))
    found.name = no_unit && trimmed(header).starts_with('T') ? TimeName::letter : TimeName::t;
  else if (!letter && length > 0 && !(others && no_unit))
    found.name = others ? TimeName::partly : TimeName::time;
  return found;
}

}  // namespace sds
