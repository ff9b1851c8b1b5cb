// The times of MCAP messages, read back from the indexes behind the chunks: UTC by all clock pairs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "exports.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

constexpr std::uint64_t kUtc = 1'700'000'000'123'456'789;

// Log times of all messages of a channel, in the order in which they were written.
std::vector<std::uint64_t> log_times(const std::filesystem::path& path, std::uint16_t channel = 1) {
  const std::string bytes = test::read_file(path);
  const auto at = [&](std::size_t offset) { return reinterpret_cast<const std::byte*>(bytes.data()) + offset; };
  std::vector<std::uint64_t> times;
  for (std::size_t offset = 8; offset + 9 < bytes.size();) {
    const auto length = load_le<std::uint64_t>(at(offset + 1));
    if (bytes[offset] == 0x07) {  // MessageIndex: channel, bytes of the list, (log time, offset) each
      const auto list = load_le<std::uint32_t>(at(offset + 11));
      if (load_le<std::uint16_t>(at(offset + 9)) != channel) {
        offset += 9 + length;
        continue;
      }
      for (std::uint32_t i = 0; i < list; i += 16) times.push_back(load_le<std::uint64_t>(at(offset + 15 + i)));
    }
    if (bytes[offset] == 0x02) break;  // the footer
    offset += 9 + length;
  }
  return times;
}

