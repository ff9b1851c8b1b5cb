// What a recording was made of, in a few bytes: recordings made of different inputs get different sessions, and with
// them different ids (FORMAT.md), though nothing of the moment or the machine is in them. Inputs count as different
// if their names, sizes, beginnings or ends are: a `.sdsz` ends with the checksums of all its sections.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "sds/format/bytes.hpp"
#include "sds/format/recording.hpp"

namespace sds {

/// XXH3-64 over what is added, in the order in which it is added: of files their names, sizes, first and last 64 KiB.
class SourceFingerprint {
 public:
  SourceFingerprint& add(std::string_view text);
  /// A file; one that cannot be read adds its name only: whoever reads it next reports why.
  SourceFingerprint& add_file(const std::filesystem::path& file);
  /// All files of a recording.
  SourceFingerprint& add(const Recording& recording);
  /// 16 hexadecimal digits: the session's `source`.
  [[nodiscard]] std::string to_string() const;

 private:
  Bytes added_;
};

}  // namespace sds
