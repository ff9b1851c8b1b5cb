// Which samples labels have in the source is known; when these are in the recording, whose times may be a tick off,
// once they are written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "table_import.hpp"

namespace sds {

/// The times of the samples of a table at which labels begin and end.
class RowTimes {
 public:
  /// `interval_s`: how long a sample lasts that has no later one behind it.
  RowTimes(const ImportedLabels* labels, std::size_t table, double interval_s);
  [[nodiscard]] bool wanted() const { return !rows_.empty(); }
  /// For each row, if any is wanted. `is_same_time`: it cannot be told from the one before.
  void add(double time, bool is_same_time);
  void end();

  struct Time {
    double before;      ///< of the row before
    double begin;       ///< of the row; behind the last one: where that ends
    double end_before;  ///< where what was before the row ends
  };
  [[nodiscard]] const Time& at(std::uint64_t row) const;
  [[nodiscard]] bool is_behind_all(std::uint64_t row) const { return row >= row_; }
  /// How many of the wanted rows cannot be told from the one before.
  [[nodiscard]] std::uint64_t undecided() const { return undecided_; }

 private:
  double interval_s_;
  std::vector<std::uint64_t> rows_;
  std::vector<Time> times_;
  std::uint64_t row_ = 0;
  std::uint64_t undecided_ = 0;
  double last_ = 0;
};

/// Gives labels of rows their times: from the sample of the first row on up to that behind the last one. What is said
/// of rows of several tables is about the whole recording, where one time does for all of them; where it does not for
/// any label, each becomes one of each table, and `table` of a label is then called as in `streams`.
std::vector<ImportedLabel> labels_of_rows(const std::vector<ImportedLabel>& labels, const std::vector<RowTimes>& tables,
                                          const std::vector<std::string>& streams);

/// The samples of a table beside the edges of labels that are told by times.
class EdgeTimes {
 public:
  /// In the source's seconds.
  explicit EdgeTimes(std::vector<double> edges);
  /// Of each row: its time in the source, and in the recording.
  void add(double source_s, double time_s);

  struct Beside {
    double before;  ///< the last sample in front of the edge; -infinity: none
    double first;   ///< the first that is not; infinity: none
  };
  [[nodiscard]] Beside at(double edge_s) const;

 private:
  std::vector<double> edges_;
  std::vector<Beside> beside_;
  double last_;
};

/// Of the tables that each label is about, all where it says none; called by their names. None at all where these would
/// be too many.
std::vector<EdgeTimes> edge_times(const ImportedLabels* labels, const std::vector<std::string>& tables);

/// Moves the edges of labels that are told by times, on the recording's clock, as far as it takes to have the samples
/// that they had in the source, where `origin_s` is its zero. `intervals_s`: how long a last sample lasts.
void keep_samples(std::vector<ImportedLabel>& labels, const std::vector<std::string>& tables,
                  const std::vector<EdgeTimes>& edges, const std::vector<double>& intervals_s, double origin_s);

}  // namespace sds
