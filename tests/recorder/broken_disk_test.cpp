// Sessions on a disk that fails: what fails once costs nothing, what fails again ends the recording with all of it
// told.
#include <gtest/gtest.h>

#include <set>

#include "sds/format/sdsz_reader.hpp"
#include "sds/format/wal.hpp"
#include "sds/recorder/session_writer.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;
using test::TestBlock;

constexpr Arrival kThen{1000, 1000, true};

std::vector<TestBlock> numbered_blocks(int count) {
  std::vector<TestBlock> blocks;
  for (int i = 0; i < count; ++i) blocks.push_back({static_cast<std::uint32_t>(i), "block " + std::to_string(i)});
  return blocks;
}

// Lets calls of one kind fail, those that are numbered in `failing` (from 0), and does well before, between and after.
class Failing final : public test::ReplacedFileSystem {
 public:
  enum class Call { open, write, sync, sync_directory, close, unlink };
  Failing(Call call, std::set<int> failing, int error = EIO)
      : call_(call), failing_(std::move(failing)), error_(error) {}

  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    return fails(Call::open) ? -error_ : FileSystem::open(path, flags, mode);
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    return fails(Call::write) ? -error_ : FileSystem::write(descriptor, bytes);
  }
  int sync(int descriptor) override { return fails(Call::sync) ? -error_ : FileSystem::sync(descriptor); }
  int sync_directory(const std::filesystem::path& directory) override {
    return fails(Call::sync_directory) ? -error_ : FileSystem::sync_directory(directory);
  }
  int close(int descriptor) override {
    const int done = FileSystem::close(descriptor);
    return fails(Call::close) ? -error_ : done;
  }
  int unlink(const std::filesystem::path& path) override {
    return fails(Call::unlink) ? -error_ : FileSystem::unlink(path);
  }
  [[nodiscard]] bool has_failed() const { return failed_; }

 private:
  bool fails(Call call) {
    if (call != call_ || failing_.count(calls_++) == 0) return false;
    return failed_ = true;
  }

  Call call_;
  std::set<int> failing_;
  int error_;
  int calls_ = 0;
  bool failed_ = false;
};

// Lets a log be neither written nor cut from some moment on; others are well, that which replaces it, too.
class BrokenLog final : public test::ReplacedFileSystem {
 public:
  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    const int descriptor = FileSystem::open(path, flags, mode);
    if (path.extension() == ".wal") log_ = descriptor;
    return descriptor;
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    return broken && descriptor == log_ ? -EIO : FileSystem::write(descriptor, bytes);
  }
  int truncate(int descriptor, std::uint64_t size) override {
    return broken && descriptor == log_ ? -EIO : FileSystem::truncate(descriptor, size);
  }
  bool broken = false;

 private:
  int log_ = -1;
};

// Of a gate that looks for space again without waiting long.
SpaceGate::Options at_once(OnFull on_full) {
  SpaceGate::Options space;
  space.on_full = on_full;
  space.retry = std::chrono::milliseconds(1);
  return space;
}

SessionOptions options_for(const test::TempDir& dir, Durability durability, bool packed = true) {
  SessionOptions options;
  options.directory = dir.path();
  options.durability = durability;
  options.packed = packed;
  return options;
}

// Each write of a whole recording, the OPEN of a second stream included, fails once.
TEST(BrokenDisk, AWriteThatFailsOnceCostsNothing) {
  const auto blocks = numbered_blocks(30);
  for (const bool packed : {true, false}) {
    for (const auto durability : {Durability::none, Durability::process, Durability::power}) {
      int writes = 0;
      for (bool failed = true; failed; ++writes) {
        const test::TempDir dir;
        const auto session = make_session(options_for(dir, durability, packed), "A");
        ASSERT_TRUE((*session)->open_stream(1, "A"));
        Expected<SessionSummary> ended;
        {
          const Failing disk(Failing::Call::write, {writes});
          for (std::size_t i = 0; i < blocks.size(); ++i) {
            ASSERT_TRUE((*session)->write(1, as_bytes(plain({blocks[i]})), kThen)) << writes;
            if (i == 15) ASSERT_TRUE((*session)->open_stream(2, "B")) << writes;
            if (i > 15) ASSERT_TRUE((*session)->write(2, as_bytes(plain({blocks[i]})), kThen)) << writes;
            if (i % 4 == 0) ASSERT_TRUE((*session)->flush()) << writes;
            if (i == 20) ASSERT_TRUE((*session)->seal()) << writes;
          }
          ASSERT_TRUE((*session)->close_stream(1, "")) << writes;
          ASSERT_TRUE((*session)->close_stream(2, "")) << writes;
          ended = (*session)->finish();
          failed = disk.has_failed();
        }
        ASSERT_TRUE(ended) << writes;
        EXPECT_EQ(ended->losses, std::vector<std::string>());
        const std::vector<TestBlock> second(blocks.begin() + 16, blocks.end());
        if (!packed) {
          EXPECT_EQ(test::read_blocks(dir / "A.0.sds"), blocks) << writes;
          EXPECT_EQ(test::read_blocks(dir / "B.0.sds"), second) << writes;
          continue;
        }
        const auto reader = SdszReader::open(dir / "recording.0.sdsz", {});
        EXPECT_TRUE((*reader)->complete()) << writes;
        EXPECT_EQ((*reader)->damage_log()->count(), 0u) << writes;
        EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 0), blocks) << writes;
        EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 1), second) << writes;
      }
      EXPECT_GT(writes, packed ? 8 : 2);
    }
  }
}

