// Sessions on a disk that fills up: they wait and go on without losing or doubling a byte, or stop and keep what they
// have.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <deque>
#include <thread>

#include "sds/format/executor.hpp"
#include "sds/format/sdsz_reader.hpp"
#include "sds/recorder/session_writer.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::plain;
using test::TestBlock;

constexpr Arrival kThen{1000, 1000, true};

std::vector<TestBlock> numbered_blocks(int count, std::size_t bytes = 100) {
  test::Random random(7);
  std::vector<TestBlock> blocks;
  for (int i = 0; i < count; ++i) {
    TestBlock block{static_cast<std::uint32_t>(i), {}};
    while (block.data.size() < bytes) block.data += static_cast<char>(random.next() >> 32);
    blocks.push_back(block);
  }
  return blocks;
}

SpaceGate::Options patient(OnFull on_full) {
  SpaceGate::Options options;
  options.on_full = on_full;
  options.retry = std::chrono::milliseconds(1);
  return options;
}

// Records `blocks`, flushing after every tenth.
Expected<SessionSummary> record(SessionWriter& session, const std::vector<TestBlock>& blocks) {
  const std::string bytes = plain(blocks);
  const std::size_t piece = 10 * bytes.size() / blocks.size();
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (auto done = session.write(1, as_bytes(bytes).subspan(at, std::min(piece, bytes.size() - at)), kThen); !done)
      return fail(done);
    if (auto done = session.flush(); !done) return fail(done);
  }
  if (auto done = session.close_stream(1, ""); !done) return fail(done);
  return session.finish();
}

// For a disk that fills up after each of many numbers of bytes, and has room again a little later.
void expect_nothing_lost(bool packed, const std::string& file, int step) {
  const auto blocks = numbered_blocks(60);
  int waited = 0;
  for (std::int64_t room = 0;; room += step) {
    const test::TempDir dir;
    test::LimitedDisk disk;
    SpaceGate gate(patient(OnFull::wait));
    SessionOptions options;
    options.directory = dir.path();
    options.packed = packed;
    options.gate = &gate;
    auto session = make_session(options, "A");
    ASSERT_TRUE(session);
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    disk.room = room;
    Expected<SessionSummary> summary;
    std::atomic<bool> done{false};
    std::thread writer([&] {
      summary = record(**session, blocks);
      done = true;
    });
    while (!gate.waiting() && !done) std::this_thread::yield();
    const bool was_full = gate.waiting();
    disk.room = 1 << 30;
    writer.join();
    ASSERT_TRUE(summary) << room << ": " << summary.error().to_string();
    ASSERT_EQ(summary->blocks, blocks.size()) << room;
    ASSERT_EQ(test::read_blocks(dir / file), blocks) << room;
    ASSERT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1) << "no log, nothing else";
    if (!was_full) break;
    ++waited;
  }
  EXPECT_GT(waited, 6000 / step);
}

TEST(FullDisk, APackedSessionWaitsAndLosesNothing) { expect_nothing_lost(true, "recording.0.sdsz", 97); }
TEST(FullDisk, APlainSessionWaitsAndLosesNothing) { expect_nothing_lost(false, "A.0.sds", 97); }

TEST(FullDisk, AStoppedPackedSessionKeepsEveryFlushedBlock) {
  const auto blocks = numbered_blocks(60);
  for (std::int64_t room = 0; room < 6000; room += 89) {
    const test::TempDir dir;
    test::LimitedDisk disk;
    SessionOptions options;
    options.directory = dir.path();
    auto session = make_packed_session(options);
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    disk.room = room;
    std::size_t flushed = 0;
    Expected<void> done;
    for (std::size_t i = 0; i < blocks.size() && done; ++i) {
      done = (*session)->write(1, as_bytes(plain({blocks[i]})), kThen);
      if (done) done = (*session)->flush();
      if (done) flushed = i + 1;
    }
    ASSERT_FALSE(done) << room;
    EXPECT_TRUE(is_disk_full(done.error()));
    // Nothing that is asked of it later succeeds as if nothing had been.
    EXPECT_FALSE((*session)->flush());
    EXPECT_FALSE((*session)->finish());
    const auto summary = (*session)->abandon("recording stopped: the disk is full");
    EXPECT_EQ(summary.losses.size(), 1u);
    session->reset();
    auto kept = test::read_blocks(dir / "recording.0.sdsz");
    ASSERT_GE(kept.size(), flushed) << room;
    ASSERT_EQ(kept, std::vector<TestBlock>(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(kept.size())));
  }
}

