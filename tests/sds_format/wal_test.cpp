// Recordings whose writer was killed: the write-ahead log gives back what no section holds yet.
#include "sds/format/wal.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "sds/format/sdsz_reader.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::TestBlock;

class WriteAheadLog : public ::testing::Test {
 protected:
  SdszWriter open_writer(std::uint32_t section_bytes) {
    SdszWriterOptions options;
    options.durability = Durability::process;
    options.section_bytes = section_bytes;
    Properties session;
    session.set("id", "session 1");
    auto writer = SdszWriter::create(path_, session, options);
    EXPECT_TRUE(writer) << writer.error().to_string();
    return std::move(*writer);
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
};

TEST_F(WriteAheadLog, GivesBackWhatWasFlushedBeforeAKill) {
  const auto blocks = test::wave_blocks(100, 5, 2);
  {
    auto writer = open_writer(1u << 20);
    const auto id = *writer.add_stream({"Test", "0", false, "", "Test.sds.yml", test::int16_metadata(2)});
    for (std::size_t i = 0; i < 60; ++i) ASSERT_TRUE(writer.append(id, blocks[i].timeslot, as_bytes(blocks[i].data)));
    ASSERT_TRUE(writer.flush());
    for (std::size_t i = 60; i < 100; ++i) ASSERT_TRUE(writer.append(id, blocks[i].timeslot, as_bytes(blocks[i].data)));
    ASSERT_TRUE(writer.flush());
    EXPECT_EQ(test::read_blocks(path_), blocks);  // a reader beside the writer sees them, too
  }                                               // destroyed without close(): as after a kill
  EXPECT_EQ(test::read_blocks(path_), blocks);
  auto reader = SdszReader::open(path_, {});
  EXPECT_FALSE((*reader)->complete());
  EXPECT_EQ((*reader)->streams()[0].block_count, 100u);
}

TEST_F(WriteAheadLog, BlocksSealedMeanwhileAreNotGivenTwice) {
  const auto blocks = test::wave_blocks(1000, 5, 2);
  for (const std::size_t flush_every : {1u, 7u, 100u}) {
    std::filesystem::remove(path_);
    std::filesystem::remove(wal_path(path_));
    {
      auto writer = open_writer(1000);
      const auto a = *writer.add_stream({"A", "0", false, "", "A.sds.yml", test::int16_metadata(2)});
      const auto b = *writer.add_stream({"B", "0", false, "", "", ""});
      for (std::size_t i = 0; i < blocks.size(); ++i) {
        ASSERT_TRUE(writer.append(a, blocks[i].timeslot, as_bytes(blocks[i].data)));
        if (i % 50 == 0) ASSERT_TRUE(writer.append(b, blocks[i].timeslot, as_bytes("slow")));
        if (i % flush_every == 0) ASSERT_TRUE(writer.flush());
      }
      ASSERT_TRUE(writer.flush());
    }
    EXPECT_EQ(test::read_blocks(path_, 0), blocks);
    EXPECT_EQ(test::read_blocks(path_, 1).size(), 20u);
  }
}

TEST_F(WriteAheadLog, IsGoneAfterACleanClose) {
  auto writer = open_writer(1000);
  const auto id = *writer.add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer.append(id, 1, as_bytes("x")));
  ASSERT_TRUE(writer.flush());
  EXPECT_TRUE(std::filesystem::exists(wal_path(path_)));
  ASSERT_TRUE(writer.close());
  EXPECT_FALSE(std::filesystem::exists(wal_path(path_)));
}

