// Recordings from other tools' files. Every function writes a `.sdsz` that appears when it is complete, and says in its
// notes what it could not keep. Input is read twice in pieces: first to see what types and rates there are.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/progress.hpp"
#include "sds/format/sdsz_writer.hpp"

namespace sds {

enum class ImportType { automatic, i16, i32, i64, u64, f32, f64 };

/// In which order day, month and year of dates like 01/05/2024 stand; `told`: the file has to say it.
enum class DateOrder { told, dmy, mdy, ymd };

/// What the row below a CSV file's header is. `found`: units if it has texts where numbers follow.
enum class SecondRow { found, values, units, skipped };

/// What becomes of a column.
struct ImportColumn {
  std::string name;
  std::string unit;
};

struct ImportOptions {
  std::string stream;                       ///< name of the stream; empty: the file's stem (or what the file says)
  std::optional<Frequency> rate;            ///< the sample rate; instead of times, or where the file says none
  std::optional<Frequency> tick_frequency;  ///< default: 1 kHz if that holds all times exactly, else 1 MHz
  ImportType type = ImportType::automatic;  ///< automatic: the smallest that holds every value of the column exactly
  char delimiter = 0;                       ///< CSV; 0: the comma, semicolon, tab or bar that the header has most of
  char decimal = 0;                         ///< CSV; '.' or ','; 0: as the first number with a fraction has it
  std::uint64_t skip_lines = 0;             ///< CSV: lines in front of the header
  bool header = true;                       ///< CSV: the first row names the columns
  SecondRow second_row = SecondRow::found;  ///< CSV
  std::vector<std::string>
      label_columns;                ///< CSV; their texts become labels; empty: those called label, class, activity
  bool labels = true;               ///< CSV: texts become labels
  std::optional<int> utc_offset_s;  ///< CSV: of dates that say none; else they are UTC
  std::string time_column;          ///< CSV; empty: one called time, timeslot, timestamp or t, if there is one
  std::string date_column;          ///< CSV: the day of times of day; empty: one called date, if there is one
  bool dates = true;  ///< CSV: false: times of day count from midnight, be there a column called date or not
  DateOrder date_order = DateOrder::told;  ///< CSV
  std::string time_unit;  ///< s, ms, us, ns, min, h; empty: by the column's name ("t_ms", "time (us)"), else s
  std::map<std::string, ImportColumn>
      columns;                       ///< CSV, by their header: those to take, and how to call them; empty: all
  std::optional<double> interval_s;  ///< Qeexo: how long the samples of a row last; else the rows say it
  Level level = Level::fast;
  bool force = false;  ///< replace an existing output
};

struct ImportReport {
  std::uint64_t streams = 0;
  std::uint64_t samples = 0;
  std::uint64_t labels = 0;
  std::vector<std::string> found;  ///< how the input was read, where that could have been otherwise
  std::vector<std::string> notes;
  std::vector<std::string> losses;  ///< what the file announced and does not have; each stream records them as gaps
};

/// A table with a header. Rows of another width and numbers that no type holds are errors with their line; an empty
/// field is NaN. Columns of text become labels, or are left out. How the table is written is found out
/// (docs/imports.md).
Expected<ImportReport> import_csv(const std::filesystem::path& input, const std::filesystem::path& output,
                                  const ImportOptions& options, const OnProgress& on_progress);

/// Any file that libsndfile reads. Integers stay integers, floats floats; times are exact: ticks count samples.
Expected<ImportReport> import_audio(const std::filesystem::path& input, const std::filesystem::path& output,
                                    const ImportOptions& options, const OnProgress& on_progress);

/// Qeexo AutoML's CSV, version 2: a stream a column, labels into the label file.
Expected<ImportReport> import_qeexo(const std::filesystem::path& input, const std::filesystem::path& output,
                                    const ImportOptions& options, const OnProgress& on_progress);

/// Edge Impulse's data acquisition format, JSON or CBOR.
Expected<ImportReport> import_edge_impulse(const std::filesystem::path& input, const std::filesystem::path& output,
                                           const ImportOptions& options, const OnProgress& on_progress);

/// The channels of an MCAP file whose messages are JSON: a stream a topic, a channel a number in the messages, by its
/// path. Chunks may be compressed with zstd or lz4.
Expected<ImportReport> import_mcap(const std::filesystem::path& input, const std::filesystem::path& output,
                                   const ImportOptions& options, const OnProgress& on_progress);

/// LabRecorder's XDF: a stream a stream; streams of strings (markers) become labels. Clock offsets are applied.
Expected<ImportReport> import_xdf(const std::filesystem::path& input, const std::filesystem::path& output,
                                  const ImportOptions& options, const OnProgress& on_progress);

/// "+02:00", "-0530", "Z" or "UTC", in seconds.
std::optional<int> parse_utc_offset(std::string_view text);

/// Reads the columns, time and rate of import_csv from YAML (docs/imports.md); errors name the line.
Expected<void> load_import_map(const std::filesystem::path& path, ImportOptions& options);

}  // namespace sds
