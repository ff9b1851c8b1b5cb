// How values of options are written: times, frequencies, shares and words, the same for all commands. Each is a
// transform: the option gets a number.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <type_traits>

namespace sds::cli {

/// A time or a duration, with its unit or in seconds; the option's number is in seconds.
CLI::Validator takes_time();
/// The same in whole milliseconds; a number alone and the option's number are milliseconds, too.
CLI::Validator takes_milliseconds();
/// A time like takes_time(), of whole milliseconds.
CLI::Validator takes_time_of_milliseconds();
/// "1600", "1600Hz", "16kHz"; in Hz.
CLI::Validator takes_frequency();
/// "0.5" or "50%"; from 0 to 1.
CLI::Validator takes_share();

/// One of these words, and only words.
template <class Value>
CLI::Validator takes_word(std::map<std::string, Value> words) {
  return {[words = std::move(words)](std::string& text) {
            const auto found = words.find(text);
            if (found != words.end()) {
              if constexpr (std::is_enum_v<Value>) {
                text = std::to_string(static_cast<std::underlying_type_t<Value>>(found->second));
              } else {
                text = std::to_string(found->second);
              }
              return std::string();
            }
            std::string there;
            for (const auto& [word, value] : words) there += (there.empty() ? "" : ", ") + word;
            return "'" + text + "' is none of " + there;
          },
          "", "takes_word"};
}

}  // namespace sds::cli
