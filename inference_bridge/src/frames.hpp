// What flows between the stages of a pipeline: rows of numbers of one type, with the time of the last of them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sds/format/bytes.hpp"
#include "sds/format/exact_value.hpp"
#include "sds/format/metadata.hpp"

namespace sds::pipeline {

/// The kind of all frames between two stages. A row is a sample: `columns` elements of one type.
struct FrameType {
  ScalarType type = ScalarType::u8;
  std::size_t rows = 0;  ///< of each frame; 0: any number (blocks of a stream)
  std::size_t columns = 1;
  std::vector<double> scale{1.0};  ///< physical value = stored * scale + offset; one for all columns, or one for each
  std::vector<double> offset{0.0};
  std::vector<std::string> names;  ///< of the columns; may be empty
  /// Ticks from one row to the next, as a fraction; 0 where a block's rows have no times of their own.
  std::uint64_t ticks_numerator = 0;
  std::uint64_t ticks_denominator = 1;
  Frequency tick_frequency;

  /// The tick of the row that lies `row` rows behind tick `first`, rounded down.
  [[nodiscard]] std::uint64_t tick_of(std::uint64_t first, std::size_t row) const;
  /// Rows a second, where rows have times of their own.
  [[nodiscard]] std::optional<Frequency> row_frequency() const;
  [[nodiscard]] std::size_t elements() const { return rows * columns; }
  [[nodiscard]] std::size_t row_bytes() const { return columns * size_of(type); }
  [[nodiscard]] double scale_of(std::size_t column) const { return scale[scale.size() == 1 ? 0 : column]; }
  [[nodiscard]] double offset_of(std::size_t column) const { return offset[offset.size() == 1 ? 0 : column]; }
  /// "int16_t [480 x 1]"
  [[nodiscard]] std::string to_string() const;
  /// Metadata of a stream of such frames.
  [[nodiscard]] std::string to_yaml(const std::string& name) const;
};

/// The time of a frame's row `at`: `row` rows behind `tick`. That of the rows behind it follows from it.
struct RowTime {
  std::size_t at = 0;
  std::uint64_t tick = 0;
  std::uint64_t row = 0;
};

struct Frame {
  std::uint64_t tick = 0;  ///< what it is stamped with: of a window its last row, rounded down; else of its block
  ByteView data;
  std::uint64_t block = 0;         ///< number of the submitted block that brought it about
  std::span<const RowTime> times;  ///< of its rows, ascending, from row 0; empty: `tick` is that of row 0
};

/// Compares the times of two rows exactly, before any rounding; types may have different clocks and rates.
std::strong_ordering compare_times(const FrameType& a, const RowTime& row_a, const FrameType& b, const RowTime& row_b);

/// A stored value as a number, before scale and offset. `p` has size_of(type) bytes.
double load_value(ScalarType type, const std::byte* p);
/// What a stored value means, by the scale and offset of its column.
inline double physical_value(const FrameType& type, const std::byte* p, std::size_t column) {
  return load_value(type.type, p) * type.scale_of(column) + type.offset_of(column);
}
/// Same as load_value(), of every type exactly.
ExactNumber load_exact(ScalarType type, const std::byte* p);
/// The nearest value that the type has: integers are rounded half away from zero and clipped; NaN becomes 0 there.
void store_value(ScalarType type, double value, std::byte* p);
/// True if the type has values that a float cannot hold.
bool is_wider_than_float(ScalarType type);

}  // namespace sds::pipeline
