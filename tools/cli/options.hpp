// Commands and their options, as the rest of this folder describes them. CLI11 stands behind it: only options.cpp,
// usage.cpp and main.cpp see it, for its headers take each source that does seconds to compile.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace sds::cli {

/// What the value of an option must be, or how it is read.
class ValueRule {
 public:
  /// `apply` says what is wrong with a value, "" if nothing is. Where it is to be read (Option::transform()), it leaves
  /// there what the option gets.
  explicit ValueRule(std::function<std::string(std::string&)> apply, std::vector<std::string> words = {});
  explicit ValueRule(const CLI::Validator& validator, std::vector<std::string> words = {});

  [[nodiscard]] const CLI::Validator& validator() const { return *validator_; }
  /// Those that a value may be; none where any other may.
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }

 private:
  std::shared_ptr<const CLI::Validator> validator_;
  std::vector<std::string> words_;
};

/// A whole number, both ends included.
ValueRule in_range(int lowest, int highest);
/// One of these words.
ValueRule one_of(std::vector<std::string> words);
ValueRule positive_number();
ValueRule not_negative();
/// Bytes: "500M", "2GiB", k being 1,000 and Ki 1,024.
ValueRule takes_size();
/// One of the words, in whose place the option gets the text.
ValueRule takes_text_of(std::map<std::string, std::string> words);

/// One of these words, and only words.
template <class Value>
ValueRule takes_word(const std::map<std::string, Value>& words) {
  std::map<std::string, std::string> numbers;
  for (const auto& [word, value] : words) {
    if constexpr (std::is_enum_v<Value>) {
      numbers[word] = std::to_string(static_cast<std::underlying_type_t<Value>>(value));
    } else {
      numbers[word] = std::to_string(value);
    }
  }
  return takes_text_of(std::move(numbers));
}

class Command;
struct CommandDescription;

/// An option, or a value without a name, of a command. Each change returns the option itself.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option* required();
  /// What stands for the value in the help.
  Option* type_name(const std::string& name);
  /// Looked at in turn; the first that finds something wrong is what is said.
  Option* check(const ValueRule& rule);
  Option* check(const std::function<std::string(const std::string&)>& wrong);
  Option* transform(const ValueRule& rule);
  /// Called with each value.
  Option* each(const std::function<void(const std::string&)>& function);
  /// How many values a name or a place takes.
  Option* expected(int values);
  /// A name whose value may be left out: "" then.
  Option* value_is_optional();
  Option* excludes(const std::string& name);
  Option* excludes(const Option* other);
  Option* needs(const std::string& name);
  Option* needs(const Option* other);
  /// The help's part; "" leaves the option out of it.
  Option* group(const std::string& name);
  /// The help tells the value that the variable has now, or this text.
  Option* capture_default_str();
  Option* default_str(const std::string& text);

  /// How often it was given.
  [[nodiscard]] std::size_t count() const;

 private:
  friend class Command;
  // They stand for the value in the help, until type_name() says otherwise.
  Option* takes(const std::vector<std::string>& words);

  CLI::Option* option_;
  std::vector<std::string> words_;
};

/// An option that was given: "--port", and its last value, where it takes one.
struct GivenOption {
  std::string name;
  std::string value;
  bool has_value = false;
};

/// A command or one of its own.
class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  Command* add_subcommand(const std::string& name, const std::string& description);
  /// One of its own has to be named.
  void require_subcommand(int count);
  /// What stands at the end of the help.
  void footer(const std::string& text);
  /// Called when the command line is read and this command was named.
  void callback(std::function<void()> function);

  /// `names`: "-o,--output", or "output" for a value without a name. Of what types values may be, options.cpp lists;
  /// those of a vector are given one by one.
  template <class Value>
  requires(!std::is_enum_v<Value>) Option* add_option(const std::string& names, Value& value,
                                                      const std::string& description = {});
  /// A word that takes_word() makes a number of.
  template <class Value>
  requires(std::is_enum_v<Value>) Option* add_option(const std::string& names, Value& value,
                                                     const std::string& description = {}) {
    return add_number(
        names, [&value](std::int64_t number) { value = static_cast<Value>(number); }, description);
  }
  Option* add_flag(const std::string& names, bool& value, const std::string& description = {});

  /// An option of this command that there is.
  [[nodiscard]] Option* get_option(const std::string& name) const;
  /// Those that were given, in the order in which they were added.
  [[nodiscard]] std::vector<GivenOption> given() const;
  /// Whether the command line named it.
  [[nodiscard]] bool parsed() const;
  /// What the help tells, of its own commands, too.
  [[nodiscard]] CommandDescription description() const;

 private:
  Option* add_number(const std::string& names, const std::function<void(std::int64_t)>& set,
                     const std::string& description);
  Option* keep(CLI::Option* option);

  CLI::App* app_;
  std::vector<std::unique_ptr<Option>> options_;
  std::vector<std::unique_ptr<Command>> commands_;
};

/// From within Command::callback(): "<option>: <why>", wrong usage.
[[noreturn]] void refuse_option(const std::string& option, const std::string& why);

}  // namespace sds::cli
