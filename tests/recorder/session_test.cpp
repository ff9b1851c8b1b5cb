#include "sds/recorder/session_writer.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <tuple>

#include "sds/format/limits.hpp"
#include "sds/recorder/server_limits.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;
using test::TestBlock;

constexpr Arrival kThen{1000, 1000, true};

SessionOptions options_for(const test::TempDir& dir) {
  SessionOptions options;
  options.directory = dir.path();
  return options;
}

TEST(PlainSession, WritesArmsNamesAndKeepsAnExistingFileAsBak) {
  const test::TempDir dir;
  test::write_file(dir / "A.3.sds", "old");
  auto options = options_for(dir);
  options.label = 3;
  auto session = make_plain_session(options, "A");
  const std::string bytes = plain({{1, "abc"}, {2, ""}});
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes.substr(0, 5)), kThen));
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes.substr(5)), kThen));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  const auto summary = (*session)->finish();
  EXPECT_EQ(summary->blocks, 2u);
  EXPECT_TRUE(summary->losses.empty());
  EXPECT_EQ(test::read_file(dir / "A.3.sds"), bytes);
  EXPECT_EQ(test::read_file(dir / "A.3.sds.bak"), "old");
}

TEST(PlainSession, NothingRecordedIsEverOverwritten) {
  const test::TempDir dir;
  test::write_file(dir / "A.0.sds.bak.1", "a stranger's");
  auto session = make_plain_session(options_for(dir), "A");
  for (std::uint32_t i = 1; i <= 4; ++i) {
    ASSERT_TRUE((*session)->open_stream(i, "A"));
    ASSERT_TRUE((*session)->write(i, as_bytes(plain({{i, "abc"}})), kThen));
    ASSERT_TRUE((*session)->close_stream(i, ""));
  }
  EXPECT_EQ((*session)->finish()->blocks, 4u);
  EXPECT_EQ(test::read_file(dir / "A.0.sds.bak"), plain({{1, "abc"}}));
  EXPECT_EQ(test::read_file(dir / "A.0.sds.bak.1"), "a stranger's");
  EXPECT_EQ(test::read_file(dir / "A.0.sds.bak.2"), plain({{2, "abc"}}));
  EXPECT_EQ(test::read_file(dir / "A.0.sds.bak.3"), plain({{3, "abc"}}));
  EXPECT_EQ(test::read_file(dir / "A.0.sds"), plain({{4, "abc"}}));
}

TEST(PlainSession, TheFirstStreamPicksTheNumberAndLaterSessionsCountOn) {
  const test::TempDir dir;
  test::write_file(dir / "A.0.sds", "taken");
  PlainLabels labels;
  auto options = options_for(dir);
  options.labels = &labels;
  for (const char* file : {"A.1.sds", "A.2.sds"}) {
    auto session = make_plain_session(options, "A");
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    EXPECT_TRUE(std::filesystem::exists(dir / file));
  }
}

TEST(PlainSession, FlushDoesWhatTheDurabilitySays) {
  for (const auto durability : {Durability::none, Durability::process, Durability::power}) {
    const test::TempDir dir;
    auto options = options_for(dir);
    options.durability = durability;
    auto session = make_plain_session(options, "A");
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "abc"}})), kThen));
    ASSERT_TRUE((*session)->flush());
    EXPECT_EQ(test::read_file(dir / "A.0.sds"), durability == Durability::none ? "" : plain({{1, "abc"}}));
  }
}

TEST(PlainSession, AnUnfinishedBlockIsKeptAndReported) {
  const test::TempDir dir;
  auto session = make_plain_session(options_for(dir), "A");
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "abcdef"}}).substr(0, 11)), kThen));
  ASSERT_TRUE((*session)->close_stream(1, "disconnected"));
  const auto summary = (*session)->finish();
  EXPECT_EQ(
      summary->losses,
      (std::vector<std::string>{"A: disconnected; the last block has 3 of its 6 bytes; kept as the file's torn end"}));
  EXPECT_EQ(test::read_file(dir / "A.0.sds").size(), 11u);
}