// The texts of a map that a metadata record has.
std::string metadata_text(const std::filesystem::path& path, const std::string& key) {
  const std::string bytes = test::read_file(path);
  const std::size_t at = bytes.find(key);
  if (at == std::string::npos) return "";
  const auto size = load_le<std::uint32_t>(reinterpret_cast<const std::byte*>(bytes.data()) + at + key.size());
  return bytes.substr(at + key.size() + 4, size);
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

TEST_F(McapTimes, ThatUtcSteppedIsSaid) {
  // UTC is set by 20 s behind the second of six pairs: all times are by the four behind it.
  std::vector<ClockPair> pairs;
  for (std::uint64_t k = 0; k < 6; ++k)
    pairs.push_back({10'000 * k, kUtc + 10'000'000'000 * k + (k < 2 ? 0 : 20'000'000'000), 1 + 10'000'000'000 * k});
  write(yaml("1000"), 0, 20, 3, pairs);
  const auto recording = Recording::open(path_);
  ASSERT_TRUE(recording);
  const auto report = export_mcap(*recording, {0}, dir_ / "out.mcap", {}, {});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->notes,
            (std::vector<std::string>{
                "UTC went +20.000 s against the monotonic clock between 10.000 s and 20.000 s: it was set, or the "
                "server's machine slept; its clock is fitted by the UTC of most of its clock pairs"}));
  EXPECT_EQ(log_times(dir_ / "out.mcap").front(), kUtc + 20'000'000'000);
  // Times that count from the first block have nothing of it.
  ExportOptions options;
  options.samples.normalize = true;
  options.force = true;
  EXPECT_TRUE(export_mcap(*recording, {0}, dir_ / "out.mcap", options, {})->notes.empty());
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
    // 10 ms of it are 500 ns more in UTC.
    EXPECT_NEAR(static_cast<double>(static_cast<std::int64_t>(times[2 * k + 1] - times[2 * k])), 10'000'500, 1) << k;
  }
}

TEST_F(McapTimes, NanosecondsAreExactAfterAYear) {
  constexpr std::uint64_t kUp = 31'536'000'000'000'001;  // a double of these seconds is 3.7 ns coarse
  write(yaml("1e9"), kUp, 1'000'000'007, 5, {});
  std::vector<std::uint64_t> expected;
  for (std::uint64_t k = 0; k < 5; ++k)
    for (std::uint64_t sample : {0, 1}) expected.push_back(kUp + 1'000'000'007 * k + 10'000'000 * sample);
  EXPECT_EQ(exported({}), expected);
}

TEST_F(McapTimes, NormalizedTimesCountFromZero) {
  write(yaml("1000"), 500'000, 20, 3, {{500'000, kUtc, 7}});
  ExportOptions options;
  options.samples.normalize = true;
  EXPECT_EQ(exported(options),
            (std::vector<std::uint64_t>{0, 10'000'000, 20'000'000, 30'000'000, 40'000'000, 50'000'000}));
}

// Two counters that stand 40 ms apart: an instant of the recording has one log time for each.
class McapOfTwoClocks : public ::testing::Test {
 protected:
  void SetUp() override {
    auto writer = SdszWriter::create(path_, {}, {});
    ASSERT_TRUE(writer);
    const auto yaml = [](const char* name, const char* ticks, const char* rate) {
      return fmt::format(
          "sds:\n  name: {}\n  tick-frequency: {}\n  sample-frequency: {}\n  content:\n    - {{value: v, type: "
          "int8_t}}\n",
          name, ticks, rate);
    };
    const auto a = *writer->add_stream({"A", "0", false, "", "A.sds.yml", yaml("A", "1000", "100")});
    const auto b = *writer->add_stream({"B", "0", false, "", "B.sds.yml", yaml("B", "32768", "1600")});
    // From second 100 on: A has a sample each 10 ms, B 16 of them; B's ticks are rounded down.
    for (std::uint64_t k = 0; k < 400; ++k) {
      ASSERT_TRUE(writer->append_at(a, 100'000 + 10 * k, as_bytes("x")));
      ASSERT_TRUE(writer->append_at(b, 3'276'800 + 32'768 * k / 100, as_bytes("0123456789abcdef")));
    }
    for (std::uint64_t s = 0; s < 4; ++s) {
      const std::uint64_t ns = 1'000'000'000 * s;
      ASSERT_TRUE(writer->add_clock(a, {100'000 + 1000 * s, kUtc + ns, 5 + ns}));
      ASSERT_TRUE(writer->add_clock(b, {3'276'800 + 32'768 * s, kUtc + 40'000'000 + ns, 40'000'005 + ns}));
    }
    ASSERT_TRUE(writer->close());
  }
  // The samples of each channel from the first label's begin to its end by the log times of the file, and how many.
  using Samples = std::vector<std::pair<std::size_t, std::size_t>>;
  static Samples samples(const std::filesystem::path& path, const std::vector<std::uint16_t>& channels) {
    std::istringstream lines(metadata_text(path, "log-times"));
    std::vector<std::pair<std::uint64_t, std::uint64_t>> labels;
    for (std::uint64_t begin = 0, end = 0; lines >> begin >> end;) labels.emplace_back(begin, end);
    Samples all;
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const auto& [begin, end] = labels.size() == 1 ? labels.front() : labels.at(i);
      const auto times = log_times(path, channels[i]);
      const auto first = std::lower_bound(times.begin(), times.end(), begin);
      all.emplace_back(first - times.begin(), std::lower_bound(first, times.end(), end) - first);
    }
    return all;
  }
  std::vector<std::string> write(const std::vector<std::size_t>& streams, const std::string& interval) {
    test::write_file(
        dir_ / "in.labels.yml",
        "labels:\n  version: 1\n  tick-frequency: 1000\n  intervals:\n    - {class: x, " + interval + "}\n");
    ExportOptions options;
    options.force = true;
    return export_mcap(*Recording::open(path_), streams, out_, options, {})->notes;
  }
  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "in.sdsz";
  std::filesystem::path out_ = dir_ / "out.mcap";
};

// 101 to 102 s: the samples 100 to 199 of A; of B all of blocks 100 to 199.
TEST_F(McapOfTwoClocks, ALabelOfAllHasTheSamplesOfEachClock) {
  const auto notes = write({0, 1}, "from: 101, to: 102");
  EXPECT_EQ(samples(out_, {1, 2}), (Samples{{100, 100}, {1600, 1600}}));
  EXPECT_EQ(notes, (std::vector<std::string>{
                       "1 label of the whole recording is told once for each stream: their clocks do not agree"}));
  const std::string labels = metadata_text(out_, "yaml");
  EXPECT_NE(labels.find("stream: A"), std::string::npos) << labels;
  EXPECT_NE(labels.find("stream: B"), std::string::npos) << labels;
}

TEST_F(McapOfTwoClocks, OfOneStreamItGoesByTheClockOfThat) {
  for (const std::size_t stream : {0u, 1u}) {
    EXPECT_EQ(write({stream}, "from: 101, to: 102"), std::vector<std::string>());
    const std::size_t samples_in_second = stream == 0 ? 100 : 1600;
    EXPECT_EQ(samples(out_, {1}), (Samples{{samples_in_second, samples_in_second}}));
    EXPECT_EQ(metadata_text(out_, "yaml").find("stream:"), std::string::npos);
  }
  EXPECT_EQ(write({0, 1}, "from: 101, to: 102, stream: B"), std::vector<std::string>());
  EXPECT_EQ(samples(out_, {2}), (Samples{{1600, 1600}}));
}

}  // namespace
}  // namespace sds
