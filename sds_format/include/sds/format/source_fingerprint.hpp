// What a recording was made of, in a few bytes: recordings made of different inputs get different sessions, and with
// them different ids (FORMAT.md), though nothing of the moment or the machine is in them. Inputs count as different
// if their names, sizes, beginnings or ends are: a `.sdsz` ends with the checksums of all its sections.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/recording.hpp"

namespace sds {

/// XXH3-64 over what is added, in the order in which it is added: of files their names, sizes, first and last 64 KiB.
class SourceFingerprint {
 public:
  SourceFingerprint& add(std::string_view text);
  /// A file; one that is not there adds its name only.
  SourceFingerprint& add_file(const std::filesystem::path& file);
  /// All files of a recording.
  SourceFingerprint& add(const Recording& recording);
  /// 16 hexadecimal digits: the session's `source`. The first error, if a file could not be read.
  [[nodiscard]] Expected<std::string> to_string() const;

 private:
  Expected<void> read_file(const std::filesystem::path& file);

  Bytes added_;
  std::optional<Error> error_;
};

}  // namespace sds