TEST(PlainSession, WhatNeverCameIntoTheFileIsNotItsTornEnd) {
  const test::TempDir dir;
  auto session = make_plain_session(options_for(dir), "A");
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "abcdef"}})), kThen));
  ASSERT_TRUE((*session)->flush());
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{2, "abcdef"}}).substr(0, 11)), kThen));
  const test::LimitedDisk full(0);
  const auto summary = (*session)->abandon("the disk was full");
  EXPECT_EQ(summary.losses, (std::vector<std::string>{"A: the disk was full; 11 bytes that came are not in the file"}));
  EXPECT_EQ(summary.blocks, 1u);
  EXPECT_EQ(test::read_file(dir / "A.0.sds").size(), 14u);
}

TEST(PackedSession, TakesMetadataFromTheDirectoryAndTheNextFreeNumber) {
  const test::TempDir dir;
  test::write_file(dir / "A.sds.yml", test::int16_metadata(1));
  test::write_file(dir / "recording.0.sdsz", "taken");
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE(session);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}, {2, "cd"}})), kThen));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain({{1, "x"}})), kThen));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->close_stream(2, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(test::read_blocks(dir / "recording.1.sdsz", 0), (std::vector<TestBlock>{{1, "ab"}, {2, "cd"}}));
  auto recording = Recording::open(dir / "recording.1.sdsz");
  EXPECT_TRUE(recording->streams()[0].metadata);
  EXPECT_FALSE(recording->streams()[1].metadata);
  EXPECT_FALSE(recording->sdsz()->streams()[0].clocks.empty());
}

TEST(PackedSession, TakesMetadataOfBothEndings) {
  const test::TempDir dir;
  test::write_file(dir / "A.sds.yaml", test::int16_metadata(1));
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  auto recording = Recording::open(dir / "recording.0.sdsz");
  ASSERT_TRUE(recording->streams()[0].metadata);
  EXPECT_EQ(recording->streams()[0].description.metadata_file_name, "A.sds.yaml");
}

TEST(PackedSession, SkipsNumbersOfWhichALogIsLeft) {
  const test::TempDir dir;
  test::write_file(dir / "recording.0.sdsz.wal", "a killed recording's");
  test::write_file(dir / "recording.1.sdsz.wal.new", "");
  std::filesystem::create_symlink("nowhere", dir / "recording.2.sdsz");
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  EXPECT_TRUE(std::filesystem::exists(dir / "recording.3.sdsz"));
  EXPECT_EQ(test::read_file(dir / "recording.0.sdsz.wal"), "a killed recording's");
}

constexpr std::uint64_t kSecond = 1'000'000'000;

Arrival at_ms(std::uint64_t ms, bool prompt = true) {
  return {1000 * kSecond + ms * 1'000'000, 5 * kSecond + ms * 1'000'000, prompt};
}

TEST(PackedSession, StreamsThatAreOpenedAndClosedAgainAndAgainAreBounded) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(0, "stays"));
  for (std::uint32_t i = 1; i < 8192; ++i) {
    ASSERT_TRUE((*session)->open_stream(i, "S"));
    ASSERT_TRUE((*session)->close_stream(i, ""));
  }
  EXPECT_EQ((*session)->open_stream(9999, "S").error().code, ErrorCode::limit);
  ASSERT_TRUE((*session)->write(0, as_bytes(plain({{1, "goes on"}})), at_ms(1)));
  ASSERT_TRUE((*session)->close_stream(0, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), (std::vector<TestBlock>{{1, "goes on"}}));
}

TEST(PackedSession, ADirectoryThatTakesNoFilesIsOneError) {
  const test::TempDir dir;
  auto options = options_for(dir);
  options.directory = dir / "none";
  EXPECT_EQ(make_packed_session(options).error().system_error, ENOENT);
}

using Pair = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;

