// Under which names the streams of a recording stand as plain files in one folder: what `sds unpack` and `sds replay`
// write. The names come from the recording; FileNames makes them harmless.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sds/format/sdsz_writer.hpp"

namespace sds {

/// Names of one stream's files, without the folder.
struct StreamFiles {
  std::string recorded;  ///< the `.sds` as the recording calls it: its file's name, else `<stream>.<label>[.p].sds`
  std::string data;      ///< the `.sds` to write; equal to `recorded` unless that is no name, or another stream's
  std::string metadata;  ///< the metadata file; empty if there is none
};

/// The files of `streams`, in their order. No two are alike, but for metadata files of one name and one content. A
/// metadata file whose name another content has already is named after its stream's `.sds`, where it is found first.
std::vector<StreamFiles> plain_files_of(std::span<const StreamDescription> streams);

}  // namespace sds
