#pragma once

#include <memory>

#include "sound_functions.hpp"

namespace sds {

struct SoundFileCloser {
  void operator()(SNDFILE* file) const { libsndfile().sf_close(file); }
};

/// A file of libsndfile that is closed with its owner.
using SoundFilePointer = std::unique_ptr<SNDFILE, SoundFileCloser>;

}  // namespace sds