// The second stream's block stays open, and in the log; the 40 kB of the first are in a section.
TEST_F(WriteAheadLog, GivesBackWhatIsSealedWhereThatIsAskedFor) {
  const std::vector<TestBlock> sealed{{1, std::string(40'000, 'a')}, {2, std::string(400, 'b')}};
  const std::vector<TestBlock> open{{1, "open"}, {3, "later"}};
  {
    auto writer = open_writer(1u << 20);
    const auto a = *writer.add_stream({"A", "0", false, "", "", ""});
    const auto b = *writer.add_stream({"B", "0", false, "", "", ""});
    ASSERT_TRUE(writer.append(a, 1, as_bytes(sealed[0].data)));
    ASSERT_TRUE(writer.append(b, 1, as_bytes(open[0].data)));
    ASSERT_TRUE(writer.flush());
    EXPECT_GT(std::filesystem::file_size(wal_path(path_)), 40'000u);
    ASSERT_TRUE(writer.seal(a));
    // In the way of its successor: the log stays, and does.
    std::filesystem::create_directory(new_wal_path(path_));
    ASSERT_TRUE(writer.shrink_log());
    EXPECT_GT(std::filesystem::file_size(wal_path(path_)), 40'000u);
    std::filesystem::remove(new_wal_path(path_));
    ASSERT_TRUE(writer.shrink_log());
    EXPECT_LT(std::filesystem::file_size(wal_path(path_)), 200u);
    ASSERT_TRUE(writer.append(a, 2, as_bytes(sealed[1].data)));
    ASSERT_TRUE(writer.append(b, 3, as_bytes(open[1].data)));
    ASSERT_TRUE(writer.flush());
  }  // as after a kill
  EXPECT_EQ(test::read_blocks(path_, 0), sealed);
  EXPECT_EQ(test::read_blocks(path_, 1), open);
}

TEST_F(WriteAheadLog, StaysSmallHoweverLongTheRecording) {
  auto writer = open_writer(1u << 16);
  const auto id = *writer.add_stream({"A", "0", false, "", "", ""});
  const Bytes data(10000);
  std::uintmax_t largest = 0;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE(writer.append(id, i, data));
    if (i % 3 != 0) continue;
    ASSERT_TRUE(writer.flush());
    largest = std::max(largest, std::filesystem::file_size(wal_path(path_)));
  }
  EXPECT_LT(largest, 10u << 20);
  ASSERT_TRUE(writer.close());
}

TEST_F(WriteAheadLog, ErrorsNameItAsItIsCalled) {
  test::LimitedDisk disk;
  auto log = WalWriter::create(path_, 7, IfExists::fail);
  ASSERT_TRUE(log);
  auto fresh = log->successor();
  ASSERT_TRUE(fresh);
  BlockRun run;
  run.append(1, 1, as_bytes("x"));
  const auto path_of_failure = [&] {
    disk.room = 0;
    fresh->add(0, 0, run, 0, 0, 1);
    const auto done = fresh->write();
    EXPECT_FALSE(done);
    disk.room = 1 << 20;
    EXPECT_TRUE(fresh->repair());
    return done ? "" : done.error().path;
  };
  EXPECT_EQ(path_of_failure(), new_wal_path(path_));
  ASSERT_TRUE(fresh->publish(*log));
  EXPECT_EQ(path_of_failure(), wal_path(path_));
}

// Somebody moves a growing recording away, and the name, free again, becomes another's.
TEST_F(WriteAheadLog, ALogThatTookTheNameIsLeftAlone) {
  const auto moved = dir_ / "moved.sdsz";
  const std::string block(100'000, 'a');
  auto first = open_writer(1u << 20);
  const auto a = *first.add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(first.append(a, 1, as_bytes(block)));
  ASSERT_TRUE(first.flush());
  EXPECT_TRUE(first.log_is_in_place());
  std::filesystem::rename(path_, moved);
  std::filesystem::rename(wal_path(path_), wal_path(moved));
  EXPECT_FALSE(first.log_is_in_place());
  auto second = open_writer(1u << 20);
  const auto b = *second.add_stream({"B", "0", false, "", "", ""});
  ASSERT_TRUE(second.append(b, 7, as_bytes("flushed")));
  ASSERT_TRUE(second.flush());
  // 12 MB sealed: the log is due for renewal, and goes on as it is.
  for (std::uint32_t i = 2; i < 120; ++i) {
    ASSERT_TRUE(first.append(a, i, as_bytes(block)));
    ASSERT_TRUE(first.flush());
  }
  EXPECT_EQ(test::read_blocks(path_), (std::vector<TestBlock>{{7, "flushed"}}));
  EXPECT_FALSE(std::filesystem::exists(new_wal_path(path_)));
  ASSERT_TRUE(first.close());
  EXPECT_EQ(test::read_blocks(path_), (std::vector<TestBlock>{{7, "flushed"}}));
  EXPECT_TRUE(second.log_is_in_place());
  EXPECT_EQ(test::read_blocks(moved).size(), 119u);
  ASSERT_TRUE(second.close());
  EXPECT_FALSE(std::filesystem::exists(wal_path(path_)));
}

TEST_F(WriteAheadLog, ADamagedSizeOfTheLastFrameIsNoTornEnd) {
  std::uintmax_t last = 0;
  {
    auto writer = open_writer(1u << 20);
    const auto id = *writer.add_stream({"A", "0", false, "", "", ""});
    for (std::uint32_t i = 0; i < 3; ++i) {
      last = std::filesystem::file_size(wal_path(path_));
      ASSERT_TRUE(writer.append(id, i, as_bytes("block")));
      ASSERT_TRUE(writer.flush());
    }
  }
  const std::string log = test::read_file(wal_path(path_));
  for (int bit = 0; bit < 32; ++bit) {
    std::string damaged = log;
    damaged[last + 4 + bit / 8] ^= static_cast<char>(1 << bit % 8);
    test::write_file(wal_path(path_), damaged);
    const auto reader = SdszReader::open(path_, {});
    ASSERT_TRUE(reader);
    EXPECT_FALSE((*reader)->damages().empty()) << bit;
    EXPECT_EQ((*reader)->streams()[0].block_count, 2u) << bit;
  }
}

TEST_F(WriteAheadLog, ATornFrameEndsItQuietlyAndADamagedOneCostsItself) {
  const auto blocks = test::wave_blocks(20, 5, 2);
  {
    auto writer = open_writer(1u << 20);
    const auto id = *writer.add_stream({"Test", "0", false, "", "", ""});
    for (const auto& block : blocks) {
      ASSERT_TRUE(writer.append(id, block.timeslot, as_bytes(block.data)));
      ASSERT_TRUE(writer.flush());
    }
  }
  const std::string log = test::read_file(wal_path(path_));
  for (std::size_t size = 0; size < log.size(); size += 13) {
    test::write_file(wal_path(path_), log.substr(0, size));
    const auto got = test::read_blocks(path_);
    ASSERT_TRUE(std::equal(got.begin(), got.end(), blocks.begin())) << size;
  }
  std::string broken = log;
  broken[log.size() / 2] ^= 4;
  test::write_file(wal_path(path_), broken);
  auto recording = Recording::open(path_);
  ASSERT_TRUE(recording);
  auto cursor = recording->cursor(0);
  const auto got = test::read_blocks(**cursor);
  // Each frame holds one block.
  auto expected = blocks;
  const auto lost = (*cursor)->damages();
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].blocks, 1u);
  expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(lost[0].first_block));
  EXPECT_EQ(got, expected);
}

TEST_F(WriteAheadLog, AStaleLogOfAnotherRecordingIsIgnored) {
  {
    auto writer = open_writer(1u << 20);
    const auto id = *writer.add_stream({"Test", "0", false, "", "", ""});
    ASSERT_TRUE(writer.append(id, 1, as_bytes("old")));
    ASSERT_TRUE(writer.flush());
  }
  const std::string stale = test::read_file(wal_path(path_));
  test::write_packed(path_, {{5, "new"}}, "");
  std::string unfinished = test::read_file(path_);
  test::write_file(path_, unfinished.substr(0, unfinished.size() - 80));  // as if its writer had been killed, too
  test::write_file(wal_path(path_), stale);
  EXPECT_EQ(test::read_blocks(path_), (std::vector<TestBlock>{{5, "new"}}));
}

// A process without descriptors to spare: no file can be opened, those that are open work.
class NoDescriptors final : public test::ReplacedFileSystem {
 public:
  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    if (!exhausted) return FileSystem::open(path, flags, mode);
    ++refused;
    return -EMFILE;
  }
  bool exhausted = false;
  int refused = 0;
};

TEST_F(WriteAheadLog, GoesOnWhereItsSuccessorCannotBeMade) {
  NoDescriptors system;
  test::Random random(11);
  std::vector<TestBlock> blocks;
  std::uint64_t largest = 0;
  {
    auto writer = open_writer(1u << 16);
    const auto id = *writer.add_stream({"Test", "0", false, "", "", ""});
    const auto record = [&](int count) {
      for (int i = 0; i < count; ++i) {
        TestBlock block{static_cast<std::uint32_t>(blocks.size()), {}};
        while (block.data.size() < 8000) block.data += static_cast<char>(random.next() >> 32);
        ASSERT_TRUE(writer.append(id, block.timeslot, as_bytes(block.data)));
        blocks.push_back(std::move(block));
        ASSERT_TRUE(writer.flush());
      }
    };
    record(400);
    system.exhausted = true;
    record(1200);  // 9.6 MB, of which 4 MiB are reason enough for a new log
    EXPECT_GT(system.refused, 0);
    EXPECT_LT(system.refused, 20) << "not at each flush";
    largest = std::filesystem::file_size(wal_path(path_));
    EXPECT_GT(largest, 9u << 20);
    system.exhausted = false;
    EXPECT_EQ(test::read_blocks(path_), blocks);
    record(200);
    EXPECT_LT(std::filesystem::file_size(wal_path(path_)), 4u << 20);
  }
  EXPECT_EQ(test::read_blocks(path_), blocks);
}

// A disk on which the recording cannot grow, and its log can.
class NoRoomForTheFile final : public test::ReplacedFileSystem {
 public:
  explicit NoRoomForTheFile(std::filesystem::path file) : file_(std::move(file)) {}
  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    const int descriptor = FileSystem::open(path, flags, mode);
    if (path == file_) descriptor_ = descriptor;
    return descriptor;
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    return full && descriptor == descriptor_ ? -ENOSPC : FileSystem::write(descriptor, bytes);
  }
  bool full = false;

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

TEST_F(WriteAheadLog, TakesWhatAFullDiskKeepsOutOfTheFile) {
  NoRoomForTheFile disk(path_);
  test::Random random(3);
  std::vector<TestBlock> blocks;
  auto writer = open_writer(1u << 16);
  const auto id = *writer.add_stream({"Test", "0", false, "", "", ""});
  disk.full = true;
  Expected<void> done;
  while (done) {
    TestBlock block{static_cast<std::uint32_t>(blocks.size()), {}};
    while (block.data.size() < 1000) block.data += static_cast<char>(random.next() >> 32);
    done = writer.append(id, block.timeslot, as_bytes(block.data));
    blocks.push_back(std::move(block));
    if (blocks.size() % 10 == 0 && blocks.size() < 30) ASSERT_TRUE(writer.flush());
  }
  EXPECT_GT(blocks.size(), 60u);  // of which twenty were flushed
  EXPECT_EQ(test::read_blocks(path_), blocks);
  const auto size = std::filesystem::file_size(wal_path(path_));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(writer.resume());
  EXPECT_EQ(std::filesystem::file_size(wal_path(path_)), size) << "once is enough";
  disk.full = false;
  ASSERT_TRUE(writer.resume());
  ASSERT_TRUE(writer.close());
  EXPECT_EQ(test::read_blocks(path_), blocks);
}

}  // namespace
}  // namespace sds
