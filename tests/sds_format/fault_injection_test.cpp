// Writers on a disk that fills up: one clear error, and a file that is whole up to there.
#include <gtest/gtest.h>

#include <cerrno>
#include <map>

#include "sds/format/sdsz_reader.hpp"
#include "support/memory_sink.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

TEST(DiskFull, TheErrorIsReportedOnceAndWhatIsThereStaysReadable) {
  const test::TempDir dir;
  const auto blocks = test::wave_blocks(300, 10, 3);
  for (std::size_t capacity = 0; capacity < 12000; capacity += 333) {
    auto disk = std::make_shared<test::Disk>();
    disk->capacity = capacity;
    SdszWriterOptions options;
    options.section_bytes = 2048;
    auto writer = SdszWriter::create(std::make_unique<test::MemorySink>(disk), {}, options);
    if (!writer) {
      EXPECT_EQ(writer.error().code, ErrorCode::io);
      continue;
    }
    auto id = writer->add_stream({"Test", "0", false, "", "Test.sds.yml", test::int16_metadata(3)});
    Expected<void> done = id ? Expected<void>{} : fail(id);
    for (std::size_t i = 0; done && i < blocks.size(); ++i)
      done = writer->append(*id, blocks[i].timeslot, as_bytes(blocks[i].data));
    if (done) done = writer->close();
    if (done) {
      EXPECT_LE(disk->bytes.size(), capacity);
    } else {
      EXPECT_EQ(done.error().message, "No space left on device");
    }
    test::write_file(dir / "a.sdsz", std::string(as_text(disk->bytes)));
    auto reader = SdszReader::open(dir / "a.sdsz", {});
    if (disk->bytes.empty()) continue;
    ASSERT_TRUE(reader) << capacity;
    EXPECT_EQ((*reader)->sections().unfinished.bytes, 0u) << capacity;   // whole sections only
    EXPECT_EQ((*reader)->damages().size(), done ? 0u : 1u) << capacity;  // that it has no end
    if ((*reader)->streams().empty()) continue;
    const auto got = test::read_blocks(dir / "a.sdsz");
    EXPECT_TRUE(std::equal(got.begin(), got.end(), blocks.begin())) << capacity;
  }
}

TEST(DiskFull, ACloseThatFailedIsTakenUpAgainAndTakesNothingMore) {
  const test::TempDir dir;
  auto disk = std::make_shared<test::Disk>();
  auto writer = SdszWriter::create(std::make_unique<test::MemorySink>(disk), {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(writer->append(id, i, as_bytes("block")));
  const std::size_t room = disk->bytes.size();
  for (std::size_t more = 0;; more += 7) {
    disk->capacity = room + more;
    if (writer->close()) break;
    EXPECT_TRUE(writer->failure());
    EXPECT_FALSE(writer->close());  // it latches
    EXPECT_FALSE(writer->append(id, 9, as_bytes("late")));
    disk->capacity = room + more + 3;
    if (!writer->resume()) continue;
    auto late = writer->append(id, 9, as_bytes("late"));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::usage);
  }
  EXPECT_TRUE(writer->close());
  test::write_file(dir / "a.sdsz", std::string(as_text(disk->bytes)));
  EXPECT_EQ(test::read_blocks(dir / "a.sdsz").size(), 5u);
  EXPECT_TRUE((*SdszReader::open(dir / "a.sdsz", {}))->damages().empty());
}

// Refuses some operations.
class RefusingDisk final : public test::ReplacedFileSystem {
 public:
  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    return path.extension() == no_open ? -EMFILE : FileSystem::open(path, flags, mode);
  }
  int rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return no_rename ? -ENOSPC : FileSystem::rename(from, to);
  }
  int unlink(const std::filesystem::path& path) override { return no_unlink ? -EIO : FileSystem::unlink(path); }

  std::string no_open;  // of names with this ending
  bool no_rename = false;
  bool no_unlink = false;
};

