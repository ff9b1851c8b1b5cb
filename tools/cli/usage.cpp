#include "usage.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <regex>

#include "duration_text.hpp"

namespace sds::cli {

namespace {

const auto any_command = [](const CLI::App*) { return true; };

class Help : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = CLI::Formatter::make_option_opts(option);
    // An option takes one value, whether it may be repeated or not.
    const std::size_t dots = option->get_positional() ? std::string::npos : text.find(" ...");
    if (dots != std::string::npos) text.erase(dots, 4);
    // "UINT:INT in [0 - 2]" is "N (0 to 2)", "TIME:INT in [1 - 9]" is "TIME (1 to 9)".
    static const std::regex range(R"(([A-Z/]+):(?:U?INT|FLOAT) in \[(\S+) - (\S+)\])");
    text = std::regex_replace(text, range, "$1 ($2 to $3)");
    // What else a check is called says nothing to people: "TIME:NONNEGATIVE".
    text = std::regex_replace(text, std::regex("([A-Z]):(NONNEGATIVE|POSITIVE)"), "$1");
    return std::regex_replace(text, std::regex("\\b(UINT|INT|FLOAT)\\b"), "N");
  }
};

const CLI::App& reached(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : reached(*chosen.back());
}

// The command that did not understand `word`; null if all words were.
const CLI::App* who_left(const CLI::App& app, const std::string& word) {
  const auto left = app.remaining(false);
  if (std::find(left.begin(), left.end(), word) != left.end()) return &app;
  for (const CLI::App* command : app.get_subcommands())
    if (const CLI::App* who = who_left(*command, word)) return who;
  return nullptr;
}

// How many letters are to be changed, added, left out or exchanged with the next one.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t k = 0; k <= b.size(); ++k) {
      if (i == 0 || k == 0) {
        d[i][k] = i + k;
        continue;
      }
      d[i][k] =
          std::min({d[i - 1][k] + 1, d[i][k - 1] + 1, d[i - 1][k - 1] + (a[i - 1] == b[k - 1] ? std::size_t{0} : 1)});
      if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
        d[i][k] = std::min(d[i][k], d[i - 2][k - 2] + 1);
    }
  return d[a.size()][b.size()];
}

// The names that `word` may stand for; a beginning of a name is as good as one that is spelt nearly so.
std::string nearest(const std::string& word, const std::vector<std::string>& names) {
  if (word.size() > 64) return "";
  const std::size_t letters = word.size() - std::min(word.size(), word.find_first_not_of('-'));
  if (letters < 2) return "";
  std::string best;
  std::size_t least = std::max<std::size_t>(1, letters / 3) + 1;
  for (const auto& name : names) {
    const std::size_t far = letters >= 3 && name.starts_with(word) ? 0 : distance(word, name);
    if (far >= least) continue;
    least = far;
    best = name;
  }
  return best;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* option : command.get_options()) {
    if (option->get_positional() || option->get_group().empty()) continue;
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    if (option->get_lnames().empty())
      for (const auto& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::vector<std::string> command_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* one : command.get_subcommands(any_command)) names.push_back(one->get_name());
  return names;
}

std::string unknown_option(const CLI::App& command, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::string text = fmt::format("{} has no option {}", full_name(command), name);
  for (const auto* one : command.get_subcommands(any_command))
    if (one->get_option_no_throw(name) != nullptr)
      return text + fmt::format("; {} has: it stands behind {}", full_name(*one), one->get_name());
  const auto names = option_names(command);
  const std::string near = nearest(name, names);
  if (!near.empty()) return text + ": is it " + near + "?";
  return text + fmt::format("; there are {}", fmt::join(names, " "));
}

std::string unknown_command(const CLI::App& command, const std::string& word) {
  auto names = command_names(command);
  if (command.get_parent() == nullptr) names.emplace_back("help");
  const std::string near = nearest(word, names);
  if (!near.empty()) return fmt::format("{} has no '{}': is it {}?", full_name(command), word, near);
  return fmt::format("{} has no '{}'; there are {}", full_name(command), word, fmt::join(names, ", "));
}