TEST(BrokenDisk, AStreamThatCannotBeOpenedCostsTheOthersNothing) {
  const auto blocks = numbered_blocks(30);
  for (const auto durability : {Durability::none, Durability::process}) {
    const test::TempDir dir;
    auto session = make_packed_session(options_for(dir, durability));
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks)), kThen));
    {
      const Failing disk(Failing::Call::write, {0, 1, 2, 3, 4, 5, 6, 7});
      EXPECT_FALSE((*session)->open_stream(2, "B"));
    }
    ASSERT_TRUE((*session)->close_stream(1, ""));
    EXPECT_EQ((*session)->finish()->losses, std::vector<std::string>());
    EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  }
}

TEST(BrokenDisk, AWriteThatFailsOnceWhileARecordingIsClosedCostsNothing) {
  const auto blocks = numbered_blocks(30);
  for (const auto durability : {Durability::none, Durability::process}) {
    int writes = 0;
    for (bool failed = true; failed; ++writes) {
      const test::TempDir dir;
      auto session = make_packed_session(options_for(dir, durability));
      ASSERT_TRUE((*session)->open_stream(1, "A"));
      ASSERT_TRUE((*session)->open_stream(2, "B"));
      ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks) + "12345"), kThen));
      ASSERT_TRUE((*session)->write(2, as_bytes(plain(blocks)), kThen));
      Expected<SessionSummary> ended;
      {
        const Failing disk(Failing::Call::write, {writes});
        ASSERT_TRUE((*session)->close_stream(1, "why A ended")) << writes;
        ASSERT_TRUE((*session)->close_stream(2, "why B ended")) << writes;
        ended = (*session)->finish();
        failed = disk.has_failed();
      }
      ASSERT_TRUE(ended) << writes;
      EXPECT_EQ(ended->blocks, 60u);
      const auto reader = SdszReader::open(dir / "recording.0.sdsz", {});
      EXPECT_TRUE((*reader)->complete()) << writes;
      EXPECT_EQ((*reader)->damage_log()->count(), 0u) << writes;
      for (std::size_t stream = 0; stream < 2; ++stream) {
        EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", stream), blocks) << writes;
        ASSERT_EQ((*reader)->streams()[stream].gaps.size(), 1u) << writes;
      }
      EXPECT_EQ((*reader)->streams()[0].gaps[0].reason,
                "why A ended; the last block is incomplete (5 bytes of it came)");
      EXPECT_EQ((*reader)->streams()[1].gaps[0].reason, "why B ended");
      ASSERT_EQ((*reader)->streams()[0].tail.size(), 1u) << writes;
      EXPECT_EQ((*reader)->streams()[0].tail[0].header.raw_bytes, 5u);
    }
    EXPECT_GT(writes, 8);
  }
}

