// Sections that claim blocks of others, and an index of gigabytes: only a file that somebody made has them. What is
// sound in it is read all the same, and opening it costs no more than the file is worth, nor keeps anybody waiting who
// wants to end.
#include <gtest/gtest.h>

#include <ctime>
#include <map>

#include "sds/format/limits.hpp"
#include "sds/format/sdsz_reader.hpp"
#include "support/memory_source.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

// A recording of one stream without metadata, section by section (FORMAT.md).
class ForgedFile {
 public:
  ForgedFile() {
    add({}, Properties{}.encode());
    Properties stream;
    stream.set("name", "T");
    stream.set("layout", "");
    SectionHeader header;
    header.kind = SectionKind::stream;
    header.stream = 0;
    add(header, stream.encode());
  }

  struct Data {
    std::uint64_t first_block = 0;
    std::uint32_t blocks = 1;  // as the header says
    std::uint32_t size = 1;    // of each block
    char value = 'x';          // of each byte in them
    bool decodes = true;
    bool checks = true;
  };
  // All of its columns are constant: it is 117 bytes long, whatever it holds.
  void add(const Data& data) {
    Bytes payload;
    append_le(payload, std::uint32_t{3});
    append_le(payload, std::uint32_t{0});
    for (const std::uint32_t stored : {4u, 4u, 1u}) {
      append_le(payload, std::uint32_t{1});  // constant, neither predicted nor quantised
      append_le(payload, stored);
    }
    append_le(payload, static_cast<std::uint32_t>(data.first_block));
    append_le(payload, data.decodes ? data.size : data.size + 1);
    append_le(payload, static_cast<std::uint8_t>(data.value));
    SectionHeader header;
    header.kind = SectionKind::data;
    header.stream = 0;
    header.raw_bytes = data.blocks * (8 + data.size);
    header.block_count = data.blocks;
    header.first_block = data.first_block;
    header.first_tick = header.last_tick = static_cast<std::uint32_t>(data.first_block);
    add(header, payload);
    if (!data.checks) file_.back() ^= 1;
  }

  // An index section over what stands behind the one before, with so many statistics of a column with each section.
  void add_index(std::uint32_t statistics) {
    Bytes payload;
    append_le(payload, last_index_);
    append_le(payload, static_cast<std::uint32_t>(unindexed_.size()));
    for (const IndexEntry& entry : unindexed_) {
      append_bytes(payload, entry.header.encode());
      append_le(payload, entry.offset);
      append_le(payload, statistics);
      payload.resize(payload.size() + statistics * ColumnStatistics::stored_bytes);
      append_le(payload, std::uint32_t{0});
    }
    last_index_ = file_.size();
    SectionHeader header;
    header.kind = SectionKind::index;
    add(header, payload);
    unindexed_.clear();
  }
  void close() {
    Bytes payload;
    append_le(payload, last_index_);
    append_le(payload, std::uint64_t{sequence_});
    SectionHeader header;
    header.kind = SectionKind::footer;
    add(header, payload);
  }

  [[nodiscard]] const std::string& bytes() const { return file_; }

 private:
  void add(SectionHeader header, Bytes payload) {
    header.sequence = sequence_++;
    header.recording = recording_id(Properties{}.encode());
    seal_payload(header, payload, header.kind == SectionKind::index);
    unindexed_.push_back({header, file_.size()});
    file_ += std::string(as_text(header.encode())) + std::string(as_text(payload));
  }

  std::string file_;
  std::vector<IndexEntry> unindexed_;
  std::uint64_t last_index_ = 0;
  std::uint32_t sequence_ = 0;
};

class DoubleBlocks : public ::testing::Test {
 protected:
  std::shared_ptr<const SdszReader> open(const ForgedFile& file) {
    auto reader = SdszReader::open(std::make_shared<test::MemorySource>(file.bytes()), {}, {});
    EXPECT_TRUE(reader) << reader.error().to_string();
    return reader ? *reader : nullptr;
  }

  // Of each block, by its ordinal, what its bytes are.
  std::map<std::uint64_t, char> read(const ForgedFile& file) {
    const auto reader = open(file);
    std::map<std::uint64_t, char> values;
    SdszCursor cursor(reader, 0);
    for (;;) {
      auto block = cursor.next();
      EXPECT_TRUE(block) << block.error().to_string();
      if (!block || !*block) break;
      values[(*block)->ordinal] = static_cast<char>((*block)->data[0]);
    }
    damages_ = reader->damages();
    return values;
  }

  [[nodiscard]] bool is_told(const std::string& text) const {
    return std::any_of(damages_.begin(), damages_.end(),
                       [&](const Damage& damage) { return damage.reason.find(text) != std::string::npos; });
  }

  static std::map<std::uint64_t, char> blocks(std::uint64_t from, std::uint64_t to, char value) {
    std::map<std::uint64_t, char> values;
    for (; from < to; ++from) values[from] = value;
    return values;
  }

  std::vector<Damage> damages_;
};

TEST_F(DoubleBlocks, OfSectionsThatAreSoundTheFirstOnesCount) {
  ForgedFile file;
  file.add({.first_block = 0, .blocks = 10, .value = 'a'});
  file.add({.first_block = 5, .blocks = 10, .value = 'b'});
  file.add({.first_block = 0, .blocks = 10, .value = 'c'});
  file.add({.first_block = 10, .blocks = 10, .value = 'd'});
  auto expected = blocks(0, 10, 'a');
  expected.merge(blocks(10, 20, 'd'));
  EXPECT_EQ(read(file), expected);
  EXPECT_TRUE(is_told("blocks 5 to 14 stand twice"));
  EXPECT_TRUE(is_told("blocks 0 to 9 stand twice"));
}