TEST(FullDisk, APlainFileCountsOnlyWhatIsInIt) {
  const auto blocks = numbered_blocks(20);
  const std::string bytes = plain(blocks);
  const test::TempDir dir;
  test::LimitedDisk disk(1000);
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_plain_session(options, "A");
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes.substr(0, 540)), kThen));  // five blocks
  ASSERT_TRUE((*session)->flush());
  ASSERT_TRUE((*session)->write(1, as_bytes(bytes.substr(540)), kThen));
  EXPECT_FALSE((*session)->flush());
  EXPECT_FALSE((*session)->flush());
  const auto summary = (*session)->abandon("recording stopped: the disk is full");
  EXPECT_EQ(summary.blocks, 5u);
  EXPECT_EQ(summary.stored_bytes, 540u);
  EXPECT_EQ(summary.losses,
            std::vector<std::string>{"A: recording stopped: the disk is full; 1620 bytes that came are not "
                                     "in the file"});
  EXPECT_EQ(test::read_file(dir / "A.0.sds"), bytes.substr(0, 540));
}

// Nothing is encoded before somebody waits for it: what has ended stays in the writer's queue.
class IdleExecutor final : public Executor {
 public:
  void run(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  bool help() override {
    if (tasks_.empty()) return false;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }
  [[nodiscard]] unsigned concurrency() const override { return 4; }

 private:
  std::deque<std::function<void()>> tasks_;
};

std::vector<TestBlock> blocks_of(const std::vector<TestBlock>& blocks, std::ptrdiff_t from, std::ptrdiff_t to) {
  return {blocks.begin() + from, blocks.begin() + to};
}

// 7 of A are in the log, 5 of B are not; the CLOSE of B finds the disk full.
TEST(FullDisk, AFailedCloseTellsForEachStreamWhatIsNotInTheRecording) {
  const auto blocks = numbered_blocks(30);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 0, 7))), kThen));
  ASSERT_TRUE((*session)->flush());
  ASSERT_TRUE((*session)->write(2, as_bytes(plain(blocks_of(blocks, 7, 12))), kThen));
  disk.room = 0;
  EXPECT_FALSE((*session)->close_stream(2, "disconnected"));
  EXPECT_FALSE((*session)->close_stream(1, ""));
  const auto summary = (*session)->abandon("recording stopped: the disk is full");
  EXPECT_EQ(summary.losses, (std::vector<std::string>{"B: disconnected",
                                                      "B: recording stopped: the disk is full; 5 of the 5 blocks that "
                                                      "came are not in the recording"}));
  EXPECT_EQ(summary.blocks, 7u);
  session->reset();
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 0), blocks_of(blocks, 0, 7));
  EXPECT_TRUE(test::read_blocks(dir / "recording.0.sdsz", 1).empty());
}

