// The room for the end of a recording without a log: reserved on the disk, seen by nobody, given back.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "sds/format/sdsz_reader.hpp"
#include "sds/format/sdsz_writer.hpp"
#include "sds/recorder/session_writer.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;
using test::TestBlock;

TestBlock noise(std::uint32_t number, std::size_t bytes) {
  test::Random random(number + 1);
  std::string data(bytes, ' ');
  for (char& c : data) c = static_cast<char>(random.next() >> 32);
  return {number, std::move(data)};
}

// Writes blocks, each in a section of its own, and closes.
class KeptRoom : public ::testing::Test {
 protected:
  void begin() {
    auto created = SdszWriter::create(path_, {}, {});
    ASSERT_TRUE(created);
    writer_.emplace(std::move(*created));
    id_ = *writer_->add_stream({"A", "0", false, "", "", ""});
  }
  Expected<void> write(std::uint32_t number) {
    blocks_.push_back(noise(number, 1000));
    if (auto done = writer_->append(id_, number, as_bytes(blocks_.back().data)); !done) return done;
    return writer_->seal(id_);
  }
  [[nodiscard]] std::uint64_t bytes_on_disk() const {
    struct stat info {};
    EXPECT_EQ(::stat(path_.c_str(), &info), 0);
    return 512 * static_cast<std::uint64_t>(info.st_blocks);
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
  std::optional<SdszWriter> writer_;
  SdszWriter::StreamId id_ = 0;
  std::vector<TestBlock> blocks_;
};

// Some network and user-space file systems can neither reserve nor cut.
class OnlyAppends final : public test::ReplacedFileSystem {
 public:
  explicit OnlyAppends(int error) : error_(error) {}
  int reserve(int, std::uint64_t, std::uint64_t) override { return -error_; }
  int truncate(int, std::uint64_t) override { return -EOPNOTSUPP; }

 private:
  int error_;
};

TEST_F(KeptRoom, WhereNothingCanBeReservedItIsRecordedAllTheSame) {
  for (const int error : {EOPNOTSUPP, ENOSYS, EINVAL}) {
    const OnlyAppends disk(error);
    std::filesystem::remove(path_);
    blocks_.clear();
    begin();
    for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(write(i)) << error;
    ASSERT_TRUE(writer_->close()) << error;
    EXPECT_EQ(test::read_blocks(path_), blocks_);
  }
}

class CanBeFull final : public test::ReplacedFileSystem {
 public:
  int reserve(int descriptor, std::uint64_t offset, std::uint64_t bytes) override {
    return error != 0 ? -error : FileSystem::reserve(descriptor, offset, bytes);
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    if (error != 0) ++written;
    return FileSystem::write(descriptor, bytes);
  }
  int error = 0;
  int written = 0;  // meanwhile
};

TEST_F(KeptRoom, WithoutItNothingOfASectionIsWritten) {
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    CanBeFull disk;
    std::filesystem::remove(path_);
    blocks_.clear();
    begin();
    ASSERT_TRUE(write(0));
    const auto size = std::filesystem::file_size(path_);
    disk.error = error;
    const auto full = write(1);
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().system_error, error);
    EXPECT_EQ(is_disk_full(full.error()), error != EFBIG);
    EXPECT_FALSE(writer_->resume());
    EXPECT_EQ(disk.written, 0);
    EXPECT_EQ(std::filesystem::file_size(path_), size);
    disk.error = 0;
    ASSERT_TRUE(writer_->resume());
    ASSERT_TRUE(write(2));
    ASSERT_TRUE(writer_->close());
    EXPECT_EQ(test::read_blocks(path_), blocks_);
  }
}

