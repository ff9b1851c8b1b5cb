// `.sdsz` recordings that nothing bad happened to.
#include <gtest/gtest.h>

#include <cerrno>

#include "sds/format/limits.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/recording.hpp"
#include "sds/format/sdsz_reader.hpp"
#include "sds/format/wal.hpp"
#include "sds/format/worker_pool.hpp"
#include "support/memory_sink.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::read_blocks;
using test::TestBlock;
using test::wave_blocks;
using test::write_packed;

void expect_round_trip(const std::vector<TestBlock>& blocks, const std::string& metadata, std::uint32_t section_bytes) {
  const test::TempDir dir;
  for (const Level level : {Level::store, Level::fast, Level::dense}) {
    SdszWriterOptions options;
    options.level = level;
    options.section_bytes = section_bytes;
    write_packed(dir / "a.sdsz", blocks, metadata, options);
    EXPECT_EQ(read_blocks(dir / "a.sdsz"), blocks);
  }
}

TEST(Sdsz, RoundTripsBlocksOfWholeSamples) {
  expect_round_trip(wave_blocks(500, 20, 6), test::int16_metadata(6), 1u << 16);
}

// Has no memory for any work.
class FullExecutor final : public Executor {
 public:
  void run(std::function<void()>) override { throw std::bad_alloc(); }
  bool help() override { return false; }
  [[nodiscard]] unsigned concurrency() const override { return 3; }
};

TEST(Sdsz, IsReadWithoutHelpWhereNoneCanBeHad) {
  const test::TempDir dir;
  const auto blocks = wave_blocks(500, 20, 6);
  SdszWriterOptions options;
  options.section_bytes = 4096;
  write_packed(dir / "a.sdsz", blocks, test::int16_metadata(6), options);
  const auto recording = Recording::open(dir / "a.sdsz");
  FullExecutor executor;
  auto cursor = *recording->cursor(0, &executor);
  EXPECT_EQ(test::read_blocks(*cursor), blocks);
}

TEST(Sdsz, RoundTripsWithoutMetadata) { expect_round_trip(wave_blocks(100, 20, 3), "", 1u << 16); }

TEST(Sdsz, RoundTripsWithMetadataThatCannotBeRead) { expect_round_trip(wave_blocks(10, 5, 1), "sds: [", 1u << 16); }

TEST(Sdsz, RoundTripsBlocksThatDoNotFitTheLayout) {
  auto blocks = wave_blocks(200, 7, 3);
  for (std::size_t i = 0; i < blocks.size(); i += 3) blocks[i].data.resize(blocks[i].data.size() - i % 6);
  blocks[10].data.clear();
  expect_round_trip(blocks, test::int16_metadata(3), 4096);
}

TEST(Sdsz, RoundTripsEmptyAndZeroLengthBlocks) {
  expect_round_trip({}, test::int16_metadata(1), 1u << 16);
  expect_round_trip({{5, ""}}, test::int16_metadata(1), 1u << 16);
  expect_round_trip({{5, ""}, {5, ""}, {5, ""}}, "", 1u << 16);
}

TEST(Sdsz, RoundTripsUnsortedDuplicateAndWrappingTimeslots) {
  auto blocks = wave_blocks(100, 4, 2);
  blocks[3].timeslot = 0xFFFFFFFF;
  blocks[4].timeslot = 0;
  blocks[50].timeslot = blocks[49].timeslot;
  blocks[51].timeslot = 7;
  expect_round_trip(blocks, test::int16_metadata(2), 512);
}

TEST(Sdsz, RoundTripsEveryTypeInOneSample) {
  const std::string yaml = R"(sds:
  name: all
  content:
    - {value: a, type: int8_t}
    - {value: b, type: "uint16_t:3"}
    - {value: c, type: "uint16_t:9"}
    - {value: d, type: float, dim-x: 3, dim-y: 2}
    - {value: e, type: uint8_t, dim-x: 100}
    - {value: f, type: double}
    - {value: g, type: int64_t}
)";
  test::Random random(5);
  std::vector<TestBlock> blocks;
  for (std::uint32_t i = 0; i < 90; ++i) {
    TestBlock block{i, std::string((1 + 2 + 24 + 100 + 8 + 8) * (i % 4), '\0')};
    for (auto& c : block.data) c = static_cast<char>(random.below(4) == 0 ? random.next() : 0);
    blocks.push_back(block);
  }
  expect_round_trip(blocks, yaml, 2000);
}

