// `.sdsz` recordings with damage: what is lost, what is kept, and that nothing else happens.
#include <gtest/gtest.h>

#include <algorithm>

#include "sds/format/sdsz_reader.hpp"
#include "support/memory_source.hpp"
#include "support/recordings.hpp"
#include "support/sections.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::TestBlock;

class Corruption : public ::testing::Test {
 protected:
  void SetUp() override {
    blocks_ = test::wave_blocks(400, 10, 3);
    SdszWriterOptions options;
    options.section_bytes = 4096;
    test::write_packed(path_, blocks_, test::int16_metadata(3), options);
    original_ = test::read_file(path_);
    auto reader = SdszReader::open(path_, {});
    ASSERT_TRUE(reader);
    entries_ = (*reader)->sections().entries;
  }

  void damage(std::uint64_t offset, char flip = 0x5A) {
    std::string broken = original_;
    broken[offset] = static_cast<char>(broken[offset] ^ flip);
    test::write_file(path_, broken);
  }

  [[nodiscard]] const IndexEntry& data_section(std::size_t n) const {
    for (const auto& entry : entries_)
      if (entry.header.kind == SectionKind::data && n-- == 0) return entry;
    return entries_.front();
  }

  // It is not among entries_: what it lists are the others.
  [[nodiscard]] IndexEntry index_section() const { return test::sections_of(original_, SectionKind::index).at(0); }