TEST(BrokenDisk, WhatAPlainFileTookAndCouldNotWriteIsCountedOnce) {
  const test::TempDir dir;
  test::LimitedDisk disk;
  auto session = make_plain_session(options_for(dir, Durability::process, false), "A");
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  disk.error = EIO;
  disk.room = 0;
  // More than is gathered in memory: 8 + 100,000 bytes.
  EXPECT_FALSE((*session)->write(1, as_bytes(plain({{1, std::string(100'000, 'x')}})), kThen));
  EXPECT_EQ((*session)->abandon("recording stopped").losses,
            std::vector<std::string>{"A: recording stopped; 100008 bytes that came are not in the file"});
}

// Nobody knows what a sync that failed left: of the log another one is made.
TEST(BrokenDisk, ALogThatCannotBeForcedToTheDiskIsReplaced) {
  const auto blocks = numbered_blocks(30);
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir, Durability::power));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(7))), kThen));
  ASSERT_TRUE((*session)->flush());
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({blocks.begin() + 7, blocks.begin() + 20})), kThen));
  {
    const Failing disk(Failing::Call::sync, {0});
    ASSERT_TRUE((*session)->flush());
    EXPECT_TRUE(disk.has_failed());
  }
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz").size(), 20u);
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({blocks.begin() + 20, blocks.end()})), kThen));
  ASSERT_TRUE((*session)->flush());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  ASSERT_TRUE((*session)->close_stream(1, ""));
  EXPECT_EQ((*session)->finish()->losses, std::vector<std::string>());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  EXPECT_FALSE(std::filesystem::exists(wal_path(dir / "recording.0.sdsz")));
}

TEST(BrokenDisk, ARecordingWhoseLogCannotBeForcedToTheDiskAtAllCanBeClosed) {
  const auto blocks = numbered_blocks(30);
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir, Durability::power));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(7))), kThen));
  ASSERT_TRUE((*session)->flush());
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({blocks.begin() + 7, blocks.end()})), kThen));
  {
    const Failing disk(Failing::Call::sync, {0, 1, 2, 3});
    EXPECT_EQ((*session)->flush().error().system_error, EIO);
    EXPECT_FALSE((*session)->flush()) << "what is said to be flushed is on the disk";
  }
  ASSERT_TRUE((*session)->prepare_end());
  ASSERT_TRUE((*session)->close_stream(1, "recording stopped"));
  ASSERT_TRUE((*session)->finish());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  EXPECT_TRUE((*SdszReader::open(dir / "recording.0.sdsz", {}))->complete());
}

TEST(BrokenDisk, WhatCameGoesIntoTheLogWhereTheFileCannotBeForcedToTheDisk) {
  const auto blocks = numbered_blocks(30);
  const test::TempDir dir;
  auto session = make_packed_session(options_for(dir, Durability::power));
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks)), kThen));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain(numbered_blocks(5))), kThen));
  {
    const Failing disk(Failing::Call::sync, {0});
    EXPECT_FALSE((*session)->flush());
    EXPECT_TRUE(disk.has_failed());
  }
  EXPECT_FALSE((*session)->prepare_end());
  const auto summary = (*session)->abandon("recording stopped");
  EXPECT_EQ(summary.blocks, 35u);
  // The log took all, and was forced to the disk.
  EXPECT_EQ(summary.losses,
            (std::vector<std::string>{"A: recording stopped; what came since the last flush may be missing",
                                      "B: recording stopped; what came since the last flush may be missing"}));
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 0), blocks);
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 1), numbered_blocks(5));
}

TEST(BrokenDisk, ARecordingThatIsWholeIsNotSaidToBeUnclosed) {
  const auto blocks = numbered_blocks(30);
  struct Fault {
    Failing::Call call;
    bool ends;  // all is on the disk
  };
  using Call = Failing::Call;
  for (const auto& fault : {Fault{Call::sync, false}, Fault{Call::sync_directory, false}, Fault{Call::close, true},
                            Fault{Call::unlink, true}}) {
    const test::TempDir dir;
    auto session = make_packed_session(options_for(dir, Durability::process));
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks)), kThen));
    ASSERT_TRUE((*session)->close_stream(1, ""));
    SessionSummary summary;
    {
      const Failing disk(fault.call, {0, 1, 2, 3});
      auto ended = (*session)->finish();
      ASSERT_TRUE(disk.has_failed());
      ASSERT_EQ(ended.has_value(), fault.ends);
      summary = ended ? *ended : (*session)->abandon("recording stopped");
    }
    EXPECT_EQ(summary.blocks, 30u);
    if (fault.ends) {
      EXPECT_EQ(summary.losses, std::vector<std::string>());
    } else {
      EXPECT_EQ(summary.losses, std::vector<std::string>{"recording stopped; the recording is whole, but would perhaps "
                                                         "not survive a power cut"});
    }
    const auto reader = SdszReader::open(dir / "recording.0.sdsz", {});
    EXPECT_TRUE((*reader)->complete());
    EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  }
}

