// What copies keep of their input: ticks, gaps and damage at their place, clock pairs.
#include "edit.hpp"

#include <gtest/gtest.h>
#include <samplerate.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <set>

#include "check.hpp"
#include "dataset.hpp"
#include "exports.hpp"
#include "label_file.hpp"
#include "pack.hpp"
#include "recover.hpp"
#include "sds/player/player.hpp"
#include "support/recordings.hpp"
#include "support/sanitized.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

struct Seen {
  std::uint64_t tick = 0;
  std::string data;
  bool after_loss = false;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> read_all(const Recording& recording, std::size_t stream = 0) {
  std::vector<Seen> all;
  auto cursor = recording.cursor(stream);
  EXPECT_TRUE(cursor);
  for (;;) {
    auto block = (*cursor)->next();
    EXPECT_TRUE(block) << block.error().to_string();
    if (!block || !*block) return all;
    all.push_back({(*block)->tick, std::string(as_text((*block)->data)), (*block)->after_loss});
  }
}

std::string fingerprint_of(const Recording& recording) {
  auto player = Player::open(recording, {});
  while (*player->next()) {
  }
  return player->fingerprint();
}

class EditTest : public ::testing::Test {
 protected:
  // 400 blocks of one int16 at 1 kHz, ten a second, from behind a wrap-around on; a recorded gap before block 100 and
  // one at the end; a clock pair each 50 blocks.
  static constexpr std::uint64_t kFirst = (std::uint64_t{3} << 32) + 1000;

  // Two recordings to merge: the fixture's, and another.
  std::vector<MergeInput> inputs_with(const std::filesystem::path& other) {
    std::vector<MergeInput> inputs;
    inputs.push_back({open(path_), "in"});
    inputs.push_back({open(other), "other"});
    return inputs;
  }

  void SetUp() override {
    SdszWriterOptions options;
    options.section_bytes = 1024;  // about 100 blocks
    auto writer = SdszWriter::create(path_, {}, options);
    ASSERT_TRUE(writer) << writer.error().to_string();
    const auto id = writer->add_stream({"Test", "0", false, "", "Test.sds.yml", kYaml});
    ASSERT_TRUE(id);
    for (std::uint64_t i = 0; i < 400; ++i) {
      if (i == 100) ASSERT_TRUE(writer->add_gap(*id, "the device fell asleep"));
      std::string data(2, '\0');
      store_le(data.data(), static_cast<std::int16_t>(i));
      ASSERT_TRUE(writer->append_at(*id, kFirst + 100 * i, as_bytes(data)));
      if (i % 50 == 0)
        ASSERT_TRUE(writer->add_clock(*id, {kFirst + 100 * i, kUtc + 100'000'000 * i, 7 + 100'000'000 * i}));
    }
    ASSERT_TRUE(writer->add_gap(*id, "the device was unplugged"));
    ASSERT_TRUE(writer->close());
  }

  // 300 blocks of 10 samples at 100 Hz, the first one at 1 s.
  void record_tenths() {
    auto writer = SdszWriter::create(dir_ / "tenths.sdsz", {}, {});
    ASSERT_TRUE(writer);
    const auto id = *writer->add_stream({"T", "0", false, "", "T.sds.yml",
                                         "sds:\n  name: T\n  sample-frequency: 100\n  content:\n    - {value: v, "
                                         "type: int16_t}\n"});
    for (std::uint64_t k = 0; k < 300; ++k)
      ASSERT_TRUE(writer->append_at(id, 1000 + 100 * k, as_bytes(std::string(20, 'v'))));
    ASSERT_TRUE(writer->close());
  }

  static Recording open(const std::filesystem::path& path) {
    auto recording = Recording::open(path);
    EXPECT_TRUE(recording) << recording.error().to_string();
    return std::move(*recording);
  }
  static const SdszStream& stream_of(const Recording& recording) { return recording.sdsz()->streams()[0]; }
  static std::vector<std::pair<std::uint64_t, std::string>> gaps_of(const Recording& recording) {
    std::vector<std::pair<std::uint64_t, std::string>> gaps;
    for (const auto& gap : stream_of(recording).gaps) gaps.emplace_back(gap.before_block, gap.reason);
    return gaps;
  }
  // Flips a bit in the payload of the data section that holds this block. Returns the section's header.
  SectionHeader damage_payload(std::uint64_t block) {
    const auto recording = open(path_);
    for (const auto& entry : stream_of(recording).data)
      if (entry.header.first_block <= block && block < entry.header.end_block()) {
        std::string bytes = test::read_file(path_);
        bytes[entry.payload_offset() + entry.header.stored_bytes / 2] ^= 4;
        test::write_file(path_, bytes);
        return entry.header;
      }
    ADD_FAILURE() << "no section holds block " << block;
    return {};
  }

