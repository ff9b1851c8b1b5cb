// Memory is bounded by limits.hpp whatever a recording claims, and however many streams a writer has had: each case
// runs in a child process that may not have more than 256 MiB of address space beyond what it starts with.
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "sds/format/column.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/recording.hpp"
#include "support/memory_sink.hpp"
#include "support/recordings.hpp"
#include "support/sanitized.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

// Runs `work` under the limit; true if it came back with true.
template <class Work>
bool within_limit(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
#ifndef SDSKIT_SANITIZED  // a sanitizer's own reservations do not fit under any limit
    const rlim_t room = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) + (std::size_t{256} << 20);
    const rlimit limit{room, room};
    ::setrlimit(RLIMIT_AS, &limit);
#endif
    bool done = false;
    try {
      done = work();
    } catch (const std::bad_alloc&) {
    }
    ::_exit(done ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#ifndef SDSKIT_SANITIZED
// Makes the call again and again, with a little more memory each time, from none on; true if it threw std::bad_alloc at
// first, and in the end came back.
template <class Call>
bool needs_memory_and_says_so(Call&& call) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<void*> held;
    held.reserve(1u << 20);
    ::mallopt(M_TRIM_THRESHOLD, 1 << 30);  // what is freed stays here
    for (int i = 0; i < 2048; ++i) held.push_back(std::malloc(4096));
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_AS, &none);
    for (std::size_t size = 1u << 20; size >= 512; size /= 2)
      while (void* piece = std::malloc(size)) held.push_back(piece);
    bool thrown = false;
    for (;;) {
      try {
        call();
        ::_exit(thrown ? 0 : 1);
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      if (held.empty()) ::_exit(2);
      std::free(held.back());
      held.pop_back();
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(LackOfMemory, IsAnExceptionOfCodersNotACrash) {
  EXPECT_TRUE(needs_memory_and_says_so([] { ColumnCoder coder; }));
  test::Random random(3);
  Bytes values(40'000);
  for (auto& byte : values) byte = static_cast<std::byte>(random.next() >> 60);
  Bytes coded;
  const ColumnHeader header = ColumnCoder().encode(ScalarType::u16, values, Level::fast, coded);
  Bytes decoded(values.size());
  // A column is not called malformed because there is no memory to decode it.
  EXPECT_TRUE(needs_memory_and_says_so([&] {
    ColumnCoder coder;
    if (!coder.decode(header, ScalarType::u16, coded, decoded) || decoded != values) ::_exit(3);
  }));
}
#endif

// Counts what a writer writes, and keeps nothing.
class NullSink final : public ByteSink {
 public:
  Expected<void> append(ByteView) override { return {}; }
  Expected<void> truncate(std::uint64_t) override { return {}; }
  Expected<void> sync() override { return {}; }
  Expected<void> close() override { return {}; }
  const std::filesystem::path& path() const override { return path_; }

 private:
  std::filesystem::path path_ = "nowhere";
};

std::string section(SectionKind kind, std::uint32_t stream, std::uint32_t sequence, Bytes payload,
                    std::uint64_t recording = 5) {
  SectionHeader header;
  header.kind = kind;
  header.stream = stream;
  header.sequence = sequence;
  header.recording = recording;
  seal_payload(header, payload, true);
  return std::string(as_text(header.encode())) + std::string(as_text(payload));
}

class BoundedMemory : public ::testing::Test {
 protected:
  // Opens the recording and reads all streams, as far as that goes.
  bool reads() {
    return within_limit([&] {
      auto recording = Recording::open(path_);
      if (!recording) return true;
      for (std::size_t s = 0; s < recording->streams().size(); ++s) {
        auto cursor = recording->cursor(s);
        for (;;) {
          auto block = (*cursor)->next();
          if (!block || !*block) break;
        }
      }
      return true;
    });
  }
  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "a.sdsz";
  std::string session_ = section(SectionKind::session, SectionHeader::no_stream, 0, Properties{}.encode());
};

TEST_F(BoundedMemory, OfReasonsThatDecompressToGigabytes) {
  std::string file = session_;
  Properties gap;
  gap.set("reason", std::string(60u << 20, 'x'));
  const Bytes payload = gap.encode();
  std::uint32_t sequence = 1;
  const std::string one = section(SectionKind::gap, 0, sequence, payload);
  for (int i = 0; i < 64; ++i) file += one;
  test::write_file(path_, file);
  EXPECT_TRUE(reads());
}

TEST_F(BoundedMemory, OfAnIndexThatClaimsMillionsOfSections) {
  // Entries of one valid header again and again: a few hundred kB compressed.
  SectionHeader header;
  header.recording = 5;
  Bytes index;
  append_le(index, std::uint64_t{0});
  const std::uint32_t entries = 600'000;
  append_le(index, entries);
  const Bytes stored = header.encode();
  for (std::uint32_t i = 0; i < entries; ++i) {
    append_bytes(index, stored);
    append_le(index, std::uint64_t{0});
    append_le(index, std::uint64_t{0});
  }
  std::string file = session_;
  Bytes footer;
  append_le(footer, std::uint64_t{file.size()});
  append_le(footer, std::uint64_t{entries});
  file += section(SectionKind::index, SectionHeader::no_stream, 1, index);
  SectionHeader end;
  end.kind = SectionKind::footer;
  end.sequence = 2;
  end.recording = 5;
  seal_payload(end, footer, false);
  file += std::string(as_text(end.encode())) + std::string(as_text(footer));
  test::write_file(path_, file);
  EXPECT_TRUE(reads());
}

TEST_F(BoundedMemory, OfDescriptionsOfThousandsOfStreams) {
  std::string file = session_;
  for (std::uint32_t s = 0; s < 3000; ++s) {
    Properties p;
    p.set("name", "S" + std::to_string(s));
    p.set("metadata-file", "S.sds.yml");
    p.set("metadata", "#" + std::string(1u << 20, ' '));
    file += section(SectionKind::stream, s, s + 1, p.encode());
  }
  test::write_file(path_, file);
  EXPECT_TRUE(reads());
}

TEST_F(BoundedMemory, OfSectionsThatOverrunTheFileTakesLinearTime) {
  // Valid headers back to back, each of a section that would reach behind the end of the file.
  SectionHeader header;
  header.kind = SectionKind::data;
  header.recording = 5;
  header.stored_bytes = 100u << 20;
  std::string file = session_;
  const std::string one(as_text(header.encode()));
  while (file.size() < (8u << 20)) file += one;
  test::write_file(path_, file);
  EXPECT_TRUE(reads());
}

TEST_F(BoundedMemory, OfAWriterThatHasHadThousandsOfStreams) {
  EXPECT_TRUE(within_limit([] {
    auto writer = SdszWriter::create(std::make_unique<NullSink>(), {}, {});
    const Bytes block(600'000);
    for (int s = 0; s < 1500; ++s) {
      const auto id = writer->add_stream({"S" + std::to_string(s), "0", false, "", "", ""});
      if (!id || !writer->append(*id, 1, block) || !writer->end_stream(*id)) return false;
    }
    return writer->close().has_value();
  }));
}

TEST_F(BoundedMemory, OfAWriterWithHundredsOfStreamsAtOnce) {
  EXPECT_TRUE(within_limit([] {
    auto writer = SdszWriter::create(std::make_unique<NullSink>(), {}, {});
    for (int s = 0; s < 600; ++s)
      if (!writer->add_stream({"S" + std::to_string(s), "0", false, "", "", ""})) return false;
    const Bytes block(50'000);
    for (std::uint32_t round = 0; round < 40; ++round)
      for (std::uint32_t s = 0; s < 600; ++s)
        if (!writer->append(s, round, block)) return false;
    return writer->close().has_value();
  }));
}

// What a writer accepts, a reader takes.
class WriterLimits : public BoundedMemory {
 protected:
  void expect_sound(std::size_t streams) {
    auto recording = Recording::open(path_);
    ASSERT_TRUE(recording) << recording.error().to_string();
    EXPECT_EQ(recording->streams().size(), streams);
    for (const auto& damage : recording->damages()) EXPECT_TRUE(damage.torn_end) << damage.reason;
  }
};

TEST_F(WriterLimits, OfDescriptionsTogether) {
  auto writer = SdszWriter::create(path_, {}, {});
  std::size_t accepted = 0;
  for (int s = 0; s < 40; ++s) {
    const auto id = writer->add_stream(
        {"S" + std::to_string(s), "0", false, "", "S.sds.yml", "# " + std::to_string(s) + std::string(1'000'000, 'x')});
    if (!id) {
      EXPECT_EQ(id.error().code, ErrorCode::limit);
      break;
    }
    ++accepted;
    ASSERT_TRUE(writer->append(*id, 1, as_bytes("x")));
  }
  EXPECT_GT(accepted, 30u);
  EXPECT_LT(accepted, 40u);
  ASSERT_TRUE(writer->close());
  expect_sound(accepted);
}

TEST_F(WriterLimits, OfPiecesOfATail) {
  SdszWriterOptions options;
  options.section_bytes = 64;
  auto writer = SdszWriter::create(path_, {}, options);
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append_tail(id, Bytes(40u << 20)));
  ASSERT_TRUE(writer->close());
  expect_sound(1);
}

// As a device out of step sends it, a byte at a time: 300,000 of them are one section.
TEST_F(WriterLimits, ATornEndThatComesInSmallPiecesIsGathered) {
  auto writer = SdszWriter::create(path_, {}, {});
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes("block")));
  std::string sent;
  for (int i = 0; i < 300'000; ++i) {
    sent += static_cast<char>('a' + i % 26);
    ASSERT_TRUE(writer->append_tail(id, as_bytes(std::string_view(sent).substr(sent.size() - 1))));
  }
  EXPECT_FALSE(writer->append(id, 2, as_bytes("late")));
  ASSERT_TRUE(writer->add_gap(id, "the device was out of step"));
  ASSERT_TRUE(writer->close());
  const auto recording = *Recording::open(path_);
  EXPECT_EQ(recording.sdsz()->streams()[0].tail.size(), 1u);
  EXPECT_EQ(recording.sdsz()->streams()[0].block_count, 1u);
  auto cursor = *recording.cursor(0);
  while (*cursor->next()) {
  }
  std::string kept;
  ASSERT_TRUE(cursor->read_tail([&](ByteView bytes) -> Expected<void> {
    kept += as_text(bytes);
    return {};
  }));
  EXPECT_EQ(kept, sent);
}

// With a log each flush writes what there is: what was flushed is in the file, though nothing is closed.
TEST_F(WriterLimits, AFlushedPieceOfATornEndIsInTheFile) {
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(path_, {}, options);
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes("block")));
  ASSERT_TRUE(writer->append_tail(id, as_bytes("torn ")));
  ASSERT_TRUE(writer->append_tail(id, as_bytes("end")));
  ASSERT_TRUE(writer->flush());
  const auto recording = *Recording::open(path_);
  EXPECT_EQ(recording.sdsz()->streams()[0].block_count, 1u);
  auto cursor = *recording.cursor(0);
  std::string kept;
  ASSERT_TRUE(cursor->read_tail([&](ByteView bytes) -> Expected<void> {
    kept += as_text(bytes);
    return {};
  }));
  EXPECT_EQ(kept, "torn end");
}

