// What becomes of each column of a CSV file: times, labels, values. Chosen by the header, by how the fields look, and
// by what the user says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "csv_look.hpp"
#include "table_import.hpp"

namespace sds {

inline constexpr const char* kNotUtf8 =
    "is not valid UTF-8: of a file that a Windows program wrote, `iconv -f cp1252 -t utf-8` makes it";

struct CsvColumns {
  std::vector<std::string> header;
  std::optional<std::size_t> time;
  std::optional<std::size_t> date;  ///< has the days of the times
  bool dates = false;               ///< the times are dates or times of day
  DateOrder date_order = DateOrder::told;
  double unit_s = 1;  ///< a unit of the times
  std::vector<std::size_t> labels;
  std::vector<std::size_t> taken;  ///< those with values
  ImportTable table;
  std::vector<std::string> found;
  std::vector<std::string> notes;
};

/// `line`: where the header is.
Expected<CsvColumns> choose_csv_columns(std::vector<std::string> header, std::uint64_t line, const CsvLook& look,
                                        const ImportOptions& options, const std::filesystem::path& path);

}  // namespace sds