std::vector<Pair> pairs_of(const std::filesystem::path& path, std::size_t stream) {
  std::vector<Pair> pairs;
  const auto recording = Recording::open(path);
  for (const auto& pair : recording->sdsz()->streams()[stream].clocks)
    pairs.emplace_back(pair.tick, pair.utc_ns, pair.monotonic_ns);
  return pairs;
}

Pair pair_at(std::uint64_t tick, std::uint64_t ms) { return {tick, at_ms(ms).utc_ns, at_ms(ms).monotonic_ns}; }

TEST(PackedSession, ClockPairsJoinTheLastBlockOfABatchWithItsArrival) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  const auto send = [&](const std::string& bytes, const Arrival& when) {
    ASSERT_TRUE((*session)->write(1, as_bytes(bytes), when));
  };
  send(plain({{10, "ab"}}), at_ms(0));              // two WRITEs of one batch
  send(plain({{20, "cd"}, {30, "ef"}}), at_ms(0));  // its last block is 30
  const std::string cut = plain({{1000, "gh"}, {1010, "ij"}});
  send(cut.substr(0, 13), at_ms(1000));  // 1000 is whole
  ASSERT_TRUE((*session)->flush());
  send(cut.substr(13), at_ms(5000));  // 1010 is whole, 5 s later
  for (std::uint32_t ms = 5100; ms <= 35000; ms += 100) send(plain({{ms, "kl"}}), at_ms(ms));
  ASSERT_TRUE((*session)->flush());
  // The device idles; the stream is closed at some time that nobody asks for.
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(pairs_of(dir / "recording.0.sdsz", 0),
            (std::vector<Pair>{pair_at(30, 0), pair_at(10000, 10000), pair_at(20000, 20000), pair_at(30000, 30000),
                               pair_at(35000, 35000)}));
}

TEST(PackedSession, ClockPairsAreNotMadeOfWhatWasHeldBack) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{0, "ab"}})), at_ms(0)));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{100, "ab"}})), at_ms(60000, false)));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{60100, "ab"}})), at_ms(60200)));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{60200, "ab"}})), at_ms(70000, false)));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(pairs_of(dir / "recording.0.sdsz", 0), (std::vector<Pair>{pair_at(0, 0), pair_at(60100, 60200)}));
}

