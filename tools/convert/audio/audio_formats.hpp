// Audio containers by file name, as libsndfile numbers them.
#pragma once

#include <filesystem>

namespace sds {

/// libsndfile's SF_FORMAT_... of a file name's extension; 0 if it is none that we write.
int audio_container(const std::filesystem::path& path);

}  // namespace sds
