// Scripts that make a shell complete what is written. Each is a table of what there is, and the little that looks it
// up.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

#include "description.hpp"

namespace sds::cli {

namespace {

// In single quotes, as all three shells take it.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The first of its lines: what fits beside a name.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

void each_command(const CommandDescription& command, const std::function<void(const CommandDescription&)>& take) {
  take(command);
  for (const auto& own : command.commands) each_command(own, take);
}

std::vector<std::string> command_names(const CommandDescription& command) {
  std::vector<std::string> names;
  for (const auto& own : command.commands) names.push_back(last_word(own));
  return names;
}

std::vector<std::string> option_names(const CommandDescription& command) {
  std::vector<std::string> names;
  for (const auto& option : command.options)
    if (!option.positional) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

// "sds pack --level"|"sds pack -l"
std::string patterns(const CommandDescription& command, const OptionDescription& option) {
  std::string text;
  for (const auto& name : option.names)
    text += fmt::format("{}\"{} {}\"", text.empty() ? "" : " | ", command.name, name);
  return text;
}

std::string bash_script(const CommandDescription& app) {
  std::string steps;
  std::string values;
  std::string words;
  each_command(app, [&](const CommandDescription& command) {
    if (command.name != app.name) steps += fmt::format("{}\"{}\"", steps.empty() ? "" : " | ", command.name);
    for (const auto& option : command.options) {
      if (option.positional || option.value.empty()) continue;
      const std::string reply = !option.words.empty()
                                    ? fmt::format("words={}", quoted(fmt::format("{}", fmt::join(option.words, " "))))
                                    : (takes_file(option) ? "files=1" : "");
      values += fmt::format("    {}) {}{}value=1 ;;\n", patterns(command, option), reply, reply.empty() ? "" : "; ");
    }
    auto own = command_names(command);
    if (command.name == app.name) own.emplace_back("help");
    words += fmt::format("    \"{}\") options={} commands={} ;;\n", command.name,
                         quoted(fmt::format("{}", fmt::join(option_names(command), " "))),
                         quoted(fmt::format("{}", fmt::join(own, " "))));
  });
  return fmt::format(R"(# Completion of sds for bash, made by `sds completion bash`.
_sds() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command=sds
  local files= words= value= options= commands= i
  COMPREPLY=()
  # An option's value behind '=' is a word of its own to bash.
  if [[ $current == = ]]; then current=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${{COMP_WORDS[i]}}" in
      "sds help") ;;
      {}) command="$command ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$command $before" in
{}  esac
  if [[ -z $value ]]; then
    case "$command" in
{}    esac
    if [[ $current == -* ]]; then words=$options; else words=$commands; [[ -n $commands ]] || files=1; fi
  fi
  if [[ -n $files ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}}
complete -F _sds sds
)",
                     steps, values, words);
}

// '[' and ':' end what zsh shows.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : first_line(text)) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_function(const CommandDescription& command) {
  std::string name = "_" + command.name;
  for (char& c : name)
    if (c == ' ' || c == '-') c = '_';
  return name;
}

std::string zsh_value(const OptionDescription& option) {
  if (option.value.empty()) return "";
  const std::string what =
      !option.words.empty() ? fmt::format("({})", fmt::join(option.words, " ")) : (takes_file(option) ? "_files" : " ");
  return fmt::format(":{}:{}", zsh_text(option.value), what);
}

std::string zsh_script(const CommandDescription& app) {
  std::string functions;
  each_command(app, [&](const CommandDescription& command) {
    std::string arguments;
    std::string positionals;
    for (const auto& option : command.options) {
      if (option.positional) {
        positionals += fmt::format(
            " \\\n    {}", quoted(fmt::format("{}:{}:{}", option.repeats ? "*" : "", zsh_text(option.names.front()),
                                              takes_file(option) ? "_files" : " ")));
        continue;
      }
      const std::string others =
          option.repeats || option.names.size() < 2 ? "" : fmt::format("({})", fmt::join(option.names, " "));
      for (const auto& name : option.names)
        arguments += fmt::format(" \\\n    {}", quoted(fmt::format("{}{}{}[{}]{}", others, option.repeats ? "*" : "",
                                                                   name, zsh_text(option.text), zsh_value(option))));
    }
    functions += fmt::format("{}() {{\n", zsh_function(command));
    if (command.commands.empty()) {
      functions += fmt::format("  _arguments -S{}{}\n}}\n", arguments, positionals);
      return;
    }
    functions += fmt::format(
        "  local context state state_descr line\n  typeset -A opt_args\n"
        "  _arguments -C -S{} \\\n    '1: :->command' \\\n    '*:: :->rest'\n  case $state in\n    command)\n"
        "      local -a commands=(",
        arguments);
    for (const auto& own : command.commands)
      functions += fmt::format("\n        {}", quoted(last_word(own) + ":" + first_line(own.text)));
    if (command.name == app.name) functions += "\n        'help:Explain a command'";
    functions += fmt::format("\n      )\n      _describe command commands{} ;;\n    rest)\n      case $line[1] in\n",
                             positionals.empty() ? "" : "\n      _files");
    for (const auto& own : command.commands)
      functions += fmt::format("        {}) {} ;;\n", last_word(own), zsh_function(own));
    if (command.name == app.name)
      functions += fmt::format("        help) _values command {} ;;\n", fmt::join(command_names(command), " "));
    functions += "      esac ;;\n  esac\n}\n";
  });
  return "#compdef sds\n# Completion of sds for zsh, made by `sds completion zsh`.\n" + functions +
         "if [[ $funcstack[1] == _sds ]]; then _sds \"$@\"; else compdef _sds sds; fi\n";
}

std::string fish_option(const OptionDescription& option) {
  std::string text;
  for (const auto& name : option.names)
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.value.empty()) {
    text += takes_file(option) ? " -r -F" : " -x";
    if (!option.words.empty()) text += " -a " + quoted(fmt::format("{}", fmt::join(option.words, " ")));
  }
  return text + " -d " + quoted(first_line(option.text));
}

std::string fish_script(const CommandDescription& app) {
  std::string lines;
  each_command(app, [&](const CommandDescription& command) {
    const std::string here = fmt::format("complete -c sds -n \"__sds_command_is '{}'\"", command.name);
    bool files = false;
    for (const auto& option : command.options) {
      if (option.positional) {
        files |= takes_file(option);
      } else {
        lines += here + fish_option(option) + "\n";
      }
    }
    for (const auto& own : command.commands)
      lines += here + " -f -a " + last_word(own) + " -d " + quoted(first_line(own.text)) + "\n";
    if (files) lines += here + " -F\n";
  });
  return lines;
}

}  // namespace

std::string completion_script(const CommandDescription& app, const std::string& shell) {
  if (shell == "bash") return bash_script(app);
  if (shell == "zsh") return zsh_script(app);
  std::string commands;
  each_command(app, [&](const CommandDescription& command) {
    if (command.name != app.name) commands += " " + quoted(command.name);
  });
  return "# Completion of sds for fish, made by `sds completion fish`.\n"
         "# Whether the words so far name this command.\n"
         "function __sds_command_is\n"
         "  set -l command sds\n"
         "  for word in (commandline -opc)[2..]\n"
         "    contains -- \"$command $word\"" +
         commands +
         "; and set command \"$command $word\"\n"
         "  end\n"
         "  test \"$command\" = \"$argv\"\n"
         "end\n"
         "complete -c sds -f\n"
         "complete -c sds -n '__sds_command_is sds' -f -a help -d 'Explain a command'\n" +
         fish_script(app);
}

}  // namespace sds::cli