TEST(Refused, ALogThatCannotBeReplacedNorItsSuccessorRemovedStays) {
  const test::TempDir dir;
  RefusingDisk disk;
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
  ASSERT_TRUE(writer->add_stream({"A", "0", false, "", "", ""}));
  for (std::uint32_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(writer->append(0, i, as_bytes("block")));
    disk.no_rename = true;
    disk.no_unlink = i % 2 == 0;
    ASSERT_TRUE(writer->shrink_log());
    EXPECT_EQ(writer->unsaved_blocks(0), 0u);
  }
  disk.no_unlink = false;
  ASSERT_TRUE(writer->shrink_log());
  writer = fail(ErrorCode::io, "killed");
  EXPECT_EQ(test::read_blocks(dir / "a.sdsz").size(), 20u);
  EXPECT_FALSE(std::filesystem::exists(dir / "a.sdsz.wal.new"));
}

TEST(Refused, ACreationThatFailsLeavesWhatWasThereAndNothingNew) {
  const test::TempDir dir;
  SdszWriterOptions options;
  options.durability = Durability::process;
  {
    auto killed = SdszWriter::create(dir / "a.sdsz", {}, options);
    ASSERT_TRUE(killed->add_stream({"A", "0", false, "", "", ""}));
    for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(killed->append(0, i, as_bytes("block")));
    ASSERT_TRUE(killed->flush());
  }
  RefusingDisk disk;
  options.if_exists = IfExists::overwrite;
  disk.no_open = ".sdsz";
  EXPECT_FALSE(SdszWriter::create(dir / "a.sdsz", {}, options));
  EXPECT_EQ(test::read_blocks(dir / "a.sdsz").size(), 5u);
  disk.no_open = ".wal";
  EXPECT_FALSE(SdszWriter::create(dir / "b.sdsz", {}, options));
  EXPECT_FALSE(std::filesystem::exists(dir / "b.sdsz"));
}

// The recording's sync fails, and then one write of its log.
class BrokenSyncDisk final : public test::ReplacedFileSystem {
 public:
  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    const int descriptor = FileSystem::open(path, flags, mode);
    names[descriptor] = path.extension();
    return descriptor;
  }
  int sync(int descriptor) override {
    if (!broken || names[descriptor] != ".sdsz") return FileSystem::sync(descriptor);
    failing_writes = 1;
    return -EIO;
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    if (names[descriptor] != ".wal" || failing_writes == 0) return FileSystem::write(descriptor, bytes);
    --failing_writes;
    return -EIO;
  }

  std::map<int, std::string> names;
  bool broken = false;
  int failing_writes = 0;
};

TEST(Refused, WhatTheRecordingDoesNotTakeGoesIntoItsLogAlsoIfThatFailsOnce) {
  const test::TempDir dir;
  BrokenSyncDisk disk;
  SdszWriterOptions options;
  options.durability = Durability::power;
  options.section_bytes = 4096;
  {
    auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
    ASSERT_TRUE(writer->add_stream({"A", "0", false, "", "", ""}));
    const Bytes block(1000);  // five blocks are a section, two more stay open
    for (std::uint32_t i = 0; i < 7; ++i) ASSERT_TRUE(writer->append(0, i, block));
    disk.broken = true;
    EXPECT_FALSE(writer->flush());
    EXPECT_EQ(disk.failing_writes, 0);
  }
  EXPECT_EQ(test::read_blocks(dir / "a.sdsz").size(), 7u);
}

TEST(DiskFull, APlainWriterReportsItAtTheLatestWhenClosed) {
  auto disk = std::make_shared<test::Disk>();
  disk->capacity = 100;
  PlainWriter writer(std::make_unique<test::MemorySink>(disk));
  const Bytes data(200);
  ASSERT_TRUE(writer.append(1, data));
  EXPECT_FALSE(writer.close());
}

}  // namespace
}  // namespace sds
