// Numbers of JSON documents that nlohmann::json has read. It makes doubles of whole numbers beyond 64 bits and of what
// is beyond a double, and does not say so: what may be one of these is looked at again, in the text.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "table_import.hpp"

namespace sds {

/// `number` must be one.
ImportValue value_of(const nlohmann::json& number);

/// Whether `number` may be another than its text says: then changed_number() knows.
bool may_have_changed(const nlohmann::json& number);

/// What is wrong with the first number of a document that no type of 64 bits holds.
std::optional<std::string> changed_number(std::string_view json);

}  // namespace sds