  // Reads what can be read; true if that is the original without the blocks of one section.
  void expect_loss_of_section(const IndexEntry& lost) {
    auto recording = Recording::open(path_);
    ASSERT_TRUE(recording) << recording.error().to_string();
    auto cursor = recording->cursor(0);
    const auto got = test::read_blocks(**cursor);
    EXPECT_EQ(got.size(), blocks_.size() - lost.header.block_count);
    EXPECT_TRUE(std::includes(blocks_.begin(), blocks_.end(), got.begin(), got.end(),
                              [](const auto& a, const auto& b) { return a.timeslot < b.timeslot; }));
    std::uint64_t blocks_lost = 0;
    for (const auto& damage : recording->damages()) blocks_lost += damage.blocks.value_or(0);
    EXPECT_EQ(blocks_lost, lost.header.block_count);
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
  std::vector<TestBlock> blocks_;
  std::string original_;
  std::vector<IndexEntry> entries_;
};

// As a faulty writer or memory makes it: the sums are right, and the number of blocks is not.
TEST_F(Corruption, AHeaderThatClaimsOtherBlocksHidesNoneOfThem) {
  const auto lost = data_section(2);
  const auto end = index_section().offset;
  for (const std::uint32_t count : {1U, lost.header.block_count + 1, lost.header.block_count + 90, 1U << 26}) {
    SCOPED_TRACE(count);
    std::string broken = original_.substr(0, end);
    auto header = lost.header;
    header.block_count = count;
    const auto encoded = header.encode();
    broken.replace(lost.offset, encoded.size(), as_text(encoded));
    test::write_file(path_, broken);
    expect_loss_of_section(lost);
  }
}

TEST_F(Corruption, ADamagedPayloadCostsOnlyItsSection) {
  const auto& lost = data_section(2);
  damage(lost.offset + SectionHeader::bytes + 100);
  expect_loss_of_section(lost);
}

TEST_F(Corruption, ADamagedHeaderCostsOnlyItsSectionEvenWithoutAnIndex) {
  const auto& lost = data_section(2);
  std::string broken = original_;
  broken[lost.offset + 20] ^= 1;
  broken.resize(broken.size() - 80);  // the footer, too
  test::write_file(path_, broken);
  expect_loss_of_section(lost);
}

TEST_F(Corruption, ALostIndexIsRebuilt) {
  for (const std::size_t cut : {1u, 79u, 80u, 81u, 300u}) {
    test::write_file(path_, original_.substr(0, original_.size() - cut));
    EXPECT_EQ(test::read_blocks(path_), blocks_) << cut;
    auto reader = SdszReader::open(path_, {});
    EXPECT_FALSE((*reader)->complete());
    EXPECT_FALSE((*reader)->sections().from_index);
  }
}

TEST_F(Corruption, ADamagedIndexIsRebuilt) {
  const auto index = index_section();
  for (const std::uint64_t offset : {index.payload_offset() + 3, index.offset + 30}) {
    damage(offset);
    EXPECT_EQ(test::read_blocks(path_), blocks_);
    auto reader = SdszReader::open(path_, {});
    EXPECT_FALSE((*reader)->sections().from_index);
  }
}

TEST_F(Corruption, ALostFirstStreamOrSessionSectionIsReplacedByItsCopy) {
  for (const auto& entry : entries_) {
    if (entry.header.kind != SectionKind::stream && entry.header.kind != SectionKind::session) continue;
    damage(entry.offset + SectionHeader::bytes + 2);
    EXPECT_EQ(test::read_blocks(path_), blocks_);
  }
}

TEST_F(Corruption, GarbageBetweenSectionsIsSteppedOver) {
  const auto& before = data_section(3);
  std::string broken = original_.substr(0, before.offset) + std::string(1000, '\x89') + original_.substr(before.offset);
  test::write_file(path_, broken);
  EXPECT_EQ(test::read_blocks(path_), blocks_);
  auto reader = SdszReader::open(path_, {});
  ASSERT_EQ((*reader)->damages().size(), 1u);
  EXPECT_EQ((*reader)->damages()[0].offset, before.offset);
  EXPECT_EQ((*reader)->damages()[0].bytes, 1000u);
}

// What stands of a section again, whole, behind a damaged piece of it: the whole one counts, and nothing is missing.
TEST_F(Corruption, AWholeCopyBehindADamagedOneIsFound) {
  const auto section = data_section(3);
  const auto piece = [&](const IndexEntry& of) { return original_.substr(of.offset, of.end() - of.offset); };
  const std::string before = original_.substr(0, section.offset);
  const std::string rest = original_.substr(section.offset);
  const std::string cut = rest.substr(0, SectionHeader::bytes + 20);
  std::string damaged = piece(section);
  damaged[SectionHeader::bytes + 30] ^= 1;
  std::string indexes = piece(index_section()).substr(1);  // whose copies of headers are no sections
  while (indexes.size() < 3 * original_.size()) indexes += indexes;
  struct Case {
    const char* name;
    std::string between;
    std::size_t damages;
  };
  for (const auto& [name, between, damages] :
       {Case{"nothing", cut, 1}, Case{"junk", cut + std::string(800, 'j'), 1}, Case{"damaged whole", damaged, 1},
        Case{"an earlier section", cut + piece(data_section(1)) + "J", 1}, Case{"indexes", cut + indexes, 1}}) {
    test::write_file(path_, before + between + rest);
    auto recording = Recording::open(path_);
    ASSERT_TRUE(recording) << name;
    auto cursor = recording->cursor(0);
    EXPECT_EQ(test::read_blocks(**cursor), blocks_) << name;
    std::size_t twice = 0;
    for (const auto& damage : recording->damages()) {
      EXPECT_EQ(damage.blocks.value_or(0), 0u) << name << ": " << damage.reason;
      if (damage.reason.find("stands twice") == std::string::npos) continue;
      ++twice;
      EXPECT_TRUE(damage.harmless) << name;
    }
    EXPECT_EQ(twice, damages) << name;
  }
}

TEST_F(Corruption, TruncatedAnywhereKeepsTheSectionsBefore) {
  for (std::size_t size = 0; size < original_.size(); size += 97) {
    test::write_file(path_, original_.substr(0, size));
    auto recording = Recording::open(path_);
    if (!recording) continue;  // not even the session section is there
    std::size_t expected = 0;
    for (const auto& entry : entries_)
      if (entry.header.kind == SectionKind::data &&
          entry.offset + SectionHeader::bytes + entry.header.stored_bytes <= size)
        expected += entry.header.block_count;
    if (recording->streams().empty()) continue;
    auto cursor = recording->cursor(0);
    const auto got = test::read_blocks(**cursor);
    ASSERT_EQ(got.size(), expected) << size;
    EXPECT_TRUE(std::equal(got.begin(), got.end(), blocks_.begin()));
  }
}

TEST_F(Corruption, EveryFlippedBitIsNoticedOrHarmless) {
  test::Random random(1);
  for (int round = 0; round < 600; ++round) {
    damage(random.below(original_.size()), static_cast<char>(1u << random.below(8)));
    auto recording = Recording::open(path_, {.metadata = {}, .walk = random.below(2) == 0});
    if (!recording || recording->streams().empty()) continue;
    auto cursor = recording->cursor(0);
    const auto got = test::read_blocks(**cursor);
    // Never a block that was not recorded.
    for (const auto& block : got)
      ASSERT_TRUE(std::find(blocks_.begin(), blocks_.end(), block) != blocks_.end()) << round;
    if (got.size() != blocks_.size())
      EXPECT_FALSE((*cursor)->damages().empty() && recording->sdsz()->damages().empty()) << round;
  }
}

TEST_F(Corruption, RandomBytesAreNoRecording) {
  test::Random random(2);
  std::string noise(5000, '\0');
  for (auto& c : noise) c = static_cast<char>(random.next());
  test::write_file(path_, noise);
  auto recording = Recording::open(path_);
  ASSERT_FALSE(recording);
  EXPECT_EQ(recording.error().code, ErrorCode::bad_input);
  test::write_file(path_, "");
  EXPECT_NE(Recording::open(path_).error().to_string().find("an empty file is no .sdsz recording"), std::string::npos);
}

TEST_F(Corruption, ALaterFormatVersionIsNamed) {
  std::string later = original_;
  later[8] = 9;
  const auto sum = checksum(as_bytes(std::string_view(later).substr(0, 72)));
  store_le(later.data() + 72, sum);
  test::write_file(path_, later.substr(0, SectionHeader::bytes + 20));
  auto reader = SdszReader::open(path_, {});
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::unsupported);
  EXPECT_NE(reader.error().message.find("format version 9"), std::string::npos);
}