// Looks at the file behind every call.
class Watched final : public test::ReplacedFileSystem {
 public:
  explicit Watched(std::filesystem::path path) : path_(std::move(path)) {}
  ssize_t write(int descriptor, ByteView bytes) override {
    const ssize_t done = FileSystem::write(descriptor, bytes);
    seen.push_back(test::read_file(path_));
    return done;
  }
  int truncate(int descriptor, std::uint64_t size) override {
    const int done = FileSystem::truncate(descriptor, size);
    seen.push_back(test::read_file(path_));
    return done;
  }
  int reserve(int descriptor, std::uint64_t offset, std::uint64_t bytes) override {
    const int done = FileSystem::reserve(descriptor, offset, bytes);
    seen.push_back(test::read_file(path_));
    return done;
  }
  std::vector<std::string> seen;

 private:
  std::filesystem::path path_;
};

TEST_F(KeptRoom, AReaderSeesTheBeginOfTheRecordingAtAnyMoment) {
  Watched disk(path_);
  begin();
  for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(write(i));
  ASSERT_TRUE(writer_->close());
  const std::string whole = test::read_file(path_);
  EXPECT_GT(disk.seen.size(), 10u);
  for (const auto& seen : disk.seen) EXPECT_TRUE(whole.starts_with(seen)) << seen.size() << " of " << whole.size();
}

// As a copy has them, but for blocks that are not full.
TEST_F(KeptRoom, IsGivenBackWhenTheFileIsClosedOrGivenUp) {
  constexpr std::uint64_t streams = 200;
  constexpr std::uint64_t block = 64 << 10;
  for (const bool closes : {true, false}) {
    std::filesystem::remove(path_);
    begin();
    for (std::uint64_t i = 1; i < streams; ++i)
      ASSERT_TRUE(writer_->add_stream({"S" + std::to_string(i), "0", false, "", "", ""}));
    ASSERT_TRUE(write(0));
    // At least a header of 64 bytes and a byte of what it is for each of: its second description, its entry.
    if (bytes_on_disk() < std::filesystem::file_size(path_) + streams * 2 * 65)
      GTEST_SKIP() << "nothing can be reserved here";
    if (closes) ASSERT_TRUE(writer_->close());
    writer_.reset();
    EXPECT_LT(bytes_on_disk(), std::filesystem::file_size(path_) + block);
  }
}

class CannotGiveBack final : public test::ReplacedFileSystem {
 public:
  int truncate(int, std::uint64_t) override { return -EIO; }
};

TEST_F(KeptRoom, ThatItCannotBeGivenBackIsNoError) {
  const CannotGiveBack disk;
  begin();
  ASSERT_TRUE(write(0));
  ASSERT_TRUE(writer_->close());
  EXPECT_EQ(test::read_blocks(path_), blocks_);
}

// Others take all that is free as soon as there is none for a section.
TEST_F(KeptRoom, IsEnoughForManyStreamsWhateverOthersTake) {
  constexpr std::uint32_t streams = 250;
  test::LimitedDisk disk(3'000'000);
  SpaceGate::Options space;
  space.on_full = OnFull::stop;
  SpaceGate gate(space);
  SessionOptions options;
  options.directory = dir_.path();
  options.durability = Durability::none;
  options.gate = &gate;
  auto session = make_packed_session(options);
  constexpr Arrival then{1000, 1000, true};
  for (std::uint32_t i = 0; i < streams; ++i) ASSERT_TRUE((*session)->open_stream(i, "S" + std::to_string(i)));
  Expected<void> done;
  std::uint32_t came = 0;
  for (; done && came < 100; ++came)
    done = (*session)->write(came % streams, as_bytes(plain({noise(came, 1'200'000)})), then);
  ASSERT_FALSE(done);
  EXPECT_TRUE(is_disk_full(done.error()));
  disk.room = 0;
  ASSERT_TRUE((*session)->prepare_end());
  for (std::uint32_t i = 0; i < streams; ++i) ASSERT_TRUE((*session)->close_stream(i, "stopped")) << i;
  const auto summary = (*session)->finish();
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_GT(summary->blocks, 0u);
  EXPECT_LT(summary->blocks, came);
  session->reset();
  const auto recording = Recording::open(dir_ / "recording.0.sdsz");
  ASSERT_TRUE(recording);
  EXPECT_TRUE(recording->sdsz()->complete());
  EXPECT_TRUE(recording->damages().empty());
}

