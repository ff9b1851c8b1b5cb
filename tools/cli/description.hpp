// What the help tells of the commands, as data: completion scripts and manual pages are made of it, so that all of them
// say the same.
#pragma once

#include <string>
#include <vector>

namespace sds::cli {

/// An option, or a value without a name.
struct OptionDescription {
  std::vector<std::string> names;  ///< "-o", "--output"; the value's own name where it has no other
  bool positional = false;
  bool repeats = false;            ///< takes any number of values
  std::string value;               ///< what stands for its value, such as "FILE"; empty for a flag
  std::string details;             ///< what the help has behind the names: value, default, REQUIRED
  std::vector<std::string> words;  ///< the values that it takes, where only these
  std::string group;               ///< the help's part
  std::string text;
};

struct CommandDescription {
  std::string name;  ///< "sds export csv"
  std::string text;
  std::vector<OptionDescription> options;
  std::vector<CommandDescription> commands;
  std::string footer;
};

/// Whether the value names a file or a folder.
bool takes_file(const OptionDescription& option);

/// A script that makes a shell complete commands, options, words and files; `shell` is bash, zsh or fish.
std::string completion_script(const CommandDescription& app, const std::string& shell);

/// "csv" of "sds export csv".
std::string last_word(const CommandDescription& command);

/// "sds-export-csv": what man(1) calls the page of a command.
std::string page_name(const CommandDescription& command);

/// The page of a command for man(1), section 1.
std::string manual_page(const CommandDescription& app, const CommandDescription& command);

}  // namespace sds::cli
