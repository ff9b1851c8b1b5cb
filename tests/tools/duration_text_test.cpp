#include "duration_text.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

namespace sds {
namespace {

TEST(DurationText, HasTheUnitOfTheRoundedNumber) {
  EXPECT_EQ(human_seconds(0), "0 ms");
  EXPECT_EQ(human_seconds(45.6e-6), "45.6 us");
  EXPECT_EQ(human_seconds(999.4e-6), "999 us");
  EXPECT_EQ(human_seconds(999.6e-6), "1 ms");
  EXPECT_EQ(human_seconds(3.2e-3), "3.2 ms");
  EXPECT_EQ(human_seconds(0.9994), "999 ms");
  EXPECT_EQ(human_seconds(0.9995), "1.000 s");
  EXPECT_EQ(human_seconds(0.9996), "1.000 s");
  EXPECT_EQ(human_seconds(59.9996), "60.000 s");
  EXPECT_EQ(human_seconds(119.9994), "119.999 s");
  EXPECT_EQ(human_seconds(119.9996), "2 min 0.0 s");
  EXPECT_EQ(human_seconds(3599.94), "59 min 59.9 s");
  EXPECT_EQ(human_seconds(3599.96), "1 h 00 min 00 s");
  EXPECT_EQ(human_seconds(7199.6), "2 h 00 min 00 s");
  EXPECT_EQ(human_seconds(-3599.96), "-1 h 00 min 00 s");
}

TEST(DurationText, IsTheSameForOneTimeHoweverItWasWorkedOut) {
  for (const int us : {999'499, 999'500, 999'501, 119'999'500, 3'599'950}) {
    const double divided = us / 1e6;
    EXPECT_EQ(human_seconds(us * 1e-6), human_seconds(divided)) << us;
    EXPECT_EQ(human_seconds((1000 + divided) - 1000), human_seconds(divided)) << us;
  }
}

// Every double for some way around each boundary, and every step of the last digit that is shown.
TEST(DurationText, NeverReachesItsNextUnit) {
  const std::regex valid(R"((0|\d(\.\d\d?)?|\d\d(\.\d)?|\d\d\d) [um]s|(\d|\d\d|1[01]\d)\.\d{3} s|)"
                         R"((\d|[1-5]\d) min (\d|[1-5]\d)\.\d s|\d+ h [0-5]\d min [0-5]\d s)");
  const auto check = [&](double s) { EXPECT_TRUE(std::regex_match(human_seconds(s), valid)) << s << human_seconds(s); };
  for (const double boundary : {1e-3, 999.5e-6, 1.0, 0.9995, 60.0, 59.9995, 59.95, 120.0, 119.9995, 119.95, 3600.0,
                                3599.95, 3599.5, 7200.0, 86399.5})
    for (const bool up : {false, true}) {
      double s = boundary;
      for (int i = 0; i < 200; ++i, s = std::nextafter(s, up ? 1e9 : 0.0)) check(s);
      for (int i = 0; i < 200; ++i) check(boundary * (1 + (up ? 1e-6 : -1e-6) * i));
    }
}

}  // namespace
}  // namespace sds
