#include "sds/format/time.hpp"

#include <gtest/gtest.h>

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

TEST(Frequency, RefusesWhatIsNoFrequency) {
  for (const char* text :
       {"", "0", "-5", "abc", "1.2.3", "1e", "1e999", "99999999999999999999", "0.0000000000001", "nan", "12 Hz"})
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

}  // namespace
}  // namespace sds
