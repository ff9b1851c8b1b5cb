// Sections and the write-ahead log of one recording, joined by the ordinals of their blocks: whatever is damaged, every
// block that stands anywhere comes once and in order, and what stands nowhere is named.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "sds/format/sdsz_reader.hpp"
#include "sds/format/wal.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::TestBlock;

class Join : public ::testing::Test {
 protected:
  // A recording whose writer was killed: 300 blocks of A in sections of ten but for the last 50, all of them in the
  // log as well, for it is too small to have been replaced; 12 of B in the log only.
  void SetUp() override {
    blocks_ = test::wave_blocks(300, 10, 2);
    SdszWriterOptions options;
    options.durability = Durability::process;
    Properties session;
    session.set("id", "join");
    auto writer = SdszWriter::create(path_, session, options);
    ASSERT_TRUE(writer) << writer.error().to_string();
    const auto a = *writer->add_stream({"A", "0", false, "", "A.sds.yml", test::int16_metadata(2)});
    const auto b = *writer->add_stream({"B", "0", false, "", "", ""});
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      ASSERT_TRUE(writer->append(a, blocks_[i].timeslot, as_bytes(blocks_[i].data)));
      if (i % 25 == 0) ASSERT_TRUE(writer->append(b, blocks_[i].timeslot, as_bytes("slow")));
      if (i % 5 == 4) ASSERT_TRUE(writer->flush());
      if (i % 10 == 9 && i < 250) ASSERT_TRUE(writer->seal(a));
    }
    file_ = test::read_file(path_);
    log_ = test::read_file(wal_path(path_));
    auto reader = SdszReader::open(path_, {});
    ASSERT_TRUE(reader);
    for (const auto& entry : (*reader)->streams()[0].data) sections_.push_back(entry);
    ASSERT_GT(sections_.size(), 20u);
  }

  void write(const std::string& file, const std::string& log) {
    test::write_file(path_, file);
    test::write_file(wal_path(path_), log);
  }

  struct Read {
    std::vector<TestBlock> blocks;
    std::vector<std::uint64_t> ordinals;
    std::vector<std::uint64_t> after_loss;  // ordinals of blocks that say so
    std::vector<Damage> damages;            // of the recording
  };
  Read read(std::size_t stream = 0) {
    Read result;
    auto recording = Recording::open(path_);
    EXPECT_TRUE(recording) << recording.error().to_string();
    if (!recording) return result;
    auto cursor = recording->cursor(stream);
    for (;;) {
      auto block = (*cursor)->next();
      EXPECT_TRUE(block) << block.error().to_string();
      if (!block || !*block) break;
      result.blocks.push_back({(*block)->timeslot, std::string(as_text((*block)->data))});
      result.ordinals.push_back((*block)->ordinal);
      if ((*block)->after_loss) result.after_loss.push_back((*block)->ordinal);
    }
    result.damages = recording->damages();
    return result;
  }

  [[nodiscard]] std::vector<TestBlock> without(std::uint64_t from, std::uint64_t count) const {
    auto left = blocks_;
    const auto begin = left.begin() + static_cast<std::ptrdiff_t>(from);
    left.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
    return left;
  }

  static std::uint64_t lost_blocks(const std::vector<Damage>& damages) {
    std::uint64_t lost = 0;
    for (const auto& damage : damages) lost += damage.blocks.value_or(0);
    return lost;
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
  std::vector<TestBlock> blocks_;
  std::string file_;
  std::string log_;
  std::vector<IndexEntry> sections_;
};

TEST_F(Join, ADamagedHeaderIsMadeUpForByTheLog) {
  for (const std::size_t n : {std::size_t{0}, std::size_t{7}, sections_.size() - 1}) {
    std::string broken = file_;
    broken[sections_[n].offset + 33] ^= 1;
    write(broken, log_);
    const auto got = read();
    EXPECT_EQ(got.blocks, blocks_) << n;
    EXPECT_EQ(lost_blocks(got.damages), 0u) << n;
    EXPECT_TRUE(got.after_loss.empty()) << n;
  }
}