TEST(PackedSession, StreamsOfOneFrequencyShareTheirClock) {
  const test::TempDir dir;
  const std::string yaml = "sds:\n  name: x\n  tick-frequency: 1000000\n  content:\n    - {value: v, type: uint8_t}\n";
  for (const char* name : {"A", "B"}) test::write_file(dir / (std::string(name) + ".sds.yml"), yaml);
  auto session = make_packed_session(options_for(dir));
  for (std::uint32_t handle = 1; handle <= 3; ++handle)
    ASSERT_TRUE((*session)->open_stream(handle, std::string(1, static_cast<char>('A' + handle - 1))));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{0xFFFFFF00u, "a"}, {0x100, "b"}})), at_ms(0)));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain({{0x200, "c"}})), at_ms(0)));  // its first comes after the wrap
  ASSERT_TRUE((*session)->write(3, as_bytes(plain({{0x200, "d"}})), at_ms(0)));  // 1000 Hz: a clock of its own
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{0x300 + 3'600'000'000u, "e"}})), at_ms(3600000)));
  for (std::uint32_t handle = 1; handle <= 3; ++handle) ASSERT_TRUE((*session)->close_stream(handle, ""));
  ASSERT_TRUE((*session)->finish());
  auto recording = Recording::open(dir / "recording.0.sdsz");
  constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
  const std::vector<std::vector<std::uint64_t>> expected{
      {0xFFFFFF00u, kWrap + 0x100, kWrap + 0x300 + 3'600'000'000u}, {kWrap + 0x200}, {0x200}};
  for (std::size_t stream = 0; stream < 3; ++stream) {
    auto cursor = recording->cursor(stream);
    std::vector<std::uint64_t> ticks;
    while (auto block = *(*cursor)->next()) ticks.push_back(block->tick);
    EXPECT_EQ(ticks, expected[stream]) << stream;
  }
}

TEST(PackedSession, BlocksThatDoNotEndAreBoundedForADeviceAndForAll) {
  const test::TempDir dir;
  SharedTotal total(server_limits::unfinished_bytes_total);
  auto options = options_for(dir);
  options.unfinished = &total;
  const std::string head = test::le32(1) + test::le32(limits::max_block_bytes);
  const std::string piece(1u << 20, 'x');
  std::vector<std::unique_ptr<SessionWriter>> sessions;
  std::vector<std::size_t> refused_at;  // MiB
  for (int s = 0; s < 5; ++s) {
    auto session = make_packed_session(options);
    Expected<void> done;
    std::size_t of_this = 0;
    for (std::uint32_t stream = 1; stream <= 4 && done; ++stream) {
      ASSERT_TRUE((*session)->open_stream(stream, "S" + std::to_string(stream)));
      done = (*session)->write(stream, as_bytes(head), kThen);
      for (int i = 0; i < 31 && done; ++i) {
        done = (*session)->write(stream, as_bytes(piece), kThen);
        if (done) ++of_this;
      }
    }
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::limit);
    refused_at.push_back(of_this);
    sessions.push_back(std::move(*session));
  }
  // 64 MiB each, until all have 256 MiB; the headers make it a little less.
  EXPECT_EQ(refused_at, (std::vector<std::size_t>{63, 63, 63, 63, 0}));
  EXPECT_LE(total.used(), server_limits::unfinished_bytes_total + 6 * (1u << 20));
  // Whatever they hold, another device sends its blocks in pieces as before.
  auto other = make_packed_session(options);
  ASSERT_TRUE((*other)->open_stream(1, "Other"));
  const std::string block = test::plain({{1, std::string(1'000'000, 'x')}});
  for (int i = 0; i < 3; ++i)
    for (const std::size_t begin : {std::size_t{0}, block.size() / 2})
      ASSERT_TRUE((*other)->write(1, as_bytes(block).subspan(begin, block.size() / 2), kThen));
  ASSERT_TRUE((*other)->close_stream(1, ""));
  ASSERT_TRUE((*other)->finish());
  // The device is sent away; what came is kept, and the memory is free again.
  for (auto& session : sessions) {
    for (std::uint32_t stream = 1; stream <= 4; ++stream) ASSERT_TRUE(session->close_stream(stream, "dropped"));
    ASSERT_TRUE(session->finish());
  }
  EXPECT_EQ(total.used(), 0u);
  auto recording = Recording::open(dir / "recording.0.sdsz");
  auto cursor = recording->cursor(0);
  EXPECT_TRUE(test::read_blocks(**cursor).empty());
  EXPECT_EQ((*cursor)->tail()->bytes, 8 + 31 * piece.size());
}

// A block every 10 s: 128 pairs 10 s apart, 128 of 20, 128 of 40, 128 of 80 and five of 160 s.
TEST(PackedSession, ClockPairsBecomeRarerInALongRecording) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const std::uint64_t at = i * std::uint64_t{10'000'000'000} + 1;
    ASSERT_TRUE((*session)->write(1, as_bytes(plain({{i * 10'000, "abc"}})), Arrival{at, at, true}));
  }
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  const auto clocks = Recording::open(dir / "recording.0.sdsz")->sdsz()->streams()[0].clocks;
  EXPECT_NEAR(static_cast<double>(clocks.size()), 128 * 4 + 5, 1);
  EXPECT_EQ(clocks[127].tick - clocks[126].tick, 10'000u);
  EXPECT_EQ(clocks[255].tick - clocks[254].tick, 20'000u);
  EXPECT_EQ(clocks.back().tick, 1999u * 10'000);  // the last block has one
}

TEST(PackedSession, RecordsALossAndKeepsTheTornEnd) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "ab"}, {2, "cdef"}}).substr(0, 20)), kThen));
  ASSERT_TRUE((*session)->close_stream(1, "disconnected"));
  ASSERT_TRUE((*session)->finish());
  auto recording = Recording::open(dir / "recording.0.sdsz");
  ASSERT_EQ(recording->sdsz()->streams()[0].gaps.size(), 1u);
  EXPECT_EQ(recording->sdsz()->streams()[0].gaps[0].reason,
            "disconnected; the last block is incomplete (10 bytes of it came)");
  auto cursor = recording->cursor(0);
  EXPECT_EQ(test::read_blocks(**cursor).size(), 1u);
  EXPECT_EQ((*cursor)->tail()->bytes, 10u);
}

TEST(PackedSession, ABlockOfAnAbsurdSizeTurnsTheRestIntoBytes) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  const std::string bytes = plain({{1, "ab"}}) + test::le32(2) + test::le32(limits::max_block_bytes + 1) + "data";
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes), kThen));
  ASSERT_TRUE((*session)->write(1, as_bytes("more"), kThen));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  auto recording = Recording::open(dir / "recording.0.sdsz");
  auto cursor = recording->cursor(0);
  EXPECT_EQ(test::read_blocks(**cursor).size(), 1u);
  EXPECT_EQ((*cursor)->tail()->bytes, 16u);
}

