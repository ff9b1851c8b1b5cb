// The help as a page for man(1).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "description.hpp"

namespace sds::cli {

namespace {

// Text as roff takes it: no line of it is a request.
std::string roff(const std::string& text) {
  std::string out;
  bool at_begin = true;
  for (const char c : text) {
    if (at_begin && (c == '.' || c == '\'')) out += "\\&";
    at_begin = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '`') {
      out += "\\(ga";
    } else if (c == '\'') {
      out += "\\(aq";
    } else {
      out += c;
    }
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string synopsis(const CommandDescription& command) {
  std::string text = fmt::format(".B {}\n[\\fIoptions\\fR]", roff(command.name));
  for (const auto& option : command.options) {
    if (!option.positional) continue;
    const bool required = option.details.find("REQUIRED") != std::string::npos;
    const std::string argument = fmt::format("\\fI{}\\fR{}", roff(option.names.front()), option.repeats ? " ..." : "");
    text += required ? " " + argument : " [" + argument + "]";
  }
  if (!command.commands.empty()) text += " \\fIcommand\\fR ...";
  return text + "\n";
}

std::string option_entry(const OptionDescription& option) {
  std::string names;
  for (const auto& name : option.names) names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
  // Whether an argument must be there, and may be repeated, the synopsis tells.
  const std::string details = option.positional ? "" : roff(option.details);
  std::string words;
  for (const auto& word : option.words) words += (words.empty() ? "" : ", ") + word;
  const bool told =
      option.words.empty() || std::all_of(option.words.begin(), option.words.end(), [&](const auto& word) {
        return option.text.find(word) != std::string::npos || option.details.find(word) != std::string::npos;
      });
  return fmt::format(".TP\n{}{}{}\n{}{}\n", names, details.empty() ? "" : " ", details, roff(option.text),
                     told ? "" : roff("; one of " + words));
}

std::string options(const CommandDescription& command, bool positional) {
  std::string text;
  std::string group;
  for (const auto& option : command.options) {
    if (option.positional != positional) continue;
    if (!positional && option.group != group && option.group != "Options")
      text += fmt::format(".SS {}\n", roff(option.group));
    group = option.group;
    text += option_entry(option);
  }
  return text;
}

// Paragraphs; lines that are set in, and examples, stay as they are.
std::string footer(const std::string& text) {
  std::string out;
  std::string::size_type at = 0;
  bool as_it_is = false;
  while (at < text.size()) {
    const auto end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const bool set_in = line.starts_with("  ");
    if (set_in != as_it_is) out += set_in ? ".PP\n.nf\n.RS 4\n" : ".RE\n.fi\n";
    as_it_is = set_in;
    if (line.empty()) {
      out += ".PP\n";
    } else if (line.starts_with("Example: ")) {
      out += fmt::format(".PP\n{}\n.PP\n.nf\n.RS 4\n{}\n.RE\n.fi\n", "Example:", roff(line.substr(9)));
    } else {
      out += roff(set_in ? line.substr(2) : line) + "\n";
    }
  }
  return out + (as_it_is ? ".RE\n.fi\n" : "");
}

}  // namespace

std::string page_name(const CommandDescription& command) {
  std::string name = command.name;
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string manual_page(const CommandDescription& app, const CommandDescription& command) {
  std::string text =
      fmt::format(".TH {} 1 \"\" \"sdskit {}\" \"sdskit\"\n", roff(upper(page_name(command))), SDSKIT_VERSION);
  // mandb wants a name of one word and one line.
  std::string what = command.text;
  std::replace(what.begin(), what.end(), '\n', ' ');
  text += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}", roff(page_name(command)), roff(what), synopsis(command));
  if (const auto taken = options(command, true); !taken.empty()) text += ".SH ARGUMENTS\n" + taken;
  if (const auto taken = options(command, false); !taken.empty()) text += ".SH OPTIONS\n" + taken;
  if (!command.commands.empty()) {
    text += ".SH COMMANDS\n";
    for (const auto& own : command.commands)
      text += fmt::format(".TP\n.BR {} (1)\n{}\n", roff(page_name(own)), roff(own.text));
  }
  if (!command.footer.empty()) text += ".SH NOTES\n" + footer(command.footer);
  if (command.name != app.name) {
    text +=
        ".SH EXIT STATUS\n0 done; 1 the answer is no; 2 wrong usage; 3 bad input, or done with what a damaged "
        "recording "
        "has left; 4 I/O or system error; 130 interrupted.\n";
    text += fmt::format(".SH SEE ALSO\n.BR {} (1)\n", roff(app.name));
  }
  return text;
}

}  // namespace sds::cli
