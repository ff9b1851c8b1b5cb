// A small recording with every kind of section, and the log of one that was killed: every byte flipped, every length.
// Never a crash, never a block that was not recorded or stands in another place, never a loss without a word.
#include <gtest/gtest.h>

#include <map>

#include "sds/format/sdsz_cursor.hpp"
#include "sds/format/sdsz_reader.hpp"
#include "sds/format/wal.hpp"
#include "support/memory_source.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

class EveryByte : public ::testing::Test {
 protected:
  void make(bool kill) {
    SdszWriterOptions options;
    options.durability = Durability::process;
    options.section_bytes = 200;
    Properties session;
    session.set("id", "every byte");
    auto writer = SdszWriter::create(path_, session, options);
    ASSERT_TRUE(writer);
    const auto a = *writer->add_stream({"A", "0", false, "", "A.sds.yml", test::int16_metadata(2)});
    const auto b = *writer->add_stream({"B", "0", false, "", "", ""});
    for (const auto& block : test::wave_blocks(24, 5, 2)) {
      ASSERT_TRUE(writer->append(a, block.timeslot, as_bytes(block.data)));
      if (block.timeslot % 250 == 0) ASSERT_TRUE(writer->append(b, block.timeslot, as_bytes("slow")));
      if (block.timeslot == 500) ASSERT_TRUE(writer->add_gap(a, "the cable"));
      if (block.timeslot == 1000) ASSERT_TRUE(writer->add_clock(a, {1000, 1'750'000'000'000'000'000, 5}));
      if (block.timeslot % 300 == 0) ASSERT_TRUE(writer->flush());
    }
    ASSERT_TRUE(writer->flush());
    if (!kill) ASSERT_TRUE(writer->close());
    // Both streams as they were recorded, by ordinal.
    for (std::size_t s = 0; s < 2; ++s) {
      std::uint64_t n = 0;
      for (auto& block : test::read_blocks(path_, s)) truth_[s].emplace(n++, std::move(block));
    }
    ASSERT_EQ(truth_[0].size(), 24u);
    ASSERT_EQ(truth_[1].size(), 5u);
  }

  // Reads a file and its log; fails the test on anything false, and on a loss without a word.
  // `cut`: the file or the log ends early, which looks as if they were being written.
  void expect_true(const std::string& file, const std::string& log, const std::string& what, bool cut) {
    // In turn by the index and by the headers, which damage meets in different places.
    walk_ = !walk_;
    std::vector<std::shared_ptr<const ByteSource>> logs;
    if (!log.empty()) logs.push_back(std::make_shared<test::MemorySource>(log));
    auto reader = SdszReader::open(std::make_shared<test::MemorySource>(file), logs, {.walk = walk_});
    if (!reader) return;
    const auto& streams = (*reader)->streams();
    std::size_t missing = 0;
    for (std::size_t s = 0; s < streams.size() && s < 2; ++s) {
      SdszCursor cursor(*reader, s);
      std::uint64_t next = 0;
      std::size_t count = 0;
      for (;;) {
        auto block = cursor.next();
        if (!block || !*block) break;
        ASSERT_GE((*block)->ordinal, next) << what;
        next = (*block)->ordinal + 1;
        const auto found = truth_[s].find((*block)->ordinal);
        ASSERT_NE(found, truth_[s].end()) << what;
        ASSERT_EQ(found->second.timeslot, (*block)->timeslot) << what;
        ASSERT_EQ(found->second.data, as_text((*block)->data)) << what;
        ++count;
      }
      missing += truth_[s].size() - count;
    }
    const bool growing = cut && (*reader)->has_log() && !(*reader)->complete();
    if (missing > 0 || streams.size() != 2) EXPECT_TRUE(!(*reader)->damages().empty() || growing) << what;
  }

  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
  bool walk_ = false;
  std::map<std::size_t, std::map<std::uint64_t, test::TestBlock>> truth_;
};

TEST_F(EveryByte, OfAClosedRecordingFlipped) {
  make(false);
  const std::string whole = test::read_file(path_);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ (1 << at % 8));
    expect_true(broken, "", "byte " + std::to_string(at), false);
  }
}

TEST_F(EveryByte, EveryLengthOfAClosedRecording) {
  make(false);
  const std::string whole = test::read_file(path_);
  for (std::size_t size = 0; size < whole.size(); ++size)
    expect_true(whole.substr(0, size), "", "length " + std::to_string(size), true);
}

TEST_F(EveryByte, OfAKilledRecordingAndItsLog) {
  make(true);
  const std::string file = test::read_file(path_);
  const std::string log = test::read_file(wal_path(path_));
  for (std::size_t at = 0; at < file.size(); ++at) {
    std::string broken = file;
    broken[at] = static_cast<char>(broken[at] ^ (1 << at % 8));
    expect_true(broken, log, "byte " + std::to_string(at), false);
    expect_true(file.substr(0, at), log, "length " + std::to_string(at), true);
  }
  for (std::size_t at = 0; at < log.size(); ++at) {
    std::string broken = log;
    broken[at] = static_cast<char>(broken[at] ^ (1 << at % 8));
    // A last frame that claims to be longer than the file looks cut off.
    const std::size_t last = log.rfind("FRAM");
    const bool size_of_last = at >= last + 4 && at < last + 8;
    expect_true(file, broken, "byte " + std::to_string(at) + " of the log", size_of_last);
    expect_true(file, log.substr(0, at), "length " + std::to_string(at) + " of the log", true);
  }
}

}  // namespace
}  // namespace sds
