#include "sds/format/time.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "sds/format/elapsed.hpp"

namespace sds {
namespace {

TEST(TickUnwrapper, StepsForwardAcrossTwoToThe32) {
  TickUnwrapper ticks;
  EXPECT_EQ(ticks.next(0xFFFFFFF0u), 0xFFFFFFF0u);
  EXPECT_EQ(ticks.next(4u), 0x100000004u);
  EXPECT_EQ(ticks.next(0x80000000u), 0x180000000u);
}

TEST(TickUnwrapper, KeepsASmallStepBackAsItIs) {
  TickUnwrapper ticks;
  EXPECT_EQ(ticks.next(1000), 1000u);
  EXPECT_EQ(ticks.next(990), 990u);
  EXPECT_EQ(ticks.next(1010), 1010u);
}

TEST(TickUnwrapper, StepsBackAcrossAWrapAround) {
  TickUnwrapper ticks;
  ticks.next(0xFFFFFFF0u);
  EXPECT_EQ(ticks.next(5u), 0x100000005u);
  EXPECT_EQ(ticks.next(0xFFFFFFFEu), 0xFFFFFFFEu);
}

TEST(TickUnwrapper, TakesALargeStepForwardAtTheStartForWhatItIs) {
  TickUnwrapper ticks;
  ticks.next(5);
  EXPECT_EQ(ticks.next(0xF0000000u), 0xF0000000u);
}

TEST(TickUnwrapper, IsAlwaysCongruentToTheTimeslot) {
  TickUnwrapper ticks;
  std::uint32_t timeslot = 1;
  for (int i = 0; i < 10000; ++i) {
    timeslot = timeslot * 1664525u + 1013904223u;
    EXPECT_EQ(static_cast<std::uint32_t>(ticks.next(timeslot)), timeslot);
  }
}

TEST(Frequency, ParsesDecimalsExactly) {
  EXPECT_EQ(*Frequency::parse("1000"), (Frequency{1000, 1}));
  EXPECT_EQ(*Frequency::parse("12.5"), (Frequency{25, 2}));
  EXPECT_EQ(*Frequency::parse("0.417"), (Frequency{417, 1000}));
  EXPECT_EQ(*Frequency::parse("52.0"), (Frequency{52, 1}));
  EXPECT_EQ(*Frequency::parse("1e6"), (Frequency{1000000, 1}));
  EXPECT_EQ(*Frequency::parse("3.2768E4"), (Frequency{32768, 1}));
  EXPECT_EQ(*Frequency::parse("1000.000000000000"), (Frequency{1000, 1}));
}

TEST(Frequency, ADecimalThatCannotEndStandsForItsFraction) {
  EXPECT_EQ(*Frequency::parse("333.33333333333333"), (Frequency{1000, 3}));
  EXPECT_EQ(*Frequency::parse("333.3333333333333"), (Frequency{1000, 3}));  // Python's 1000 / 3
  EXPECT_EQ(*Frequency::parse("33.333333333333336"), (Frequency{100, 3}));  // 100 / 3, rounded up as a double
  EXPECT_EQ(*Frequency::parse("0.0002777777777777778"), (Frequency{1, 3600}));
  EXPECT_EQ(*Frequency::parse("2.777777777777778e-4"), (Frequency{1, 3600}));
  EXPECT_EQ(*Frequency::parse("0.3333333"), (Frequency{3333333, 10000000}));  // it ends, and fits
  EXPECT_FALSE(Frequency::parse("333.3333333333"));                           // too few digits to be sure
}

TEST(Frequency, ReadsBackFromItsTextAsTheSameFraction) {
  EXPECT_EQ((Frequency{1000, 1}).to_string(), "1000");
  EXPECT_EQ((Frequency{25, 2}).to_string(), "12.5");
  EXPECT_EQ((Frequency{1, 8}).to_string(), "0.125");
  EXPECT_EQ((Frequency{1000000, 1}).to_string(), "1000000");
  EXPECT_EQ((Frequency{1000, 3}).to_string(), "333.33333333333333");
  EXPECT_EQ((Frequency{1, 3600}).to_string(), "0.00027777777777777778");
  std::vector<Frequency> all{{2147483647, 2147483646}, {2147483646, 2147483647}, {1, 2147483647}, {2147483647, 1},
                             {2147483647, 3},          {2147483645, 2147483647}, {3, 2147483647}};
  std::uint64_t state = 7;
  const auto below = [&](std::uint32_t limit) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(1 + (state >> 33) % (limit - 1));
  };
  for (int i = 0; i < 20000; ++i) {
    Frequency f{below(i % 2 == 0 ? 0x7FFFFFFF : 5000), below(i % 3 == 0 ? 0x7FFFFFFF : 4000)};
    const auto divisor = std::gcd(f.numerator, f.denominator);
    all.push_back({f.numerator / divisor, f.denominator / divisor});
  }
  for (const auto& f : all) {
    const auto again = Frequency::parse(f.to_string());
    ASSERT_TRUE(again) << f.to_string() << ": " << again.error().message;
    EXPECT_EQ(*again, f) << f.to_string();
    EXPECT_NEAR(std::stod(f.to_string()), f.hz(), f.hz() * 1e-15);
  }
}

TEST(Frequency, RefusesWhatIsNoFrequency) {
  for (const char* text : {"", "0", "-5", "abc", "1.2.3", "1e", "1e999", "99999999999999999999", "0.0000000000001",
                           "0.0000000003", "nan", "12 Hz"})
    EXPECT_FALSE(Frequency::parse(text)) << text;
}

TEST(Instant, ComparesDifferentClocksWithoutRounding) {
  // 1/3 s against 333333333/1000000000 s: closer than any float32, and not equal.
  const Instant third{1, {3, 1}};
  const Instant almost{333333333, {1000000000, 1}};
  EXPECT_TRUE(compare(third, almost) > 0);
  EXPECT_TRUE(compare(Instant{1000, {1000, 1}}, Instant{32768, {32768, 1}}) == 0);
  EXPECT_TRUE(compare(Instant{UINT64_MAX, {2147483647, 1}}, Instant{UINT64_MAX - 1, {2147483647, 1}}) > 0);
}

TEST(Seconds, AreTheNearestDoubles) {
  EXPECT_EQ(seconds(1234567, {1000, 1}), 1234.567);
  EXPECT_EQ(seconds(95836, {1000, 1}), 95.836);
  EXPECT_EQ(seconds(100, {1000, 1}, 1, {1600, 1}), 0.100625);
  EXPECT_EQ(seconds(0, {1000, 1}, 3, {25, 2}), 0.24);
  EXPECT_EQ(seconds(std::uint64_t{1} << 40, {1000, 1}), 1099511627.776);
}

TEST(Seconds, OfOneInstantAreOneDoubleWhateverTheTicks) {
  // Ten days at 44.1 kHz: the fraction of a sample between blocks does not fit 53 bits. Values by Python's fractions.
  EXPECT_EQ(seconds(39'123'456'789, {44'100, 1}, 7, {44'099, 1}), 887153.2153288018);
  EXPECT_EQ(seconds(std::uint64_t{1} << 62, {2'147'483'647, 1}), 2147483649.0);
  EXPECT_EQ(seconds(9007199254740993, {3, 1}), 3002399751580331.0);
}

TEST(SecondsSince, RoundsTheExactFractionOnce) {
  // Label [1.1, 1.3) of ticks of 1 ms in a stream that begins at 0.1 s of 32768 Hz.
  EXPECT_EQ(seconds_since({100, {1000, 1}}, {1100, {1000, 1}}), 1.0);
  EXPECT_EQ(seconds_since({3277, {32768, 1}}, {1100, {1000, 1}}), 0.999993896484375);
  EXPECT_EQ(seconds_since({1100, {1000, 1}}, {100, {1000, 1}}), -1.0);
  EXPECT_EQ(seconds_since({1, {3, 1}}, {2, {3, 1}}), seconds(1, {3, 1}));
  EXPECT_EQ(seconds_since({1, {10, 3}}, {2, {10, 7}}), 1.1);
}

TEST(DecimalSince, IsNeverLater) {
  EXPECT_EQ(decimal_since({}, {1250, {1000, 1}}), "1.250000");
  EXPECT_EQ(decimal_since({}, {1, {48000, 1}}), "0.000020833");
  EXPECT_EQ(decimal_since({}, {2, {3, 1}}), "0.666666666");
  EXPECT_EQ(decimal_since({2, {3, 1}}, {}), "-0.666666667");
  EXPECT_EQ(decimal_since({1250, {1000, 1}}, {}), "-1.250000");
  EXPECT_EQ(decimal_since({1, {2'000'000'000, 1}}, {}), "-0.000000001");
  EXPECT_EQ(decimal_since({1'999'999'999, {2'000'000'000, 1}}, {}), "-1.000000");
  EXPECT_EQ(decimal_since({5, {1000, 1}}, {10, {2000, 1}}), "0.000000");
}

TEST(ConvertTick, GivesTheNearestTickOfTheOtherFrequency) {
  EXPECT_EQ(convert_tick(1'500'499, {1'000'000, 1}, {1000, 1}), 1500u);
  EXPECT_EQ(convert_tick(1'500'500, {1'000'000, 1}, {1000, 1}), 1501u);
  EXPECT_EQ(convert_tick(7, {1, 3600}, {1'000'000, 1}), 25'200'000'000u);  // seven hours
  EXPECT_EQ(convert_tick(10, {1000, 3}, {1000, 1}), 30u);
  EXPECT_EQ(convert_tick(UINT64_MAX, {1000, 1}, {1000, 1}), UINT64_MAX);
  EXPECT_EQ(convert_tick(UINT64_MAX, {1, 1}, {1000, 1}), UINT64_MAX);
}

}  // namespace
}  // namespace sds
