#include "module.hpp"
#include "sound_functions.hpp"

namespace {

constexpr sds::SoundFunctions sound_table;

}  // namespace

const sds::Module sds::sdskit_module = sds::module_of(sound_table);