TEST(Sdsz, TicksOfEverySectionContinueAcrossTheWrapAround) {
  const test::TempDir dir;
  std::vector<TestBlock> blocks;
  for (std::uint32_t i = 0; i < 1000; ++i) blocks.push_back({0xFFFFFF00u + i, "ab"});
  SdszWriterOptions options;
  options.section_bytes = 500;
  write_packed(dir / "a.sdsz", blocks, test::int16_metadata(1), options);
  auto recording = Recording::open(dir / "a.sdsz");
  ASSERT_TRUE(recording);
  auto cursor = recording->cursor(0);
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_EQ((**(*cursor)->next()).tick, 0xFFFFFF00u + i);
}

TEST(Sdsz, KeepsSeveralStreamsTheirMetadataAndSession) {
  const test::TempDir dir;
  Properties session;
  session.set("device", "board 7");
  session.set("free key", "caf\xC3\xA9");
  auto writer = SdszWriter::create(dir / "a.sdsz", session, {});
  ASSERT_TRUE(writer);
  const std::string yaml = test::int16_metadata(1) + "# a comment\r\n";
  const auto a = *writer->add_stream({"A", "0", false, "", "A.sds.yml", yaml});
  const auto b = *writer->add_stream({"B", "x", true, "odd name.sds", "", ""});
  ASSERT_TRUE(writer->append(b, 1, as_bytes("bb")));
  ASSERT_TRUE(writer->append(a, 1, as_bytes("aa")));
  ASSERT_TRUE(writer->add_gap(a, "the cable"));
  ASSERT_TRUE(writer->add_clock(a, {1, 1234567890123456789u, 55}));
  ASSERT_TRUE(writer->append(a, 9, as_bytes("cc")));
  ASSERT_TRUE(writer->close());
  auto reader = SdszReader::open(dir / "a.sdsz", {});
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_TRUE((*reader)->complete());
  EXPECT_TRUE((*reader)->sections().from_index);
  EXPECT_EQ((*reader)->session().get("free key"), "caf\xC3\xA9");
  const auto& streams = (*reader)->streams();
  ASSERT_EQ(streams.size(), 2u);
  EXPECT_EQ(streams[0].description.metadata_text, yaml);
  EXPECT_TRUE(streams[1].description.playback);
  EXPECT_EQ(streams[1].description.file_name, "odd name.sds");
  ASSERT_EQ(streams[0].gaps.size(), 1u);
  EXPECT_EQ(streams[0].gaps[0].reason, "the cable");
  EXPECT_EQ(streams[0].clocks.at(0).utc_ns, 1234567890123456789u);
  EXPECT_EQ(streams[0].block_count, 2u);
  EXPECT_EQ(streams[0].raw_bytes, 20u);
}

TEST(Sdsz, GivesTheSameBytesWhateverTheThreads) {
  const test::TempDir dir;
  const auto blocks = wave_blocks(3000, 20, 6);
  SdszWriterOptions options;
  options.section_bytes = 1u << 14;
  write_packed(dir / "one.sdsz", blocks, test::int16_metadata(6), options);
  const std::string one = test::read_file(dir / "one.sdsz");
  for (const unsigned threads : {2u, 3u, 8u}) {
    WorkerPool pool(threads);
    options.executor = &pool;
    write_packed(dir / "many.sdsz", blocks, test::int16_metadata(6), options);
    EXPECT_EQ(test::read_file(dir / "many.sdsz"), one) << threads;
  }
}

TEST(Sdsz, ReadingAheadGivesTheSameBlocksAndDamages) {
  const test::TempDir dir;
  const auto blocks = wave_blocks(3000, 20, 6);
  SdszWriterOptions options;
  options.section_bytes = 1u << 14;
  write_packed(dir / "a.sdsz", blocks, test::int16_metadata(6), options);
  // A byte of the seventh data section is wrong.
  std::string bytes = test::read_file(dir / "a.sdsz");
  {
    auto reader = SdszReader::open(dir / "a.sdsz", {});
    ASSERT_TRUE(reader);
    bytes[(*reader)->streams()[0].data.at(6).offset + SectionHeader::bytes + 100] ^= 1;
  }
  test::write_file(dir / "b.sdsz", bytes);
  auto recording = Recording::open(dir / "b.sdsz");
  ASSERT_TRUE(recording);
  auto plain_cursor = recording->cursor(0);
  const auto expected = read_blocks(**plain_cursor);
  EXPECT_LT(expected.size(), blocks.size());
  for (const unsigned threads : {1u, 2u, 5u}) {
    WorkerPool pool(threads);
    auto cursor = recording->cursor(0, &pool);
    EXPECT_EQ(read_blocks(**cursor), expected) << threads;
    const auto damages = (*cursor)->damages();
    ASSERT_EQ(damages.size(), 1u);
    EXPECT_EQ(damages[0].reason, (*plain_cursor)->damages().at(0).reason);
    // One that is given up with sections on their way.
    auto given_up = recording->cursor(0, &pool);
    EXPECT_TRUE((*given_up)->next());
  }
}

