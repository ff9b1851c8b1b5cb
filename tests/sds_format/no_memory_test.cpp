// Every single allocation of a writer fails in turn: nothing that it took is lost or written twice.
#include "support/no_memory.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <functional>

#include "sds/format/sdsz_reader.hpp"
#include "sds/format/wal.hpp"
#include "sds/format/worker_pool.hpp"
#include "support/limited_disk.hpp"
#include "support/recordings.hpp"
#include "support/sanitized.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::NoMemory;
using test::TestBlock;

constexpr std::uint32_t kBlocks = 60;

// A recording of two streams, with blocks of many sizes and all that there can be besides.
class Script {
 public:
  explicit Script(const SdszWriterOptions& options) : options_(options) {
    options_.section_bytes = 512;
    session_.set("id", "a session whose name needs memory");
    for (std::uint32_t i = 0; i < kBlocks; ++i)
      blocks_[1].push_back({i * 7, std::string(1 + i * 5, static_cast<char>('a' + i % 26))});
    for (const std::uint32_t stream : {0u, 1u}) take([=, this] { return add_stream(stream); }, true);
    for (std::uint32_t i = 0; i < kBlocks; ++i) {
      for (const std::uint32_t stream : {0u, 1u}) take([=, this] { return append(stream, i); });
      if (i % 9 == 4) flush();
      if (i % 13 == 5) take([=, this] { return writer_->add_clock(0, {i, 1000 + i, 5 + i}); });
      if (i == 20) repeat([this] { return writer_->seal(1); });
      if (i == 25) repeat([this] { return writer_->shrink_log(); });
      if (i == 40) take([this] { return writer_->add_gap(0, gap_); });
      if (i == 50) repeat([this] { return writer_->trim(); });
    }
    take([this] { return writer_->append_tail(1, as_bytes(torn_)); });
    flush();
    take([this] { return writer_->append_tail(1, as_bytes(torn_)); });
    take([this] { return writer_->end_stream(1); });
    flush();
    repeat([this] { return writer_->close(); });
  }

  // Writes it; the allocation after `spared` others fails. False if the writer did without it. What fails is tried
  // again as the header says, or all is left as it is.
  enum class Then { go_on, abandon };
  bool write(const std::filesystem::path& path, long spared, Then then) {
    flushed_ = {};
    const NoMemory lack(spared);
    auto made = SdszWriter::create(path, session_, options_);
    if (!made) {
      EXPECT_EQ(made.error().system_error, ENOMEM);
      EXPECT_TRUE(std::filesystem::is_empty(path.parent_path())) << spared;
      made = SdszWriter::create(path, session_, options_);
    }
    writer_.emplace(std::move(made.value()));
    for (const auto& step : steps_) {
      auto done = step.call();
      if (done) continue;
      EXPECT_EQ(done.error().system_error, ENOMEM) << done.error().to_string();
      if (then == Then::abandon) return true;
      const bool taken = step.is_taken_by_failure && writer_->failure();
      EXPECT_TRUE(writer_->resume()) << spared;
      if (!taken) done = step.call();
      EXPECT_TRUE(done || taken) << spared << ": " << done.error().to_string();
    }
    return NoMemory::happened();
  }

  // What a reader must find, and what the writer says it finds.
  void expect_what_was_taken(const std::filesystem::path& path, long spared) {
    std::array<std::uint64_t, 2> saved{};
    for (std::uint32_t stream = 0; stream < streams_; ++stream)
      saved[stream] = writer_->taken_blocks(stream) - writer_->unsaved_blocks(stream);
    writer_.reset();
    auto reader = SdszReader::open(path, {});
    ASSERT_TRUE(reader) << spared << ": " << reader.error().to_string();
    ASSERT_EQ((*reader)->streams().size(), streams_) << spared;
    for (std::uint32_t stream = 0; stream < streams_; ++stream) {
      const auto got = test::read_blocks(path, stream);
      EXPECT_EQ(got.size(), saved[stream]) << spared;
      EXPECT_GE(got.size(), flushed_[stream]) << spared;
      EXPECT_TRUE(std::equal(got.begin(), got.end(), blocks_[stream].begin())) << spared;
    }
  }

 private:
  struct Step {
    std::function<Expected<void>()> call;
    bool is_taken_by_failure = false;
  };

  void take(std::function<Expected<void>()> call, bool all_or_nothing = false) {
    steps_.push_back({std::move(call), !all_or_nothing});
  }
  void repeat(std::function<Expected<void>()> call) { steps_.push_back({std::move(call)}); }
  void flush() {
    repeat([this] {
      auto done = writer_->flush();
      if (done && options_.durability != Durability::none)
        for (std::uint32_t stream = 0; stream < 2; ++stream) flushed_[stream] = writer_->taken_blocks(stream);
      return done;
    });
  }

  Expected<void> add_stream(std::uint32_t number) {
    streams_ = number;
    auto added = writer_->add_stream(descriptions_[number]);
    if (!added) return fail(added);
    EXPECT_EQ(*added, number);
    streams_ = number + 1;
    return {};
  }
  // From the middle on far ahead of 32 bits.
  Expected<void> append(std::uint32_t stream, std::uint32_t number) {
    const TestBlock& block = blocks_[stream][number];
    const std::uint64_t jump = number < kBlocks / 2 ? 0 : std::uint64_t{1} << 40;
    return writer_->append_at(stream, block.timeslot + jump, as_bytes(block.data));
  }