// As many sections as there may be, of a torn end that was flushed again and again: the recording is closed, and a copy
// of it finds its place.
TEST_F(WriterLimits, OfSectionsOfATornEnd) {
  if (test::under_sanitizer) GTEST_SKIP() << "a million sections are for where they are fast";
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(path_, {}, options);
  for (const char* name : {"A", "B"}) ASSERT_TRUE(writer->add_stream({name, "0", false, "", "", ""}));
  ASSERT_TRUE(writer->append(1, 1, as_bytes("block")));
  std::uint64_t pieces = 0;
  Expected<void> done;
  while ((done = writer->append_tail(0, as_bytes("t"))) && (done = writer->flush())) ++pieces;
  EXPECT_EQ(done.error().code, ErrorCode::limit) << done.error().to_string();
  EXPECT_GT(pieces, limits::max_sections - 1000);
  for (std::uint32_t id = 0; id < 2; ++id) ASSERT_TRUE(writer->add_gap(id, "there are too many sections"));
  ASSERT_TRUE(writer->close());
  writer = tl::unexpected<Error>(Error{});
  const auto recording = *Recording::open(path_);
  EXPECT_EQ(recording.sdsz()->streams()[0].tail.size(), pieces);
  EXPECT_EQ(recording.sdsz()->streams()[0].gaps.size(), 1u);
  EXPECT_EQ(recording.sdsz()->streams()[1].gaps.size(), 1u);
  EXPECT_EQ(recording.sdsz()->streams()[1].block_count, 1u);
}

