// How a CSV file is written, found out from its first 256 KiB: separators, comments, where its header is, and what its
// columns hold.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "csv_reader.hpp"
#include "imports.hpp"

namespace sds {

/// What the fields of a column are, as far as was looked.
struct CsvColumnLook {
  std::uint64_t numbers = 0;
  std::uint64_t texts = 0;               ///< fields that are neither empty nor numbers
  std::uint64_t compact_dates = 0;       ///< numbers like 20240501 and 20240501123456
  std::uint64_t serial_days = 0;         ///< numbers like 45413.5 and 45413.500011574: days since 1900, to a second
  bool long_fractions = false;           ///< of seven digits or more: few of them are whole seconds by chance
  std::array<std::uint64_t, 3> dates{};  ///< texts that are dates in the order dmy, mdy, ymd
  bool has_times_of_day = false;         ///< the first of these has one
  std::string first_number;              ///< the first of the fields that are either
  std::string first_text;
  std::uint64_t first_text_line = 0;

  [[nodiscard]] bool is_date() const { return *std::max_element(dates.begin(), dates.end()) > 0; }
};

struct CsvLook {
  CsvFormat format{','};
  std::string commented_header;  ///< the line that has it, where it is a comment: "# time,x,y"
  bool first_row_is_numbers = false;
  std::vector<CsvColumnLook> columns;  ///< of the rows behind the header
  std::uint64_t first_comment = 0;     ///< its line
  std::uint64_t row_below = 0;         ///< the line of the row below the header that has units, or is none of the table
  std::vector<std::string> units;      ///< that it has
};

Expected<CsvLook> look_at_csv(const std::filesystem::path& path, const ImportOptions& options);

}  // namespace sds
