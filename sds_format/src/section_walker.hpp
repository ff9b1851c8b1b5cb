// Finds the sections of a `.sdsz` without its index: from header to header, and behind damage by searching for the next
// valid one.
#pragma once

#include <optional>

#include "sds/format/sdsz_index.hpp"

namespace sds {

/// The header at `offset`, read from the file.
Expected<SectionHeader> read_header(const ByteSource& file, std::uint64_t offset);

/// What all sections of one recording have in common; those of version 1 do not name theirs.
std::uint64_t identity(const SectionHeader& header);

/// The opened payload of the section at `entry`; fails if it does not fit into the file.
Expected<Bytes> read_payload(const ByteSource& file, const IndexEntry& entry, std::uint64_t file_bytes);

/// True if the bytes from `from` to `to` are all zero: what a file system shows of what was never written to the disk.
Expected<bool> only_zeros(const ByteSource& file, std::uint64_t from, std::uint64_t to);

/// Puts a section of any kind where it belongs in the table. `facts`: the decompressed payload of a gap or clock
/// section. What does not make sense is damage.
void take_section(SectionTable& table, const IndexEntry& entry, ByteView facts);

/// Walks the first `file_bytes` bytes. `index`: empty, or the sections of an index that covers the file, which so is of
/// their recording, in the order of the file; those whose headers are damaged in their place are taken from it, if
/// their payloads check.
Expected<SectionTable> walk_sections(const ByteSource& file, std::uint64_t file_bytes,
                                     const std::vector<IndexEntry>& index, bool verify);

/// Whether a file of `file_bytes` ends with a sound footer of the recording that it begins with, as a closed one does.
Expected<bool> has_footer(const ByteSource& file, std::uint64_t file_bytes);

}  // namespace sds
