// What is left of damaged recordings: every block that can be read, in order, once, and the truth about the rest.
#include "recover.hpp"
#include "sds/format/limits.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "check.hpp"
#include "pack.hpp"
#include "sds/format/limits.hpp"
#include "support/recordings.hpp"
#include "support/sanitized.hpp"
#include "support/sections.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

// Block i of stream s says so itself; its tick is 10 i + s, beginning behind a wrap-around.
constexpr std::uint64_t kFirst = std::uint64_t{1} << 32;
constexpr std::size_t kStreams = 2;
constexpr std::uint64_t kBlocks = 300;

std::string content(std::size_t stream, std::uint64_t block) {
  return std::to_string(stream) + ":" + std::to_string(block) + std::string(20 + block % 7, 'x');
}

class RecoverTest : public ::testing::Test {
 protected:
  void record(Durability durability, bool close) {
    SdszWriterOptions options;
    options.section_bytes = 1024;
    options.durability = durability;
    options.if_exists = IfExists::overwrite;
    auto writer = SdszWriter::create(path_, {}, options);
    ASSERT_TRUE(writer) << writer.error().to_string();
    for (std::size_t s = 0; s < kStreams; ++s)
      ASSERT_TRUE(writer->add_stream({"S" + std::to_string(s), "0", false, "", "", ""}));
    for (std::uint64_t i = 0; i < kBlocks; ++i)
      for (std::uint32_t s = 0; s < kStreams; ++s) {
        if (i == 120) ASSERT_TRUE(writer->add_gap(s, "a recorded gap"));
        ASSERT_TRUE(writer->append_at(s, kFirst + 10 * i + s, as_bytes(content(s, i))));
        if (i % 100 == 0) ASSERT_TRUE(writer->add_clock(s, {kFirst + 10 * i + s, 1000 * i, 2000 * i + 1}));
      }
    if (close) {
      ASSERT_TRUE(writer->append_tail(1, as_bytes("torn")));
      ASSERT_TRUE(writer->close());
    } else {
      ASSERT_TRUE(writer->flush());
    }
  }

  Expected<RecoverReport> run() { return recover(path_, out_, true, {}); }

  // Reads the result: each block is what was recorded, in order, once. Returns how many each stream has.
  std::map<std::string, std::uint64_t> read_result() {
    std::map<std::string, std::uint64_t> counts;
    auto recording = Recording::open(out_);
    EXPECT_TRUE(recording) << recording.error().to_string();
    if (!recording) return counts;
    EXPECT_TRUE(recording->sdsz()->complete());
    for (std::size_t i = 0; i < recording->streams().size(); ++i) {
      const std::string name = recording->streams()[i].description.name;
      const auto s = static_cast<std::size_t>(name.at(1) - '0');
      auto cursor = recording->cursor(i);
      std::uint64_t next = 0;
      for (;;) {
        auto block = (*cursor)->next();
        EXPECT_TRUE(block);
        if (!block || !*block) break;
        const std::uint64_t number = ((*block)->tick - kFirst - s) / 10;
        EXPECT_GE(number, next) << name;
        // What is missing before it is recorded.
        EXPECT_EQ((*block)->after_loss, number != next || number == 120) << name << " block " << number;
        next = number + 1;
        EXPECT_EQ(as_text((*block)->data), content(s, number));
        ++counts[name];
      }
    }
    for (const auto& damage : recording->damages()) EXPECT_TRUE(damage.harmless) << damage.reason;  // a torn end
    return counts;
  }

  static std::uint64_t blocks_of(const std::vector<Damage>& damages) {
    std::uint64_t blocks = 0;
    for (const auto& damage : damages) blocks += damage.blocks.value_or(0);
    return blocks;
  }
  std::uint64_t blocks_in_result() {
    std::uint64_t blocks = 0;
    for (const auto& [name, count] : read_result()) blocks += count;
    return blocks;
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "in.sdsz";
  std::filesystem::path out_ = dir_ / "out.sdsz";
};

TEST_F(RecoverTest, AStreamThatNobodyCanDecodeIsMissedInTheResult) {
  record(Durability::none, true);
  std::string file = test::read_file(path_);
  const auto sections = test::sections_of(file);
  ASSERT_EQ(sections.back().end(), file.size());
  for (const auto& section : sections)
    if (section.header.kind == SectionKind::stream && section.header.stream == 1)
      file[section.payload_offset() + 1] ^= 1;
  test::write_file(path_, file);
  const auto report = run();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->missing.empty());
  const auto result = Recording::open(out_);
  ASSERT_EQ(result->streams().size(), 2u);
  const auto gaps = result->sdsz()->streams()[1].gaps;
  ASSERT_FALSE(gaps.empty());
  EXPECT_EQ(gaps[0].reason, "the description of stream 1 is lost; its 300 blocks cannot be decoded");
  EXPECT_FALSE(check(*result, {}, {})->sound());
}