TEST(FullDisk, WhatWasInTheQueueOfStreamsThatHaveEndedIsTold) {
  const auto blocks = numbered_blocks(30, 2000);
  const test::TempDir dir;
  test::LimitedDisk disk;
  IdleExecutor executor;
  SessionOptions options;
  options.directory = dir.path();
  options.durability = Durability::none;
  options.executor = &executor;
  constexpr Arrival late{1000, 1000, false};  // no clock pair, which would be written at once
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 0, 7))), late));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain(blocks_of(blocks, 7, 12))), late));
  disk.room = 0;
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->close_stream(2, ""));
  EXPECT_FALSE((*session)->finish());
  const auto summary = (*session)->abandon("recording stopped: the disk is full");
  EXPECT_EQ(summary.blocks, 0u);
  EXPECT_EQ(summary.losses,
            (std::vector<std::string>{
                "A: recording stopped: the disk is full; 7 of the 7 blocks that came are not in the recording",
                "B: recording stopped: the disk is full; 5 of the 5 blocks that came are not in the recording"}));
}

TEST(FullDisk, BlocksThatCameWhenItHadFailedAreToldToo) {
  const auto blocks = numbered_blocks(30);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 0, 7))), kThen));
  ASSERT_TRUE((*session)->flush());
  disk.room = 0;
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 7, 10))), kThen));
  EXPECT_FALSE((*session)->flush());
  const std::string rest = plain(blocks_of(blocks, 10, 30)) + "12345";
  EXPECT_FALSE((*session)->write(1, as_bytes(rest), kThen));
  EXPECT_EQ((*session)->abandon("recording stopped: the disk is full").losses,
            std::vector<std::string>{"A: recording stopped: the disk is full; 23 of the 30 blocks that came are not in "
                                     "the recording, nor are 5 bytes of one that had begun"});
}

// Who seals makes place for others: when that fails, nothing of its own is lost.
TEST(FullDisk, ASealThatFailsEndsNothing) {
  const auto blocks = numbered_blocks(30);
  for (const auto durability : {Durability::none, Durability::process}) {
    const test::TempDir dir;
    test::LimitedDisk disk;
    SessionOptions options;
    options.directory = dir.path();
    options.durability = durability;
    SpaceGate::Options space;
    space.on_full = OnFull::stop;
    SpaceGate gate(space);
    options.gate = &gate;
    auto session = make_packed_session(options);
    ASSERT_TRUE((*session)->open_stream(1, "A"));
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 0, 7))), kThen));
    const std::int64_t room = disk.room;
    disk.room = 0;
    EXPECT_FALSE((*session)->seal());
    disk.room = room;
    ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 7, 30))), kThen));
    ASSERT_TRUE((*session)->close_stream(1, ""));
    EXPECT_EQ((*session)->finish()->losses, std::vector<std::string>());
    EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
  }
}

// What is cut off a file is free again.
class DiskThatTakesBack final : public test::LimitedDisk {
 public:
  int truncate(int descriptor, std::uint64_t size) override {
    struct stat before {};
    const bool known = ::fstat(descriptor, &before) == 0;
    const int done = LimitedDisk::truncate(descriptor, size);
    if (known && done == 0) room += before.st_size - static_cast<std::int64_t>(size);
    return done;
  }
};

