// How fast a sensor is that comes in rows: each has what began in its interval, whole blocks, so that one row may have
// three blocks and the next one two, or every other one none.
#pragma once

#include <optional>
#include <vector>

#include "sds/format/time.hpp"

namespace sds {

class RowRate {
 public:
  struct Found {
    Frequency rate;
    double slowest_hz;  ///< with which all rows have their samples, too
    double fastest_hz;  ///< infinite where two rows are all that there is
  };

  /// The next row that has samples of the sensor.
  void add(double begin_s, std::size_t samples);
  /// The rate with which samples that follow each other begin at most evenly in their rows, or the simplest one that is
  /// as good; nothing where with all of them some row would not have its samples (rows of `interval_s`), or of one row.
  [[nodiscard]] std::optional<Found> rate(double interval_s) const;

 private:
  struct Row {
    double begin_s;
    std::size_t samples;
  };
  std::vector<Row> rows_;  // the first ones
};

}  // namespace sds
