// The limits that keep memory bounded whatever the input says. Larger input is kept (as raw bytes) or refused
// with an error that names the limit; nothing is allocated from a field that was not checked against these.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sds::limits {

inline constexpr std::uint32_t max_block_bytes = 32u << 20;        ///< one block of a stream
inline constexpr std::uint32_t max_section_raw_bytes = 64u << 20;  ///< one data section of a `.sdsz`, decoded
inline constexpr std::uint32_t max_sample_bytes = 16u << 20;       ///< one sample by the metadata's layout
inline constexpr std::size_t max_channels = 4096;                  ///< entries under `content:`
inline constexpr std::size_t max_metadata_bytes = 1u << 20;        ///< one YAML file
inline constexpr std::size_t max_streams = 65536;                  ///< streams of one recording
inline constexpr std::size_t max_name_bytes = 255;                 ///< stream and file names

inline constexpr std::size_t min_section_option = 64;          ///< smallest SdszWriterOptions::section_bytes
inline constexpr std::size_t max_section_option = 16u << 20;   ///< and the largest
inline constexpr std::size_t max_sections = 1u << 20;          ///< sections of one `.sdsz`
inline constexpr std::uint64_t max_blocks = 1ull << 48;        ///< of one stream: ordinals are below
inline constexpr std::size_t max_recordings_in_file = 65536;   ///< whose headers are counted where several are spliced
inline constexpr std::size_t max_session_bytes = 1u << 20;     ///< a session section, decompressed
inline constexpr std::size_t max_stream_bytes = 4u << 20;      ///< a stream section, decompressed
inline constexpr std::size_t max_gap_bytes = 4096;             ///< a gap section, decompressed
inline constexpr std::size_t max_gap_reason_bytes = 1024;      ///< what a writer keeps of a gap's reason
inline constexpr std::size_t max_index_bytes = 2u << 20;       ///< an index section, decompressed
inline constexpr std::size_t max_described_bytes = 32u << 20;  ///< all stream sections of a recording, decompressed
inline constexpr std::size_t max_reasons_bytes = 4u << 20;  ///< reasons of all gaps of a recording; more are left out
inline constexpr std::size_t max_log_frames = 1u << 20;     ///< frames of a write-ahead log
/// Of sections that claim blocks of each other, so much is decoded at opening, or as much as the file has if that is
/// more.
inline constexpr std::uint64_t min_proof_bytes = 2 * std::uint64_t{max_section_raw_bytes};
inline constexpr std::size_t max_open_bytes = 32u << 20;    ///< unsealed blocks of one writer, all streams together
inline constexpr std::size_t max_decoded_bytes = 1u << 30;  ///< decoded sections of one reader, all cursors together
inline constexpr std::size_t max_ahead_bytes = 64u << 20;   ///< of these, beyond which nothing is decoded ahead

}  // namespace sds::limits
