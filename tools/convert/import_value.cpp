#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>

#include "json_values.hpp"
#include "table_import.hpp"

namespace sds {

namespace {

constexpr int kDoubleBits = 53;

bool fits_double(std::uint64_t magnitude) {
  return magnitude == 0 || std::bit_width(magnitude) - std::countr_zero(magnitude) <= kDoubleBits;
}

// Digits alone: "18446744073709551615", without a sign.
bool is_whole(std::string_view digits) {
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_zero(std::string_view text) {
  return text.substr(0, text.find_first_of("eE")).find_first_of("123456789") == std::string_view::npos;
}

std::string too_much(std::string_view text) {
  return fmt::format("no 64-bit type holds the number '{}'", text.substr(0, 60));
}

// Looks for the first number of a document that changed when it was read.
class Lost final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t& text) override {
    if (auto value = parse_value(text); !value) problem = value.error().message;
    return !problem;
  }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  std::optional<std::string> problem;
};

}  // namespace

ImportValue ImportValue::whole(std::uint64_t value) {
  ImportValue made(static_cast<double>(value));
  if (!fits_double(value)) made.kind_ = Kind::positive;
  made.bits_ = value;
  return made;
}

ImportValue ImportValue::whole(std::int64_t value) {
  if (value >= 0) return whole(static_cast<std::uint64_t>(value));
  ImportValue made(static_cast<double>(value));
  if (!fits_double(-static_cast<std::uint64_t>(value))) made.kind_ = Kind::negative;
  made.bits_ = static_cast<std::uint64_t>(value);
  return made;
}

Expected<std::optional<ImportValue>> parse_value(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const char* end = text.data() + text.size();
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error != std::errc{} || (value == 0 && !is_zero(text))) return fail(ErrorCode::bad_input, too_much(text));
  constexpr double kExact = 9007199254740992.0;
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (std::abs(value) < kExact || !is_whole(digits)) return ImportValue(value);
  std::uint64_t positive = 0;
  std::int64_t negative = 0;
  if (std::from_chars(text.data(), end, positive).ec == std::errc{}) return ImportValue::whole(positive);
  if (std::from_chars(text.data(), end, negative).ec == std::errc{}) return ImportValue::whole(negative);
  const std::string_view significant = digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
  if (fmt::format("{:.0f}", std::abs(value)) != significant) return fail(ErrorCode::bad_input, too_much(text));
  return ImportValue(value);
}

ImportValue value_of(const nlohmann::json& number) {
  if (number.is_number_unsigned()) return ImportValue::whole(number.get<std::uint64_t>());
  if (number.is_number_integer()) return ImportValue::whole(number.get<std::int64_t>());
  return number.get<double>();
}

bool may_have_changed(const nlohmann::json& number) {
  constexpr double kMostWhole = 9223372036854775808.0;
  if (!number.is_number_float()) return false;
  const double value = number.get<double>();
  return value == 0 || std::abs(value) >= kMostWhole;
}

std::optional<std::string> changed_number(std::string_view json) {
  Lost lost;
  nlohmann::json::sax_parse(json, &lost);
  return lost.problem;
}

}  // namespace sds