TEST(Sdsz, StatisticsInTheIndexAreThoseOfTheValues) {
  const test::TempDir dir;
  SdszWriterOptions options;
  options.section_bytes = 1000;
  write_packed(dir / "a.sdsz", wave_blocks(100, 20, 2), test::int16_metadata(2), options);
  auto reader = SdszReader::open(dir / "a.sdsz", {});
  ASSERT_TRUE(reader);
  auto statistics = load_statistics(*(*reader)->file(), 0);
  ASSERT_TRUE(statistics) << statistics.error().to_string();
  ASSERT_EQ(statistics->size(), (*reader)->streams()[0].data.size());
  std::uint64_t count = 0;
  for (const auto& section : *statistics) {
    ASSERT_EQ(section.statistics.size(), 2u);
    count += section.statistics[0].count;
    EXPECT_LE(section.statistics[0].min, section.statistics[0].max);
  }
  EXPECT_EQ(count, 2000u);
}

TEST(Sdsz, LargeIndexesAreSplitAndChained) {
  const test::TempDir dir;
  SdszWriterOptions options;
  options.section_bytes = 64;
  const auto blocks = wave_blocks(12000, 10, 4);
  write_packed(dir / "a.sdsz", blocks, test::int16_metadata(4), options);
  auto reader = SdszReader::open(dir / "a.sdsz", {});
  ASSERT_TRUE(reader);
  EXPECT_TRUE((*reader)->sections().from_index);
  auto walked = load_sections(*(*reader)->file(), {.walk = true});
  ASSERT_TRUE(walked);
  // All sections but those listed, and the footer, are index sections: there is nothing else in this file.
  EXPECT_GT(walked->sections - walked->entries.size() - 1, 1u);
  EXPECT_EQ(read_blocks(dir / "a.sdsz"), blocks);
}

TEST(Sdsz, KeepsATornTail) {
  const test::TempDir dir;
  auto writer = SdszWriter::create(dir / "a.sdsz", {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes("whole")));
  ASSERT_TRUE(writer->append_tail(id, as_bytes("torn")));
  EXPECT_FALSE(writer->append(id, 2, as_bytes("never")));
  ASSERT_TRUE(writer->close());
  auto recording = Recording::open(dir / "a.sdsz");
  auto cursor = recording->cursor(0);
  EXPECT_EQ(read_blocks(**cursor).size(), 1u);
  ASSERT_TRUE((*cursor)->tail());
  EXPECT_EQ((*cursor)->tail()->bytes, 4u);
  std::string tail;
  ASSERT_TRUE((*cursor)->read_tail([&](ByteView bytes) {
    tail += as_text(bytes);
    return Expected<void>{};
  }));
  EXPECT_EQ(tail, "torn");
}