// Every ten seconds comes a pair, and blocks that stay in memory till the end.
TEST_F(KeptRoom, IsNotForClockPairs) {
  for (const int error : {ENOSPC, EFBIG}) {
    SCOPED_TRACE(error);
    const test::TempDir dir;
    test::LimitedDisk disk(8'000);
    disk.error = error;
    SpaceGate::Options space;
    space.on_full = OnFull::stop;
    SpaceGate gate(space);
    SessionOptions options;
    options.directory = dir.path();
    options.durability = Durability::none;
    options.gate = &gate;
    auto session = make_packed_session(options);
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    Expected<void> done;
    std::uint32_t came = 0;
    for (; done && came < 100; ++came) {
      const auto now = (came + 1) * std::uint64_t{10'000'000'000};
      done = (*session)->write(1, as_bytes(plain({{came, "abcd"}})), {now, now, true});
    }
    ASSERT_FALSE(done);
    ASSERT_TRUE((*session)->prepare_end());
    ASSERT_TRUE((*session)->close_stream(1, "stopped"));
    const auto summary = (*session)->finish();
    ASSERT_TRUE(summary) << summary.error().to_string();
    session->reset();
    const auto recording = Recording::open(dir / "recording.0.sdsz");
    ASSERT_TRUE(recording);
    EXPECT_TRUE(recording->sdsz()->complete());
    const auto& stream = recording->sdsz()->streams()[0];
    EXPECT_EQ(stream.block_count, came - 1);  // without the one that came with the pair that had no place
    ASSERT_EQ(stream.gaps.size(), 1u);
    EXPECT_EQ(stream.gaps[0].reason, "stopped; 1 blocks that came have no place in it");
  }
}

// No waiting helps: it is closed with what fits, whatever is done on a full disk.
TEST_F(KeptRoom, AFileThatMayNotGrowIsClosedWithWhatFits) {
  for (const OnFull on_full : {OnFull::wait, OnFull::stop})
    for (const bool at_the_end : {false, true}) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(on_full) << at_the_end);
      const test::TempDir dir;
      test::LimitedDisk disk(3'000'000);
      disk.error = EFBIG;
      SpaceGate::Options space;
      space.on_full = on_full;
      SpaceGate gate(space);
      SessionOptions options;
      options.directory = dir.path();
      options.durability = Durability::none;
      options.gate = &gate;
      auto session = make_packed_session(options);
      constexpr Arrival then{1000, 1000, true};
      ASSERT_TRUE((*session)->open_stream(1, "A"));
      Expected<void> done;
      std::uint32_t came = 0;
      const std::uint32_t most = at_the_end ? 1 : 100;
      for (; done && came < most; ++came) done = (*session)->write(1, as_bytes(plain({noise(came, 1'200'000)})), then);
      if (at_the_end) {
        ASSERT_TRUE((*session)->write(1, as_bytes(plain({noise(came++, 900'000)})), then));
        disk.room = 0;
      } else {
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().system_error, EFBIG);
        ASSERT_TRUE((*session)->prepare_end());
      }
      ASSERT_TRUE((*session)->close_stream(1, at_the_end ? "" : "stopped"));
      EXPECT_EQ((*session)->must_end().has_value(), at_the_end);
      const auto summary = (*session)->finish();
      ASSERT_TRUE(summary) << summary.error().to_string();
      EXPECT_EQ(summary->blocks, at_the_end ? 1u : 2u);
      EXPECT_FALSE(gate.waiting());
      session->reset();
      const auto recording = Recording::open(dir / "recording.0.sdsz");
      ASSERT_TRUE(recording);
      EXPECT_TRUE(recording->sdsz()->complete());
      ASSERT_EQ(recording->sdsz()->streams()[0].gaps.size(), 1u);
      if (at_the_end)
        EXPECT_EQ(recording->sdsz()->streams()[0].gaps[0].reason,
                  "1 blocks that came have no place in the file, which may not grow");
    }
}

}  // namespace
}  // namespace sds
