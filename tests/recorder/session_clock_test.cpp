#include "sds/recorder/session_clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/recordings.hpp"
#include "support/sanitized.hpp"

namespace sds {
namespace {

constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
constexpr std::uint64_t kSecond = 1'000'000'000;

Arrival at(double seconds) { return {0, kSecond + static_cast<std::uint64_t>(seconds * 1e9), true}; }
Arrival late(double seconds) { return {0, kSecond + static_cast<std::uint64_t>(seconds * 1e9), false}; }

TEST(SessionClock, TicksOfAnOrdinaryStreamAreItsTimeslots) {
  SessionClock clock;
  const auto ms = clock.add_stream({1000, 1});
  EXPECT_EQ(clock.tick(ms, 7, at(0)), 7u);
  EXPECT_EQ(clock.tick(ms, 107, at(0.1)), 107u);
  EXPECT_EQ(clock.tick(ms, 57, at(0.2)), 57u);  // out of order, and kept so
  EXPECT_EQ(clock.tick(ms, 207, at(0.2)), 207u);
}

TEST(SessionClock, AStreamThatStartsAfterAWrapAroundStandsBehindTheOthers) {
  SessionClock clock;
  const auto us = clock.add_stream({1000000, 1});
  EXPECT_EQ(clock.tick(us, 0xFFFFFF00u, at(0)), 0xFFFFFF00u);
  EXPECT_EQ(clock.tick(us, 0x00000100u, at(0.001)), kWrap + 0x100);
  EXPECT_EQ(clock.tick(clock.add_stream({1000000, 1}), 0x00000200u, at(0.002)), kWrap + 0x200);  // another stream
  EXPECT_EQ(clock.tick(us, 0xFFFFFFF0u, at(0.003)), 0xFFFFFFF0u);                                // one that lags
}

TEST(SessionClock, DomainsOfOtherFrequenciesAreApart) {
  SessionClock clock;
  const auto ms = clock.add_stream({1000, 1});
  const auto us = clock.add_stream({1000000, 1});
  EXPECT_NE(ms, us);
  EXPECT_EQ(clock.tick(us, 0xFFFFFFFFu, at(0)), 0xFFFFFFFFu);
  EXPECT_EQ(clock.tick(us, 1, at(0)), kWrap + 1);
  EXPECT_EQ(clock.tick(ms, 1, at(0)), 1u);
}

TEST(SessionClock, HourlyBlocksAtOneMegahertzComeOutRight) {
  SessionClock clock;
  const auto us = clock.add_stream({1000000, 1});
  for (std::uint64_t hour = 0; hour < 100; ++hour) {
    // The device's clock is 200 ppm fast, and each block takes up to 50 ms on its way.
    const std::uint64_t tick = 5 + hour * 3'600'720'000u;
    const double delay = 0.01 * static_cast<double>(hour % 6);
    EXPECT_EQ(clock.tick(us, static_cast<std::uint32_t>(tick), at(static_cast<double>(hour) * 3600 + delay)), tick);
  }
}

TEST(SessionClock, AStepOfJustOverHalfTheRangeGoesForwardWhereTimeHasPassed) {
  SessionClock clock;
  const auto us = clock.add_stream({1000000, 1});
  EXPECT_EQ(clock.tick(us, 0, at(0)), 0u);
  const std::uint64_t step = kWrap / 2 + 1000;  // its clock is a little fast: by ours it is less than half the range
  EXPECT_EQ(clock.tick(us, static_cast<std::uint32_t>(step), at(static_cast<double>(step) / 1e6 - 0.1)), step);
}

TEST(SessionClock, WhatWasHeldBackSaysNothingAboutTime) {
  SessionClock clock;
  const auto us = clock.add_stream({1000000, 1});
  EXPECT_EQ(clock.tick(us, 1000, at(0)), 1000u);
  // An hour on a full disk: the next block is the device's next, not one of an hour later.
  EXPECT_EQ(clock.tick(us, 2000, late(3600)), 2000u);
  EXPECT_EQ(clock.tick(us, 3000, late(3600)), 3000u);
}

TEST(SessionClock, FractionalFrequenciesAndLongTimes) {
  SessionClock clock;
  const auto slow = clock.add_stream({2147483647, 2147483629});  // almost 1 Hz
  EXPECT_EQ(clock.tick(slow, 1, at(0)), 1u);
  EXPECT_EQ(clock.tick(slow, 3'000'000'001u, at(3e9)), 3'000'000'001u);  // 95 years later
  const auto fast = clock.add_stream({2147483647, 1});
  EXPECT_EQ(clock.tick(fast, 5, at(0)), 5u);
  const std::uint64_t day = 2147483647ull * 86400;
  EXPECT_EQ(clock.tick(fast, static_cast<std::uint32_t>(5 + day), at(86400)), 5 + day);
}

TEST(SessionClock, NothingStandsBeforeZero) {
  SessionClock clock;
  const auto ms = clock.add_stream({1000, 1});
  EXPECT_EQ(clock.tick(ms, 5, at(0)), 5u);
  EXPECT_EQ(clock.tick(ms, 0xFFFFFFF0u, at(0)), 0xFFFFFFF0u);
  EXPECT_EQ(clock.tick(ms, 6, at(0)), 6u);  // and moves nothing
}

TEST(SessionClock, AFirstBlockThatCameLateMovesNobodyBack) {
  for (const double delay : {0.0, 0.3, 0.5, 0.9}) {  // the range is 4.29 s
    SessionClock clock;
    const auto a = clock.add_stream({1000000000, 1});
    const std::uint64_t first = 123456789;
    EXPECT_EQ(clock.tick(a, static_cast<std::uint32_t>(first), at(delay)), first);
    for (std::uint64_t i = 1; i < 10; ++i) {
      const std::uint64_t tick = first + i * 2 * kSecond;
      EXPECT_EQ(clock.tick(a, static_cast<std::uint32_t>(tick), at(2.0 * static_cast<double>(i) + 0.002)), tick)
          << delay;
    }
  }
}

// Six blocks of ten seconds, with a range of 25.6 s, that the device kept until after the session's first one.
TEST(SessionClock, WhatIsFromLongBeforeZeroHasItsTimeslotAndIsCounted) {
  SessionClock clock;
  const std::int64_t second = 168000000;
  const auto a = clock.add_stream({168000000, 1});
  const auto b = clock.add_stream({168000000, 1});
  EXPECT_EQ(clock.tick(a, 5 * 168000000u, at(0)), 5 * 168000000u);
  std::vector<std::uint32_t> timeslots;
  for (std::int64_t k = 5; k >= 0; --k) timeslots.push_back(static_cast<std::uint32_t>((5 - 10 * k) * second));
  ASSERT_TRUE(clock.in_doubt(b, at(0.1)));
  clock.expect(b, timeslots, at(0.1));
  for (const auto timeslot : timeslots) EXPECT_EQ(clock.tick(b, timeslot, at(0.1)), timeslot);
  EXPECT_EQ(clock.blocks_before_zero(b), 5u);
  EXPECT_EQ(clock.tick(b, 15 * 168000000u, at(10)), 15 * 168000000u);
  EXPECT_EQ(clock.tick(a, 15 * 168000000u, at(10)), 15 * 168000000u);
  EXPECT_EQ(clock.blocks_before_zero(a), 0u);
}

// A device, a network and the server's reads, with the true ticks known.
struct SimStream {
  double period = 0.01;  ///< seconds between blocks
  double jitter = 0;     ///< share of the period by which a block may be late
  double hold = 0;       ///< blocks are sent together, at multiples of this
  double start = 0;
};
struct Simulation {
  double frequency = 1e9;
  double drift = 0;  ///< 0.01: the device's clock is 1 % fast
  std::uint64_t first_tick = 0;
  double seconds = 60;
  std::vector<SimStream> streams;
  std::vector<std::pair<double, double>> pauses;  ///< of the network, which the device bridges: begin, end
};

struct SimBlock {
  double sent = 0;
  std::size_t stream = 0;
  std::uint64_t tick = 0;
};

// How many blocks got another tick than they have.
std::size_t false_ticks(const Simulation& simulation, std::uint64_t seed) {
  test::Random random(seed);
  const auto uniform = [&] { return static_cast<double>(random.below(1u << 30)) / (1u << 30); };
  std::vector<SimBlock> blocks;
  for (std::size_t s = 0; s < simulation.streams.size(); ++s) {
    const SimStream& stream = simulation.streams[s];
    for (double t = stream.start; t < simulation.seconds; t += stream.period) {
      const double at = t + uniform() * stream.jitter * stream.period;
      const auto passed = static_cast<std::uint64_t>(at * simulation.frequency * (1 + simulation.drift));
      const double sent = stream.hold > 0 ? std::ceil(at / stream.hold) * stream.hold : at;
      if (sent <= simulation.seconds) blocks.push_back({sent, s, simulation.first_tick + passed});
    }
  }
  std::stable_sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.sent < b.sent; });
  // The first block that comes has its timeslot as tick.
  const std::uint64_t base = blocks.front().tick / kWrap * kWrap;
  for (auto& block : blocks) block.tick -= base;
  SessionClock clock;
  const Frequency frequency{static_cast<std::uint32_t>(simulation.frequency), 1};
  std::vector<SessionClock::StreamId> ids;
  for (std::size_t s = 0; s < simulation.streams.size(); ++s) ids.push_back(clock.add_stream(frequency));
  std::size_t wrong = 0;
  double came = 0;
  for (std::size_t i = 0; i < blocks.size();) {
    double arrives = blocks[i].sent + 0.0005 + 0.002 * -std::log(1 - uniform());
    for (const auto& [begin, end] : simulation.pauses)
      if (arrives > begin && arrives < end) arrives = end + 0.01 * uniform();
    came = std::max(came, arrives);
    // One WRITE: what the device had of the stream at that moment.
    std::vector<std::uint32_t> timeslots;
    std::vector<std::uint64_t> ticks;
    std::size_t next = i;
    for (; next < blocks.size() && blocks[next].stream == blocks[i].stream && blocks[next].sent == blocks[i].sent;
         ++next) {
      ticks.push_back(blocks[next].tick);
      timeslots.push_back(static_cast<std::uint32_t>(blocks[next].tick));
    }
    const auto id = ids[blocks[i].stream];
    if (clock.in_doubt(id, at(came))) clock.expect(id, timeslots, at(came));
    for (std::size_t k = 0; k < ticks.size(); ++k)
      if (clock.tick(id, timeslots[k], at(came)) != ticks[k]) ++wrong;
    i = next;
  }
  return wrong;
}

void expect_all_right(Simulation simulation) {
  for (std::uint64_t seed = 1; seed <= 20; seed += test::step_of_search(7))
    for (const double drift : {0.0, 0.01, -0.01}) {
      test::Random random(seed);
      simulation.drift = drift;
      simulation.first_tick = random.below(std::uint64_t{1} << 32);
      EXPECT_EQ(false_ticks(simulation, seed), 0u)
          << simulation.frequency << " Hz, seed " << seed << ", drift " << drift;
    }
}

TEST(SessionClockSimulation, SteadyStreamsOverManyWrapArounds) {
  for (const double frequency : {1e3, 1e6, 168e6, 1e9, 2147483647.0})
    expect_all_right({frequency, 0, 0, 60, {{0.01}, {0.032, 0.2}, {0.5, 0, 0, 7}}, {}});
}

TEST(SessionClockSimulation, PausesOfTheNetworkThatTheDeviceBridges) {
  for (const double pause : {1.0, 2.2, 3.0, 4.0, 4.4, 5.0, 8.5, 13.0, 26.0})
    for (const double frequency : {1e6, 168e6, 1e9})
      expect_all_right({frequency, 0, 0, 60, {{0.01}, {0.03, 0.1}}, {{20.03, 20.03 + pause}}});
}

TEST(SessionClockSimulation, SparseStreams) {
  for (const double period : {1.0, 3.1, 4.3, 5.0, 10.0, 30.0}) expect_all_right({1e9, 0, 0, 600, {{period, 0.01}}, {}});
  for (const double period : {600.0, 3600.0, 5000.0, 20000.0}) expect_all_right({1e6, 0, 0, 4e5, {{period, 0.1}}, {}});
}

TEST(SessionClockSimulation, SparseStreamsBesideSteadyOnes) {
  for (const double period : {1.0, 3.1, 5.0, 10.0, 30.0})
    expect_all_right({1e9, 0, 0, 120, {{0.01}, {period, 0.3}}, {}});
}

TEST(SessionClockSimulation, StreamsThatTheDeviceSendsNowAndThen) {
  for (const double hold : {0.5, 2.0, 3.0, 4.2, 9.0, 57.0})
    for (const double period : {0.01, 0.2, 1.0}) expect_all_right({1e9, 0, 0, 240, {{period, 0, hold}, {0.05}}, {}});
}

TEST(SessionClockSimulation, StreamsThatStartLate) {
  expect_all_right({1e9, 0, 0, 60, {{0.01}, {0.02, 0, 0, 3.9}, {0.02, 0, 0, 30.5}, {7, 0, 0, 45}}, {}});
  expect_all_right({1e9, 0, 0, 60, {{20}, {0.02, 0, 0, 31.5}}, {}});
}

TEST(SessionClock, AStreamThatBeginsJustBeforeZeroMovesNobody) {
  SessionClock clock;
  const auto a = clock.add_stream({1000000, 1});
  const auto b = clock.add_stream({1000000, 1});
  EXPECT_EQ(clock.tick(a, 5, at(0)), 5u);
  EXPECT_EQ(clock.tick(b, 0xFFFFFFF0u, at(0.02)), 0xFFFFFFF0u) << "16 before zero cannot be told";
  EXPECT_EQ(clock.tick(a, 1005, at(0.04)), 1005u);
  EXPECT_EQ(clock.tick(b, 984, at(0.06)), 984u);
  EXPECT_EQ(clock.tick(a, 2005, at(0.08)), 2005u);
}

}  // namespace
}  // namespace sds