// As a faulty writer or memory makes them: the sums are right, and what they are of says nothing.
TEST_F(RecoverTest, ASectionThatIsSoundAndCannotBeDecodedCostsOnlyItsBlocks) {
  for (const bool in_header : {true, false}) {
    record(Durability::none, true);
    std::string file = test::read_file(path_);
    const auto data = test::sections_of(file, SectionKind::data);
    auto section = data.at(data.size() / 2);
    if (in_header) {
      section.header.raw_bytes += 1;
    } else {
      const auto at = static_cast<std::size_t>(section.payload_offset());
      file.replace(at, 4, std::string(4, '\x7f'));  // columns
      section.header.payload_checksum = checksum(as_bytes(file).subspan(at, section.header.stored_bytes));
    }
    const auto header = section.header.encode();
    file.replace(static_cast<std::size_t>(section.offset), header.size(), as_text(header));
    file.resize(static_cast<std::size_t>(test::sections_of(file, SectionKind::index).front().offset));
    test::write_file(path_, file);
    const auto report = run();
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(blocks_of(report->missing), section.header.block_count);
    EXPECT_EQ(blocks_in_result(), kStreams * kBlocks - section.header.block_count);
  }
}

TEST_F(RecoverTest, ADamagedTornEndIsAGapInEveryCopy) {
  record(Durability::none, true);
  std::string file = test::read_file(path_);
  const auto torn = file.find("torn", 0);
  ASSERT_NE(torn, std::string::npos);
  file[torn] = 'T';
  test::write_file(path_, file);
  ASSERT_TRUE(run());
  const auto packed = dir_ / "packed.sdsz";
  auto input = Recording::open(path_);
  const auto report = pack(*input, packed, {}, {});
  ASSERT_TRUE(report);
  for (const auto& note : report->notes) EXPECT_EQ(note.find("torn end kept"), std::string::npos) << note;
  for (const auto& copy : {out_, packed}) {
    const auto gaps = Recording::open(copy)->sdsz()->streams()[1].gaps;
    ASSERT_EQ(gaps.size(), 2u) << copy;
    EXPECT_EQ(gaps[1].before_block, kBlocks);
    EXPECT_EQ(gaps[1].reason.find("the stream's torn end is lost"), 0u) << gaps[1].reason;
  }
}

TEST_F(RecoverTest, AWholeRecordingComesThroughWhole) {
  record(Durability::none, true);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->missing.empty());
  EXPECT_EQ(report->blocks, kStreams * kBlocks);
  EXPECT_EQ(report->blocks_rebuilt, 0u);
  EXPECT_GT(report->sections_copied, 10u);
  EXPECT_EQ(read_result(), (std::map<std::string, std::uint64_t>{{"S0", kBlocks}, {"S1", kBlocks}}));
  const auto input = Recording::open(path_);
  const auto output = Recording::open(out_);
  for (std::size_t s = 0; s < kStreams; ++s) {
    EXPECT_EQ(output->sdsz()->streams()[s].clocks, input->sdsz()->streams()[s].clocks);
    ASSERT_EQ(output->sdsz()->streams()[s].gaps.size(), 1u);
    EXPECT_EQ(output->sdsz()->streams()[s].gaps[0].before_block, 120u);
    EXPECT_EQ(output->sdsz()->streams()[s].gaps[0].reason, "a recorded gap");
  }
  auto cursor = output->cursor(1);
  while (*(*cursor)->next()) {
  }
  EXPECT_EQ((*cursor)->tail()->bytes, 4u);
}

TEST_F(RecoverTest, AKillWithALogLosesNothing) {
  record(Durability::process, false);
  ASSERT_TRUE(std::filesystem::exists(wal_path(path_)));
  const auto before = test::read_file(path_);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->missing.empty());
  EXPECT_GT(report->blocks_rebuilt, 0u);
  EXPECT_GT(report->sections_copied, 10u);
  EXPECT_EQ(blocks_in_result(), kStreams * kBlocks);
  EXPECT_EQ(test::read_file(path_), before);
  EXPECT_TRUE(std::filesystem::exists(wal_path(path_)));
}

TEST_F(RecoverTest, AKillWithoutItsLogSaysThatTheEndIsMissing) {
  record(Durability::process, false);
  std::filesystem::remove(wal_path(path_));
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  ASSERT_FALSE(report->missing.empty());
  EXPECT_NE(report->missing.back().reason.find("has no end"), std::string::npos);
  const std::uint64_t blocks = blocks_in_result();
  EXPECT_EQ(blocks, report->blocks);
  EXPECT_LT(blocks, kStreams * kBlocks);
  EXPECT_GT(blocks, kStreams * kBlocks / 2);
  // The copy does not look whole.
  const auto checked = check(*Recording::open(out_), {}, {});
  EXPECT_FALSE(checked->sound());
}

