// Comma-separated values, read a row at a time by libcsv, with line numbers and bounded memory.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "sds/format/error.hpp"
#include "sds/format/file.hpp"
#include "sds/format/progress.hpp"

namespace sds {

/// A row that is not empty. Valid during the call that hands it out.
struct CsvRow {
  std::uint64_t line = 0;  ///< where it begins, from 1
  std::span<const std::string_view> fields;
};

/// Called for each row; false ends the reading.
using OnCsvRow = std::function<Expected<bool>(const CsvRow& row)>;

/// Called for each line that is a comment, without its mark.
using OnCsvComment = std::function<void(std::uint64_t line, std::string_view text)>;

/// How a file is written.
struct CsvFormat {
  CsvFormat(char between) : delimiter(between) {}  // NOLINT(google-explicit-constructor): most have nothing else
  char delimiter;
  std::uint64_t skip_lines = 0;  ///< lines in front of the table
  bool comments = false;         ///< lines that begin with # or % are none of the table
  OnCsvComment on_comment;
};

inline constexpr std::size_t max_csv_columns = 16384;
inline constexpr std::size_t max_csv_row_bytes = std::size_t{8} << 20;

/// Reads `text`. Fails on rows beyond the limits above and on quotes that are never closed.
Expected<void> read_csv(std::string_view text, const CsvFormat& format, const std::filesystem::path& path,
                        const OnCsvRow& on_row);
/// Reads a file of any size in pieces.
Expected<void> read_csv_file(const std::filesystem::path& path, const CsvFormat& format, const OnCsvRow& on_row,
                             const OnProgress& on_progress);

/// A number as CSV files have it, `nan` and `inf` included. Fails on anything else, and on what is beyond the range of
/// a double; "1,5" gets a hint.
Expected<double> parse_csv_number(std::string_view text);

/// A field for CSV output, in quotes if it needs them.
std::string csv_quoted(const std::string& text);

}  // namespace sds