// One stream's section does not fit, what the others have and the end do.
TEST(FullDisk, AStoppedRecordingIsClosedWithWhatFits) {
  const test::TempDir dir;
  DiskThatTakesBack disk;
  SessionOptions options;
  options.directory = dir.path();
  options.durability = Durability::none;
  SpaceGate::Options space;
  space.on_full = OnFull::stop;
  SpaceGate gate(space);
  options.gate = &gate;
  auto session = make_packed_session(options);
  test::Random random(1);
  std::vector<TestBlock> large;  // of noise: no section of them is small
  for (std::uint32_t i = 0; i < 30; ++i) {
    std::string data(40'000, ' ');
    for (char& c : data) c = static_cast<char>(random.next());
    large.push_back({i, std::move(data)});
  }
  const auto small = numbered_blocks(30);
  for (const std::uint32_t handle : {1u, 2u, 3u})
    ASSERT_TRUE((*session)->open_stream(handle, std::string(1, static_cast<char>('@' + handle))));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain(small)), kThen));
  ASSERT_TRUE((*session)->write(3, as_bytes(plain({large[0]})), kThen));
  disk.room = 50'000;
  ASSERT_TRUE((*session)->close_stream(3, ""));
  Expected<void> done;
  std::size_t came = 0;
  for (; came < large.size() && done; ++came) done = (*session)->write(1, as_bytes(plain({large[came]})), kThen);
  ASSERT_FALSE(done);
  EXPECT_TRUE(is_disk_full(done.error()));
  ASSERT_TRUE((*session)->prepare_end());
  for (const std::uint32_t handle : {1u, 2u}) ASSERT_TRUE((*session)->close_stream(handle, "stopped"));
  const auto summary = (*session)->finish();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->blocks, 31u);
  EXPECT_EQ(summary->losses,
            (std::vector<std::string>{"A: stopped; " + std::to_string(came) + " blocks that came have no place in it",
                                      "B: stopped"}));
  session->reset();
  const auto recording = Recording::open(dir / "recording.0.sdsz");
  ASSERT_TRUE(recording);
  EXPECT_TRUE(recording->sdsz()->complete());
  EXPECT_TRUE(recording->damages().empty());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 0), std::vector<TestBlock>());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 1), small);
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 2), std::vector<TestBlock>{large[0]});
  EXPECT_EQ(recording->sdsz()->streams()[0].gaps.size(), 1u);
}

