// File names of the SDS world: `<stream>.<label>[.p].sds` beside `<stream>.sds.yml`.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

/// The class that the label in a file's name stands for: "rock" of "rock", and of "rock.1", which is a take of it.
/// Empty where the label only counts recordings: "0".
std::string class_in_label(const std::string& label);

/// Splits "ML_Out.0.p.sds". A stream name that itself contains dots cannot be told from its label by the name alone:
/// the first dot ends the stream name, unless `find_metadata` finds a metadata file with a longer name.
SdsFileName parse_sds_file_name(const std::filesystem::path& file);

/// The metadata file beside a `.sds` file: the longest `<prefix>.sds.yml` or `.sds.yaml` that exists, where prefix is
/// the file's name up to one of its dots. Sets `name.stream` and `name.label` accordingly.
std::optional<std::filesystem::path> find_metadata(const std::filesystem::path& file, SdsFileName& name);

/// Fails unless `name` can be a stream name (theory.md, sdsOpen) and thus part of a file name: no path separators, no
/// control or reserved characters, UTF-8, not empty, at most limits::max_name_bytes.
Expected<void> check_stream_name(const std::string& name);

/// `name` where check_stream_name accepts it; else with an underscore for each byte that it does not, cut to 200 bytes.
std::string to_stream_name(const std::string& name);

/// What streams of these names are called in one recording: by their name, or name.label where names repeat.
std::vector<std::string> ids_of_streams(std::span<const SdsFileName> names);

/// Gives names out of recordings, which strangers may have made, as names of files in one folder. Every command that
/// names a file by what a recording says uses it.
///
/// A name that take() returns is a plain file name: separators and control characters have become underscores, it is
/// neither `.` nor `..`, no device name of Windows (`CON`, `com1.txt`), at most limits::max_name_bytes long, and hidden
/// (a leading dot) only where it ends in `.sds`, `.sds.yml` or `.sds.yaml`, so that nothing takes it for its
/// configuration. Names that are so already come back unchanged. No name is given twice: a later one gets `~2`, `~3`,
/// ... before its ending. The same names in the same order give the same results.
class FileNames {
 public:
  /// A name for `wanted` + `ending`; an empty `ending` is the last extension of `wanted`, if it has one. None of the
  /// name with one of `companions` in place of `ending` is given to another, either.
  std::string take(std::string_view wanted, std::string_view ending = {},
                   std::span<const std::string_view> companions = {});

 private:
  std::set<std::string> taken_;
};

}  // namespace sds