TEST_F(Join, ADamagedPayloadIsMadeUpForByTheLogAndNamed) {
  std::string broken = file_;
  broken[sections_[5].payload_offset() + 60] ^= 1;
  write(broken, log_);
  const auto got = read();
  EXPECT_EQ(got.blocks, blocks_);
  ASSERT_EQ(got.damages.size(), 1u);
  EXPECT_EQ(got.damages[0].offset, sections_[5].offset);
  EXPECT_EQ(got.damages[0].blocks, 0u);
  EXPECT_TRUE(got.after_loss.empty());
}

TEST_F(Join, ADamagedSessionSectionDoesNotMakeTheLogUseless) {
  for (const std::size_t at : {std::size_t{30}, std::size_t{SectionHeader::bytes + 3}}) {
    std::string broken = file_;
    broken[at] ^= 0x10;
    write(broken, log_);
    EXPECT_EQ(read(0).blocks, blocks_) << at;
    EXPECT_EQ(read(1).blocks.size(), 12u) << at;
    EXPECT_FALSE(read(0).damages.empty()) << at;
  }
}

TEST_F(Join, WithoutALogADamagedHeaderCostsItsBlocksAndTheNextBlockSaysSo) {
  const auto& lost = sections_[9];
  std::string broken = file_;
  broken[lost.offset + 33] ^= 1;
  test::write_file(path_, broken);
  std::filesystem::remove(wal_path(path_));
  const auto got = read();
  const std::uint64_t sealed = sections_.back().header.end_block();
  auto expected = without(lost.header.first_block, lost.header.block_count);
  expected.resize(sealed - lost.header.block_count);
  EXPECT_EQ(got.blocks, expected);
  EXPECT_EQ(lost_blocks(got.damages), lost.header.block_count);
  EXPECT_EQ(got.after_loss, std::vector<std::uint64_t>{lost.header.end_block()});
  EXPECT_EQ(got.ordinals[lost.header.first_block], lost.header.end_block());
}

TEST_F(Join, AFrameOfTheLogThatIsDamagedCostsOnlyWhatNoSectionHas) {
  for (std::size_t at = 40; at < log_.size(); at += 61) {
    std::string broken = log_;
    broken[at] ^= 0x20;
    write(file_, broken);
    const auto got = read();
    // What is left is the original without one run of blocks behind the sealed ones, which is named unless it was the
    // end: a frame that is being written looks the same.
    const std::uint64_t lost = blocks_.size() - got.blocks.size();
    ASSERT_LE(lost, 5u) << at;
    if (lost > 0) {
      std::uint64_t from = 0;
      while (from < got.blocks.size() && got.blocks[from] == blocks_[from]) ++from;
      EXPECT_EQ(got.blocks, without(from, lost)) << at;
      EXPECT_GE(from, sections_.back().header.end_block()) << at;
      if (from < got.blocks.size()) EXPECT_EQ(lost_blocks(got.damages), lost) << at;
    }
  }
}

TEST_F(Join, TwoLogsOfOneRecordingAreJoinedAlike) {
  // As a power cut may leave them: the new one under its temporary name, and each without what the other has.
  const std::size_t half = log_.size() / 2;
  std::filesystem::remove(wal_path(path_));
  test::write_file(wal_path(path_), log_.substr(0, half));
  test::write_file(new_wal_path(path_), log_);
  const auto got = read();
  EXPECT_EQ(got.blocks, blocks_);
  EXPECT_TRUE(got.damages.empty());
}

TEST_F(Join, ALogOfAnotherRecordingIsIgnored) {
  std::string foreign = log_;
  foreign[9] = static_cast<char>(foreign[9] ^ 1);
  write(file_, foreign);
  const auto got = read();
  EXPECT_EQ(got.blocks.size(), sections_.back().header.end_block());
  EXPECT_EQ(got.damages.size(), 1u);  // that it has no end
}

