#pragma once

#include <sndfile.h>

#include <memory>

namespace sds {

struct SoundFileCloser {
  void operator()(SNDFILE* file) const { sf_close(file); }
};

/// A file of libsndfile that is closed with its owner.
using SoundFilePointer = std::unique_ptr<SNDFILE, SoundFileCloser>;

}  // namespace sds
