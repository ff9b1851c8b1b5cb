// Outputs that are numbers of classes.
#pragma once

#include <string>
#include <vector>

#include "sds/format/metadata.hpp"

namespace sds {

/// The class whose number the sample's only value is: its name, or "class 7" where that number has none.
std::string class_of(const Channel& channel, const std::byte* sample, const std::vector<std::string>& names);
/// The only channel of an output of class numbers, with one value a sample; else what is wrong. `needed`: the key that
/// wants it so.
Expected<const Channel*> class_number_channel(const Metadata& metadata, const std::string& needed);

}  // namespace sds