  static constexpr const char* kYaml =
      "sds:\n  name: Test\n  tick-frequency: 1000\n  sample-frequency: 10\n  content:\n    - {value: v, type: "
      "int16_t}\n";
  static constexpr std::uint64_t kUtc = 1'700'000'000'000'000'000;
  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "in.sdsz";
};

TEST_F(EditTest, PackKeepsTicksGapsClocksAndFingerprint) {
  const auto input = open(path_);
  ASSERT_TRUE(pack(input, dir_ / "out.sdsz", {}, {}));
  const auto output = open(dir_ / "out.sdsz");
  EXPECT_EQ(read_all(output), read_all(input));
  EXPECT_EQ(read_all(output)[0].tick, kFirst);
  EXPECT_TRUE(read_all(output)[100].after_loss);
  EXPECT_EQ(gaps_of(output), (std::vector<std::pair<std::uint64_t, std::string>>{{100, "the device fell asleep"},
                                                                                 {400, "the device was unplugged"}}));
  EXPECT_EQ(stream_of(output).clocks, stream_of(input).clocks);
  EXPECT_EQ(stream_of(output).clocks.size(), 8u);
  EXPECT_EQ(fingerprint_of(output), fingerprint_of(input));
  EXPECT_TRUE(input.damages().empty());
}

TEST_F(EditTest, ACopySaysNothingOfTheLocksOfItsInput) {
  Properties session;
  session.set("lock", "none");
  session.set("device", "walker");
  const auto path = dir_ / "unlocked.sdsz";
  auto writer = SdszWriter::create(path, session, {});
  ASSERT_TRUE(writer);
  const auto id = *writer->add_stream({"Test", "0", false, "", "Test.sds.yml", kYaml});
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(writer->append_at(id, 100 * i, as_bytes("xy")));
  ASSERT_TRUE(writer->close());
  const auto input = open(path);
  std::vector<MergeInput> inputs;
  inputs.push_back({input, "in"});
  ASSERT_TRUE(pack(input, dir_ / "packed.sdsz", {}, {}));
  ASSERT_TRUE(cut(input, {0}, {{0, 1}}, dir_ / "part.sdsz", {}, {}));
  ASSERT_TRUE(merge(inputs, false, dir_ / "merged.sdsz", {}, {}));
  ASSERT_TRUE(resample(input, 0, {20, 1}, ResampleQuality::fast, dir_ / "resampled.sdsz", {}, {}));
  ASSERT_TRUE(recover(path, dir_ / "recovered.sdsz", false, {}));
  for (const char* name : {"packed.sdsz", "part.sdsz", "merged.sdsz", "resampled.sdsz", "recovered.sdsz"}) {
    const auto copy = open(dir_ / name);
    EXPECT_EQ(copy.sdsz()->session().get("lock"), std::nullopt) << name;
    EXPECT_EQ(copy.sdsz()->session().get("device"), "walker") << name;
  }
  ASSERT_TRUE(export_mcap(input, {0}, dir_ / "out.mcap", {}, {}));
  ASSERT_TRUE(export_hdf5({{"in", input, {0}, {}}}, dir_ / "out.h5", {}, nullptr, {}));
  for (const char* name : {"out.mcap", "out.h5"}) {
    const std::string bytes = test::read_file(dir_ / name);
    EXPECT_NE(bytes.find("walker"), std::string::npos) << name;
    EXPECT_EQ(bytes.find("none"), std::string::npos) << name;
  }
}

// Blocks of 100 ms from 1 s on, the last one from 40.9 to 41 s, in small sections; behind it bytes of a block that did
// not come whole, of which the recorder has noted a gap or has not.
class TornEndTest : public EditTest {
 protected:
  void record(bool noted, std::size_t tail_bytes = 5) {
    SdszWriterOptions options;
    options.section_bytes = 1024;
    auto writer = SdszWriter::create(dir_ / "torn.sdsz", {}, options);
    ASSERT_TRUE(writer);
    const auto id = *writer->add_stream({"Test", "0", false, "", "Test.sds.yml", kYaml});
    for (std::uint64_t i = 0; i < 400; ++i) ASSERT_TRUE(writer->append_at(id, 1000 + 100 * i, as_bytes("xy")));
    if (noted) ASSERT_TRUE(writer->add_gap(id, "disconnected; the last block is incomplete"));
    ASSERT_TRUE(writer->append_tail(id, as_bytes(std::string(tail_bytes, 't'))));
    ASSERT_TRUE(writer->close());
    ASSERT_TRUE(unpack(open(dir_ / "torn.sdsz"), dir_ / "plain", {}, {}));
  }
  [[nodiscard]] std::vector<std::filesystem::path> inputs() const {
    return {dir_ / "torn.sdsz", dir_ / "plain" / "Test.0.sds"};
  }
};

TEST_F(TornEndTest, APartThatEndsBeforeItDoesNotHaveIt) {
  record(false);
  for (const auto& path : inputs())
    for (int tenth = 50; tenth <= 415; tenth += 5) {
      const double end = tenth / 10.0 + 0.05;
      const auto input = open(path);
      EditOptions options;
      options.force = true;
      ASSERT_TRUE(cut(input, {0}, {{2, end}}, dir_ / "cut.sdsz", options, {}));
      EXPECT_EQ(gaps_of(open(dir_ / "cut.sdsz")).size(), end > 40.9 ? 1u : 0u) << path << " up to " << end;
    }
}

TEST_F(TornEndTest, ItIsOneLossInEveryCopy) {
  for (const bool noted : {false, true}) {
    record(noted);
    const std::string expected =
        noted ? "disconnected; the last block is incomplete"
              : "5 bytes were left out, a torn end: the recorded stream ends in an incomplete block";
    const auto input = open(dir_ / "torn.sdsz");
    EditOptions options;
    options.force = true;
    ASSERT_TRUE(cut(input, {0}, all_time, dir_ / "cut.sdsz", options, {}));
    std::vector<MergeInput> merged;
    merged.push_back({open(dir_ / "torn.sdsz"), "a"});
    merged.push_back({open(path_), "b"});
    ASSERT_TRUE(merge(merged, false, dir_ / "merge.sdsz", options, {}));
    ASSERT_TRUE(resample(input, 0, {10, 1}, ResampleQuality::fast, dir_ / "resample.sdsz", options, {}));
    for (const char* name : {"cut.sdsz", "merge.sdsz", "resample.sdsz"}) {
      const auto gaps = gaps_of(open(dir_ / name));
      ASSERT_EQ(gaps.size(), 1u) << name;
      EXPECT_EQ(gaps[0], (std::pair<std::uint64_t, std::string>{400, expected})) << name;
    }
    std::filesystem::remove_all(dir_ / "plain");
    std::filesystem::remove(dir_ / "torn.sdsz");
  }
}

TEST_F(TornEndTest, WhatIsMoreThanABlockIsDamageBeforeAnythingIsRead) {
  for (const std::size_t bytes : {5u, 10u, 11u, 1440u}) {
    record(false, bytes);
    const bool harmless = bytes <= 8 + 2;  // a block of two bytes
    const auto input = open(dir_ / "torn.sdsz");
    ASSERT_EQ(input.damages().size(), 1u);
    EXPECT_EQ(input.damages()[0].harmless, harmless) << bytes;
    EXPECT_EQ(input.damages()[0].bytes, bytes);
    const auto report = *recover(dir_ / "torn.sdsz", dir_ / "r.sdsz", true, {});
    EXPECT_TRUE(report.missing.empty()) << bytes;  // it is kept
    EXPECT_EQ(report.notes.size(), 1u) << bytes;
    EXPECT_EQ(report.unread_bytes, harmless ? 0u : bytes);
    EXPECT_TRUE(report.ignored.empty());
    std::filesystem::remove_all(dir_ / "plain");
    std::filesystem::remove(dir_ / "torn.sdsz");
  }
}

TEST_F(EditTest, APartBeginsWithTheFirstBlockThatReachesIntoIt) {
  record_tenths();
  // Block k is from 1 + k / 10 to 1 + (k + 1) / 10 s: from second 1 + m / 10 on there are blocks m to 299.
  const auto input = open(dir_ / "tenths.sdsz");
  for (int m = 0; m < 299; ++m) {
    EditOptions options;
    options.force = true;
    const double from = (10 + m) / 10.0;
    ASSERT_TRUE(cut(input, {0}, {{from, 100}}, dir_ / "cut.sdsz", options, {}));
    EXPECT_EQ(read_all(open(dir_ / "cut.sdsz")).size(), static_cast<std::size_t>(300 - m)) << from;
  }
}

// More places are damaged than are told: what is lost beyond is told where it is.
TEST_F(EditTest, LossesThatAreNotToldOneByOneStandAtTheirPlace) {
  SdszWriterOptions small;
  small.section_bytes = 64;
  const auto path = dir_ / "many.sdsz";
  {
    auto writer = SdszWriter::create(path, {}, small);
    ASSERT_TRUE(writer);
    const auto id = *writer->add_stream({"Test", "0", false, "", "Test.sds.yml", kYaml});
    for (std::uint64_t i = 0; i < 10'500; ++i)
      ASSERT_TRUE(writer->append_at(id, 100 * i, as_bytes(std::string(80, static_cast<char>('a' + i % 26)))));
    ASSERT_TRUE(writer->close());
  }
  std::string bytes = test::read_file(path);
  {
    const auto recording = open(path);
    const auto& sections = stream_of(recording).data;
    ASSERT_EQ(sections.size(), 10'500u);
    for (std::size_t i = 0; i < 10'400; ++i)
      bytes[sections[i].payload_offset() + sections[i].header.stored_bytes / 2] ^= 4;
  }
  test::write_file(path, bytes);
  ASSERT_TRUE(pack(open(path), dir_ / "out.sdsz", {}, {}));
  const auto output = open(dir_ / "out.sdsz");
  const auto gaps = gaps_of(output);
  EXPECT_EQ(gaps.size(), DamageLog::max_kept + 1);
  EXPECT_EQ(gaps.back(),
            (std::pair<std::uint64_t, std::string>{0, "blocks are lost: more places are damaged than are told"}));
  EXPECT_EQ(read_all(output).size(), 100u);
  EXPECT_EQ(read_all(output)[0].tick, 1'040'000u);
}

// Whichever stream stands first: of a sound one nothing is lost, and a lost block of it is told once, at its place.
TEST_F(EditTest, LossesThatAreNotToldOneByOneAreThoseOfTheirStream) {
  if (test::under_sanitizer) GTEST_SKIP() << "a million sections are for where they are fast";
  for (const bool sound_first : {true, false}) {
    for (const bool one_lost : {false, true}) {
      SdszWriterOptions small;
      small.section_bytes = 64;
      const auto path = dir_ / "two.sdsz";
      const std::size_t sound = sound_first ? 0 : 1;
      {
        auto writer = SdszWriter::create(path, {}, small);
        ASSERT_TRUE(writer);
        const auto first = *writer->add_stream({"A", "0", false, "", "Test.sds.yml", kYaml});
        const auto second = *writer->add_stream({"B", "0", false, "", "Test.sds.yml", kYaml});
        for (std::uint64_t i = 0; i < 20'200; ++i)
          ASSERT_TRUE(writer->append_at(sound_first ? second : first, 100 * i,
                                        as_bytes(std::string(80, static_cast<char>('a' + i % 26)))));
        for (std::uint64_t i = 0; i < 20; ++i) {
          if (i == 5) ASSERT_TRUE(writer->add_gap(sound_first ? first : second, "an old loss"));
          ASSERT_TRUE(writer->append_at(sound_first ? first : second, 100 * i,
                                        as_bytes(std::string(80, static_cast<char>('a' + i)))));
        }
        ASSERT_TRUE(writer->close());
      }
      std::string bytes = test::read_file(path);
      {
        const auto recording = open(path);
        const auto& streams = recording.sdsz()->streams();
        const auto damage = [&](const IndexEntry& section) {
          bytes[section.payload_offset() + section.header.stored_bytes / 2] ^= 4;
        };
        for (std::size_t i = 0; i < 20'200; i += 2) damage(streams[1 - sound].data[i]);
        if (one_lost) damage(streams[sound].data[12]);
      }
      test::write_file(path, bytes);
      for (const bool recovers : {true, false}) {
        const auto out = dir_ / "out.sdsz";
        if (recovers) {
          ASSERT_TRUE(recover(path, out, true, {}));
        } else {
          PackOptions again;
          again.force = true;
          ASSERT_TRUE(pack(open(path), out, again, {}));
        }
        const auto copy = open(out);
        const auto& gaps = copy.sdsz()->streams()[sound].gaps;
        ASSERT_EQ(gaps.size(), one_lost ? 2u : 1u) << sound_first << recovers << ": " << gaps.back().reason;
        EXPECT_EQ(gaps[0].reason, "an old loss");
        EXPECT_EQ(gaps[0].before_block, 5u);
        if (one_lost) EXPECT_EQ(gaps[1].before_block, 12u) << gaps[1].reason;
        EXPECT_EQ(copy.sdsz()->streams()[1 - sound].gaps.size(), 10'100u);
      }
      std::filesystem::remove(path);
    }
  }
}

TEST_F(EditTest, PackOfADamagedRecordingShowsTheSameLosses) {
  const SectionHeader lost = damage_payload(250);
  const auto input = open(path_);
  ASSERT_TRUE(pack(input, dir_ / "out.sdsz", {}, {}));
  ASSERT_EQ(input.damages().size(), 1u);
  EXPECT_EQ(input.damages()[0].blocks, lost.block_count);
  EXPECT_EQ(input.damages()[0].first_tick, lost.first_tick);
  const auto output = open(dir_ / "out.sdsz");
  const auto blocks = read_all(output);
  EXPECT_EQ(blocks, read_all(input));
  ASSERT_EQ(blocks.size(), 400 - lost.block_count);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    EXPECT_EQ(blocks[i].after_loss, i == 100 || i == lost.first_block) << i;
  const auto gaps = gaps_of(output);
  ASSERT_EQ(gaps.size(), 3u);
  EXPECT_EQ(gaps[1].first, lost.first_block);
  EXPECT_NE(gaps[1].second.find(std::to_string(lost.block_count) + " blocks are lost"), std::string::npos)
      << gaps[1].second;
  EXPECT_NE(gaps[1].second.find("checksum"), std::string::npos) << gaps[1].second;
  const auto checked = check(output, {}, {});
  ASSERT_TRUE(checked);
  EXPECT_FALSE(checked->sound());
  EXPECT_EQ(checked->streams[0].recorded_losses.size(), 3u);
}

TEST_F(EditTest, ACutKeepsWhatIsInItsTime) {
  const auto input = open(path_);
  // Seconds count from tick 0: blocks 90 to 209, from between two clock pairs to between two others.
  const double begin = static_cast<double>(kFirst) / 1000;
  ASSERT_TRUE(cut(input, {0}, {{begin + 8.95, begin + 20.95}}, dir_ / "out.sdsz", {}, {}));
  const auto output = open(dir_ / "out.sdsz");
  const auto blocks = read_all(output);
  const auto all = read_all(input);
  ASSERT_EQ(blocks.size(), 121u);  // a block of one sample lasts 100 ms
  EXPECT_EQ(blocks, std::vector<Seen>(all.begin() + 89, all.begin() + 210));
  EXPECT_EQ(gaps_of(output), (std::vector<std::pair<std::uint64_t, std::string>>{{11, "the device fell asleep"}}));
  std::vector<std::uint64_t> ticks;
  for (const auto& pair : stream_of(output).clocks) ticks.push_back((pair.tick - kFirst) / 100);
  EXPECT_EQ(ticks, (std::vector<std::uint64_t>{50, 100, 150, 200, 250}));
}

TEST_F(EditTest, ACutElsewhereHasNoGap) {
  const SectionHeader lost = damage_payload(250);
  ASSERT_LT(lost.end_block(), 380u);
  const auto input = open(path_);
  const double begin = static_cast<double>(kFirst) / 1000;
  ASSERT_TRUE(cut(input, {0}, {{begin + 1, begin + 5}}, dir_ / "out.sdsz", {}, {}));
  EXPECT_TRUE(gaps_of(open(dir_ / "out.sdsz")).empty());
  const double lost_begin = static_cast<double>(lost.first_tick) / 1000;
  ASSERT_TRUE(cut(input, {0},
                  {{lost_begin - 1.05, lost_begin + 0.001 * static_cast<double>(lost.last_tick - lost.first_tick) + 1}},
                  dir_ / "lost.sdsz", {}, {}));
  const auto gaps = gaps_of(open(dir_ / "lost.sdsz"));
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].first, 11u);
}

TEST_F(EditTest, MergeMovesClocksWithTheirBlocks) {
  const auto other = dir_ / "other.sdsz";
  auto writer = SdszWriter::create(other, {}, {});
  const auto id = writer->add_stream({"Other", "0", false, "", "Other.sds.yml", kYaml});
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(writer->append_at(*id, 5000 + 100 * i, as_bytes("ab")));
    if (i == 10) ASSERT_TRUE(writer->add_gap(*id, "a hole"));
    // It began 2 s after the first recording did.
    if (i % 20 == 0)
      ASSERT_TRUE(
          writer->add_clock(*id, {5000 + 100 * i, kUtc + 2'000'000'000 + 100'000'000 * i, 1 + 100'000'000 * i}));
  }
  ASSERT_TRUE(writer->close());
  const auto inputs = inputs_with(other);
  const auto report = merge(inputs, true, dir_ / "out.sdsz", {}, {});
  ASSERT_TRUE(report) << report.error().to_string();
  ASSERT_EQ(report->clocks.size(), 2u);
  EXPECT_NEAR(report->clocks[1].moved_s, (static_cast<double>(kFirst) + 2000 - 5000) / 1000, 1e-6);
  EXPECT_FALSE(report->clocks[1].rate_applied);
  EXPECT_GT(report->clocks[1].moved_uncertainty_s, 0);
  const auto output = open(dir_ / "out.sdsz");
  EXPECT_EQ(read_all(output, 0), read_all(inputs[0].recording));
  const auto moved = read_all(output, 1);
  ASSERT_EQ(moved.size(), 100u);
  EXPECT_EQ(moved[0].tick, kFirst + 2000);
  EXPECT_EQ(moved[99].tick, kFirst + 2000 + 9900);
  EXPECT_TRUE(moved[11].after_loss);
  const auto& clocks = output.sdsz()->streams()[1].clocks;
  ASSERT_EQ(clocks.size(), 5u);
  EXPECT_EQ(clocks[1].tick, kFirst + 2000 + 2000);
  EXPECT_EQ(clocks[1].utc_ns, kUtc + 4'000'000'000);
  EXPECT_EQ(output.sdsz()->streams()[0].clocks, stream_of(inputs[0].recording).clocks);
}

TEST_F(EditTest, MergeSaysHowFarTheBlocksThatAreThereWereMoved) {
  // Ten minutes of a device that had been up for 100 hours by a clock 50 ppm fast, against the first recording: both
  // begin at the same instant. Its first tick, 360,000,000, becomes kFirst, its last one kFirst + 600,000.
  const auto other = dir_ / "other.sdsz";
  auto writer = SdszWriter::create(other, {}, {});
  const auto id = writer->add_stream({"Other", "0", false, "", "Other.sds.yml", kYaml});
  constexpr std::uint64_t kUp = 360'000'000;
  for (std::uint64_t i = 0; i <= 60; ++i) {
    const std::uint64_t tick = kUp + 10'000 * i + i / 2;  // 0.5 ms more in each 10 s
    ASSERT_TRUE(writer->append_at(*id, tick, as_bytes("ab")));
    ASSERT_TRUE(writer->add_clock(*id, {tick, kUtc + 10'000'000'000 * i, 7 + 10'000'000'000 * i}));
  }
  ASSERT_TRUE(writer->close());
  const auto inputs = inputs_with(other);
  const auto report = merge(inputs, true, dir_ / "out.sdsz", {}, {});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto& clock = report->clocks[1];
  EXPECT_TRUE(clock.rate_applied) << clock.why_not;
  const double first = (static_cast<double>(kFirst) - kUp) / 1000;
  EXPECT_NEAR(clock.moved_s, first, 0.002);
  EXPECT_NEAR(clock.last_moved_s, first - 0.030, 0.002);
  const auto moved = read_all(open(dir_ / "out.sdsz"), 1);
  EXPECT_EQ(clock.moved_s, (static_cast<double>(moved.front().tick) - kUp) / 1000);
  EXPECT_TRUE(report->notes.empty()) << report->notes.front();
  // The first recording has 8 pairs, 5 s apart, which are taken to scatter by 1 ms: 1.96 ms / sqrt(1050 s^2) = 60.5
  // ppm, of 582.5 s 35.2 ms; and 1.96 * 1.25 ms / sqrt(8) = 0.9 ms for the offset.
  EXPECT_NEAR(clock.moved_uncertainty_s, 0.0361, 0.0003);
}

TEST_F(EditTest, MergeMovesLabelsByTheTicksOfTheirBlocks) {
  // A clock 50 ppm fast: blocks are moved by one tick less every 20 s. Labels from each block to the next but one, and
  // from 40 ms behind it on: where the blocks are then.
  const auto other = dir_ / "other.sdsz";
  auto writer = SdszWriter::create(other, {}, {});
  const auto id = writer->add_stream({"Other", "0", false, "", "Other.sds.yml", kYaml});
  constexpr std::uint64_t kUp = 360'000'000;
  const auto tick_of = [](std::uint64_t i) { return kUp + 10'000 * i + i / 2; };
  LabelFile labels;
  for (std::uint64_t i = 0; i <= 60; ++i) {
    ASSERT_TRUE(writer->append_at(*id, tick_of(i), as_bytes("ab")));
    ASSERT_TRUE(writer->add_clock(*id, {tick_of(i), kUtc + 10'000'000'000 * i, 7 + 10'000'000'000 * i}));
    if (i < 59) labels.labels.push_back({"block", tick_of(i), tick_of(i + 2), "", "", "", {}, 0});
    labels.labels.push_back({"behind", tick_of(i) + 40, tick_of(i) + 50, "Other", "", "", {}, 0});
  }
  ASSERT_TRUE(writer->close());
  ASSERT_TRUE(labels.save(label_path(other)));
  ASSERT_TRUE(merge(inputs_with(other), true, dir_ / "out.sdsz", {}, {}));
  const auto moved = read_all(open(dir_ / "out.sdsz"), 1);
  const auto merged = LabelFile::load(dir_ / "out.labels.yml");
  ASSERT_TRUE(merged);
  EXPECT_EQ(merged->tick_frequency, Frequency());
  std::set<std::pair<std::uint64_t, std::uint64_t>> blocks;
  std::set<std::pair<std::uint64_t, std::uint64_t>> behind;
  for (const auto& label : merged->labels) (label.name == "block" ? blocks : behind).emplace(label.begin, label.end);
  ASSERT_EQ(blocks.size(), 59u);
  ASSERT_EQ(behind.size(), 61u);
  for (std::size_t i = 0; i <= 60; ++i) {
    EXPECT_TRUE(i >= 59 || blocks.contains({moved[i].tick, moved[i + 2].tick})) << i;
    EXPECT_TRUE(behind.contains({moved[i].tick + 40, moved[i].tick + 50})) << i;
  }
}

// The same clock, a block each 10 ms: where one is moved by a tick less, a label on the last sample before stays on it.
TEST_F(EditTest, MergeKeepsShortLabelsThatEndWithABlock) {
  const auto other = dir_ / "other.sdsz";
  auto writer = SdszWriter::create(other, {}, {});
  const auto id = writer->add_stream({"Other", "0", false, "", "Other.sds.yml", kYaml});
  constexpr std::uint64_t kUp = 500;
  LabelFile labels;
  labels.tick_frequency = {10000, 1};  // tenths of the blocks' ticks
  for (std::uint64_t i = 0; i < 12'000; ++i) {
    ASSERT_TRUE(writer->append_at(*id, kUp + 10 * i, as_bytes("ab")));
    if (i % 100 == 0)  // the clock says 200 ppm less than its ticks
      ASSERT_TRUE(
          writer->add_clock(*id, {kUp + 10 * i, kUtc + 10'000'000 * i - 2'000 * i, 7 + 10'000'000 * i - 2'000 * i}));
    const std::uint64_t begin = 10 * (kUp + 10 * i);
    if (i > 0)
      labels.labels.push_back(
          {i % 2 == 0 ? "tenth" : "tick", begin - (i % 2 == 0 ? 6 : 10), begin, "Other", "", "", {}, 0});
  }
  ASSERT_TRUE(writer->close());
  ASSERT_TRUE(labels.save(label_path(other)));
  const auto report = merge(inputs_with(other), true, dir_ / "out.sdsz", {}, {});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto merged = LabelFile::load(dir_ / "out.labels.yml");
  ASSERT_TRUE(merged);
  ASSERT_EQ(merged->labels.size(), 11'999u);
  const auto moved = read_all(open(dir_ / "out.sdsz"), 1);
  std::size_t steps = 0;
  for (std::size_t i = 1; i < moved.size(); ++i) steps += moved[i].tick - moved[i - 1].tick == 9 ? 1 : 0;
  EXPECT_EQ(steps, 24u);  // 200 ppm of 120,000 ticks
  const auto in_label_ticks = [&](std::uint64_t ticks) { return ticks * merged->tick_frequency.numerator / 1000; };
  for (const auto& label : merged->labels)
    EXPECT_GE(label.end, label.begin + (label.name == "tick" ? in_label_ticks(1) : 1));
}

TEST_F(EditTest, ResamplingKeepsGapsClocksAndTicks) {
  const SectionHeader lost = damage_payload(250);
  const auto input = open(path_);
  ASSERT_TRUE(resample(input, 0, {20, 1}, ResampleQuality::fast, dir_ / "out.sdsz", {}, {}));
  const auto output = open(dir_ / "out.sdsz");
  EXPECT_GE(read_all(output)[0].tick, kFirst);
  EXPECT_EQ(stream_of(output).clocks, stream_of(input).clocks);
  const auto gaps = gaps_of(output);
  ASSERT_EQ(gaps.size(), 3u);
  EXPECT_EQ(gaps[0].second, "the device fell asleep");
  EXPECT_EQ(gaps[2].second, "the device was unplugged");
  // Twenty samples a second come in two a block: the first block behind a gap begins where the input goes on.
  EXPECT_EQ(read_all(output)[gaps[1].first].tick, kFirst + 100 * lost.end_block());
}

// Floats at 100 Hz from 1 s on, in pieces that begin 10 s apart; resampled to another rate.
class ResampleEdges : public EditTest {
 protected:
  struct Sample {
    double time = 0;  // since its piece began
    std::vector<float> values;
  };
  using Signal = std::function<double(double time, std::size_t channel)>;

  // `frames` of each piece; the output's samples, piece by piece.
  std::vector<std::vector<Sample>> resampled(const std::vector<std::size_t>& frames, const Frequency& rate,
                                             ResampleQuality quality, std::size_t channels, const Signal& signal) {
    const auto in = dir_ / "edges.sdsz";
    std::filesystem::remove(in);
    std::filesystem::remove(dir_ / "out.sdsz");
    std::string yaml = "sds:\n  name: F\n  sample-frequency: 100\n  content:\n";
    for (std::size_t c = 0; c < channels; ++c) yaml += "    - {value: c" + std::to_string(c) + ", type: float}\n";
    auto writer = SdszWriter::create(in, {}, {});
    const auto id = *writer->add_stream({"F", "0", false, "", "F.sds.yml", yaml});
    for (std::size_t piece = 0; piece < frames.size(); ++piece) {
      // Of two blocks nobody knows that they are far apart.
      if (piece > 0) EXPECT_TRUE(writer->add_gap(id, "lost"));
      for (std::size_t i = 0; i < frames[piece]; i += 10) {
        Bytes data;
        for (std::size_t k = i; k < std::min(i + 10, frames[piece]); ++k)
          for (std::size_t c = 0; c < channels; ++c)
            append_le(data, static_cast<float>(signal(static_cast<double>(k) / 100, c)));
        EXPECT_TRUE(writer->append_at(id, 1000 + 10'000 * piece + 10 * i, data));
      }
    }
    EXPECT_TRUE(writer->close());
    const auto done = resample(open(in), 0, rate, quality, dir_ / "out.sdsz", {}, {});
    EXPECT_TRUE(done) << done.error().to_string();
    std::vector<std::vector<Sample>> pieces(frames.size());
    for (const auto& block : read_all(open(dir_ / "out.sdsz"))) {
      const std::uint64_t piece = (block.tick - 1000) / 10'000;
      const std::size_t frame_bytes = 4 * channels;
      for (std::size_t k = 0; k < block.data.size() / frame_bytes; ++k) {
        Sample sample;
        sample.time = static_cast<double>(pieces.at(piece).size()) / rate.hz();
        // Ticks of a block are milliseconds.
        EXPECT_NEAR(static_cast<double>(block.tick - 1000 - 10'000 * piece) / 1000 + static_cast<double>(k) / rate.hz(),
                    sample.time, 0.000501);
        for (std::size_t c = 0; c < channels; ++c)
          sample.values.push_back(load_le<float>(block.data.data() + k * frame_bytes + 4 * c));
        pieces[piece].push_back(sample);
      }
    }
    return pieces;
  }

  // The furthest that a value of any piece is from the signal.
  static double error_of(const std::vector<std::vector<Sample>>& pieces, const Signal& signal) {
    double worst = 0;
    for (const auto& piece : pieces) {
      EXPECT_FALSE(piece.empty());
      for (const auto& sample : piece)
        for (std::size_t c = 0; c < sample.values.size(); ++c)
          worst = std::max(worst, std::abs(sample.values[c] - signal(sample.time, c)));
    }
    return worst;
  }

  static constexpr std::array kQualities{ResampleQuality::best, ResampleQuality::medium, ResampleQuality::fast};
  static constexpr std::array kConverters{SRC_SINC_BEST_QUALITY, SRC_SINC_MEDIUM_QUALITY, SRC_SINC_FASTEST};
};

TEST_F(ResampleEdges, AConstantStaysThatConstantInEveryPiece) {
  const Signal constant = [](double, std::size_t channel) { return channel == 0 ? 1000.0 : -3.0; };
  for (const auto quality : kQualities)
    for (const Frequency rate : {Frequency{50, 1}, {200, 1}, {48, 1}, {777, 10}, {1, 1}, {100, 1}})
      for (const std::size_t channels : {1, 2, 3}) {
        const auto pieces = resampled({700, 350, 100}, rate, quality, channels, constant);
        EXPECT_LT(error_of(pieces, constant), 0.05) << rate.hz() << " Hz, " << channels << " channels";
      }
}

TEST_F(ResampleEdges, PiecesThatAreShorterThanTheFilterAreConstantsAndRampsToo) {
  for (const std::size_t frames : {1, 2, 3, 10, 20, 21, 22, 145, 289})
    for (const Frequency rate : {Frequency{200, 1}, {130, 1}, {100, 1}}) {
      const Signal ramp = [&](double time, std::size_t channel) {
        return frames == 1 ? 7 : 7 + (channel == 0 ? 0 : 30 * time);
      };
      for (const auto quality : kQualities)
        EXPECT_LT(error_of(resampled({frames, frames}, rate, quality, 2, ramp),
                           frames == 1 ? Signal([](double, std::size_t) { return 7.0; }) : ramp),
                  0.001)
            << frames << " frames to " << rate.hz() << " Hz";
    }
}

TEST_F(ResampleEdges, ARampStaysARampUpToItsEnds) {
  const Signal ramp = [](double time, std::size_t) { return 100 * time - 20; };
  for (const auto quality : kQualities)
    for (const Frequency rate : {Frequency{50, 1}, {200, 1}, {48, 1}, {777, 10}})
      EXPECT_LT(error_of(resampled({500, 350}, rate, quality, 1, ramp), ramp), 0.02) << rate.hz() << " Hz";
}

// Holding the end sample would be off by 0.01 and more, an even reflection by 0.02.
TEST_F(ResampleEdges, ASlowSineIsATenthOfAPercentOffAtMost) {
  const Signal sine = [](double time, std::size_t) { return std::sin(2 * std::numbers::pi * time + 0.7); };
  for (const auto quality : kQualities)
    for (const Frequency rate : {Frequency{50, 1}, {200, 1}, {48, 1}})
      EXPECT_LT(error_of(resampled({500, 325}, rate, quality, 1, sine), sine), 0.001) << rate.hz() << " Hz";
}

// What libsamplerate makes of each piece alone: as many samples, and the same ones where the filter reaches no end.
TEST_F(ResampleEdges, SamplesAreAsManyAsWithoutWhatContinuesThePiece) {
  const Signal wild = [](double time, std::size_t channel) {
    return std::sin(29 * time * static_cast<double>(channel + 1)) + std::sin(7.7 * time * time);
  };
  for (std::size_t q = 0; q < kQualities.size(); ++q)
    for (const std::size_t channels : {1, 2, 3, 6})
      for (const Frequency rate : {Frequency{50, 1}, {200, 1}, {96, 1}, {10, 1}, {333, 10}, {100, 3}, {150, 1}})
        for (const std::size_t frames : {1, 7, 499, 500, 800, 813}) {
          const auto pieces = resampled({frames}, rate, kQualities[q], channels, wild);
          std::vector<float> in;
          for (std::size_t i = 0; i < frames; ++i)
            for (std::size_t c = 0; c < channels; ++c)
              in.push_back(static_cast<float>(wild(static_cast<double>(i) / 100, c)));
          std::vector<float> out((frames * 2 + 16) * channels);
          SRC_DATA data{};
          data.data_in = in.data();
          data.data_out = out.data();
          data.input_frames = static_cast<long>(frames);
          data.output_frames = static_cast<long>(out.size() / channels);
          data.src_ratio = rate.hz() / 100;
          ASSERT_EQ(src_simple(&data, kConverters[q], static_cast<int>(channels)), 0);
          const auto expected = static_cast<std::size_t>(data.output_frames_gen);
          ASSERT_EQ(pieces[0].size(), expected) << frames << " frames of " << channels << " to " << rate.hz() << " Hz";
          const double reach = (q == 0 ? 1.45 : q == 1 ? 0.48 : 0.21) / std::min(1.0, data.src_ratio);
          for (std::size_t i = 0; i < expected; ++i) {
            const double time = pieces[0][i].time;
            if (time < reach || time + reach > static_cast<double>(frames) / 100) continue;
            for (std::size_t c = 0; c < channels; ++c)
              ASSERT_NEAR(pieces[0][i].values[c], out[i * channels + c], 2e-5) << time << " s";
          }
        }
}

// 96 of 100 Hz: each 25th frame's period ends with the piece, and rounding decides whether it is the last output.
TEST_F(ResampleEdges, LongPiecesAreAsLongAsLibsamplerateHasThem) {
  const auto file = dir_ / "long.sdsz";
  for (const std::size_t frames : {9'000, 14'800, 15'000, 20'000, 25'000, 30'000, 45'000, 60'000})
    for (const Frequency rate : {Frequency{96, 1}, {30, 1}, {50, 1}, {100 * 441, 480}}) {
      std::filesystem::remove(file);
      std::filesystem::remove(dir_ / "out.sdsz");
      auto writer = SdszWriter::create(file, {}, {});
      const auto id = *writer->add_stream(
          {"F", "0", false, "", "F.sds.yml",
           "sds:\n  name: F\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n"});
      for (std::size_t i = 0; i < frames; i += 100)
        ASSERT_TRUE(writer->append_at(id, 10 * i, as_bytes(std::string(200, 'v'))));
      ASSERT_TRUE(writer->close());
      ASSERT_TRUE(resample(open(file), 0, rate, ResampleQuality::fast, dir_ / "out.sdsz", {}, {}));
      std::size_t made = 0;
      for (const auto& block : read_all(open(dir_ / "out.sdsz"))) made += block.data.size() / 4;
      const std::vector<float> in(frames);
      std::vector<float> out(frames + 16);
      SRC_DATA data{};
      data.data_in = in.data();
      data.data_out = out.data();
      data.input_frames = static_cast<long>(frames);
      data.output_frames = static_cast<long>(out.size());
      data.src_ratio = rate.hz() / 100;
      ASSERT_EQ(src_simple(&data, SRC_SINC_FASTEST, 1), 0);
      EXPECT_EQ(made, static_cast<std::size_t>(data.output_frames_gen))
          << frames << " frames to " << rate.hz() << " Hz";
    }
}

// Windows of 20 samples, each 10: (n - 20) / 10 + 1 of n samples in one piece.
TEST_F(EditTest, NoWindowReachesAcrossALoss) {
  const auto windows = [&](bool damaged) {
    DatasetItem item;
    item.name = "in";
    item.path = path_;
    std::vector<DatasetItem> items{item};
    WindowOptions options;
    options.window_s = 2;
    options.stride_s = 1;
    options.keep_unlabelled = true;
    const auto report =
        export_windows(items, options, TensorFormat::npz, dir_ / (damaged ? "damaged" : "whole"), nullptr, {});
    EXPECT_TRUE(report) << report.error().to_string();
    return report ? report->windows : 0;
  };
  const auto of_piece = [](std::uint64_t samples) { return (samples - 20) / 10 + 1; };
  EXPECT_EQ(windows(false), of_piece(100) + of_piece(300));  // the gap before block 100 takes no time
  const SectionHeader lost = damage_payload(250);
  EXPECT_EQ(windows(true), of_piece(100) + of_piece(lost.first_block - 100) + of_piece(400 - lost.end_block()));
}

TEST_F(EditTest, UnpackSaysWhatAPlainFileCannotHold) {
  const auto input = open(path_);
  const auto report = unpack(input, dir_ / "out", {}, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->losses, 2u);
  ASSERT_EQ(report->notes.size(), 2u);
  EXPECT_EQ(report->notes[0],
            "Test.0.sds: its first block is at tick 12884902888; a plain file holds the lowest 32 bits only, and read "
            "again it begins at tick 1000");
  EXPECT_NE(report->notes[1].find("2 losses"), std::string::npos);
  ASSERT_EQ(report->remarks.size(), 1u);
  EXPECT_NE(report->remarks[0].find("8 clock pairs"), std::string::npos) << report->remarks[0];
}

TEST_F(EditTest, UnpackNamesStepsThatAPlainFileDoesNotTell) {
  constexpr std::uint64_t kRange = std::uint64_t{1} << 32;
  const auto write = [&](const std::vector<std::uint64_t>& ticks) {
    SdszWriterOptions options;
    options.if_exists = IfExists::overwrite;
    auto writer = SdszWriter::create(path_, {}, options);
    const auto id = writer->add_stream({"Test", "0", false, "", "", ""});
    for (const auto tick : ticks) EXPECT_TRUE(writer->append_at(*id, tick, as_bytes("ab")));
    EXPECT_TRUE(writer->close());
    const auto report = unpack(open(path_), dir_ / "out", {0, true}, {});
    EXPECT_TRUE(report);
    return report ? report->notes : std::vector<std::string>{};
  };
  // A wrap-around that a step of less than half the range crosses is told by the lowest 32 bits.
  EXPECT_TRUE(write({kRange - 10, kRange + 10, kRange + 20}).empty());
  // 5,000,000,000 = 2^32 + 705,032,704.
  const auto notes = write({10, 20, 5'000'000'020, 10'000'000'020, 10'000'000'030});
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0],
            "Test.0.sds: block 2 is at tick 5000000020, 5000000000 after the one before it; a plain file holds the "
            "lowest 32 bits only, and read again the step is one of 705032704 (2 such steps in all)");
  // More than half the range forward reads as a step back, where there is room for one.
  const auto back = write({kRange - 5, 2 * kRange - 105});
  ASSERT_EQ(back.size(), 1u);
  EXPECT_NE(back[0].find("is one of -100 "), std::string::npos) << back[0];
}

// Big enough that every command tells of its progress before it is done.
class LabelsMeanwhile : public ::testing::Test {
 protected:
  void SetUp() override {
    auto writer = SdszWriter::create(path_, {}, {});
    ASSERT_TRUE(writer) << writer.error().to_string();
    const auto id = writer->add_stream({"Big", "0", false, "", "Big.sds.yml",
                                        "sds:\n  name: Big\n  sample-frequency: 1000\n  content:\n    - {value: v, "
                                        "type: int16_t}\n"});
    ASSERT_TRUE(id);
    const std::string data(2000, 'x');
    for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(writer->append_at(*id, 1000 * i, as_bytes(data)));
    ASSERT_TRUE(writer->close());
  }
  Recording open() const {
    auto recording = Recording::open(path_);
    EXPECT_TRUE(recording) << recording.error().to_string();
    return std::move(*recording);
  }
  // Somebody else writes labels while the command works.
  OnProgress labels_appear() const {
    return [this](std::uint64_t) {
      test::write_file(labels_, "mine");
      return Expected<void>();
    };
  }
  template <class T>
  void expect_left_alone(const Expected<T>& done) const {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::exists) << done.error().to_string();
    EXPECT_EQ(done.error().path, labels_);
    EXPECT_EQ(test::read_file(labels_), "mine");
    EXPECT_FALSE(std::filesystem::exists(output_));
  }
  // With `force` it is kept all the same.
  template <class T>
  void expect_kept(const Expected<T>& done) const {
    ASSERT_TRUE(done) << done.error().to_string();
    EXPECT_EQ(test::read_file(dir_ / "out.labels.yml.bak"), "mine");
    EXPECT_TRUE(std::filesystem::exists(output_));
    ASSERT_FALSE(done->notes.empty());
    EXPECT_NE(done->notes.front().find("they are kept as out.labels.yml.bak"), std::string::npos);
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "big.sdsz";
  std::filesystem::path output_ = dir_ / "out.sdsz";
  std::filesystem::path labels_ = dir_ / "out.labels.yml";
};

TEST_F(LabelsMeanwhile, ACutLeavesThemAlone) {
  expect_left_alone(cut(open(), {0}, {{0, 500}}, output_, {}, labels_appear()));
}

TEST_F(LabelsMeanwhile, ACutByForceKeepsThem) {
  expect_kept(cut(open(), {0}, {{0, 500}}, output_, {Level::fast, true}, labels_appear()));
}

TEST_F(LabelsMeanwhile, AMergeLeavesThemAlone) {
  std::vector<MergeInput> inputs;
  inputs.push_back({open(), "a"});
  inputs.push_back({open(), "b"});
  expect_left_alone(merge(inputs, false, output_, {}, labels_appear()));
}

TEST_F(LabelsMeanwhile, ResamplingLeavesThemAlone) {
  expect_left_alone(resample(open(), 0, {500, 1}, ResampleQuality::fast, output_, {}, labels_appear()));
}

TEST_F(LabelsMeanwhile, PackLeavesThemAlone) { expect_left_alone(pack(open(), output_, {}, labels_appear())); }

TEST_F(LabelsMeanwhile, PackByForceKeepsThem) {
  PackOptions options;
  options.force = true;
  expect_kept(pack(open(), output_, options, labels_appear()));
}

TEST_F(LabelsMeanwhile, RecoverLeavesThemAlone) { expect_left_alone(recover(path_, output_, false, labels_appear())); }

TEST_F(LabelsMeanwhile, RecoverByForceKeepsThem) { expect_kept(recover(path_, output_, true, labels_appear())); }

TEST_F(LabelsMeanwhile, UnpackLeavesThemAlone) {
  const auto labels = dir_ / "plain/Big.0.labels.yml";
  const auto appear = [&](std::uint64_t) {
    test::write_file(labels, "mine");
    return Expected<void>();
  };
  test::write_file(dir_ / "big.labels.yml", "labels:\n");
  const auto done = unpack(open(), dir_ / "plain", {}, appear);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::exists) << done.error().to_string();
  EXPECT_EQ(test::read_file(labels), "mine");
}

TEST_F(EditTest, AudioClosesTheGapsThatCheckCountsAndNamesLosses) {
  // One block a sample, 100 ticks apart; one comes early, one late by less than half a step, and one 200 late.
  std::vector<test::TestBlock> blocks;
  std::uint32_t at = 0;
  for (int i = 0; i < 100; ++i) {
    blocks.push_back({at, "ab"});
    at += i == 20 ? 45 : i == 30 ? 145 : i == 40 ? 300 : 100;
  }
  test::write_packed(dir_ / "jitter.sdsz", blocks, kYaml);
  const auto jitter = open(dir_ / "jitter.sdsz");
  const auto checked = check(jitter, {}, {});
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->streams[0].gaps->count, 1u);
  for (const bool json : {false, true}) {
    const auto report = json ? export_edge_impulse(jitter, 0, dir_ / "a.json", false, {}, {})
                             : export_audio(jitter, 0, dir_ / "a.wav", {}, {});
    ASSERT_TRUE(report) << report.error().to_string();
    ASSERT_EQ(report->notes.size(), 1u) << report->notes.back();
    EXPECT_EQ(report->notes[0].find("Test: 1 gap in time is closed: "), 0u) << report->notes[0];
  }
  // Losses without a step in time, the one at the end included.
  const auto lossy = export_audio(open(path_), 0, dir_ / "b.wav", {}, {});
  ASSERT_TRUE(lossy);
  ASSERT_EQ(lossy->notes.size(), 1u);
  EXPECT_EQ(lossy->notes[0], "Test: 2 losses of the recording are closed: the first: the device fell asleep");
  // Block 100 is at 10 s, the last one at 39.9 s; a part has a loss of which some time lies in it, as in sds cut.
  const double first = static_cast<double>(kFirst) / 1000;
  const std::vector<std::pair<TimeSpan, std::size_t>> parts{{{20, 39}, 0},  {{20, 1e12}, 1}, {{0, 9.8}, 0},
                                                            {{0, 9.95}, 1}, {{9.95, 30}, 1}, {{10, 30}, 0}};
  for (const auto& [span, losses] : parts) {
    ExportOptions part;
    part.force = true;
    part.samples.within = {{first + span.begin, first + span.end}};
    const auto exported = export_audio(open(path_), 0, dir_ / "c.wav", part, {});
    ASSERT_TRUE(exported) << span.begin;
    EXPECT_EQ(exported->notes.size(), losses) << span.begin << " to " << span.end;
    EditOptions options;
    options.force = true;
    ASSERT_TRUE(cut(open(path_), {0}, part.samples.within, dir_ / "c.sdsz", options, {}));
    EXPECT_EQ(gaps_of(open(dir_ / "c.sdsz")).size(), losses) << span.begin << " to " << span.end;
  }
}

}  // namespace
}  // namespace sds