TEST_F(RecoverTest, CutOffAnywhereThePrefixIsThere) {
  record(Durability::none, true);
  const std::string whole = test::read_file(path_);
  std::uint64_t last = 0;
  test::Random random(5);
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 60; ++i) sizes.push_back(random.below(whole.size()));
  std::sort(sizes.begin(), sizes.end());
  for (const std::size_t size : sizes) {
    test::write_file(path_, whole.substr(0, size));
    const auto report = run();
    if (!report) {  // not even a session section
      EXPECT_EQ(report.error().code, ErrorCode::bad_input) << size;
      EXPECT_LT(size, 200u);
      continue;
    }
    const std::uint64_t blocks = blocks_in_result();
    // Behind the second descriptions nothing is missing, and they say so.
    EXPECT_TRUE(blocks == kStreams * kBlocks || !report->missing.empty()) << size;
    EXPECT_EQ(blocks, report->blocks) << size;
    EXPECT_GE(blocks, last) << size;
    last = blocks;
  }
  EXPECT_GT(last, kStreams * kBlocks / 2);
}

TEST_F(RecoverTest, DamagedHeadersCostNothingWhileTheIndexIsSound) {
  record(Durability::none, true);
  std::string bytes = test::read_file(path_);
  const auto recording = Recording::open(path_);
  for (const auto& stream : recording->sdsz()->streams())
    for (std::size_t i = 1; i < stream.data.size(); i += 3) bytes[stream.data[i].offset + 20] ^= 1;
  test::write_file(path_, bytes);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->missing.empty());
  EXPECT_EQ(blocks_in_result(), kStreams * kBlocks);
}

TEST_F(RecoverTest, DamagedHeadersWithoutIndexLoseTheirBlocksOnly) {
  record(Durability::none, true);
  std::string bytes = test::read_file(path_);
  const auto recording = Recording::open(path_);
  std::uint64_t lost = 0;
  for (const auto& stream : recording->sdsz()->streams())
    for (std::size_t i = 1; i < stream.data.size(); i += 3) {
      bytes[stream.data[i].offset + 20] ^= 1;
      lost += stream.data[i].header.block_count;
    }
  bytes[bytes.size() - 3] ^= 1;  // of the footer
  test::write_file(path_, bytes);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(blocks_of(report->missing), lost);
  EXPECT_EQ(report->blocks + lost, kStreams * kBlocks);
  EXPECT_EQ(blocks_in_result(), report->blocks);
}

TEST_F(RecoverTest, DamagedPayloadsAreNamed) {
  record(Durability::none, true);
  std::string bytes = test::read_file(path_);
  const auto recording = Recording::open(path_);
  const IndexEntry lost = recording->sdsz()->streams()[1].data[2];
  bytes[lost.payload_offset() + 9] ^= 16;
  test::write_file(path_, bytes);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  ASSERT_EQ(report->missing.size(), 1u);
  const Damage& damage = report->missing[0];
  EXPECT_EQ(damage.stream, 1u);
  EXPECT_EQ(damage.blocks, lost.header.block_count);
  EXPECT_EQ(damage.first_tick, lost.header.first_tick);
  EXPECT_EQ(damage.last_tick, lost.header.last_tick);
  EXPECT_EQ(damage.offset, lost.offset);
  EXPECT_EQ(damage.bytes, lost.header.section_bytes());
  EXPECT_EQ(report->stream_list.at(1).id, "S1");
  EXPECT_EQ(read_result(),
            (std::map<std::string, std::uint64_t>{{"S0", kBlocks}, {"S1", kBlocks - lost.header.block_count}}));
}

TEST_F(RecoverTest, ALogFillsWhatADamagedSectionLost) {
  // The log still holds the blocks of sections that were sealed since it was begun.
  record(Durability::process, false);
  const auto recording = Recording::open(path_);
  const auto& stream = recording->sdsz()->streams()[0];
  ASSERT_FALSE(stream.log.empty());
  std::string bytes = test::read_file(path_);
  for (const auto& entry : stream.data) bytes[entry.payload_offset() + 9] ^= 16;
  test::write_file(path_, bytes);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->blocks + blocks_of(report->missing), kStreams * kBlocks);
  EXPECT_EQ(blocks_in_result(), report->blocks);
}