TEST(Sdsz, RefusesABlockAboveTheLimit) {
  const test::TempDir dir;
  auto writer = SdszWriter::create(dir / "a.sdsz", {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  const Bytes large((32u << 20) + 1);
  EXPECT_EQ(writer->append(id, 1, large).error().code, ErrorCode::limit);
  ASSERT_TRUE(writer->append(id, 1, ByteView(large).first(32u << 20)));
  ASSERT_TRUE(writer->close());
  EXPECT_EQ(read_blocks(dir / "a.sdsz")[0].data.size(), 32u << 20);
}

TEST(Recording, NamesStreamsSoThatEachCanBeChosen) {
  const test::TempDir dir;
  for (const char* name : {"A.0.sds", "A.1.sds", "B.0.sds"}) test::write_file(dir / name, test::plain({{1, "x"}}));
  const std::vector<std::filesystem::path> paths{dir / "A.0.sds", dir / "A.1.sds", dir / "B.0.sds"};
  auto recording = Recording::open(paths, {});
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->streams()[0].id, "A.0");
  EXPECT_EQ(recording->streams()[2].id, "B");
  EXPECT_EQ(*recording->find_stream("B.0"), 2u);
  EXPECT_EQ(recording->find_stream("C").error().message, "no stream 'C'; there is: A.0, A.1, B");
}

TEST(SdszWriter, TogetherWritersHoldNoMoreOpenBlocksThanTheirLimit) {
  constexpr std::uint64_t kLimit = 1u << 20;
  constexpr std::size_t kWriters = 8;
  const test::TempDir dir;
  OpenBlocks open_blocks(kLimit);
  SdszWriterOptions options;
  options.open_blocks = &open_blocks;
  std::vector<SdszWriter> writers;
  std::vector<std::vector<TestBlock>> blocks(kWriters);
  const auto write = [&](std::size_t w, int count) {
    for (int i = 0; i < count; ++i) {
      const auto k = static_cast<std::uint32_t>(blocks[w].size());
      blocks[w].push_back({k, std::string(1000, static_cast<char>('a' + k % 26))});
      ASSERT_TRUE(writers[w].append(k % 4, k, as_bytes(blocks[w].back().data)));
      ASSERT_LE(open_blocks.used(), 2 * kLimit + kWriters * (1u << 14));
    }
  };
  for (std::size_t w = 0; w < kWriters; ++w) {
    auto writer = SdszWriter::create(dir / (std::to_string(w) + ".sdsz"), {}, options);
    ASSERT_TRUE(writer);
    for (int s = 0; s < 4; ++s) ASSERT_TRUE(writer->add_stream({"S" + std::to_string(s), "0", false, "", "", ""}));
    writers.push_back(std::move(*writer));
    write(w, 900);  // less than the limit, and less than a section: alone it would seal nothing
  }
  EXPECT_EQ(std::filesystem::file_size(dir / "0.sdsz") < 2000, true) << "the first had it all to itself";
  for (auto& writer : writers) ASSERT_TRUE(writer.trim());
  EXPECT_LE(open_blocks.used(), kLimit + kWriters * (1u << 14));
  for (int round = 0; round < 10; ++round)
    for (std::size_t w = 0; w < kWriters; ++w) write(w, 50);
  for (auto& writer : writers) ASSERT_TRUE(writer.close());
  writers.clear();
  EXPECT_EQ(open_blocks.used(), 0u);
  for (std::size_t w = 0; w < kWriters; ++w)
    for (std::size_t s = 0; s < 4; ++s) {
      std::vector<TestBlock> expected;
      for (const auto& block : blocks[w])
        if (block.timeslot % 4 == s) expected.push_back(block);
      EXPECT_EQ(test::read_blocks(dir / (std::to_string(w) + ".sdsz"), s), expected);
    }
}

TEST(SdszWriter, CopiesSectionsAsTheyAreAndRefusesDamagedOnesAndThoseOfAnotherLayout) {
  const test::TempDir dir;
  const auto blocks = wave_blocks(40, 10, 3);
  write_packed(dir / "from.sdsz", blocks, test::int16_metadata(3), {});
  const auto from = *SdszReader::open(dir / "from.sdsz", {});
  const SdszStream& stream = from->streams()[0];
  ASSERT_EQ(stream.data.size(), 1u);
  const SectionHeader& header = stream.data[0].header;
  const Bytes payload = *from->payload(stream.data[0]);

  auto writer = SdszWriter::create(dir / "to.sdsz", {}, {});
  const auto same = *writer->add_stream({"A", "0", false, "", "A.sds.yml", test::int16_metadata(3)});
  const auto other = *writer->add_stream({"B", "0", false, "", "B.sds.yml", test::int16_metadata(2)});
  for (std::size_t at = 0; at < payload.size(); at += 37) {
    Bytes damaged = payload;
    damaged[at] ^= std::byte{1};
    ASSERT_EQ(writer->append_section(same, header, stream.layout, damaged).error().code, ErrorCode::bad_input) << at;
  }
  ASSERT_EQ(writer->append_section(other, header, stream.layout, payload).error().code, ErrorCode::usage);
  EXPECT_FALSE(writer->failure());
  ASSERT_TRUE(writer->append_section(same, header, stream.layout, payload));
  // Nothing comes behind an end.
  const auto torn = *writer->add_stream({"C", "0", false, "", "C.sds.yml", test::int16_metadata(3)});
  ASSERT_TRUE(writer->append_tail(torn, as_bytes("torn")));
  EXPECT_EQ(writer->append_section(torn, header, stream.layout, payload).error().code, ErrorCode::usage);
  ASSERT_TRUE(writer->end_stream(same));
  EXPECT_EQ(writer->append_section(same, header, stream.layout, payload).error().code, ErrorCode::usage);
  EXPECT_EQ(writer->append(same, 1'000'000, as_bytes("block ")).error().code, ErrorCode::usage);
  EXPECT_EQ(writer->append_tail(same, as_bytes("torn")).error().code, ErrorCode::usage);
  ASSERT_TRUE(writer->close());
  EXPECT_EQ(read_blocks(dir / "to.sdsz", 0), blocks);
  EXPECT_TRUE(read_blocks(dir / "to.sdsz", 1).empty());
}

TEST(SdszWriter, TornEndsOfManyStreamsTogetherAreBoundedInMemory) {
  auto disk = std::make_shared<test::Disk>();
  SdszWriterOptions options;
  options.section_bytes = limits::max_section_option;
  auto writer = SdszWriter::create(std::make_unique<test::MemorySink>(disk), {}, options);
  test::Random random(3);
  Bytes noise(std::size_t{4} << 20);
  for (auto& byte : noise) byte = static_cast<std::byte>(random.next() >> 32);
  std::uint64_t given = 0;
  for (int i = 0; i < 12; ++i) {
    const auto id = *writer->add_stream({"S" + std::to_string(i), "0", false, "", "", ""});
    for (int piece = 0; piece < 2; ++piece) {
      ASSERT_TRUE(writer->append_tail(id, noise));
      given += noise.size();
      ASSERT_LE(given, disk->bytes.size() + limits::max_open_bytes);
    }
  }
}

// A recording that somebody writes, or nobody, or of which that is not known.
class InUseSource final : public ByteSource {
 public:
  InUseSource(std::shared_ptr<const ByteSource> file, InUse in_use) : file_(std::move(file)), in_use_(in_use) {}
  const std::filesystem::path& path() const override { return file_->path(); }
  Expected<std::uint64_t> size() const override { return file_->size(); }
  Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    return file_->read(offset, out);
  }
  InUse in_use() const override { return in_use_; }

 private:
  std::shared_ptr<const ByteSource> file_;
  InUse in_use_;
};

