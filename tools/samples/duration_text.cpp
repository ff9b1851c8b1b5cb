#include "duration_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace sds {

namespace {

double value_of(const std::string& text) { return std::strtod(text.c_str(), nullptr); }

}  // namespace

std::string human_seconds(double seconds) {
  if (seconds < 0) return "-" + human_seconds(-seconds);
  if (seconds >= 1e15) return fmt::format("{:.3g} h", seconds / 3600);
  // What a sum or a product has in its last digits is no reason to round another way.
  seconds = value_of(fmt::format("{:.13g}", seconds));
  if (seconds == 0) return "0 ms";
  // Rounded first, and given the unit that the rounded number has: of that it is at least one.
  if (const std::string text = fmt::format("{:.3g}", seconds * 1e6); value_of(text) < 1000) return text + " us";
  if (const std::string text = fmt::format("{:.3g}", std::max(1.0, seconds * 1e3)); value_of(text) < 1000)
    return text + " ms";
  if (const std::string text = fmt::format("{:.3f}", std::max(1.0, seconds)); value_of(text) < 120) return text + " s";
  if (const auto tenths = std::llround(seconds * 10); tenths < 36'000)
    return fmt::format("{} min {}.{} s", tenths / 600, tenths / 10 % 60, tenths % 10);
  const auto whole = std::llround(seconds);
  return fmt::format("{} h {:02} min {:02} s", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace sds