TEST_F(Join, SectionsThatAreSwappedDuplicatedRemovedOrForeignNeverFalsifyABlock) {
  const auto section = [&](std::size_t n) {
    return file_.substr(sections_[n].offset, sections_[n].header.section_bytes());
  };
  const auto rebuilt = [&](const std::vector<std::string>& middle, std::size_t first, std::size_t count) {
    std::string all = file_.substr(0, sections_[first].offset);
    for (const auto& part : middle) all += part;
    return all + file_.substr(sections_[first + count - 1].end());
  };
  std::filesystem::remove(wal_path(path_));
  auto sealed = blocks_;
  sealed.resize(sections_.back().header.end_block());

  test::write_file(path_, rebuilt({section(5), section(4)}, 4, 2));
  auto got = read();
  EXPECT_EQ(got.blocks, sealed);
  EXPECT_EQ(got.damages.size(), 2u);  // the order; and that it has no end

  test::write_file(path_, rebuilt({section(4), section(4)}, 4, 1));
  got = read();
  EXPECT_EQ(got.blocks, sealed);
  EXPECT_EQ(got.damages.size(), 2u);

  // A damaged copy does not keep a sound one out, wherever that stands.
  std::string damaged = section(4);
  damaged[SectionHeader::bytes + 40] ^= 1;
  test::write_file(path_, rebuilt({damaged, section(4)}, 4, 1));
  EXPECT_EQ(read().blocks, sealed);
  test::write_file(path_, rebuilt({section(4), damaged}, 4, 1));
  EXPECT_EQ(read().blocks, sealed);

  const auto& gone = sections_[4].header;
  test::write_file(path_, rebuilt({}, 4, 1));
  got = read();
  auto left = without(gone.first_block, gone.block_count);
  left.resize(sealed.size() - gone.block_count);
  EXPECT_EQ(got.blocks, left);
  EXPECT_EQ(lost_blocks(got.damages), gone.block_count);

  // The same section of a recording with other values, its checksums valid.
  const auto other = dir_ / "other.sdsz";
  {
    SdszWriterOptions options;
    options.section_bytes = 480;
    Properties session;
    session.set("id", "other");
    auto writer = SdszWriter::create(other, session, options);
    const auto a = *writer->add_stream({"A", "0", false, "", "A.sds.yml", test::int16_metadata(2)});
    for (const auto& block : test::wave_blocks(300, 10, 2, 77))
      ASSERT_TRUE(writer->append(a, block.timeslot, as_bytes(block.data)));
    ASSERT_TRUE(writer->close());
  }
  auto reader = SdszReader::open(other, {});
  const auto& theirs = (*reader)->streams()[0].data.at(4);
  const std::string foreign = test::read_file(other).substr(theirs.offset, theirs.header.section_bytes());
  test::write_file(path_, rebuilt({foreign}, 4, 1));
  got = read();
  EXPECT_EQ(got.blocks, left);
  EXPECT_EQ(lost_blocks(got.damages), gone.block_count);
}

TEST_F(Join, BytesTakenOutOfAPayloadOrPutInCostOneSection) {
  std::filesystem::remove(wal_path(path_));
  const auto& lost = sections_[6].header;
  auto left = without(lost.first_block, lost.block_count);
  left.resize(sections_.back().header.end_block() - lost.block_count);
  for (const int change : {-50, -1, 1, 70}) {
    std::string broken = file_;
    const std::size_t at = sections_[6].payload_offset() + 20;
    if (change < 0) {
      broken.erase(at, static_cast<std::size_t>(-change));
    } else {
      broken.insert(at, static_cast<std::size_t>(change), 'x');
    }
    test::write_file(path_, broken);
    EXPECT_EQ(read().blocks, left) << change;
    EXPECT_EQ(lost_blocks(read().damages), lost.block_count) << change;
  }
}

TEST_F(Join, ARecordingThatWasClosedKnowsOfALossAtItsVeryEnd) {
  const auto path = dir_ / "closed.sdsz";
  SdszWriterOptions options;
  options.section_bytes = 480;
  test::write_packed(path, blocks_, test::int16_metadata(2), options);
  auto reader = SdszReader::open(path, {});
  const IndexEntry last = (*reader)->streams()[0].data.back();
  std::string broken = test::read_file(path);
  broken[last.offset + 20] ^= 1;
  broken[broken.size() - 10] ^= 1;  // the footer, so that the index does not help
  test::write_file(path, broken);
  auto recording = Recording::open(path);
  ASSERT_TRUE(recording);
  EXPECT_EQ(lost_blocks(recording->damages()), last.header.block_count);
}

