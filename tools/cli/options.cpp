#include "options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace sds::cli {

namespace {

// What is said of a text that is none of the words.
std::string none_of(const std::vector<std::string>& words, const std::string& text) {
  return "'" + text + "' is none of " + CLI::detail::join(words, ", ");
}

}  // namespace

ValueRule::ValueRule(std::function<std::string(std::string&)> apply, std::vector<std::string> words)
    : validator_(std::make_shared<CLI::Validator>(std::move(apply), "")), words_(std::move(words)) {}
ValueRule::ValueRule(const CLI::Validator& validator, std::vector<std::string> words)
    : validator_(std::make_shared<CLI::Validator>(validator)), words_(std::move(words)) {}

ValueRule in_range(int lowest, int highest) { return ValueRule(CLI::Range(lowest, highest)); }
ValueRule positive_number() { return ValueRule(CLI::PositiveNumber); }
ValueRule not_negative() { return ValueRule(CLI::NonNegativeNumber); }
ValueRule takes_size() {
  CLI::AsSizeValue rule(true);
  rule.description("");  // its list of units, which would stand behind the value's name
  return ValueRule(rule);
}

ValueRule one_of(std::vector<std::string> words) {
  return ValueRule(
      [words](const std::string& text) {
        return std::find(words.begin(), words.end(), text) != words.end() ? "" : none_of(words, text);
      },
      words);
}

ValueRule takes_text_of(std::map<std::string, std::string> words) {
  std::vector<std::string> names;
  for (const auto& [word, value] : words) names.push_back(word);
  return ValueRule(
      [words = std::move(words), names](std::string& text) {
        const auto found = words.find(text);
        if (found == words.end()) return none_of(names, text);
        text = found->second;
        return std::string();
      },
      names);
}

Option* Option::required() {
  option_->required();
  return this;
}

Option* Option::type_name(const std::string& name) {
  option_->type_name(name);
  return this;
}

Option* Option::check(const ValueRule& rule) {
  option_->check(rule.validator());
  return takes(rule.words());
}

Option* Option::check(const std::function<std::string(const std::string&)>& wrong) {
  option_->check(wrong);
  return this;
}

Option* Option::transform(const ValueRule& rule) {
  option_->transform(rule.validator());
  return takes(rule.words());
}

Option* Option::takes(const std::vector<std::string>& words) {
  if (words.empty()) return this;
  words_ = words;
  option_->type_name(CLI::detail::join(words, "|"));
  return this;
}

Option* Option::each(const std::function<void(const std::string&)>& function) {
  option_->each(function);
  return this;
}

Option* Option::expected(int values) {
  option_->expected(values);
  return this;
}

Option* Option::value_is_optional() {
  option_->expected(0, 1);
  return this;
}

Option* Option::excludes(const std::string& name) {
  option_->excludes(name);
  return this;
}

Option* Option::excludes(const Option* other) {
  option_->excludes(other->option_);
  return this;
}

Option* Option::needs(const std::string& name) {
  option_->needs(name);
  return this;
}

Option* Option::needs(const Option* other) {
  option_->needs(other->option_);
  return this;
}

Option* Option::group(const std::string& name) {
  option_->group(name);
  return this;
}

Option* Option::capture_default_str() {
  option_->capture_default_str();
  return this;
}

Option* Option::default_str(const std::string& text) {
  option_->default_str(text);
  return this;
}

std::size_t Option::count() const { return option_->count(); }

Command* Command::add_subcommand(const std::string& name, const std::string& description) {
  return commands_.emplace_back(std::make_unique<Command>(*app_->add_subcommand(name, description))).get();
}

void Command::require_subcommand(int count) { app_->require_subcommand(count); }
void Command::footer(const std::string& text) { app_->footer(text); }
void Command::callback(std::function<void()> function) { app_->callback(std::move(function)); }

Option* Command::keep(CLI::Option* option) { return options_.emplace_back(std::make_unique<Option>(option)).get(); }

template <class Value>
requires(!std::is_enum_v<Value>) Option* Command::add_option(const std::string& names, Value& value,
                                                             const std::string& description) {
  return keep(app_->add_option(names, value, description));
}

#define SDS_OPTION_OF(...) \
  template Option* Command::add_option(const std::string& names, __VA_ARGS__& value, const std::string& description)
SDS_OPTION_OF(bool);
SDS_OPTION_OF(int);
SDS_OPTION_OF(unsigned);
SDS_OPTION_OF(std::uint16_t);
SDS_OPTION_OF(std::uint64_t);
SDS_OPTION_OF(double);
SDS_OPTION_OF(std::string);
SDS_OPTION_OF(std::filesystem::path);
SDS_OPTION_OF(std::optional<unsigned>);
SDS_OPTION_OF(std::optional<std::uint64_t>);
SDS_OPTION_OF(std::optional<double>);
SDS_OPTION_OF(std::optional<std::string>);
SDS_OPTION_OF(std::vector<std::string>);
SDS_OPTION_OF(std::vector<std::size_t>);
SDS_OPTION_OF(std::vector<std::filesystem::path>);
#undef SDS_OPTION_OF

Option* Command::add_number(const std::string& names, const std::function<void(std::int64_t)>& set,
                            const std::string& description) {
  return keep(app_->add_option_function<std::int64_t>(names, set, description));
}

Option* Command::add_flag(const std::string& names, bool& value, const std::string& description) {
  return keep(app_->add_flag(names, value, description));
}

Option* Command::get_option(const std::string& name) const {
  const CLI::Option* option = app_->get_option(name);
  for (const auto& one : options_)
    if (one->option_ == option) return one.get();
  throw std::logic_error("an option of another command: " + name);
}

std::vector<GivenOption> Command::given() const {
  std::vector<GivenOption> given;
  for (const auto& option : options_) {
    if (option->count() == 0) continue;
    const bool has_value = option->option_->get_items_expected_max() > 0;
    const auto& names = option->option_->get_lnames();  // get_name() is empty of what the help leaves out
    given.push_back({names.empty() ? option->option_->get_name() : "--" + names.front(),
                     has_value ? option->option_->results().back() : "", has_value});
  }
  return given;
}

bool Command::parsed() const { return app_->parsed(); }

void refuse_option(const std::string& option, const std::string& why) { throw CLI::ValidationError(option, why); }

}  // namespace sds::cli
