// Damage of unknown extent: a copy of such a recording must not look whole, nor must damage that has cost nothing, or
// whose cost is known, throw doubt on everything else.
#include <gtest/gtest.h>

#include "sds/format/stream_losses.hpp"
#include "support/recordings.hpp"
#include "support/sections.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using Losses = std::vector<std::pair<std::uint64_t, std::string>>;  // ordinal of the block behind, reason

const std::string kNotClosed = "the recording was not closed: what came after its last flush is not known";

class Doubt : public ::testing::Test {
 protected:
  // Two streams of 40 blocks at ticks 0, 10, 20, ..., a section for each ten, taking turns; a gap of stream A before
  // its block 20.
  void record(Durability durability, bool close) {
    SdszWriterOptions options;
    options.durability = durability;
    auto writer = SdszWriter::create(path_, {}, options);
    ASSERT_TRUE(writer);
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    const auto b = *writer->add_stream({"B", "0", false, "", "", ""});
    for (std::uint32_t i = 0; i < 40; ++i) {
      if (i == 20) ASSERT_TRUE(writer->add_gap(a, "recorded"));
      for (const auto id : {a, b}) {
        ASSERT_TRUE(writer->append(id, 10 * i, as_bytes("data")));
        if (i % 10 == 9) ASSERT_TRUE(writer->seal(id));
      }
    }
    ASSERT_TRUE(writer->flush());
    if (close) ASSERT_TRUE(writer->close());
  }

  // The offsets of all sections of a kind.
  [[nodiscard]] std::vector<std::size_t> sections(SectionKind kind) const {
    std::vector<std::size_t> found;
    for (const auto& section : test::sections_of(test::read_file(path_), kind)) found.push_back(section.offset);
    return found;
  }