TEST_F(Join, VersionOneRecordingsLeftByAKillStayReadable) {
  const std::filesystem::path golden = SDSKIT_SOURCE_DIR "/tests/sds_format/golden";
  auto recording = Recording::open(golden / "v1-killed.sdsz");
  ASSERT_TRUE(recording) << recording.error().to_string();
  ASSERT_EQ(recording->streams().size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    auto cursor = recording->cursor(i);
    const auto got = test::read_blocks(**cursor);
    auto plain = Recording::open(golden / ("v1-killed." + recording->streams()[i].file_name()));
    ASSERT_TRUE(plain) << plain.error().to_string();
    auto expected = plain->cursor(0);
    EXPECT_EQ(got, test::read_blocks(**expected)) << i;
  }
  EXPECT_TRUE(recording->damages().empty());
  const auto& a = recording->sdsz()->streams()[0];
  ASSERT_EQ(a.gaps.size(), 1u);
  EXPECT_EQ(a.gaps[0].before_block, 201u);
  EXPECT_EQ(a.gaps[0].after_tick, 0xFFFFFF00ull + 2000);
  ASSERT_EQ(a.clocks.size(), 1u);
  EXPECT_EQ(a.clocks[0].utc_ns, 1750000000000000000u);
}

TEST_F(Join, ALastSectionWhoseHeaderIsDamagedIsNamedAlsoBesideALog) {
  const auto path = dir_ / "killed.sdsz";
  {
    SdszWriterOptions options;
    options.durability = Durability::process;
    auto writer = SdszWriter::create(path, {}, options);
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(writer->append(a, i, as_bytes("block")));
    ASSERT_TRUE(writer->seal(a));  // before any flush: these blocks never stand in the log
    ASSERT_TRUE(writer->flush());
  }
  auto reader = SdszReader::open(path, {});
  const IndexEntry last = (*reader)->streams()[0].data.back();
  std::string broken = test::read_file(path);
  broken[last.offset + 33] ^= 1;
  test::write_file(path, broken);
  auto recording = Recording::open(path);
  ASSERT_TRUE(recording);
  ASSERT_EQ(recording->damages().size(), 1u);
  EXPECT_EQ(recording->damages()[0].offset, last.offset);
  // What the disk never got is no damage: there the file ends in zeros.
  std::string torn = broken.substr(0, last.offset) + std::string(200, '\0');
  test::write_file(path, torn);
  EXPECT_TRUE(Recording::open(path)->damages().empty());
}