TEST_F(DoubleBlocks, ASectionThatIsNotSoundHidesNone) {
  for (const bool checks : {false, true})
    for (const std::uint64_t first : {0, 5, 10}) {
      // It claims all blocks behind its first; those before, and the sound ones, stand in sections of ten.
      ForgedFile file;
      if (first > 0) file.add({.first_block = 0, .blocks = static_cast<std::uint32_t>(first), .value = 'a'});
      file.add({.first_block = first, .blocks = 50, .decodes = !checks, .checks = checks});
      for (std::uint64_t block = first; block < first + 50; block += 10)
        file.add({.first_block = block, .blocks = 10, .value = 'b'});
      auto expected = blocks(0, first, 'a');
      expected.merge(blocks(first, first + 50, 'b'));
      EXPECT_EQ(read(file), expected) << "first block " << first << ", checks: " << checks;
      EXPECT_TRUE(is_told("are not what is in their section"));
      EXPECT_FALSE(is_told("stand twice"));
    }
}

TEST_F(DoubleBlocks, ASectionWithABlockAboveTheLimitIsNotSound) {
  ForgedFile file;
  file.add({.first_block = 0, .size = limits::max_block_bytes + 1, .value = 'a'});
  file.add({.first_block = 0, .value = 'b'});
  EXPECT_EQ(read(file), blocks(0, 1, 'b'));
  EXPECT_TRUE(is_told("blocks 0 to 0 are not what is in their section"));
}

TEST_F(DoubleBlocks, WhatSuchASectionPushedOutIsNoneOfThoseThatAreSound) {
  ForgedFile file;
  file.add({.first_block = 0, .blocks = 20, .decodes = false});
  file.add({.first_block = 10, .blocks = 30, .checks = false});
  file.add({.first_block = 0, .blocks = 10, .value = 'a'});
  file.add({.first_block = 10, .blocks = 10, .value = 'b'});
  file.add({.first_block = 20, .blocks = 20, .value = 'c'});
  auto expected = blocks(0, 10, 'a');
  expected.merge(blocks(10, 20, 'b'));
  expected.merge(blocks(20, 40, 'c'));
  EXPECT_EQ(read(file), expected);
}

TEST_F(DoubleBlocks, AreNoneWhereSectionsOnlyStandInAnotherOrder) {
  ForgedFile file;
  file.add({.first_block = 20, .blocks = 10, .value = 'c'});
  file.add({.first_block = 15, .blocks = 0});
  file.add({.first_block = 10, .blocks = 10, .value = 'b'});
  file.add({.first_block = 0, .blocks = 10, .value = 'a'});
  auto expected = blocks(0, 10, 'a');
  expected.merge(blocks(10, 20, 'b'));
  expected.merge(blocks(20, 30, 'c'));
  EXPECT_EQ(read(file), expected);
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Sections of 64 MiB of 117 bytes each, all of which claim blocks of each other.
ForgedFile bomb(std::uint32_t sections, bool decodes) {
  constexpr std::uint32_t blocks = limits::max_section_raw_bytes / 10;
  ForgedFile file;
  for (std::uint32_t i = 0; i < sections; ++i)
    file.add({.first_block = i, .blocks = blocks, .size = 2, .decodes = decodes});
  return file;
}

TEST(Opening, EndsWhereverItIsWhenItIsToStop) {
  const test::TempDir dir;
  // Walked, with a log, and with sections that are asked.
  test::write_file(dir / "a.sdsz", bomb(100, false).bytes());
  test::write_file(dir / "a.sdsz.wal", std::string(100, 'x'));
  int left = 1000;
  const auto stop = [&] { return left-- <= 0; };
  ASSERT_TRUE(SdszReader::open(dir / "a.sdsz", {.walk = true, .stop = stop}));
  const int reads = 1000 - left;
  EXPECT_GT(reads, 100);
  for (int before = 0; before < reads; ++before) {
    left = before;
    const auto reader = SdszReader::open(dir / "a.sdsz", {.walk = true, .stop = stop});
    ASSERT_FALSE(reader) << before;
    EXPECT_EQ(reader.error().code, ErrorCode::interrupted) << before;
  }
}

TEST(Opening, GoesByAnIndexThatIsNoLargerThanWhatItTellsOf) {
  // 2 MiB each, of which hardly anything stands in the file.
  for (const std::uint32_t statistics : {0u, 50'000u}) {
    ForgedFile file;
    for (std::uint64_t i = 0; i < 50; ++i) {
      file.add(ForgedFile::Data{.first_block = i});
      file.add_index(i == 0 ? 0 : statistics);
    }
    file.close();
    EXPECT_LT(file.bytes().size(), 50'000u);
    auto reader = SdszReader::open(std::make_shared<test::MemorySource>(file.bytes()), {}, {});
    ASSERT_TRUE(reader) << reader.error().to_string();
    EXPECT_EQ((*reader)->sections().from_index, statistics == 0);
    EXPECT_TRUE((*reader)->complete());
    EXPECT_EQ((*reader)->streams()[0].block_count, 50u);
  }
}

TEST_F(DoubleBlocks, CostNoMoreThanTheFileIsWorth) {
  for (const bool decodes : {false, true}) {
    const ForgedFile file = bomb(1000, decodes);
    const double before = cpu_seconds();
    const auto reader = open(file);
    EXPECT_LT(cpu_seconds() - before, 5);  // all of them would take 40 s
    damages_ = reader->damages();
    // One counts, and the others are told.
    EXPECT_EQ(reader->streams()[0].data.size(), 1U);
    EXPECT_TRUE(is_told("stand twice"));
    EXPECT_EQ(is_told("which are sound was not looked for"), !decodes);
  }
}

}  // namespace
}  // namespace sds
