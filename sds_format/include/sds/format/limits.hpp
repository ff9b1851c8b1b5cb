// The limits that keep memory bounded whatever the input says. Larger input is kept (as raw bytes) or refused
// with an error that names the limit; nothing is allocated from a field that was not checked against these.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sds::limits {

inline constexpr std::uint32_t max_block_bytes = 32u << 20;        ///< one block of a stream
inline constexpr std::uint32_t max_section_raw_bytes = 64u << 20;  ///< one section of a `.sdsz`, decoded
inline constexpr std::uint32_t max_sample_bytes = 16u << 20;       ///< one sample by the metadata's layout
inline constexpr std::size_t max_channels = 4096;                  ///< entries under `content:`
inline constexpr std::size_t max_metadata_bytes = 1u << 20;        ///< one YAML file
inline constexpr std::size_t max_streams = 65536;                  ///< streams of one recording
inline constexpr std::size_t max_name_bytes = 255;                 ///< stream and file names

}  // namespace sds::limits