  SdszWriterOptions options_;
  Properties session_;
  std::array<StreamDescription, 2> descriptions_{
      StreamDescription{"wave", "0", false, "", "wave.sds.yml", test::int16_metadata(3)},
      StreamDescription{"bytes", "0", true, "some name of a file.sds", "", ""}};
  std::array<std::vector<TestBlock>, 2> blocks_{test::wave_blocks(kBlocks, 10, 3)};
  std::string torn_ = std::string(300, 'T');
  std::string gap_ = "a reason that is longer than a short string";
  std::vector<Step> steps_;
  std::optional<SdszWriter> writer_;
  std::size_t streams_ = 0;
  std::array<std::uint64_t, 2> flushed_{};
};

// The writer of each durability, with threads and without.
void with_each_writer(const std::function<void(const SdszWriterOptions&)>& test) {
  WorkerPool pool(1);
  for (Executor* executor : {static_cast<Executor*>(nullptr), static_cast<Executor*>(&pool)})
    for (const auto durability : {Durability::none, Durability::process, Durability::power}) {
      SdszWriterOptions options;
      options.durability = durability;
      options.executor = executor;
      SCOPED_TRACE(static_cast<int>(durability));
      test(options);
    }
}

TEST(WithoutMemory, AWriterThatGoesOnWritesTheSameBytes) {
  with_each_writer([](const SdszWriterOptions& options) {
    const test::TempDir reference;
    Script script(options);
    ASSERT_FALSE(script.write(reference / "a.sdsz", 1'000'000, Script::Then::go_on));
    const std::string expected = test::read_file(reference / "a.sdsz");
    ASSERT_EQ(test::read_blocks(reference / "a.sdsz", 1).size(), kBlocks);
    bool happened = true;
    for (long spared = 0; happened; spared += test::step_of_search(5)) {
      const test::TempDir dir;
      happened = script.write(dir / "a.sdsz", spared, Script::Then::go_on);
      EXPECT_EQ(test::read_file(dir / "a.sdsz"), expected) << spared;
      EXPECT_FALSE(std::filesystem::exists(wal_path(dir / "a.sdsz"))) << spared;
      EXPECT_FALSE(std::filesystem::exists(new_wal_path(dir / "a.sdsz"))) << spared;
    }
  });
}

TEST(WithoutMemory, AWriterThatIsGivenUpLeavesWhatItSays) {
  with_each_writer([](const SdszWriterOptions& options) {
    Script script(options);
    bool happened = true;
    for (long spared = 0; happened; spared += test::step_of_search(5)) {
      const test::TempDir dir;
      happened = script.write(dir / "a.sdsz", spared, Script::Then::abandon);
      if (happened) script.expect_what_was_taken(dir / "a.sdsz", spared);
    }
  });
}

// A writer with a log, at `path`, that has taken `count` blocks of one stream, and flushed them.
SdszWriter writer_with(const std::filesystem::path& path, std::uint32_t count) {
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(path, {}, options);
  EXPECT_TRUE(writer->add_stream({"A", "0", false, "", "", ""}));
  for (std::uint32_t i = 0; i < count; ++i) EXPECT_TRUE(writer->append(0, i, as_bytes("block")));
  EXPECT_TRUE(writer->flush());
  return std::move(*writer);
}

TEST(WithoutMemory, ALogThatCannotBeReplacedStays) {
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    const test::TempDir dir;
    auto writer = writer_with(dir / "a.sdsz", 5);
    Expected<void> shrunk;
    {
      const NoMemory lack(spared);
      shrunk = writer.shrink_log();
      happened = NoMemory::happened();
    }
    EXPECT_TRUE(shrunk) << spared;
    EXPECT_FALSE(writer.failure()) << spared;
    EXPECT_TRUE(writer.close());
    EXPECT_EQ(test::read_blocks(dir / "a.sdsz").size(), 5u);
  }
}

TEST(WithoutMemory, ACloseThatFailedTakesNothingMore) {
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    const test::TempDir dir;
    auto writer = writer_with(dir / "a.sdsz", 5);
    Expected<void> closed;
    {
      const NoMemory lack(spared);
      closed = writer.close();
      happened = NoMemory::happened();
    }
    if (closed) continue;
    ASSERT_TRUE(writer.resume()) << spared;
    auto late = writer.append(0, 9, as_bytes("late"));
    ASSERT_FALSE(late) << spared;
    EXPECT_EQ(late.error().code, ErrorCode::usage);
    EXPECT_TRUE(writer.close());
    EXPECT_EQ(test::read_blocks(dir / "a.sdsz").size(), 5u);
  }
}

TEST(WithoutMemory, AStreamOnAFullDiskIsRefusedAndNothingIsThrown) {
  bool happened = true;
  for (long spared = 0; happened; ++spared) {
    const test::TempDir dir;
    auto writer = writer_with(dir / "a.sdsz", 5);
    const StreamDescription late{"late", "0", false, "", "", ""};
    {
      const test::LimitedDisk full(0);
      const NoMemory lack(spared);
      EXPECT_FALSE(writer.add_stream(late)) << spared;
      happened = NoMemory::happened();
    }
    ASSERT_TRUE(writer.resume());
    EXPECT_EQ(*writer.add_stream(late), 1u);
    EXPECT_TRUE(writer.close());
    EXPECT_EQ((*SdszReader::open(dir / "a.sdsz", {}))->streams().size(), 2u);
  }
}

}  // namespace
}  // namespace sds
