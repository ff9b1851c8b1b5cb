// What sdskit calls of libsndfile, under libsndfile's names (module.hpp says why).
#pragma once

#include <sndfile.h>

#include "sds/format/error.hpp"

namespace sds {

struct SoundFunctions {
  decltype(&::sf_close) sf_close = &::sf_close;
  decltype(&::sf_command) sf_command = &::sf_command;
  decltype(&::sf_error) sf_error = &::sf_error;
  decltype(&::sf_format_check) sf_format_check = &::sf_format_check;
  decltype(&::sf_get_string) sf_get_string = &::sf_get_string;
  decltype(&::sf_open) sf_open = &::sf_open;
  decltype(&::sf_open_virtual) sf_open_virtual = &::sf_open_virtual;
  decltype(&::sf_readf_double) sf_readf_double = &::sf_readf_double;
  decltype(&::sf_readf_int) sf_readf_int = &::sf_readf_int;
  decltype(&::sf_strerror) sf_strerror = &::sf_strerror;
  decltype(&::sf_writef_double) sf_writef_double = &::sf_writef_double;
  decltype(&::sf_writef_int) sf_writef_int = &::sf_writef_int;
};

/// An error where libsndfile is a module that cannot be loaded.
Expected<const SoundFunctions*> sound_functions();

/// For code that has asked sound_functions() whether it is there.
inline const SoundFunctions& libsndfile() { return **sound_functions(); }

}  // namespace sds
