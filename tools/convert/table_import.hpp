// What all imports of numbers share: rows with a time, seen twice, become streams with the smallest fitting types.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <vector>

#include "imports.hpp"
#include "label_ticks.hpp"

namespace sds {

/// A stream to be.
struct ImportTable {
  std::string name;
  std::string description;
  std::vector<ImportColumn> columns;
  std::optional<Frequency> rate;  ///< where the file states it
  bool binary = false;            ///< its numbers were never text
};

/// A number as its source has it: as a double where that holds it, else as a whole number of 64 bits.
class ImportValue {
 public:
  enum class Kind : std::uint8_t { real, negative, positive };

  ImportValue(double value = 0) : value_(value) {}  // NOLINT(google-explicit-constructor): it is one
  static ImportValue whole(std::uint64_t value);
  static ImportValue whole(std::int64_t value);

  /// `real` if a double holds the number, which is then exact.
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] double nearest() const { return value_; }
  /// Of a whole number that has room there.
  [[nodiscard]] std::int64_t as_signed() const {
    return kind_ == Kind::real ? static_cast<std::int64_t>(value_) : static_cast<std::int64_t>(bits_);
  }
  [[nodiscard]] std::uint64_t as_unsigned() const {
    return kind_ == Kind::real ? static_cast<std::uint64_t>(value_) : bits_;
  }

 private:
  double value_;
  std::uint64_t bits_ = 0;
  Kind kind_ = Kind::real;
};

/// The value of a number's text (JSON, CSV without white space), or nothing if it is none; an error if neither a double
/// nor 64 bits have room for it: a whole number of more digits, 1e400, 1e-400.
Expected<std::optional<ImportValue>> parse_value(std::string_view text);

/// Gets row after row of table `table`; tables may be added to `tables` before their first row. Rows of a table have as
/// many values as it has columns. Called twice, and must give the same rows.
using OnImportRow =
    std::function<Expected<void>(std::size_t table, double time_s, std::span<const ImportValue> values)>;
using ForEachRow = std::function<Expected<void>(std::vector<ImportTable>& tables, const OnImportRow& on_row)>;

/// Rows of a table, from the first one on, up to `end`.
struct ImportedRows {
  std::size_t table = 0;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

/// A label in the source's seconds.
struct ImportedLabel {
  std::string name;
  double begin_s = 0;
  double end_s = 0;
  std::string author;
  std::string table;  ///< name of the table that it is about; empty: the whole recording
  std::string note;
  std::optional<double> confidence;
  /// Instead of the times: the rows that have it, of a table, or of all there are (labels_of_rows()).
  std::vector<ImportedRows> rows = {};
};

struct ImportedLabels {
  std::vector<ImportedLabel> labels;
  std::vector<std::string> classes;         ///< that are known; empty: any
  std::optional<Frequency> tick_frequency;  ///< of the label file; none: the recording's
};

/// Writes the tables of the file `input` to `output`. Evenly spaced samples go into blocks with a sample frequency,
/// others into a block each. Times beyond 10^8 s are taken for UTC: the recording then begins at tick 0, with a clock
/// pair. `losses`, known once all rows were given, are recorded at the end of every stream.
Expected<ImportReport> import_tables(const std::filesystem::path& input, const std::filesystem::path& output,
                                     const ImportOptions& options, const std::string& tool,
                                     const ForEachRow& for_each_row, const ImportedLabels* labels,
                                     const std::set<std::string>* losses = nullptr);

/// A name that a stream can have: what check_stream_name refuses becomes an underscore.
std::string safe_stream_name(const std::string& name);

}  // namespace sds
