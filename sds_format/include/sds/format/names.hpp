// File names of the SDS world: `<stream>.<label>[.p].sds` beside `<stream>.sds.yml`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "sds/format/error.hpp"

namespace sds {

/// The parts of a `.sds` file name. `.p` marks a stream recorded during playback.
struct SdsFileName {
  std::string stream;
  std::string label;
  bool playback = false;

  /// "ML_Out.0.p.sds"
  [[nodiscard]] std::string to_string() const;
};

/// Splits "ML_Out.0.p.sds". A stream name that itself contains dots cannot be told from its label by the name alone:
/// the first dot ends the stream name, unless `find_metadata` finds a metadata file with a longer name.
SdsFileName parse_sds_file_name(const std::filesystem::path& file);

/// The metadata file beside a `.sds` file: the longest `<prefix>.sds.yml` or `.sds.yaml` that exists, where prefix is
/// the file's name up to one of its dots. Sets `name.stream` and `name.label` accordingly.
std::optional<std::filesystem::path> find_metadata(const std::filesystem::path& file, SdsFileName& name);

/// Fails unless `name` can safely be a stream name and thus part of a file name: no path separators, no control or
/// reserved characters (theory.md, sdsOpen), not empty, not a dot name, at most limits::max_name_bytes.
Expected<void> check_stream_name(const std::string& name);

/// Fails unless `name` is a plain file name: what `unpack` writes must stay inside its directory.
Expected<void> check_file_name(const std::string& name);

}  // namespace sds