  void flip(const std::filesystem::path& path, std::size_t at) {
    std::string bytes = test::read_file(path);
    bytes[at] ^= 1;
    test::write_file(path, bytes);
  }
  // Rewrites the index as a writer may that does not compress it: the headers of all sections stand in it.
  void store_index() {
    const std::size_t at = sections(SectionKind::index).at(0);
    const std::string file = test::read_file(path_);
    auto header = SectionHeader::decode(as_bytes(file).subspan(at));
    const auto stored = as_bytes(file).subspan(at + SectionHeader::bytes, header->stored_bytes);
    auto payload = open_payload(*header, Bytes(stored.begin(), stored.end()));
    ASSERT_TRUE(payload);
    const std::string rest = file.substr(at + header->section_bytes());
    seal_payload(*header, *payload, false);
    const auto text = [](const auto& bytes) {
      return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    test::write_file(path_, file.substr(0, at) + text(header->encode()) + text(*payload) + rest);
  }
  void flip_header(std::size_t section) { flip(path_, section + 20); }
  void flip_payload(std::size_t section) { flip(path_, section + SectionHeader::bytes + 1); }

  Losses losses_of(std::size_t stream) {
    const auto recording = Recording::open(path_);
    EXPECT_TRUE(recording);
    StreamLosses losses(*recording, stream);
    auto cursor = *recording->cursor(stream);
    Losses found;
    for (;;) {
      const auto block = cursor->next();
      EXPECT_TRUE(block);
      if (!block || !*block) break;
      for (const auto& loss : losses.before(**block)) found.emplace_back((*block)->ordinal, loss.reason);
    }
    for (const auto& loss : losses.at_end()) found.emplace_back(at_end_of_stream, loss.reason);
    return found;
  }

  // True if there is a loss before the block `ordinal` whose reason begins so.
  static bool has(const Losses& losses, std::uint64_t ordinal, const std::string& reason) {
    return std::any_of(losses.begin(), losses.end(), [&](const auto& loss) {
      return loss.first == ordinal && loss.second.substr(0, reason.size()) == reason;
    });
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
};

TEST_F(Doubt, AClosedRecordingHasNone) {
  record(Durability::none, true);
  EXPECT_EQ(losses_of(0), (Losses{{20, "recorded"}}));
  EXPECT_EQ(losses_of(1), Losses{});
}

TEST_F(Doubt, AnUnfinishedOneMayHaveHadMore) {
  record(Durability::process, false);
  EXPECT_EQ(losses_of(0), (Losses{{20, "recorded"}, {at_end_of_stream, kNotClosed}}));
  EXPECT_EQ(losses_of(1), (Losses{{at_end_of_stream, kNotClosed}}));
  EXPECT_TRUE(Recording::open(path_)->damages().empty());
}

TEST_F(Doubt, WhatStoodLastMayHaveBeenOfAnyStream) {
  record(Durability::process, false);
  std::filesystem::resize_file(wal_path(path_), 24);  // a log without frames: all blocks are sealed
  flip_header(sections(SectionKind::data).back());
  for (const std::size_t stream : {0, 1})
    EXPECT_TRUE(has(losses_of(stream), at_end_of_stream, "blocks may be lost: at byte ")) << stream;
}

TEST_F(Doubt, MissingBlocksAccountForTheirSection) {
  record(Durability::process, false);
  std::filesystem::resize_file(wal_path(path_), 24);
  flip_header(sections(SectionKind::data)[3]);  // B's second
  EXPECT_EQ(losses_of(0), (Losses{{20, "recorded"}, {at_end_of_stream, kNotClosed}}));
  EXPECT_EQ(losses_of(1), (Losses{{20, "10 blocks are lost (blocks 10 to 19, after tick 90, before tick 200)"},
                                  {at_end_of_stream, kNotClosed}}));
}

TEST_F(Doubt, ADamagedGapIsStillOne) {
  for (const bool close : {false, true}) {
    record(close ? Durability::none : Durability::process, close);
    if (close) flip(path_, test::read_file(path_).size() - 3);  // the footer: the index is not looked for
    flip_payload(sections(SectionKind::gap).at(0));
    EXPECT_TRUE(has(losses_of(0), 20, "a loss was recorded here; what was said of it is damaged")) << close;
    std::filesystem::remove(path_);
    std::filesystem::remove(wal_path(path_));
  }
}

TEST_F(Doubt, WhereAGapMayHaveStoodThereIsOne) {
  for (const bool close : {false, true}) {
    record(close ? Durability::none : Durability::process, close);
    if (close) flip(path_, test::read_file(path_).size() - 3);
    flip_header(sections(SectionKind::gap).at(0));
    EXPECT_TRUE(has(losses_of(0), 20, "blocks may be lost: at byte ")) << close;
    std::filesystem::remove(path_);
    std::filesystem::remove(wal_path(path_));
  }
}

// B's third section stands behind the gap of A, and its hole spans both: it cannot account for what stood there.
TEST_F(Doubt, AHoleAccountsForOneDamagedPlace) {
  record(Durability::none, true);
  flip(path_, test::read_file(path_).size() - 3);
  flip_header(sections(SectionKind::data)[5]);
  flip_header(sections(SectionKind::gap).at(0));
  EXPECT_TRUE(has(losses_of(0), 20, "blocks may be lost: at byte "));
  EXPECT_TRUE(has(losses_of(1), 30, "10 blocks are lost (blocks 20 to 29, after tick 190, before tick 300)"));
}

TEST_F(Doubt, ADamagedFooterCostsNothing) {
  record(Durability::none, true);
  flip_header(sections(SectionKind::footer).at(0));
  EXPECT_EQ(losses_of(0), (Losses{{20, "recorded"}}));
  EXPECT_EQ(losses_of(1), Losses{});
  const auto damages = Recording::open(path_)->damages();
  ASSERT_FALSE(damages.empty());
  EXPECT_TRUE(damages.back().harmless) << damages.back().reason;
  EXPECT_EQ(damages.back().blocks, 0u);
}

TEST_F(Doubt, SectionsTakenOutAreMissed) {
  record(Durability::none, true);
  const auto gap = sections(SectionKind::gap).at(0);
  std::string file = test::read_file(path_);
  const auto header = SectionHeader::decode(as_bytes(file).subspan(gap));
  file.erase(gap, header->section_bytes());
  file.back() ^= 1;
  test::write_file(path_, file);
  EXPECT_TRUE(has(losses_of(0), 20, "blocks may be lost: at byte "));
}

// An index holds the headers of all sections; they must not be taken for sections.
TEST_F(Doubt, ACutOffIndexCostsNothing) {
  record(Durability::none, true);
  store_index();
  ASSERT_TRUE(Recording::open(path_)->damages().empty());
  const std::string whole = test::read_file(path_);
  const std::size_t index = sections(SectionKind::index).at(0);
  const std::size_t footer = sections(SectionKind::footer).at(0);
  for (std::size_t end = index; end < footer; end += 7) {
    test::write_file(path_, whole.substr(0, end));
    EXPECT_EQ(losses_of(0), (Losses{{20, "recorded"}})) << end - index;
    EXPECT_EQ(losses_of(1), Losses{}) << end - index;
    for (const auto& damage : Recording::open(path_)->damages())
      EXPECT_TRUE(damage.harmless) << end - index << ' ' << damage.reason;
  }
}

TEST_F(Doubt, NorDoesAnIndexWithABadHeader) {
  record(Durability::none, true);
  store_index();
  const std::size_t index = sections(SectionKind::index).at(0);
  flip(path_, test::read_file(path_).size() - 3);  // the footer: the index is not looked for
  flip_header(index);
  EXPECT_EQ(losses_of(0), (Losses{{20, "recorded"}}));
  EXPECT_EQ(losses_of(1), Losses{});
  const auto damages = Recording::open(path_)->damages();
  ASSERT_EQ(damages.size(), 1u);
  EXPECT_EQ(damages[0].offset, index);
}

TEST_F(Doubt, SectionsTakenOutOfAFileInDisorderAreMissed) {
  record(Durability::none, true);
  const auto data = sections(SectionKind::data);
  const auto gap = sections(SectionKind::gap).at(0);
  std::string file = test::read_file(path_);
  const auto size_at = [&](std::size_t at) {
    return SectionHeader::decode(as_bytes(file).subspan(at))->section_bytes();
  };
  const std::string last = file.substr(data[7], size_at(data[7]));
  file.erase(data[7], last.size());
  file.erase(gap, size_at(gap));
  file.insert(data[0], last);
  file.back() ^= 1;
  test::write_file(path_, file);
  EXPECT_TRUE(has(losses_of(0), 0, "blocks may be lost: at byte "));
  const auto damages = Recording::open(path_)->damages();
  EXPECT_TRUE(std::any_of(damages.begin(), damages.end(), [](const Damage& damage) {
    return damage.reason.find("1 of ") == 0 && damage.reason.find("sections are missing") != std::string::npos;
  }));
}

// Frames of A (blocks 0 and 1), B (0), A (2): a damaged one may have been of any stream without a frame behind it.
TEST_F(Doubt, ADamagedLogDoubtsStreamsWithoutFramesBehindTheDamage) {
  SdszWriterOptions options;
  options.durability = Durability::process;
  std::vector<std::uintmax_t> ends;
  {
    auto writer = SdszWriter::create(path_, {}, options);
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    const auto b = *writer->add_stream({"B", "0", false, "", "", ""});
    for (const auto& [id, tick] : {std::pair{a, 10u}, {a, 20u}, {b, 15u}, {a, 30u}}) {
      ASSERT_TRUE(writer->append(id, tick, as_bytes("data")));
      ASSERT_TRUE(writer->flush());
      ends.push_back(std::filesystem::file_size(wal_path(path_)));
    }
  }
  const std::string whole = test::read_file(wal_path(path_));
  const auto doubted = [&](std::size_t stream) {
    return has(losses_of(stream), at_end_of_stream, "blocks may be lost: the log was damaged from its byte ");
  };
  flip(wal_path(path_), ends[0] + 45);  // A's second frame
  EXPECT_FALSE(doubted(0));
  EXPECT_FALSE(doubted(1));
  EXPECT_TRUE(has(losses_of(0), 2, "1 block is lost (block 1, after tick 10, before tick 30)"));
  test::write_file(wal_path(path_), whole);
  flip(wal_path(path_), ends[1] + 45);  // B's only one
  EXPECT_FALSE(doubted(0));
  EXPECT_TRUE(doubted(1));
  test::write_file(wal_path(path_), whole);
  flip(wal_path(path_), ends[2] + 45);  // A's last one
  EXPECT_TRUE(doubted(0));
  EXPECT_TRUE(doubted(1));
}

// The end of the file is lost, with the description of B, and the log holds blocks of it.
TEST_F(Doubt, AStreamThatOnlyTheLogKnowsIsNotForgotten) {
  SdszWriterOptions options;
  options.durability = Durability::process;
  {
    auto writer = SdszWriter::create(path_, {}, options);
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    const auto b = *writer->add_stream({"B", "0", false, "", "", ""});
    for (std::uint32_t i = 0; i < 5; ++i)
      for (const auto id : {a, b}) ASSERT_TRUE(writer->append(id, 10 * i, as_bytes("data")));
    ASSERT_TRUE(writer->flush());
  }
  std::filesystem::resize_file(path_, sections(SectionKind::stream).at(1) + 90);
  const auto recording = Recording::open(path_);
  ASSERT_TRUE(recording);
  ASSERT_EQ(recording->streams().size(), 2u);
  EXPECT_EQ(test::read_blocks(path_, 1), test::read_blocks(path_, 0));
  EXPECT_EQ(test::read_blocks(path_, 1).size(), 5u);
  const auto damages = recording->damages();
  EXPECT_TRUE(std::any_of(damages.begin(), damages.end(), [](const Damage& damage) {
    return damage.stream == 1u && damage.reason.find("the description of stream 1 is lost") == 0 && !damage.harmless;
  }));
}

// Every second of 20,020 blocks is in a damaged section: 10,000 of the losses are told one by one.
TEST_F(Doubt, LossesBeyondThoseThatAreToldAreCountedAndAreGapsAllTheSame) {
  constexpr std::uint32_t kDamaged = 10'010;
  static_assert(kDamaged > DamageLog::max_kept);
  {
    auto writer = SdszWriter::create(path_, {}, {});
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    for (std::uint32_t i = 0; i < 2 * kDamaged; ++i) {
      ASSERT_TRUE(writer->append(a, i, as_bytes("data")));
      ASSERT_TRUE(writer->seal(a));
    }
    ASSERT_TRUE(writer->close());
  }
  std::string bytes = test::read_file(path_);
  const auto data = sections(SectionKind::data);
  ASSERT_EQ(data.size(), 2 * kDamaged);
  for (std::size_t i = 0; i < data.size(); i += 2) bytes[data[i] + SectionHeader::bytes + 1] ^= 1;
  test::write_file(path_, bytes);
  const auto recording = Recording::open(path_);
  StreamLosses losses(*recording, 0);
  auto cursor = *recording->cursor(0);
  std::size_t gaps = 0;
  while (const auto block = *cursor->next()) {
    EXPECT_EQ(losses.before(*block).size(), 1u) << block->ordinal;
    ++gaps;
  }
  EXPECT_EQ(gaps, kDamaged);
  EXPECT_TRUE(losses.at_end().empty());  // each has its place
  std::uint64_t lost = 0;
  for (const auto& damage : recording->damages()) lost += damage.blocks.value_or(0);
  EXPECT_EQ(lost, kDamaged);
  EXPECT_EQ(recording->damages().back().reason, "10 more places are damaged, 10 blocks are lost there");
}

// A section of blocks 0 to 9 and, of 15 frames of a block each, four are damaged: 2 and 8, and 9 and 10 around its end.
TEST_F(Doubt, WhatSectionAndLogLostIsCountedOnce) {
  SdszWriterOptions options;
  options.durability = Durability::process;
  std::vector<std::uintmax_t> begins;
  {
    auto writer = SdszWriter::create(path_, {}, options);
    const auto a = *writer->add_stream({"A", "0", false, "", "", ""});
    for (std::uint32_t i = 0; i < 15; ++i) {
      begins.push_back(std::filesystem::file_size(wal_path(path_)));
      ASSERT_TRUE(writer->append(a, 10 * i, as_bytes("data")));
      ASSERT_TRUE(writer->flush());
      if (i == 9) ASSERT_TRUE(writer->seal(a));
    }
  }
  flip_payload(sections(SectionKind::data).at(0));
  for (const std::size_t i : {2, 8, 9, 10}) flip(wal_path(path_), begins[i] + 45);
  const auto recording = Recording::open(path_);
  auto cursor = *recording->cursor(0);
  std::vector<std::uint64_t> read;
  while (const auto block = *cursor->next()) read.push_back(block->ordinal);
  EXPECT_EQ(read, (std::vector<std::uint64_t>{0, 1, 3, 4, 5, 6, 7, 11, 12, 13, 14}));
  std::uint64_t lost = 0;
  for (const auto& damage : recording->damages()) lost += damage.blocks.value_or(0);
  EXPECT_EQ(lost, 4u);
}

}  // namespace
}  // namespace sds
