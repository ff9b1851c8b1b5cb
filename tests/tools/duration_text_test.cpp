#include "duration_text.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>
#include <string>
#include <utility>

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

TEST(Times, AreReadWithTheirUnitsOrAsClocksShowThem) {
  const auto seconds = [](const char* text) { return parse_time(text).value(); };
  EXPECT_EQ(seconds("12.5"), 12.5);
  EXPECT_EQ(seconds("12.5s"), 12.5);
  EXPECT_EQ(seconds("0.1ms"), 1e-4);
  EXPECT_EQ(seconds("20us"), 2e-5);
  EXPECT_EQ(seconds("3ns"), 3e-9);
  EXPECT_EQ(seconds("2min"), 120);
  EXPECT_EQ(seconds("1.5h"), 5400);
  EXPECT_EQ(seconds("1:02.5"), 62.5);
  EXPECT_EQ(seconds("-1:00:02"), -3602);
  EXPECT_EQ(parse_time("200", -3).value(), 0.2);
  EXPECT_EQ(parse_time("2s", -3).value(), 2);
  for (const char* text :
       {"", "s", "-", "--1", "1 s", "1x", "1:60", "1:2:3:4", ":1", "1:", "1.5:00", "nan", "inf", "1e400", "0x10"})
    EXPECT_FALSE(parse_time(text)) << text;
  EXPECT_EQ(parse_time("1,5s").error().message, "'1,5s': numbers have a decimal point: 1.5s");
  EXPECT_TRUE(with_decimal_point("1,2,3").empty());
  EXPECT_TRUE(with_decimal_point("a,5").empty());
}

// A compiler reads a decimal number as the double nearest to it.
TEST(Times, AreTheDoublesNearestToTheDecimalNumbers) {
  for (int tenths = 1; tenths < 20'000; ++tenths) {
    const std::string number = fmt::format("{}.{}", tenths / 10, tenths % 10);
    for (const auto& [unit, exponent] : {std::pair{"ns", 9}, {"us", 6}, {"ms", 3}})
      ASSERT_EQ(parse_time(number + unit).value(), std::stod(fmt::format("{}e-{}", number, exponent)))
          << number << unit;
    ASSERT_EQ(parse_time(number, -3).value(), std::stod(number + "e-3")) << number;
    ASSERT_EQ(parse_share(number + "%").value(), std::stod(number + "e-2")) << number;
    ASSERT_EQ(parse_time(number + "min").value(), std::stod(fmt::format("{}", tenths * 6))) << number;
    ASSERT_EQ(parse_time(number + "h").value(), std::stod(fmt::format("{}", tenths * 360))) << number;
    ASSERT_EQ(parse_time(fmt::format("1:{:02}.{}", tenths / 10 % 60, tenths % 10)).value(),
              std::stod(fmt::format("{}.{}", 60 + tenths / 10 % 60, tenths % 10)));
    ASSERT_EQ(in_hertz(number + "kHz").value(), fmt::format("{}", tenths * 100));
  }
  EXPECT_EQ(parse_time("2.1ms").value(), 0.0021);
  EXPECT_EQ(parse_time("2.1e-1ms").value(), 0.00021);
  EXPECT_EQ(parse_time("2.1E+1us").value(), 0.000021);
  EXPECT_EQ(parse_time("3.1416667min").value(), 188.500002);
  EXPECT_EQ(in_hertz("4.03kHz").value(), "4030");
  EXPECT_EQ(in_hertz("2.01e-1MHz").value(), "201000");
  EXPECT_FALSE(parse_time("1e99999999999999ms"));
  EXPECT_FALSE(in_hertz("1e308kHz"));
}

TEST(Times, ArePrintedToTheMicrosecond) {
  EXPECT_EQ(seconds_text(3.812844481605351), "3.812844");
  EXPECT_EQ(seconds_text(3), "3");
  EXPECT_EQ(seconds_text(-1e-9), "0");
  EXPECT_EQ(seconds_text(100), "100");
}

TEST(Times, FrequenciesAndSharesHaveUnits) {
  EXPECT_EQ(in_hertz("44.1kHz").value(), "44100");
  EXPECT_EQ(in_hertz("333.3Hz").value(), "333.3");
  EXPECT_EQ(in_hertz("1MHz").value(), "1000000");
  EXPECT_EQ(in_hertz("1000/3").value(), "1000/3");
  EXPECT_FALSE(in_hertz("kHz"));
  EXPECT_FALSE(in_hertz("33,3"));
  EXPECT_EQ(parse_share("60%").value(), 0.6);
  EXPECT_EQ(parse_share("0.25").value(), 0.25);
  EXPECT_FALSE(parse_share("%"));
}

}  // namespace
}  // namespace sds