TEST(SdszReader, BlocksThatAreToldAndNotThereAreLostWhereNobodyWritesThem) {
  const test::TempDir dir;
  const auto path = dir / "a.sdsz";
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(path, {}, options);
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(writer->append(id, i, as_bytes("block")));
  ASSERT_TRUE(writer->add_clock(id, {4, 1, 1}));
  using InUse = ByteSource::InUse;
  EXPECT_EQ((*InputFile::open(path))->in_use(), InUse::yes);
  std::shared_ptr<const ByteSource> log = *InputFile::open(wal_path(path));
  for (const auto in_use : {InUse::yes, InUse::unknown, InUse::no}) {
    const auto reader = *SdszReader::open(std::make_shared<InUseSource>(*InputFile::open(path), in_use), {log}, {});
    EXPECT_EQ(reader->in_use(), in_use);
    EXPECT_EQ(reader->being_written(), in_use == InUse::yes);
    const auto damages = reader->damages();
    ASSERT_EQ(damages.size(), in_use == InUse::no ? 1u : 0u);
    if (!damages.empty()) EXPECT_EQ(damages[0].blocks, 5u);
  }
  ASSERT_TRUE(writer->close());
  EXPECT_EQ((*InputFile::open(path))->in_use(), InUse::no);
}

TEST(SdszWriter, LeavesARecordingThatAnotherWriterHolds) {
  const test::TempDir dir;
  const auto path = dir / "a.sdsz";
  SdszWriterOptions options;
  options.durability = Durability::process;
  options.if_exists = IfExists::overwrite;
  auto first = SdszWriter::create(path, {}, options);
  const auto id = *first->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(first->append(id, 1, as_bytes("block")));
  ASSERT_TRUE(first->flush());
  auto second = SdszWriter::create(path, {}, options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::usage);
  EXPECT_EQ(second.error().message, "is being recorded: choose another name");
  ASSERT_TRUE(first->append(id, 2, as_bytes("block")));
  ASSERT_TRUE(first->flush());
  EXPECT_EQ(test::read_blocks(path).size(), 2u);
  ASSERT_TRUE(first->close());
  EXPECT_EQ(test::read_blocks(path).size(), 2u);
  EXPECT_TRUE(SdszWriter::create(path, {}, options));
}