// Whatever ends a recording without a log: a block that comes, the CLOSE of a stream, a device that goes, a stop. What
// fits is in it, what does not is told, and it is closed.
TEST(FullDisk, EveryEndOfAStoppedRecordingClosesItWithWhatFits) {
  test::Random random(1);
  const auto noise = [&](std::uint32_t count, std::size_t size) {
    std::vector<TestBlock> blocks;
    for (std::uint32_t i = 0; i < count; ++i) {
      std::string data(size, ' ');
      for (char& c : data) c = static_cast<char>(random.next());
      blocks.push_back({i, std::move(data)});
    }
    return blocks;
  };
  const std::vector<std::vector<TestBlock>> came{noise(8, 5'000), noise(20, 300), noise(4, 40)};
  enum class End { close, disconnection, torn, write };
  for (const End end : {End::close, End::disconnection, End::torn, End::write})
    for (std::int64_t room = 12'000; room < 80'000; room += 331) {
      SCOPED_TRACE(std::to_string(static_cast<int>(end)) + " " + std::to_string(room));
      const test::TempDir dir;
      DiskThatTakesBack disk;
      SpaceGate gate(patient(OnFull::stop));
      SessionOptions options;
      options.directory = dir.path();
      options.durability = Durability::none;
      options.gate = &gate;
      auto session = make_packed_session(options);
      for (std::uint32_t i = 0; i < came.size(); ++i) {
        ASSERT_TRUE((*session)->open_stream(i, std::string(1, static_cast<char>('A' + i))));
        ASSERT_TRUE((*session)->write(i, as_bytes(plain(came[i])), kThen));
      }
      if (end == End::torn)
        ASSERT_TRUE((*session)->write(1, as_bytes("\0\0\0\0\xff\xff\xff\xf0" + std::string(9'000, 'q')), kThen));
      disk.room = room;
      std::size_t of_a = came[0].size();
      bool stopped = false;
      if (end == End::write)
        for (std::uint32_t i = 0; i < 40 && !stopped; ++i, ++of_a)
          stopped =
              !(*session)->write(0, as_bytes(plain({{100 + i, std::string(40'000, static_cast<char>(i))}})), kThen);
      for (std::uint32_t i = 0; i < came.size(); ++i) {
        if (stopped) ASSERT_TRUE((*session)->prepare_end());
        ASSERT_TRUE((*session)->close_stream(i, end == End::close && !stopped ? "" : "the device has gone"));
        stopped = (*session)->must_end().has_value();
      }
      auto summary = (*session)->finish();
      if (!summary) {
        ASSERT_TRUE((*session)->prepare_end());
        summary = (*session)->finish();
      }
      ASSERT_TRUE(summary) << summary.error().to_string();
      session->reset();
      const auto recording = Recording::open(dir / "recording.0.sdsz");
      ASSERT_TRUE(recording);
      ASSERT_TRUE(recording->sdsz()->complete());
      std::uint64_t blocks = 0;
      for (std::uint32_t i = 0; i < came.size(); ++i) {
        const auto& stream = recording->sdsz()->streams()[i];
        blocks += stream.block_count;
        const std::size_t count = i == 0 ? of_a : came[i].size();
        if (stream.block_count < count) EXPECT_FALSE(stream.gaps.empty());
        if (end != End::write) EXPECT_TRUE(stream.block_count == 0 || stream.block_count == came[i].size());
        const auto kept = test::read_blocks(dir / "recording.0.sdsz", i);
        EXPECT_TRUE(std::equal(kept.begin(),
                               kept.begin() + static_cast<std::ptrdiff_t>(std::min(kept.size(), came[i].size())),
                               came[i].begin()));
      }
      EXPECT_EQ(summary->blocks, blocks);
      for (const auto& damage : recording->damages()) EXPECT_TRUE(damage.torn_end) << damage.reason;
    }
}

// What a log took before its write failed is readable, though nobody was told that it is there: it must not go with the
// log.
TEST(FullDisk, NothingIsLeftOutWhereThereIsALog) {
  for (const std::int64_t room : {80'000, 320'000, 560'000}) {
    const test::TempDir dir;
    const auto path = dir / "a.sdsz";
    DiskThatTakesBack disk;
    SdszWriterOptions options;
    options.durability = Durability::process;
    auto writer = SdszWriter::create(path, {}, options);
    ASSERT_TRUE(writer);
    const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
    test::Random random(1);
    std::vector<TestBlock> blocks;
    for (std::uint32_t i = 0; i < 30; ++i) {
      std::string data(20'000, ' ');
      for (char& c : data) c = static_cast<char>(random.next());
      blocks.push_back({i, std::move(data)});
      ASSERT_TRUE(writer->append(id, i, as_bytes(blocks.back().data)));
    }
    disk.room = room;
    ASSERT_FALSE(writer->flush());
    const auto readable = test::read_blocks(path);
    EXPECT_FALSE(readable.empty());
    EXPECT_FALSE(writer->resume_with_what_fits());
    EXPECT_EQ(test::read_blocks(path), readable);
    writer = fail(ErrorCode::io, "given up");
    EXPECT_EQ(test::read_blocks(path), readable);
    EXPECT_TRUE(std::equal(readable.begin(), readable.end(), blocks.begin()));
  }
}

TEST(FullDisk, ARecordingThatHasEverythingButItsEndIsNoRecordingWithoutLosses) {
  const auto blocks = numbered_blocks(30);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks)), kThen));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  disk.room = 0;
  EXPECT_FALSE((*session)->finish());
  const auto summary = (*session)->abandon("recording stopped: the disk is full");
  EXPECT_EQ(summary.blocks, 30u);
  EXPECT_EQ(summary.losses,
            std::vector<std::string>{"recording stopped: the disk is full; the recording is not closed"});
  session->reset();
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
}

TEST(FullDisk, ThatARecordingIsNotClosedIsToldBesideOtherLosses) {
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(numbered_blocks(3))), kThen));
  ASSERT_TRUE((*session)->close_stream(1, "the server was stopped"));
  disk.room = 0;
  EXPECT_FALSE((*session)->finish());
  EXPECT_EQ((*session)->abandon("recording stopped: the disk is full").losses,
            (std::vector<std::string>{"A: the server was stopped",
                                      "recording stopped: the disk is full; the recording is not closed"}));
}

// Nobody knows how much of a write that failed is there.
TEST(FullDisk, WhatCannotBeLookedAtMayNotBeInTheRecording) {
  const auto blocks = numbered_blocks(10);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 0, 7))), kThen));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain(blocks)), kThen));
  ASSERT_TRUE((*session)->flush());
  disk.room = 0;
  ASSERT_TRUE((*session)->write(1, as_bytes(plain(blocks_of(blocks, 7, 10)) + "12345"), kThen));
  ASSERT_TRUE((*session)->write(2, as_bytes("123"), kThen));
  EXPECT_FALSE((*session)->close_stream(1, ""));
  EXPECT_FALSE((*session)->close_stream(2, ""));
  std::filesystem::rename(dir / "recording.0.sdsz", dir / "moved.sdsz");
  const auto summary = (*session)->abandon("recording stopped: the disk is full");
  EXPECT_EQ(summary.blocks, 17u);
  ASSERT_GE(summary.losses.size(), 2u);
  EXPECT_EQ(std::vector(summary.losses.end() - 2, summary.losses.end()),
            (std::vector<std::string>{"A: recording stopped: the disk is full; 3 of the 10 blocks that came may not be "
                                      "in the recording, nor 5 bytes of one that had begun",
                                      "B: recording stopped: the disk is full; 3 bytes of its torn end may not be in "
                                      "the recording"}));
}