TEST_F(Join, BlocksThatLookLikeSectionsAreNotTakenForSections) {
  // A device sends, as the content of its blocks, a data section of format 1 with blocks of its own.
  const std::filesystem::path golden = SDSKIT_SOURCE_DIR "/tests/sds_format/golden";
  const std::string other = test::read_file(golden / "v1.sdsz");
  auto other_reader = SdszReader::open(golden / "v1.sdsz", {});
  const IndexEntry& forged = (*other_reader)->streams()[2].data.at(0);
  const auto path = dir_ / "device.sdsz";
  std::vector<TestBlock> sent;
  test::Random random(4);
  for (std::uint32_t i = 0; i < 10; ++i) {
    std::string noise(2000, '\0');
    for (auto& c : noise) c = static_cast<char>(random.next());
    sent.push_back({i, noise + other.substr(forged.offset, forged.header.section_bytes()) + noise});
  }
  {
    SdszWriterOptions options;
    options.durability = Durability::process;
    options.level = Level::store;
    auto writer = SdszWriter::create(path, {}, options);
    for (int s = 0; s < 3; ++s) ASSERT_TRUE(writer->add_stream({"S" + std::to_string(s), "0", false, "", "", ""}));
    for (const auto& block : sent) ASSERT_TRUE(writer->append(2, block.timeslot, as_bytes(block.data)));
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->seal(2));
  }
  auto reader = SdszReader::open(path, {});
  const IndexEntry section = (*reader)->streams()[2].data.at(0);
  std::string broken = test::read_file(path);
  broken[section.offset + 20] ^= 1;
  test::write_file(path, broken);
  EXPECT_EQ(test::read_blocks(path, 2), sent);  // from the log
  test::write_file(path, broken.substr(0, section.offset + 15'000));
  EXPECT_EQ(test::read_blocks(path, 2), sent);
}

TEST_F(Join, ARecordingThatGrowsWhileItIsOpenedHasNoHoles) {
  // The state of file and log moves on when the reader has looked at one of them: what it sees of the other is newer.
  std::vector<std::pair<std::string, std::string>> states;
  const auto path = dir_ / "growing.sdsz";
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(path, {}, options);
  const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < 10; ++i) {
      ASSERT_TRUE(writer->append(a, 10 * round + i, as_bytes("block")));
      if (i == 7) ASSERT_TRUE(writer->seal(a));  // eight blocks that never stand in the log
    }
    ASSERT_TRUE(writer->flush());
    states.emplace_back(test::read_file(path), test::read_file(wal_path(path)));
  }
  struct Growing final : ByteSource {
    Growing(std::vector<std::string> states, std::shared_ptr<std::size_t> now)
        : states_(std::move(states)), now_(now) {}
    const std::filesystem::path& path() const override { return path_; }
    Expected<std::uint64_t> size() const override {
      const std::string& state = states_[std::min(*now_, states_.size() - 1)];
      ++*now_;
      return state.size();
    }
    Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
      const std::string& last = states_.back();
      if (offset >= last.size()) return 0;
      const std::size_t count = std::min<std::size_t>(out.size(), last.size() - offset);
      std::memcpy(out.data(), last.data() + offset, count);
      return count;
    }
    std::vector<std::string> states_;
    std::shared_ptr<std::size_t> now_;
    std::filesystem::path path_ = "growing";
  };
  auto now = std::make_shared<std::size_t>(0);
  std::vector<std::string> files;
  std::vector<std::string> logs;
  for (const auto& [file, log] : states) {
    files.push_back(file);
    logs.push_back(log);
  }
  auto reader = SdszReader::open(std::make_shared<Growing>(files, now), {std::make_shared<Growing>(logs, now)}, {});
  ASSERT_TRUE(reader);
  EXPECT_TRUE((*reader)->damages().empty());
  EXPECT_GE((*reader)->streams()[0].block_count, 10u);
}

TEST_F(Join, AClosedRecordingHasNoBlocksButThoseOfItsSections) {
  // A log of a session with the same facts, left behind under the same name.
  const auto path = dir_ / "closed.sdsz";
  Properties session;
  session.set("id", "join");
  SdszWriterOptions options;
  options.if_exists = IfExists::overwrite;
  auto writer = SdszWriter::create(path, session, options);
  ASSERT_TRUE(writer->add_stream({"A", "0", false, "", "A.sds.yml", test::int16_metadata(2)}));
  ASSERT_TRUE(writer->append(0, blocks_[0].timeslot, as_bytes(blocks_[0].data)));
  ASSERT_TRUE(writer->close());
  test::write_file(wal_path(path), log_);
  EXPECT_EQ(test::read_blocks(path), std::vector<TestBlock>{blocks_[0]});
  options.if_exists = IfExists::fail;
  std::filesystem::remove(path);
  auto refused = SdszWriter::create(path, session, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exists);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(test::read_file(wal_path(path)), log_);
}

TEST_F(Join, TheLogKeepsItsTimeWhereAllSectionsAreLeftOut) {
  const std::filesystem::path golden = SDSKIT_SOURCE_DIR "/tests/sds_format/golden";
  for (const char* name : {"v1-killed.sdsz", "v2-killed.sdsz"}) {
    auto recording = Recording::open(golden / name);
    ASSERT_TRUE(recording);
    auto cursor = recording->cursor(0, nullptr, [](const IndexEntry&) { return false; });
    std::size_t count = 0;
    for (;; ++count) {
      const auto block = *(*cursor)->next();
      if (!block) break;
      EXPECT_EQ(block->tick, 0xFFFFFF00ull + 10 * block->ordinal) << name;
    }
    EXPECT_GT(count, 0u) << name;
    EXPECT_LT(count, 500u) << name;
  }
}