class NoLocks final : public test::ReplacedFileSystem {
 public:
  int lock(int) override { return -ENOLCK; }
};

TEST(SdszWriter, SaysWhereItCannotBeMarkedAsInUse) {
  for (const auto durability : {Durability::none, Durability::process}) {
    const test::TempDir dir;
    const auto path = dir / "a.sdsz";
    const NoLocks disk;
    SdszWriterOptions options;
    options.durability = durability;
    auto writer = SdszWriter::create(path, {}, options);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->not_marked());
    EXPECT_EQ(writer->not_marked()->system_error, ENOLCK);
    EXPECT_EQ((*SdszReader::open(path, {}))->in_use(), ByteSource::InUse::unknown);
    EXPECT_EQ(refuse_existing(path, true).error().code, ErrorCode::usage);
    ASSERT_TRUE(writer->close());
    EXPECT_EQ((*SdszReader::open(path, {}))->in_use(), ByteSource::InUse::no);
    EXPECT_TRUE(refuse_existing(path, true));
  }
}

// A device may send a recording, with its footer.
TEST(SdszWriter, WhatIsRecordedAndEndsLikeARecordingIsNotReplaced) {
  const test::TempDir dir;
  Properties session;
  session.set("id", "other");
  ASSERT_TRUE(SdszWriter::create(dir / "other.sdsz", session, {})->close());
  const std::string other = test::read_file(dir / "other.sdsz");
  test::Random random(1);
  std::string block(4096, ' ');  // of noise, which is stored as it is
  for (char& c : block) c = static_cast<char>(random.next());
  const NoLocks disk;
  const auto path = dir / "a.sdsz";
  auto writer = SdszWriter::create(path, {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes(block + other)));
  ASSERT_TRUE(writer->seal(id));
  ASSERT_TRUE(test::read_file(path).ends_with(other.substr(other.size() - 96)));
  EXPECT_EQ(refuse_existing(path, true).error().code, ErrorCode::usage);
  ASSERT_TRUE(writer->close());
  EXPECT_TRUE(refuse_existing(path, true));
  // Which is closed for sure, if its first section is damaged.
  std::string damaged = test::read_file(path);
  damaged[20] ^= 1;
  test::write_file(path, damaged);
  EXPECT_TRUE(refuse_existing(path, true));
}

// Sections of another recording that stand at `offset`: an index that tells all before of one section of `kind`.
std::string embedded_recording(std::uint64_t offset, SectionKind kind) {
  Properties session;
  session.set("id", "embedded");
  const Bytes session_bytes = session.encode();
  std::string text;
  IndexBuilder index;
  SectionHeader header;
  header.version = SectionHeader::current_version;
  header.recording = recording_id(session_bytes);
  const auto add = [&](Bytes payload) {
    header.stream = SectionHeader::no_stream;
    seal_payload(header, payload, false);
    text += std::string(as_text(header.encode())) + std::string(as_text(payload));
    ++header.sequence;
  };
  header.kind = kind;
  header.stream = kind == SectionKind::tail ? 0 : SectionHeader::no_stream;
  header.stored_bytes = static_cast<std::uint32_t>(offset - SectionHeader::bytes);
  header.raw_bytes = kind == SectionKind::gap ? 4 : header.stored_bytes;
  index.add({header, 0}, {}, kind == SectionKind::gap ? Bytes(4) : Bytes());
  ++header.sequence;
  header.kind = SectionKind::session;
  add(session_bytes);
  index.add({*SectionHeader::decode(as_bytes(text)), offset}, {}, {});
  const std::uint64_t index_offset = offset + text.size();
  header.kind = SectionKind::index;
  add(index.payload(0));
  Bytes footer;
  append_le(footer, index_offset);
  append_le(footer, std::uint64_t{header.sequence});
  header.kind = SectionKind::footer;
  add(footer);
  return text;
}

