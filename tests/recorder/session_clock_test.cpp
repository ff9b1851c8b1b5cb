#include "sds/recorder/session_clock.hpp"

#include <gtest/gtest.h>

namespace sds {
namespace {

constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
constexpr std::uint64_t kSecond = 1'000'000'000;

Arrival at(double seconds) { return {0, kSecond + static_cast<std::uint64_t>(seconds * 1e9), true}; }
Arrival late(double seconds) { return {0, kSecond + static_cast<std::uint64_t>(seconds * 1e9), false}; }

TEST(SessionClock, TicksOfAnOrdinaryStreamAreItsTimeslots) {
  SessionClock clock;
  const auto ms = clock.domain({1000, 1});
  EXPECT_EQ(clock.tick(ms, 7, at(0)), 7u);
  EXPECT_EQ(clock.tick(ms, 107, at(0.1)), 107u);
  EXPECT_EQ(clock.tick(ms, 57, at(0.2)), 57u);  // out of order, and kept so
  EXPECT_EQ(clock.tick(ms, 207, at(0.2)), 207u);
}

TEST(SessionClock, AStreamThatStartsAfterAWrapAroundStandsBehindTheOthers) {
  SessionClock clock;
  const auto us = clock.domain({1000000, 1});
  EXPECT_EQ(clock.tick(us, 0xFFFFFF00u, at(0)), 0xFFFFFF00u);
  EXPECT_EQ(clock.tick(us, 0x00000100u, at(0.001)), kWrap + 0x100);
  EXPECT_EQ(clock.tick(clock.domain({1000000, 1}), 0x00000200u, at(0.002)), kWrap + 0x200);  // another stream
  EXPECT_EQ(clock.tick(us, 0xFFFFFFF0u, at(0.003)), 0xFFFFFFF0u);                            // one that lags
}

TEST(SessionClock, DomainsOfOtherFrequenciesAreApart) {
  SessionClock clock;
  const auto ms = clock.domain({1000, 1});
  const auto us = clock.domain({1000000, 1});
  EXPECT_NE(ms, us);
  EXPECT_EQ(clock.tick(us, 0xFFFFFFFFu, at(0)), 0xFFFFFFFFu);
  EXPECT_EQ(clock.tick(us, 1, at(0)), kWrap + 1);
  EXPECT_EQ(clock.tick(ms, 1, at(0)), 1u);
}

TEST(SessionClock, HourlyBlocksAtOneMegahertzComeOutRight) {
  SessionClock clock;
  const auto us = clock.domain({1000000, 1});
  for (std::uint64_t hour = 0; hour < 100; ++hour) {
    // The device's clock is 200 ppm fast, and each block takes up to 50 ms on its way.
    const std::uint64_t tick = 5 + hour * 3'600'720'000u;
    const double delay = 0.01 * static_cast<double>(hour % 6);
    EXPECT_EQ(clock.tick(us, static_cast<std::uint32_t>(tick), at(static_cast<double>(hour) * 3600 + delay)), tick);
  }
}

TEST(SessionClock, AStepOfJustOverHalfTheRangeGoesForwardWhereTimeHasPassed) {
  SessionClock clock;
  const auto us = clock.domain({1000000, 1});
  EXPECT_EQ(clock.tick(us, 0, at(0)), 0u);
  const std::uint64_t step = kWrap / 2 + 1000;  // its clock is a little fast: by ours it is less than half the range
  EXPECT_EQ(clock.tick(us, static_cast<std::uint32_t>(step), at(static_cast<double>(step) / 1e6 - 0.1)), step);
}

TEST(SessionClock, WhatWasHeldBackSaysNothingAboutTime) {
  SessionClock clock;
  const auto us = clock.domain({1000000, 1});
  EXPECT_EQ(clock.tick(us, 1000, at(0)), 1000u);
  // An hour on a full disk: the next block is the device's next, not one of an hour later.
  EXPECT_EQ(clock.tick(us, 2000, late(3600)), 2000u);
  EXPECT_EQ(clock.tick(us, 3000, late(3600)), 3000u);
}

TEST(SessionClock, FractionalFrequenciesAndLongTimes) {
  SessionClock clock;
  const auto slow = clock.domain({2147483647, 2147483629});  // almost 1 Hz
  EXPECT_EQ(clock.tick(slow, 1, at(0)), 1u);
  EXPECT_EQ(clock.tick(slow, 3'000'000'001u, at(3e9)), 3'000'000'001u);  // 95 years later
  const auto fast = clock.domain({2147483647, 1});
  EXPECT_EQ(clock.tick(fast, 5, at(0)), 5u);
  const std::uint64_t day = 2147483647ull * 86400;
  EXPECT_EQ(clock.tick(fast, static_cast<std::uint32_t>(5 + day), at(86400)), 5 + day);
}

TEST(SessionClock, NothingStandsBeforeZero) {
  SessionClock clock;
  const auto ms = clock.domain({1000, 1});
  EXPECT_EQ(clock.tick(ms, 5, at(0)), 5u);
  EXPECT_EQ(clock.tick(ms, 0xFFFFFFF0u, at(0)), 0xFFFFFFF0u);
  EXPECT_EQ(clock.tick(ms, 6, at(0)), kWrap + 6);  // and goes on from there
}

}  // namespace
}  // namespace sds