TEST(FullDisk, WhyAPlainFileEndedIsToldEvenIfItsEndCannotBeWritten) {
  const test::TempDir dir;
  test::LimitedDisk disk(0);
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_plain_session(options, "A");
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  ASSERT_TRUE((*session)->write(1, as_bytes(plain({{1, "lost"}})), kThen));
  EXPECT_FALSE((*session)->close_stream(1, "the server was stopped; 99 bytes that came are lost: the disk was full"));
  const auto summary = (*session)->abandon("recording stopped: the disk is full");
  EXPECT_EQ(summary.blocks, 0u);
  EXPECT_EQ(summary.losses,
            std::vector<std::string>{"A: the server was stopped; 99 bytes that came are lost: the disk was full; "
                                     "recording stopped: the disk is full; 12 bytes that came are not in the file"});
}

TEST(FullDisk, OneRefusedRecordingLeavesNoFileAtAll) {
  int refused = 0;
  for (int room = 0;; room += 13) {
    const test::TempDir dir;
    test::LimitedDisk disk(room);
    SessionOptions options;
    options.directory = dir.path();
    auto session = make_packed_session(options);
    if (session) {
      auto opened = (*session)->open_stream(1, "A");
      if (opened) break;
      (void)(*session)->abandon(opened.error().message);
      session->reset();
    }
    ++refused;
    EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << room;
  }
  EXPECT_GT(refused, 10);
}

