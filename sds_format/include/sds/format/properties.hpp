// An ordered list of named byte strings: the payload of session and stream sections. Keys that a reader does not
// know are kept.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"

namespace sds {

class Properties {
 public:
  void set(std::string key, std::string value);
  [[nodiscard]] std::optional<std::string> get(std::string_view key) const;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& items() const { return items_; }

  /// u32 count, then per item: u16 key length, key, u32 value length, value (all little endian).
  [[nodiscard]] Bytes encode() const;
  static Expected<Properties> decode(ByteView bytes);

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

}  // namespace sds