// Fails at one read, and reads well before and after.
class FailingSource final : public ByteSource {
 public:
  FailingSource(std::string bytes, int failing) : source_(std::move(bytes)), failing_(failing) {}
  const std::filesystem::path& path() const override { return source_.path(); }
  Expected<std::uint64_t> size() const override { return source_.size(); }
  Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (reads_++ == failing_) return fail(ErrorCode::io, "cannot read", path(), offset);
    return source_.read(offset, out);
  }
  [[nodiscard]] bool has_failed() const { return reads_ > failing_; }

 private:
  test::MemorySource source_;
  int failing_;
  mutable int reads_ = 0;
};

TEST_F(Corruption, AReadThatFailsIsAnErrorAndNoDamage) {
  const IndexEntry& section = data_section(2);
  const auto flipped = [&](std::uint64_t offset) {
    std::string broken = original_;
    broken[offset] = static_cast<char>(broken[offset] ^ 1);
    return broken;
  };
  const std::string whole = original_.substr(section.offset, section.end() - section.offset);
  std::string twice = original_;
  twice.insert(section.end(), whole);
  std::string shorter = original_;  // its payload lacks a byte
  shorter.erase(section.payload_offset() + 3, 1);
  for (const auto& bytes : {original_, flipped(section.offset + 20), flipped(section.payload_offset() + 1), twice,
                            shorter, original_.substr(0, section.end() + 30), flipped(original_.size() - 3)}) {
    for (const auto& options : {LoadOptions{}, LoadOptions{.walk = true}, LoadOptions{.walk = true, .verify = true},
                                LoadOptions{.walk = true, .with_index = true, .verify = true}}) {
      int reads = 0;
      for (;; ++reads) {
        const FailingSource source(bytes, reads);
        const auto table = load_sections(source, options);
        if (!source.has_failed()) break;
        ASSERT_FALSE(table) << reads;
        ASSERT_EQ(table.error().code, ErrorCode::io) << reads << ": " << table.error().to_string();
      }
      EXPECT_GT(reads, 2);
    }
  }
}

}  // namespace
}  // namespace sds
