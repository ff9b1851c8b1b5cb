// What all commands share about how they are called: one value an option, `sds help`, and what is said of a command
// line that is not understood.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sds::cli {

/// Help pages. Before commands are added: they inherit it.
void set_help(CLI::App& app);

/// Every option takes one value; those that may be given several times are repeated. Whole numbers are that, and none
/// is negative. After all commands are added.
void take_values(CLI::App& app);

/// The words behind the program's name; "help info" is "info --help".
std::vector<std::string> words_of(int argc, char** argv);

/// What is wrong with a command line, with the nearest name that there is.
std::string what_is_wrong(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words);

/// "sds export csv"
std::string full_name(const CLI::App& command);

/// full_name() of the command that was reached.
std::string command_reached(const CLI::App& app);

}  // namespace sds::cli