TEST_F(RecoverTest, NothingIsMissingWhereTheLogHasADamagedSectionWhateverIsWrongWithIt) {
  constexpr std::uint64_t blocks = 60;
  for (const bool checks : {false, true}) {
    SdszWriterOptions options;
    options.durability = Durability::process;
    options.if_exists = IfExists::overwrite;
    {
      auto writer = SdszWriter::create(path_, {}, options);
      const auto id = *writer->add_stream({"S0", "0", false, "", "", ""});
      for (std::uint64_t i = 0; i < blocks; ++i) {
        ASSERT_TRUE(writer->append_at(id, kFirst + 10 * i, as_bytes(content(0, i))));
        ASSERT_TRUE(writer->flush());
        if (i == blocks / 2) ASSERT_TRUE(writer->seal(id));
      }
    }
    std::string file = test::read_file(path_);
    auto section = test::sections_of(file, SectionKind::data).front();
    const auto at = static_cast<std::size_t>(section.payload_offset());
    file.replace(at, 4, std::string(4, '\x7f'));  // columns
    if (checks) section.header.payload_checksum = checksum(as_bytes(file).subspan(at, section.header.stored_bytes));
    const auto header = section.header.encode();
    file.replace(static_cast<std::size_t>(section.offset), header.size(), as_text(header));
    test::write_file(path_, file);
    const auto report = run();
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_EQ(report->blocks, blocks);
    EXPECT_EQ(report->ignored.size(), 1u) << checks;
    EXPECT_EQ(report->missing.size(), 0u) << checks;
  }
}

TEST_F(RecoverTest, WithoutItsFirstSectionARecordingIsStillOne) {
  record(Durability::none, true);
  std::string bytes = test::read_file(path_);
  for (std::size_t i = 0; i < 40; ++i) bytes[i] = '\0';
  bytes[bytes.size() - 3] ^= 1;
  test::write_file(path_, bytes);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->missing.empty());
  EXPECT_EQ(blocks_in_result(), kStreams * kBlocks);
}

TEST_F(RecoverTest, SectionsOfOthersAndSecondCopiesAreLeftOut) {
  record(Durability::none, true);
  const std::string whole = test::read_file(path_);
  const auto recording = Recording::open(path_);
  const IndexEntry twice = recording->sdsz()->streams()[0].data[1];
  const std::string copy = whole.substr(twice.offset, twice.header.section_bytes());
  Properties other_session;
  other_session.set("tool", "another");
  auto other = SdszWriter::create(dir_ / "other.sdsz", other_session, {});
  const auto id = other->add_stream({"S0", "0", false, "", "", ""});
  for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(other->append_at(*id, i, as_bytes("foreign")));
  ASSERT_TRUE(other->close());
  const auto foreign = Recording::open(dir_ / "other.sdsz");
  const IndexEntry strange = foreign->sdsz()->streams()[0].data[0];
  const std::string stranger =
      test::read_file(dir_ / "other.sdsz").substr(strange.offset, strange.header.section_bytes());
  const std::size_t middle = recording->sdsz()->streams()[1].data[3].offset;
  test::write_file(path_, whole.substr(0, middle) + copy + stranger + whole.substr(middle));
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->missing.empty()) << report->missing.front().reason;
  EXPECT_EQ(report->ignored.size(), 3u);  // the two, and that they are out of order
  EXPECT_EQ(blocks_in_result(), kStreams * kBlocks);
}

// A recording that has as many sections as there may be, and was never closed.
TEST_F(RecoverTest, ARecordingOfAsManySectionsAsThereMayBeIsHadWhole) {
  if (test::under_sanitizer) GTEST_SKIP() << "a million sections are for where they are fast";
  std::uint64_t pieces = 0;
  {
    SdszWriterOptions options;
    options.durability = Durability::process;
    auto writer = SdszWriter::create(path_, {}, options);
    for (const char* name : {"A", "B"}) ASSERT_TRUE(writer->add_stream({name, "0", false, "", "", ""}));
    for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(writer->append_at(1, i, as_bytes("block")));
    while (writer->append_tail(0, as_bytes("t")) && writer->flush()) ++pieces;
  }
  ASSERT_GT(pieces, limits::max_sections - 1000);
  const auto report = run();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->blocks, 10u);
  const auto result = Recording::open(out_);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->sdsz()->complete());
  std::uint64_t kept = 0;
  for (const auto& entry : result->sdsz()->streams()[0].tail) kept += entry.header.raw_bytes;
  EXPECT_GE(kept, pieces);
}

TEST_F(RecoverTest, RefusesToReplaceAndLeavesNothingWhereNothingIs) {
  record(Durability::none, true);
  test::write_file(out_, "precious");
  EXPECT_FALSE(recover(path_, out_, false, {}));
  EXPECT_EQ(test::read_file(out_), "precious");
  test::write_file(dir_ / "noise.sdsz", std::string(5000, 'n'));
  EXPECT_FALSE(recover(dir_ / "noise.sdsz", dir_ / "x.sdsz", false, {}));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "x.sdsz"));
  EXPECT_EQ(recovered_path("a/walk.sdsz"), std::filesystem::path("a/walk.recovered.sdsz"));
}

}  // namespace
}  // namespace sds