TEST(PackedSession, LabelsThatAreLeftOfAnotherRecordingAreNotItsOwn) {
  const test::TempDir dir;
  test::write_file(dir / "recording.0.labels.yml", "a deleted recording's");
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  EXPECT_FALSE(std::filesystem::exists(dir / "recording.0.sdsz"));
  EXPECT_TRUE(std::filesystem::exists(dir / "recording.1.sdsz"));
}

TEST(PlainSession, LabelsThatAreLeftOfAnotherRecordingAreNotItsOwn) {
  const test::TempDir dir;
  test::write_file(dir / "A.0.labels.yml", "a deleted recording's");
  PlainLabels labels;
  auto options = options_for(dir);
  options.labels = &labels;
  auto session = make_plain_session(options, "A");
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  EXPECT_TRUE(std::filesystem::exists(dir / "A.1.sds"));
  test::write_file(dir / "B.1.sds", "old");
  test::write_file(dir / "B.1.labels.yml", "the old one's");
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  EXPECT_FALSE(std::filesystem::exists(dir / "B.1.labels.yml"));
  EXPECT_EQ(test::read_file(dir / "B.1.sds.bak"), "old");
  EXPECT_EQ(test::read_file(dir / "B.1.labels.yml.bak"), "the old one's");
}

TEST(PlainSession, WhatAnotherServerRecordsKeepsItsName) {
  const test::TempDir dir;
  PlainLabels labels;
  PlainLabels of_another;
  auto options = options_for(dir);
  auto others = options;
  options.labels = &labels;
  others.labels = &of_another;
  {
    auto first = make_plain_session(options, "A");
    ASSERT_TRUE((*first)->open_stream(1, "A"));
  }
  auto other = make_plain_session(others, "A");
  ASSERT_TRUE((*other)->open_stream(1, "A"));
  EXPECT_TRUE(std::filesystem::exists(dir / "A.1.sds"));
  auto next = make_plain_session(options, "A");
  ASSERT_TRUE((*next)->open_stream(1, "A"));
  EXPECT_TRUE(std::filesystem::exists(dir / "A.2.sds"));
  EXPECT_FALSE(std::filesystem::exists(dir / "A.1.sds.bak"));
}

TEST(PlainSession, LabelsOfAPackedRecordingStayWithIt) {
  const test::TempDir dir;
  PlainLabels labels;
  auto options = options_for(dir);
  options.labels = &labels;
  for (const char* file : {"A.0.sds", "A.2.sds"}) {
    auto session = make_plain_session(options, "A");
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    EXPECT_TRUE(std::filesystem::exists(dir / file));
    test::write_file(dir / "A.1.sdsz", "packed");
    test::write_file(dir / "A.1.labels.yml", "its");
  }
  EXPECT_FALSE(std::filesystem::exists(dir / "A.1.sds"));
  EXPECT_EQ(test::read_file(dir / "A.1.labels.yml"), "its");
}

