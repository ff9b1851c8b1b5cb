// What people write into CSV files: numbers with a decimal point or comma, fields that say that there is none, units in
// headers, dates.
#pragma once

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "table_import.hpp"

namespace sds {

/// Without the white space around it.
std::string_view trimmed(std::string_view text);

/// Empty, or a word for "there is no value": n/a, null, -, ...
bool says_nothing(std::string_view text);

/// The numbers of one file, which has either decimal points or decimal commas.
class CsvNumbers {
 public:
  /// `decimal`: '.' or ','; 0: what the first fraction has. A comma is only one where fields are not separated by it.
  CsvNumbers(char decimal, bool commas_separate) : decimal_(decimal), commas_separate_(commas_separate) {}

  /// The number, NaN where the field says nothing; an error if it is none, or no type holds it.
  Expected<ImportValue> parse(std::string_view text);
  /// Nearly all fields: a number that a double holds, with nothing around it. Nothing for others.
  [[nodiscard]] std::optional<double> parse_plain(std::string_view field) const {
    constexpr double kExact = 9007199254740992.0;
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc{} || end != field.data() + field.size() || !(std::abs(value) < kExact)) return std::nullopt;
    if (value == 0 && field.find_first_of("eE") != std::string_view::npos) return std::nullopt;
    if (decimal_ != '.' && field.find('.') != std::string_view::npos) return std::nullopt;
    return value;
  }
  [[nodiscard]] char decimal() const { return decimal_; }

 private:
  char decimal_;
  bool commas_separate_;
};

/// "Gyroscope X (deg/s)" is "Gyroscope X" in deg/s; "v[0]" is an element of an array, and no unit.
ImportColumn column_of(const std::string& header);

/// A date with a time of day ("2024-05-01T12:34:56.789+02:00", "2024-05-01 12:34:56", "01.05.2024 12:34:56",
/// "5/1/2024, 12:34:56 PM", seconds and zone may be missing), or either of them alone.
struct DateTime {
  /// What the times of one column have in common.
  struct Form {
    bool has_date = false;
    bool has_zone = false;   ///< then `seconds` are UTC
    bool by_order = false;   ///< the date could have been read in another order
    bool half_days = false;  ///< AM or PM
    bool operator==(const Form&) const = default;
  };
  double seconds = 0;  ///< since 1970 in its zone; of a time of day since midnight
  bool has_time = false;
  Form form;
};
/// `order`: of dates whose year is not in front; `told` reads those with dots only, where the day comes first. Years of
/// two digits are of this century.
std::optional<DateTime> parse_date_time(std::string_view text, DateOrder order = DateOrder::told);

}  // namespace sds