TEST(SdszReader, WhatIsRecordedAndCoversTheFileWithAnIndexIsData) {
  test::Random random(1);
  std::string noise(4096, ' ');
  for (char& c : noise) c = static_cast<char>(random.next());
  const auto record = [](const std::filesystem::path& path, const std::string& block) {
    auto writer = SdszWriter::create(path, {}, {});
    const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
    EXPECT_TRUE(writer->append(id, 0, as_bytes("first")));
    EXPECT_TRUE(writer->seal(id));
    EXPECT_TRUE(writer->append(id, 1, as_bytes(block)));
    EXPECT_TRUE(writer->seal(id));
    return writer;  // not closed
  };
  for (const auto kind :
       {SectionKind::session, SectionKind::tail, SectionKind::gap, SectionKind::label, static_cast<SectionKind>(42)}) {
    const test::TempDir dir;
    const auto first_try = record(dir / "first.sdsz", noise + embedded_recording(4096, kind));  // where does it stand?
    const std::size_t offset = test::read_file(dir / "first.sdsz").find(noise) + noise.size();
    const std::string block = noise + embedded_recording(offset, kind);
    const auto path = dir / "a.sdsz";
    const auto writer = record(path, block);
    const std::string content = test::read_file(path);
    ASSERT_TRUE(content.ends_with(block));
    for (const bool walk : {false, true}) {
      const auto reader = SdszReader::open(path, {.walk = walk, .with_index = walk});
      ASSERT_TRUE(reader) << reader.error().to_string();
      EXPECT_FALSE((*reader)->complete());
      ASSERT_EQ((*reader)->streams().size(), 1u);
      EXPECT_EQ((*reader)->streams()[0].block_count, 2u);
    }
    EXPECT_EQ(read_blocks(path), (std::vector<TestBlock>{{0, "first"}, {1, block}}));
    EXPECT_FALSE(load_statistics(**InputFile::open(path), 0));
    // A first section that is cut off still says whose the file is.
    SectionHeader cut;
    cut.kind = SectionKind::session;
    cut.stored_bytes = cut.raw_bytes = 1u << 16;
    test::write_file(dir / "cut.sdsz", std::string(as_text(cut.encode())) + "cut." + embedded_recording(84, kind));
    EXPECT_FALSE(SdszReader::open(dir / "cut.sdsz", {}));
    // Nor does a kind that nobody reads hide what stands there, where the first header is damaged.
    if (kind != SectionKind::label && kind != static_cast<SectionKind>(42)) continue;
    test::write_file(dir / "noise.sdsz", noise + embedded_recording(noise.size(), kind));
    const auto reader = SdszReader::open(dir / "noise.sdsz", {});
    ASSERT_TRUE(reader) << reader.error().to_string();
    EXPECT_FALSE((*reader)->sections().from_index);
    EXPECT_FALSE((*reader)->damages().empty());
  }
}

TEST(SdszReader, SaysWhereNoLockTellsThatItMayStillGrow) {
  const test::TempDir dir;
  const NoLocks disk;
  auto writer = SdszWriter::create(dir / "a.sdsz", {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes("block")));
  ASSERT_TRUE(writer->seal(id));
  const auto open = *SdszReader::open(dir / "a.sdsz", {});
  const std::string why = "the recording has no end: it is perhaps still being recorded, else it was cut off";
  ASSERT_EQ(open->damages().size(), 1u);
  EXPECT_EQ(open->damages()[0].reason.find(why), 0u) << open->damages()[0].reason;
  ASSERT_EQ(open->streams()[0].doubts.size(), 1u);
  EXPECT_EQ(open->streams()[0].doubts[0].reason, "blocks may be lost: " + why);
  ASSERT_TRUE(writer->close());
  EXPECT_TRUE((*SdszReader::open(dir / "a.sdsz", {}))->damages().empty());
}

class NothingIsCut final : public test::ReplacedFileSystem {
 public:
  int truncate(int, std::uint64_t) override { return -EIO; }
};

TEST(OutputFile, LeavesNothingOfANewFileThatCannotBeBegun) {
  const test::TempDir dir;
  const NothingIsCut disk;
  EXPECT_FALSE(OutputFile::create_marked(dir / "new.sdsz", IfExists::overwrite));
  EXPECT_FALSE(std::filesystem::exists(dir / "new.sdsz"));
  test::write_file(dir / "old.sdsz", "old");
  EXPECT_FALSE(OutputFile::create_marked(dir / "old.sdsz", IfExists::overwrite));
  EXPECT_EQ(test::read_file(dir / "old.sdsz"), "old");
  std::filesystem::create_symlink(dir / "nowhere.sdsz", dir / "link.sdsz");
  EXPECT_FALSE(OutputFile::create_marked(dir / "link.sdsz", IfExists::overwrite));
  EXPECT_FALSE(std::filesystem::exists(dir / "nowhere.sdsz"));
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link.sdsz"));
}

class NothingIsDeleted final : public test::ReplacedFileSystem {
 public:
  int unlink(const std::filesystem::path&) override { return -EROFS; }
};

