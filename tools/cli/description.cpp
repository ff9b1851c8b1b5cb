#include "description.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <memory>

#include "options.hpp"
#include "usage.hpp"

namespace sds::cli {

namespace {

// "N:INT in [0 - 2]" is what it is called, and what is asked of it.
std::string value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::string type = option.get_type_name();
  return type.substr(0, type.find(':'));
}

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(' ');
  return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(' ') + 1 - from);
}

OptionDescription describe(const CLI::Option& option, const CLI::App& command, std::vector<std::string> words) {
  OptionDescription described;
  described.positional = option.get_positional();
  if (described.positional) {
    described.names = {option.get_name(true)};
  } else {
    for (const auto& name : option.get_snames()) described.names.push_back("-" + name);
    for (const auto& name : option.get_lnames()) described.names.push_back("--" + name);
  }
  described.repeats = option.get_expected_max() > 1;
  described.value = value_of(option);
  if (const auto formatter = std::dynamic_pointer_cast<CLI::Formatter>(command.get_formatter()))
    described.details = trimmed(formatter->make_option_opts(&option));
  described.words = std::move(words);
  described.group = option.get_group();
  described.text = option.get_description();
  return described;
}

}  // namespace

CommandDescription Command::description() const {
  CommandDescription described;
  described.name = full_name(*app_);
  described.text = app_->get_description();
  described.footer = app_->get_footer();
  for (const CLI::Option* option : app_->get_options()) {
    if (option->get_group().empty()) continue;  // not in the help
    const auto own =
        std::find_if(options_.begin(), options_.end(), [&](const auto& one) { return one->option_ == option; });
    described.options.push_back(
        describe(*option, *app_, own == options_.end() ? std::vector<std::string>() : (*own)->words_));
  }
  for (const auto& command : commands_)
    if (!command->app_->get_group().empty()) described.commands.push_back(command->description());
  return described;
}

std::string last_word(const CommandDescription& command) { return command.name.substr(command.name.rfind(' ') + 1); }

bool takes_file(const OptionDescription& option) {
  if (option.positional && option.value == "TEXT") return true;  // recordings
  for (const char* name : {"FILE", "DIR", "OUT", "RECORDING", "COMMAND"})
    if (option.value.find(name) != std::string::npos) return true;
  return false;
}

}  // namespace sds::cli