TEST(Gaps, StandWhereTheyWereNotedAndTheNextBlockSaysSo) {
  const test::TempDir dir;
  for (const bool walk : {false, true}) {
    SdszWriterOptions options;
    options.section_bytes = 100;
    options.if_exists = IfExists::overwrite;
    auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    ASSERT_TRUE(writer->add_gap(a, "began late"));
    for (std::uint32_t i = 0; i < 50; ++i) {
      if (i == 20) ASSERT_TRUE(writer->add_gap(a, std::string(3000, 'x')));
      if (i == 30) ASSERT_TRUE(writer->add_clock(a, {290, 5'000'000'000, 7}));
      ASSERT_TRUE(writer->append(a, 10 * i, as_bytes("abc")));
    }
    ASSERT_TRUE(writer->add_gap(a, "ended early"));
    ASSERT_TRUE(writer->close());
    auto recording = Recording::open(dir / "a.sdsz", {.metadata = {}, .walk = walk});
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->sdsz()->sections().from_index, !walk);
    const auto& stream = recording->sdsz()->streams()[0];
    ASSERT_EQ(stream.gaps.size(), 3u);
    EXPECT_EQ(stream.gaps[0].before_block, 0u);
    EXPECT_EQ(stream.gaps[1].before_block, 20u);
    EXPECT_EQ(stream.gaps[1].after_tick, 190u);
    EXPECT_EQ(stream.gaps[1].reason.size(), 1024u);
    EXPECT_EQ(stream.gaps[2].before_block, 50u);
    ASSERT_EQ(stream.clocks.size(), 1u);
    EXPECT_EQ(stream.clocks[0], (ClockPair{290, 5'000'000'000, 7}));
    auto cursor = recording->cursor(0);
    std::vector<std::uint64_t> after_loss;
    for (std::uint64_t i = 0; i < 50; ++i) {
      const auto block = *(*cursor)->next();
      EXPECT_EQ(block->ordinal, i);
      if (block->after_loss) after_loss.push_back(i);
    }
    EXPECT_EQ(after_loss, (std::vector<std::uint64_t>{0, 20}));
  }
}

TEST(Ticks, OfSixtyFourBitsComeBackWhateverTheirSteps) {
  const test::TempDir dir;
  // Steps forward and back, small, of a wrap-around, over half the range and over all of it.
  std::vector<std::uint64_t> ticks{7'000'000'000'000};
  const std::vector<std::int64_t> steps{
      1,          1, 3'000'000'000,     4'294'967'296,  -5,  0,    -2147483648,   2147483648,
      2147483647, 1, 9'000'000'000'000, -7'000'000'000, 100, -100, 4'294'967'295, 1};
  for (int round = 0; round < 40; ++round)
    for (const auto step : steps) ticks.push_back(ticks.back() + static_cast<std::uint64_t>(step));
  for (const bool kill : {false, true}) {
    std::filesystem::remove(dir / "a.sdsz");
    std::filesystem::remove(wal_path(dir / "a.sdsz"));
    {
      SdszWriterOptions options;
      options.section_bytes = 1500;
      options.durability = Durability::process;
      auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
      const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
      for (std::size_t i = 0; i < ticks.size(); ++i) {
        ASSERT_TRUE(writer->append_at(a, ticks[i], as_bytes("x")));
        if (i % 7 == 0) ASSERT_TRUE(writer->flush());
      }
      ASSERT_TRUE(writer->flush());
      if (!kill) ASSERT_TRUE(writer->close());
    }
    auto recording = Recording::open(dir / "a.sdsz");
    ASSERT_TRUE(recording);
    auto cursor = recording->cursor(0);
    for (const auto tick : ticks) {
      const auto block = *(*cursor)->next();
      ASSERT_TRUE(block);
      EXPECT_EQ(block->tick, tick);
      EXPECT_EQ(block->timeslot, static_cast<std::uint32_t>(tick));
    }
    EXPECT_FALSE((*cursor)->next()->has_value());
  }
}

}  // namespace
}  // namespace sds