TEST(SdszWriter, NamesTheLogThatCannotBeDeleted) {
  const test::TempDir dir;
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
  const NothingIsDeleted disk;
  auto closed = writer->close();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().path, wal_path(dir / "a.sdsz"));
}

TEST(SdszWriter, WithoutALogNothingIsSaidToBeOnTheDisk) {
  const test::TempDir dir;
  for (const auto durability : {Durability::none, Durability::process, Durability::power}) {
    SdszWriterOptions options;
    options.durability = durability;
    options.if_exists = IfExists::overwrite;
    auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
    ASSERT_TRUE(writer->close());
    const bool forced = durability != Durability::none;
    EXPECT_EQ(writer->closing(), forced ? SdszWriter::Closing::stored : SdszWriter::Closing::written);
  }
}

// A disk on which one read fails, and no other.
class FailingSource final : public ByteSource {
 public:
  FailingSource(std::shared_ptr<const ByteSource> file, std::shared_ptr<int> reads_left)
      : file_(std::move(file)), reads_left_(std::move(reads_left)) {}
  const std::filesystem::path& path() const override { return file_->path(); }
  Expected<std::uint64_t> size() const override { return file_->size(); }
  Expected<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    if ((*reads_left_)-- == 0) return fail_errno(EIO, "cannot read", path());
    return file_->read(offset, out);
  }

 private:
  std::shared_ptr<const ByteSource> file_;
  std::shared_ptr<int> reads_left_;
};

// Of two streams, closed or with what came last in the log. Returns how many reads there were.
int expect_that_a_failed_read_is_no_damage(const std::filesystem::path& path, bool walk, int at) {
  const auto left = std::make_shared<int>(at);
  std::vector<std::shared_ptr<const ByteSource>> logs;
  if (auto log = InputFile::open(wal_path(path)); log) logs.push_back(std::make_shared<FailingSource>(*log, left));
  const auto source = std::make_shared<FailingSource>(*InputFile::open(path), left);
  auto reader = SdszReader::open(source, logs, {.walk = walk, .with_index = walk});
  if (!reader) {
    EXPECT_EQ(reader.error().system_error, EIO) << at;
    EXPECT_LT(*left, 0) << at;
    return at - *left;
  }
  const auto known = (*reader)->damages();
  bool failed = *left < 0;
  for (std::size_t i = 0; i < (*reader)->streams().size(); ++i) {
    SdszCursor cursor(*reader, i);
    std::uint64_t blocks = 0;
    for (;;) {
      auto block = cursor.next();
      if (block && !*block) break;
      if (block) {
        ++blocks;
        continue;
      }
      EXPECT_EQ(block.error().system_error, EIO) << at;
      failed = true;
      auto again = cursor.next();
      EXPECT_TRUE(!again && again.error().system_error == EIO) << at << ": a later call must not hide it";
      break;
    }
    if (*left >= 0) EXPECT_EQ(blocks, (*reader)->streams()[i].block_count);
  }
  EXPECT_EQ(failed, *left < 0) << at;
  EXPECT_EQ((*reader)->damages(), known) << at;
  return at - *left;
}

TEST(SdszReader, AReadThatFailsIsAnErrorAndNoDamage) {
  for (const bool closed : {true, false}) {
    const test::TempDir dir;
    const auto path = dir / "a.sdsz";
    SdszWriterOptions options;
    options.durability = Durability::process;
    options.section_bytes = 200;
    auto writer = SdszWriter::create(path, {}, options);
    for (const char* name : {"A", "B"}) {
      const auto id = *writer->add_stream({name, "0", false, "", "", ""});
      for (std::uint32_t i = 0; i < 30; ++i) ASSERT_TRUE(writer->append(id, i, as_bytes("a block")));
      ASSERT_TRUE(writer->add_gap(id, "a gap"));
      ASSERT_TRUE(writer->append(id, 40, as_bytes("the last")));
      ASSERT_TRUE(writer->add_clock(id, {40, 1, 1}));
    }
    ASSERT_TRUE(closed ? writer->close() : writer->flush());
    for (const bool walk : {false, true}) {
      const int reads = expect_that_a_failed_read_is_no_damage(path, walk, 1'000'000);
      ASSERT_GT(reads, 10);
      for (int at = 0; at < reads; ++at) (void)expect_that_a_failed_read_is_no_damage(path, walk, at);
    }
  }
}

}  // namespace
}  // namespace sds
