// The times of MCAP messages, read back from the indexes behind the chunks: UTC by all clock pairs.
#include <gtest/gtest.h>

#include <cmath>

#include "exports.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

constexpr std::uint64_t kUtc = 1'700'000'000'123'456'789;

// Log times of all messages, in the order in which they were written; one channel.
std::vector<std::uint64_t> log_times(const std::filesystem::path& path) {
  const std::string bytes = test::read_file(path);
  const auto at = [&](std::size_t offset) { return reinterpret_cast<const std::byte*>(bytes.data()) + offset; };
  std::vector<std::uint64_t> times;
  for (std::size_t offset = 8; offset + 9 < bytes.size();) {
    const auto length = load_le<std::uint64_t>(at(offset + 1));
    if (bytes[offset] == 0x07) {  // MessageIndex: channel, bytes of the list, (log time, offset) each
      const auto list = load_le<std::uint32_t>(at(offset + 11));
      for (std::uint32_t i = 0; i < list; i += 16) times.push_back(load_le<std::uint64_t>(at(offset + 15 + i)));
    }
    if (bytes[offset] == 0x02) break;  // the footer
    offset += 9 + length;
  }
  return times;
}

class McapTimes : public ::testing::Test {
 protected:
  // Blocks of two samples at 100 Hz, `every` ticks apart from `first` on, in `yaml`'s ticks.
  void write(const std::string& yaml, std::uint64_t first, std::uint64_t every, int count,
             const std::vector<ClockPair>& pairs) {
    auto writer = SdszWriter::create(path_, {}, {});
    ASSERT_TRUE(writer);
    const auto id = writer->add_stream({"A", "0", false, "", "A.sds.yml", yaml});
    ASSERT_TRUE(id);
    for (int i = 0; i < count; ++i)
      ASSERT_TRUE(writer->append_at(*id, first + every * static_cast<std::uint64_t>(i), as_bytes("abcd")));
    for (const auto& pair : pairs) ASSERT_TRUE(writer->add_clock(*id, pair));
    ASSERT_TRUE(writer->close());
  }
  std::vector<std::uint64_t> exported(const ExportOptions& options) {
    const auto recording = Recording::open(path_);
    EXPECT_TRUE(recording);
    const auto report = export_mcap(*recording, {0}, dir_ / "out.mcap", options, {});
    EXPECT_TRUE(report) << report.error().to_string();
    return log_times(dir_ / "out.mcap");
  }
  static std::string yaml(const std::string& tick_frequency) {
    return "sds:\n  name: A\n  tick-frequency: " + tick_frequency +
           "\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n";
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "in.sdsz";
};

TEST_F(McapTimes, ALatePairMovesNothing) {
  std::vector<ClockPair> pairs{{0, kUtc + 400'000'000, 1'400'000'000}};
  for (std::uint64_t k = 1; k < 7; ++k)
    pairs.push_back({10'000'000 * k, kUtc + 10'000'000'000 * k, 1'000'000'000 + 10'000'000'000 * k});
  write(yaml("1000000"), 0, 20'000, 3000, pairs);
  const auto times = exported({});
  ASSERT_EQ(times.size(), 6000u);
  for (std::size_t i = 0; i < times.size(); ++i) ASSERT_EQ(times[i], kUtc + 10'000'000 * i) << i;
}

TEST_F(McapTimes, DriftIsFollowed) {
  // Twelve hours of a 1 GHz clock that is 50 ppm slow, two blocks an hour, after a year: 2.16 s in all.
  constexpr std::uint64_t kUp = 31'536'000'000'000'000;
  constexpr std::uint64_t kHalfHour = 1'800'000'000'000;
  std::vector<ClockPair> pairs;
  for (std::uint64_t k = 0; k < 25; ++k)
    pairs.push_back({kUp + k * kHalfHour, kUtc + k * (kHalfHour + 90'000'000), 1 + k * (kHalfHour + 90'000'000)});
  write(yaml("1e9"), kUp, kHalfHour, 25, pairs);
  const auto times = exported({});
  ASSERT_EQ(times.size(), 50u);
  for (std::size_t k = 0; k < 25; ++k) {
    EXPECT_NEAR(static_cast<double>(static_cast<std::int64_t>(times[2 * k] - pairs[k].utc_ns)), 0, 1) << k;
    // 10 ms of it are 500 ns more in UTC; a double of seconds holds a year to 4 ns.
    EXPECT_NEAR(static_cast<double>(static_cast<std::int64_t>(times[2 * k + 1] - times[2 * k])), 10'000'500, 5) << k;
  }
}

TEST_F(McapTimes, NormalizedTimesCountFromZero) {
  write(yaml("1000"), 500'000, 20, 3, {{500'000, kUtc, 7}});
  ExportOptions options;
  options.samples.normalize = true;
  EXPECT_EQ(exported(options),
            (std::vector<std::uint64_t>{0, 10'000'000, 20'000'000, 30'000'000, 40'000'000, 50'000'000}));
}

}  // namespace
}  // namespace sds