TEST_F(WriterLimits, OfFramesOfALog) {
  if (test::under_sanitizer) GTEST_SKIP() << "a million sections are for where they are fast";
  {
    SdszWriterOptions options;
    options.durability = Durability::process;
    auto writer = SdszWriter::create(path_, {}, options);
    for (int s = 0; s < 10; ++s) ASSERT_TRUE(writer->add_stream({"S" + std::to_string(s), "0", false, "", "", ""}));
    for (std::uint64_t i = 0; i < 110'000; ++i)
      for (std::uint32_t s = 0; s < 10; ++s) ASSERT_TRUE(writer->append_at(s, i * 3'000'000'000, {}));
    ASSERT_TRUE(writer->flush());
  }
  expect_sound(10);
  EXPECT_EQ(Recording::open(path_)->sdsz()->streams()[9].block_count, 110'000u);
}

TEST_F(WriterLimits, OfSectionsThatLeaveRoomToClose) {
  if (test::under_sanitizer) GTEST_SKIP() << "a million sections are for where they are fast";
  auto writer = SdszWriter::create(path_, {}, {});
  for (const char* name : {"A", "B"}) ASSERT_TRUE(writer->add_stream({name, "0", false, "", "", ""}));
  std::uint64_t pairs = 0;
  Expected<void> done;
  while ((done = writer->add_clock(0, {pairs, pairs, pairs}))) ++pairs;
  EXPECT_EQ(done.error().code, ErrorCode::limit);
  EXPECT_GT(pairs, limits::max_sections - 1000);
  done = writer->append(1, 1, as_bytes("data"));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::limit);
  EXPECT_FALSE(writer->failure());
  for (std::uint32_t id = 0; id < 2; ++id) ASSERT_TRUE(writer->add_gap(id, "there are too many sections"));
  ASSERT_TRUE(writer->close());
  const auto recording = Recording::open(path_);
  ASSERT_TRUE(recording) << recording.error().to_string();
  EXPECT_TRUE(recording->damages().empty());
  EXPECT_EQ(recording->sdsz()->streams()[0].clocks.size(), pairs);
  EXPECT_EQ(recording->sdsz()->streams()[1].gaps.size(), 1u);
}

TEST_F(WriterLimits, OfNames) {
  auto writer = SdszWriter::create(path_, {}, {});
  for (const std::string& name : {std::string("../x"), std::string(300, 'n'), std::string(), std::string("a\0b", 3)})
    EXPECT_FALSE(writer->add_stream({name, "0", false, "", "", ""})) << name;
  ASSERT_TRUE(writer->add_stream({"fine", "0", false, "", "", ""}));
  ASSERT_TRUE(writer->close());
  expect_sound(1);
}

TEST_F(BoundedMemory, OfOptionsThatCouldNotBeReadBack) {
  for (const std::uint32_t bytes : {0u, 63u, (16u << 20) + 1, 100u << 20}) {
    SdszWriterOptions options;
    options.section_bytes = bytes;
    auto writer = SdszWriter::create(path_, {}, options);
    ASSERT_FALSE(writer) << bytes;
    EXPECT_EQ(writer.error().code, ErrorCode::usage);
    EXPECT_FALSE(std::filesystem::exists(path_)) << bytes;
  }
}

}  // namespace
}  // namespace sds
