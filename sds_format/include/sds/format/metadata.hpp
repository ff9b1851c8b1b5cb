// What a stream's metadata file says: rates, and the layout of one sample, from the YAML of Arm's SDS schema 3.1
// and of the older forms found in recordings (`frequency:` for `sample-frequency:`, `image:` under a `value:` entry).
// The YAML text itself is kept beside this parsed form wherever a recording is stored, byte for byte.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sds/format/error.hpp"
#include "sds/format/time.hpp"

namespace sds {

enum class ScalarType : std::uint8_t { u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64 };

/// Bytes of one element in a block.
std::size_t size_of(ScalarType type);
/// The name that metadata uses: "int16_t", "float".
std::string_view name_of(ScalarType type);
bool is_float(ScalarType type);
bool is_signed(ScalarType type);

/// One named value of a sample; `dim_x * dim_y` elements of it, row by row (C: `type name[dim_y][dim_x]`).
struct Channel {
  std::string name;
  ScalarType type = ScalarType::u8;
  unsigned bits = 0;            ///< width of a bit-field in bits; 0 if the channel is no bit-field
  unsigned bit_offset = 0;      ///< bit-fields: position of the lowest bit in the storage unit at `byte_offset`
  std::size_t byte_offset = 0;  ///< of the first element, within a sample
  std::uint32_t dim_x = 1;
  std::uint32_t dim_y = 1;
  double scale = 1.0;
  double offset = 0.0;  ///< physical value = raw * scale + offset
  std::string unit;

  [[nodiscard]] std::size_t count() const { return std::size_t{dim_x} * dim_y; }
  /// True if physical and raw values are the same number.
  [[nodiscard]] bool is_raw() const { return scale == 1.0 && offset == 0.0; }
};

/// The frame layout of an `image:` entry; the frame is one channel of bytes.
struct ImageFormat {
  std::string pixel_format;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::vector<std::uint32_t> stride_bytes;  ///< one per plane
  std::size_t frame_bytes = 0;
};

/// A parsed metadata file.
struct Metadata {
  std::string name;
  std::string description;
  Frequency tick_frequency;                   ///< default 1000 Hz
  std::optional<Frequency> sample_frequency;  ///< from `sample-frequency:`, or the older `frequency:`
  std::optional<Frequency> block_frequency;
  bool legacy_frequency = false;  ///< `sample_frequency` came from `frequency:`
  std::vector<Channel> channels;
  std::optional<ImageFormat> image;
  bool is_audio = false;
  std::size_t sample_bytes = 0;    ///< bytes of one sample
  std::vector<std::string> notes;  ///< unknown keys and oddities, with line numbers

  /// Parses the text of a `.sds.yml`. Errors carry the line; `path` is only for messages.
  static Expected<Metadata> parse(std::string_view yaml, const std::filesystem::path& path);
};

/// The metadata as the text of a `.sds.yml`: parsed again, it says the same. Images are not written.
std::string to_yaml(const Metadata& metadata);

/// The value of element `index` of `channel` in a sample, before scale and offset.
/// `sample` must hold at least the metadata's `sample_bytes`.
double raw_value(const Channel& channel, const std::byte* sample, std::size_t index);

/// Offset of the first byte that is not valid UTF-8, if any.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

}  // namespace sds
