// Between plain `.sds` files and `.sdsz`: lossless both ways, metadata files included.
#pragma once

#include <filesystem>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/recording.hpp"

namespace sds {

struct PackOptions {
  Level level = Level::fast;
  std::uint32_t section_bytes = 1u << 20;
  unsigned threads = 0;  ///< 0: one for each core; the bytes written are the same for any number
  bool force = false;    ///< replace an existing output
};

struct UnpackOptions {
  unsigned threads = 0;  ///< that decode ahead; 0: one for each core
  bool force = false;    ///< replace existing files
};

/// What unpack made of a stream.
struct UnpackedFile {
  std::filesystem::path data;
  std::string metadata;  ///< name of its metadata file beside it; empty if it has none
};

struct PackReport {
  std::uint64_t streams = 0;
  std::uint64_t blocks = 0;
  std::uint64_t raw_bytes = 0;       ///< as plain `.sds`
  std::uint64_t stored_bytes = 0;    ///< of the `.sdsz`
  std::uint64_t losses = 0;          ///< unpack: gaps and damage that plain files cannot hold
  std::vector<UnpackedFile> files;   ///< unpack: one a stream
  std::filesystem::path labels;      ///< the label file that came along; empty: there was none
  std::vector<std::string> notes;    ///< what a user should know: torn tails, unreadable metadata, ticks that are lost
  std::vector<std::string> remarks;  ///< unpack: what is nobody's fault, as that clock pairs stay behind
};

/// Writes all streams of `input` into one `.sdsz`, with ticks, gaps and clock pairs as they are; what `input` has lost
/// by damage (Recording::damages() afterwards) becomes gaps, and if it was not closed that is a gap at the end of every
/// stream. The label file beside `input` is copied. The output appears under its name only when it is complete.
Expected<PackReport> pack(const Recording& input, const std::filesystem::path& output, const PackOptions& options,
                          const OnProgress& on_progress);

/// Writes every stream of `input` as a `.sds` file, and the metadata files, into `directory` (made if needed).
/// Files are named by plain_files_of(): whatever the recording says, inside `directory`, one for each stream. Damaged
/// sections are left out; losses are counted in the report. The label file beside `input` is copied to where it is
/// found by who opens the files in their order: beside the first one. Others whose names would say a class that the
/// labels do not get a label file, too, with what is about them.
Expected<PackReport> unpack(const Recording& input, const std::filesystem::path& directory,
                            const UnpackOptions& options, const OnProgress& on_progress);

}  // namespace sds