TEST(PlainSession, NamesItsFileWhereAnotherSessionMadeABackupOfIt) {
  const test::TempDir dir;
  auto first = make_plain_session(options_for(dir), "A");
  auto second = make_plain_session(options_for(dir), "A");
  for (auto* session : {&first, &second}) {
    ASSERT_TRUE((**session)->open_stream(1, "A"));
    ASSERT_TRUE((**session)->write(1, as_bytes(plain({{1, session == &first ? "one" : "two"}})), kThen));
  }
  for (auto* session : {&first, &second}) {
    EXPECT_FALSE((**session)->missing_file());
    ASSERT_TRUE((**session)->close_stream(1, ""));
    EXPECT_FALSE((**session)->missing_file());
  }
  EXPECT_EQ((*first)->finish()->files, std::vector{dir / "A.0.sds.bak"});
  EXPECT_EQ((*second)->finish()->files, std::vector{dir / "A.0.sds"});
  EXPECT_EQ(test::read_file(dir / "A.0.sds.bak"), plain({{1, "one"}}));
}

TEST(RecordedFile, IsMissedWhereItWasDeletedOrReplaced) {
  for (const bool packed : {true, false})
    for (const bool replaced : {true, false}) {
      const test::TempDir dir;
      auto options = options_for(dir);
      options.packed = packed;
      auto session = make_session(options, "A");
      ASSERT_TRUE((*session)->open_stream(1, "A"));
      EXPECT_FALSE((*session)->missing_file());
      const auto file = dir / (packed ? "recording.0.sdsz" : "A.0.sds");
      std::filesystem::remove(file);
      if (replaced) test::write_file(file, "another");
      const auto missing = (*session)->missing_file();
      ASSERT_TRUE(missing);
      EXPECT_EQ(missing->path, file);
      EXPECT_FALSE((*session)->missing_file()) << "told once";
    }
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  std::filesystem::remove(dir / "recording.0.sdsz.wal");
  EXPECT_EQ((*session)->missing_file()->path, dir / "recording.0.sdsz.wal");
}

TEST(PackedSession, WhatOtherDevicesHoldCountsForItsOpenBlocks) {
  const test::TempDir dir;
  OpenBlocks open_blocks(1u << 20);
  auto options = options_for(dir);
  options.durability = Durability::none;
  options.open_blocks = &open_blocks;
  auto idle = make_packed_session(options);
  auto busy = make_packed_session(options);
  ASSERT_TRUE((*idle)->open_stream(1, "A"));
  ASSERT_TRUE((*busy)->open_stream(1, "A"));
  ASSERT_TRUE((*idle)->write(1, as_bytes(plain({{1, std::string(900'000, 'a')}})), kThen));
  EXPECT_LT(std::filesystem::file_size(dir / "recording.0.sdsz"), 1000u);
  for (std::uint32_t i = 0; i < 20; ++i)
    ASSERT_TRUE((*busy)->write(1, as_bytes(plain({{i, std::string(20'000, 'b')}})), kThen));
  EXPECT_GT(open_blocks.used(), 1u << 20);
  ASSERT_TRUE((*idle)->trim());
  EXPECT_LE(open_blocks.used(), 1u << 20);
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz").size(), 1u);
}

TEST(PackedSession, TheFirstClockPairIsNotMadeOfWhatWasHeldBackEither) {
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{0, "ab"}})), at_ms(1400, false)));
  ASSERT_TRUE((*session)->flush());
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1500, "ab"}})), at_ms(1510)));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain({{0, "ab"}})), at_ms(1400, false)));
  for (const std::uint32_t handle : {1, 2}) ASSERT_TRUE((*session)->close_stream(handle, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(pairs_of(dir / "recording.0.sdsz", 0), (std::vector<Pair>{pair_at(1500, 1510)}));
  EXPECT_TRUE(pairs_of(dir / "recording.0.sdsz", 1).empty());
}

}  // namespace
}  // namespace sds