TEST(FullDisk, SizesHaveTheUnitOfWhatTheyAreRoundedTo) {
  EXPECT_EQ(size_text(999), "999 bytes");
  EXPECT_EQ(size_text(999'949), "999.9 kB");
  EXPECT_EQ(size_text(999'950), "1.0 MB");
  EXPECT_EQ(size_text(999'949'999), "999.9 MB");
  EXPECT_EQ(size_text(999'950'000), "1.0 GB");
}

TEST(FullDisk, AStreamThatIsRefusedCostsTheOthersNothing) {
  const auto blocks = numbered_blocks(20);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SpaceGate gate(patient(OnFull::wait));
  SessionOptions options;
  options.directory = dir.path();
  options.gate = &gate;
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  disk.room = 10;
  EXPECT_FALSE((*session)->open_stream(2, "B"));  // OPEN is not made to wait: the device would give up
  Expected<SessionSummary> summary;
  std::thread writer([&] { summary = record(**session, blocks); });
  while (!gate.waiting()) std::this_thread::yield();
  disk.room = 1 << 30;
  writer.join();
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
}

// Nobody but the device asks again, for the other stream has no data.
TEST(FullDisk, AnOpenThatIsTriedAgainFindsTheSpaceThatThereIsBy) {
  const auto blocks = numbered_blocks(20);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SpaceGate gate(patient(OnFull::wait));
  SessionOptions options;
  options.directory = dir.path();
  options.gate = &gate;
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  disk.room = 10;
  EXPECT_FALSE((*session)->open_stream(2, "B"));
  EXPECT_FALSE((*session)->open_stream(2, "B"));
  disk.room = 1 << 30;
  ASSERT_TRUE((*session)->open_stream(2, "B"));
  ASSERT_TRUE((*session)->write(2, as_bytes(plain(blocks)), kThen));
  ASSERT_TRUE((*session)->close_stream(2, ""));
  ASSERT_TRUE((*session)->close_stream(1, ""));
  ASSERT_TRUE((*session)->finish());
  EXPECT_TRUE(test::read_blocks(dir / "recording.0.sdsz", 0).empty());
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz", 1), blocks);
}

// An OPEN that was refused leaves no failure behind: without a gate that tries again, nothing else would go on.
TEST(FullDisk, AfterARefusedOpenTheOthersGoOnAtOnce) {
  const auto blocks = numbered_blocks(20);
  const test::TempDir dir;
  test::LimitedDisk disk;
  SessionOptions options;
  options.directory = dir.path();
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  disk.room = 10;
  EXPECT_FALSE((*session)->open_stream(2, "B"));
  disk.room = 1 << 30;
  const auto summary = record(**session, blocks);
  ASSERT_TRUE(summary) << summary.error().to_string();
  EXPECT_EQ(test::read_blocks(dir / "recording.0.sdsz"), blocks);
}

TEST(FullDisk, AnErrorThatIsNoFullDiskIsNotWaitedFor) {
  const test::TempDir dir;
  test::LimitedDisk disk;
  SpaceGate gate(patient(OnFull::wait));
  SessionOptions options;
  options.directory = dir.path();
  options.gate = &gate;
  auto session = make_packed_session(options);
  ASSERT_TRUE((*session)->open_stream(1, "A"));
  disk.room = 10;
  disk.error = EIO;
  EXPECT_EQ(record(**session, numbered_blocks(20)).error().system_error, EIO);
  EXPECT_FALSE(gate.waiting());
}

TEST(SpaceGate, CountsLessThanTheReserveOrWhatIsNeededAsFullUntilItIsCancelled) {
  auto options = patient(OnFull::wait);
  options.keep_free = 1000;
  options.free_bytes = [&] { return std::optional<std::uint64_t>(999); };
  SpaceGate gate(options);
  EXPECT_TRUE(gate.is_enough(1000, 1000));
  EXPECT_FALSE(gate.is_enough(999, 0));
  EXPECT_FALSE(gate.is_enough(1000, 1001));
  EXPECT_NE(gate.full_error(10).message.find("999 bytes are free, 1.0 kB are to be left free"), std::string::npos);
  gate.release_reserve();
  EXPECT_TRUE(gate.is_enough(999, 999));
  EXPECT_FALSE(gate.is_enough(999, 1000));
  EXPECT_NE(gate.full_error(1000).message.find("1.0 kB are needed for what is on its way, and to close"),
            std::string::npos);
  EXPECT_TRUE(gate.wait("full"));
  EXPECT_TRUE(gate.waiting());
  gate.cancel();
  EXPECT_FALSE(gate.wait("full"));
  EXPECT_TRUE(gate.is_enough(0, 1));
  gate.go_on();
  EXPECT_FALSE(gate.waiting());
}

TEST(SpaceGate, KnowsTheFreeSpaceOfARealDirectory) {
  const test::TempDir dir;
  auto options = patient(OnFull::stop);
  options.directory = dir.path();
  SpaceGate gate(options);
  EXPECT_GT(gate.free_bytes(), 0u);
  EXPECT_LT(gate.free_bytes(), std::uint64_t{1} << 62);
  EXPECT_FALSE(gate.wait("full"));
}

}  // namespace
}  // namespace sds