// What the command that was reached lacks, in words of its own where CLI11's are hard to read.
std::string reworded(const CLI::App& command, const std::string& text) {
  const auto between = [&](const std::string& a, const std::string& b) {
    const std::size_t from = text.find(a);
    const std::size_t to = from == std::string::npos ? from : text.find(b, from + a.size());
    return to == std::string::npos ? "" : text.substr(from + a.size(), to - from - a.size());
  };
  const std::string name = text.substr(0, text.find(':'));
  if (text == "A subcommand is required")
    return fmt::format("{}: say which: {}", full_name(command), fmt::join(command_names(command), ", "));
  if (text.find(": At Most ") != std::string::npos)
    return fmt::format("{}: {} at most, and {} are given", name, between(": At Most ", " required"),
                       text.substr(text.rfind(' ') + 1));
  if (const std::string value = between(": 1 required ", " missing"); !value.empty())
    return fmt::format("{} needs a value: {}", name, value);
  if (const std::size_t at = text.find(" was given a disallowed flag override"); at != std::string::npos)
    return fmt::format("--{} takes no value", text.substr(0, at));
  if (text.starts_with("Could not convert: ")) {
    const std::size_t equals = text.find(" = ");
    if (equals != std::string::npos)
      return fmt::format("{}: '{}' is no number that it takes", text.substr(19, equals - 19), text.substr(equals + 3));
  }
  return text;
}

// Digits only: CLI11 takes negative numbers for large ones, too large ones for the largest, and "010" for 8.
CLI::Validator takes_whole_number() {
  return {[](std::string& text) {
            const std::string refused = "'" + text + "' is no number that it takes";
            if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos)
              return text.starts_with('-') ? refused + ": none is negative" : refused;
            std::uint64_t number = 0;
            if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc())
              return refused + ": it is too large";
            text = std::to_string(number);
            return std::string();
          },
          "", "takes_whole_number"};
}

bool is_whole_number(const CLI::Option& option) {
  const std::string type = option.get_type_name().substr(0, option.get_type_name().find(':'));
  return type == "N" || type == "UINT" || type == "INT";
}

}  // namespace

void set_help(CLI::App& app) {
  app.formatter(std::make_shared<Help>());
  app.get_formatter()->column_width(36);
}

void take_values(CLI::App& app) {
  for (auto* option : app.get_options()) {
    if (option->get_positional()) continue;
    option->allow_extra_args(false);
    if (option->get_items_expected_max() == 0) option->disable_flag_override();
    if (is_whole_number(*option)) option->transform(takes_whole_number());
  }
  for (auto* command : app.get_subcommands(any_command)) take_values(*command);
}

std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  return words;
}

std::string what_is_wrong(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
  // A word that nobody understands is what is wrong; what is missing, or too much, may only follow from it.
  const CLI::App* left_by = nullptr;
  std::string left;
  for (const auto& word : words) {
    const CLI::App* who = who_left(app, word);
    if (who == nullptr || word == "--") continue;
    if (word.size() > 1 && word.front() == '-') return unknown_option(*who, word);
    if (left_by != nullptr) continue;
    left_by = who;
    left = word;
  }
  const bool is_extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  const bool lacks = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (left_by != nullptr && (is_extra || lacks)) {
    if (!command_names(*left_by).empty()) return unknown_command(*left_by, left);
    return fmt::format("{}: '{}' is one too many", full_name(*left_by), left);
  }
  std::string text = reworded(reached(app), error.what());
  if (text.find("decimal point") != std::string::npos) return text;
  for (const auto& word : words) {
    const std::string value = word.substr(word.starts_with("--") ? word.find('=') + 1 : 0);
    const std::string point = with_decimal_point(value);
    if (!point.empty() && text.find(value) != std::string::npos)
      return text + fmt::format(" (numbers have a decimal point: {})", point);
  }
  return text;
}

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::string command_reached(const CLI::App& app) { return full_name(reached(app)); }

}  // namespace sds::cli