// Nobody knows what became of the file, and waiting for space would never end. Of the log others are made.
TEST(BrokenDisk, AFileThatCannotBeForcedToAFullDiskIsNotWaitedForAndItsLogIs) {
  for (const int error : {ENOSPC, EDQUOT}) {
    for (const auto& failing : {std::set<int>{0}, std::set<int>{1, 2, 3}}) {
      const test::TempDir dir;
      SpaceGate gate(at_once(OnFull::wait));
      SessionOptions options = options_for(dir, Durability::power);
      options.gate = &gate;
      auto session = make_packed_session(options);
      ASSERT_TRUE((*session)->open_stream(1, "A"));
      ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(7))), kThen));
      const Failing disk(Failing::Call::sync, failing, error);
      EXPECT_EQ((*session)->flush().has_value(), failing.size() > 1);
      EXPECT_FALSE(gate.waiting());
      (void)(*session)->abandon("recording stopped");
      EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), numbered_blocks(7));
    }
  }
}

TEST(BrokenDisk, ALogThatTakesNothingMoreAndCannotBeCutIsReplaced) {
  for (const auto durability : {Durability::process, Durability::power}) {
    const test::TempDir dir;
    BrokenLog disk;
    auto session = make_packed_session(options_for(dir, durability));
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    const auto blocks = numbered_blocks(20);
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(7))), kThen));
    ASSERT_TRUE((*session)->flush());
    disk.broken = true;
    ASSERT_TRUE((*session)->write(1, as_bytes(plain({blocks.begin() + 7, blocks.end()})), kThen));
    ASSERT_TRUE((*session)->flush());
    EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
    ASSERT_TRUE((*session)->close_stream(1, ""));
    EXPECT_EQ((*session)->finish()->losses, std::vector<std::string>());
    EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  }
}

// The log's sync fails; then there is no space for another log, for a while.
class FullBehindSync final : public test::ReplacedFileSystem {
 public:
  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    return synced_ && opens_++ < 3 ? -ENOSPC : FileSystem::open(path, flags, mode);
  }
  int sync(int descriptor) override { return std::exchange(synced_, true) ? FileSystem::sync(descriptor) : -EIO; }

 private:
  bool synced_ = false;
  int opens_ = 0;
};

TEST(BrokenDisk, SpaceForAnotherLogIsWaitedFor) {
  for (const auto on_full : {OnFull::wait, OnFull::stop}) {
    const test::TempDir dir;
    SpaceGate gate(at_once(on_full));
    SessionOptions options = options_for(dir, Durability::power);
    options.gate = &gate;
    auto session = make_packed_session(options);
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    ASSERT_TRUE((*session)->flush());
    const auto late = Arrival{1000, 1000, false};  // no clock pair, which would be forced to the disk first
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(7))), late));
    const FullBehindSync disk;
    const auto flushed = (*session)->flush();
    EXPECT_EQ(flushed.has_value(), on_full == OnFull::wait);
    if (!flushed) EXPECT_EQ(flushed.error().system_error, ENOSPC);
    EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), numbered_blocks(7));
  }
}

TEST(BrokenDisk, SpaceThatLacksBehindAFailureIsWaitedFor) {
  SpaceGate gate(at_once(OnFull::wait));
  const auto failed = [](int error) { return tl::unexpected<Error>(Error{ErrorCode::io, "no", {}, {}, error}); };
  int tries = 0;
  EXPECT_TRUE(settle(&gate, "device", failed(EIO), [&]() -> Expected<void> {
    if (++tries < 4) return failed(ENOSPC);
    return {};
  }));
  EXPECT_EQ(tries, 4);
  tries = 0;
  EXPECT_FALSE(settle(&gate, "device", failed(EIO), [&]() -> Expected<void> {
    ++tries;
    return failed(EIO);
  }));
  EXPECT_EQ(tries, 1);
}

TEST(BrokenDisk, APlainFileThatCannotBeMadeOnceIsMade) {
  const test::TempDir dir;
  auto session = make_plain_session(options_for(dir, Durability::process, false), "A");
  const Failing disk(Failing::Call::open, {0});
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(3))), kThen));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  EXPECT_EQ(test::read_blocks(dir / "A.0.sds"), numbered_blocks(3));
}

}  // namespace
}  // namespace sds
