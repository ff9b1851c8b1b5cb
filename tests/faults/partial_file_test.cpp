// A file is made completely or not at all, and never over somebody else's, whatever fails and whoever is quicker.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "faults/faulty_file_system.hpp"
#include "sds/format/file_in_use.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/recording.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using test::Fault;
using test::FaultyFileSystem;
using test::read_file;
using test::write_file;

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

Expected<void> make(const std::filesystem::path& path, const std::string& text, IfExists if_exists) {
  auto file = PartialFile::create(path, if_exists);
  if (!file) return fail(file);
  for (std::size_t at = 0; at < text.size(); at += 10)
    if (auto done = file->sink().append(as_bytes(text.substr(at, 10))); !done) return done;
  return file->keep();
}

TEST(PartialFile, HasItsNameWhenItIsKept) {
  const test::TempDir dir;
  {
    auto file = PartialFile::create(dir / "a.csv", IfExists::fail).value();
    ASSERT_TRUE(file.sink().append(as_bytes("text")));
    EXPECT_FALSE(std::filesystem::exists(dir / "a.csv"));
    EXPECT_EQ(file.sink().path(), dir / "a.csv");
    EXPECT_EQ(file.path().parent_path(), dir.path());
    ASSERT_TRUE(file.keep());
  }
  EXPECT_EQ(read_file(dir / "a.csv"), "text");
  EXPECT_EQ(files_in(dir.path()), 1u);
}

TEST(PartialFile, IsGoneWithoutBeingKept) {
  const test::TempDir dir;
  {
    auto file = PartialFile::create(dir / "a.csv", IfExists::fail).value();
    ASSERT_TRUE(file.sink().append(as_bytes("text")));
    EXPECT_EQ(files_in(dir.path()), 1u);
  }
  EXPECT_EQ(files_in(dir.path()), 0u);
}

TEST(PartialFile, LeavesAloneWhatAppearsMeanwhile) {
  const test::TempDir dir;
  auto file = PartialFile::create(dir / "a.csv", IfExists::fail).value();
  ASSERT_TRUE(file.sink().append(as_bytes("ours")));
  write_file(dir / "a.csv", "theirs");
  const auto kept = file.keep();
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, ErrorCode::exists);
  EXPECT_EQ(kept.error().path, dir / "a.csv");
  EXPECT_EQ(read_file(dir / "a.csv"), "theirs");
}

// What nothing replaces is not replaced either if it came while the file was made.
TEST(PartialFile, LeavesAloneARecordingThatBeginsMeanwhile) {
  for (const auto durability : {Durability::none, Durability::process}) {
    for (const bool replaces : {false, true}) {
      const test::TempDir dir;
      const auto path = dir / "a.sdsz";
      if (replaces) write_file(path, "what was to be replaced");
      auto file = PartialFile::create(path, IfExists::overwrite).value();
      ASSERT_TRUE(file.sink().append(as_bytes("ours")));
      std::filesystem::remove(path);
      SdszWriterOptions options;
      options.durability = durability;
      auto writer = SdszWriter::create(path, {}, options);
      ASSERT_TRUE(writer->add_stream({"A", "0", false, "", "", ""}));
      ASSERT_TRUE(writer->append(0, 7, as_bytes("block")));
      const auto kept = file.keep();
      ASSERT_FALSE(kept);
      EXPECT_EQ(kept.error().code, ErrorCode::usage);
      EXPECT_NE(kept.error().message.find("is being recorded"), std::string::npos) << kept.error().message;
      EXPECT_EQ(kept.error().path, path);
      ASSERT_TRUE(writer->close());
      EXPECT_EQ(test::read_blocks(path).size(), 1u);
    }
  }
}

// A recording without end, with this session, of a writer that holds no lock any more.
void write_open_recording(const std::filesystem::path& path, const std::string& lock) {
  Properties session;
  if (!lock.empty()) session.set("lock", lock);
  SdszWriterOptions options;
  options.durability = Durability::none;
  auto writer = SdszWriter::create(path, session, options);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->add_stream({"A", "0", false, "", "", ""}));
  ASSERT_TRUE(writer->append(0, 7, as_bytes("block")));
  ASSERT_TRUE(writer->seal(0));
}

TEST(PartialFile, LeavesAloneWhatMayBeBeingRecorded) {
  const test::TempDir dir;
  const auto path = dir / "a.sdsz";
  write_open_recording(path, "none");
  const std::string open = read_file(path);
  const auto damaged = [&](std::size_t at) {
    std::string bytes = open;
    bytes[at] ^= 1;
    return bytes;
  };
  std::string no_session = open;
  std::fill(no_session.begin(), no_session.begin() + SectionHeader::bytes, 'x');
  for (const std::string& content :
       {open, damaged(20), damaged(SectionHeader::bytes + 1), damaged(0), no_session,
        open.substr(0, SectionHeader::bytes - 1), std::string(3'000'001, '\0') + open.substr(SectionHeader::bytes)}) {
    write_file(path, content);
    const auto made = make(path, "ours", IfExists::overwrite);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::usage);
    EXPECT_NE(made.error().message.find("may be being recorded"), std::string::npos) << made.error().message;
    EXPECT_NE(made.error().message.find("delete it if nobody records it"), std::string::npos) << made.error().message;
    EXPECT_EQ(read_file(path), content);
  }
}

TEST(PartialFile, ReplacesWhatNobodyRecords) {
  const test::TempDir dir;
  const auto path = dir / "a.sdsz";
  write_open_recording(path, "");  // whose writer had a lock
  EXPECT_TRUE(make(path, "ours", IfExists::overwrite));
  for (const char* content : {"", "no recording"}) {
    write_file(path, content);
    EXPECT_TRUE(make(path, "ours", IfExists::overwrite)) << content;
  }
  std::filesystem::remove(path);
  ASSERT_TRUE(SdszWriter::create(path, {}, {})->close());
  std::string closed = read_file(path);
  closed[SectionHeader::bytes - 1] ^= 1;  // of the session
  write_file(path, closed);
  EXPECT_TRUE(make(path, "ours", IfExists::overwrite));
}

// Of a file of any size only its ends are read: this would take minutes else.
TEST(PartialFile, ReplacesALargeFileAtOnce) {
  const test::TempDir dir;
  const auto path = dir / "a.sdsz";
  write_open_recording(path, "");
  std::error_code refused;  // by a file system without holes
  std::filesystem::resize_file(path, std::uint64_t{1} << 40, refused);
  EXPECT_TRUE(make(path, "ours", IfExists::overwrite));
}

TEST(PartialFile, LeavesAloneARecordingThatBeginsWhereALinkLed) {
  const test::TempDir dir;
  const auto path = dir / "a.sdsz";
  const auto link = dir / "link.sdsz";
  write_file(path, "what was to be replaced");
  for (const bool elsewhere : {false, true}) {
    std::filesystem::create_symlink(path, link);
    auto file = PartialFile::create(link, IfExists::overwrite).value();
    ASSERT_TRUE(file.sink().append(as_bytes("ours")));
    std::filesystem::remove(link);
    std::filesystem::remove(path);
    if (elsewhere) std::filesystem::create_symlink(dir / "nowhere", link);
    auto writer = SdszWriter::create(path, {}, {});
    const auto kept = file.keep();
    ASSERT_FALSE(kept);
    EXPECT_EQ(kept.error().code, ErrorCode::usage);
    ASSERT_TRUE(writer->close());
    EXPECT_TRUE(Recording::open(path)) << "it is the one that was recorded";
    std::filesystem::remove(link);
  }
}

TEST(PartialFile, ReplacesWhatAppearsMeanwhileIfItMayReplace) {
  const test::TempDir dir;
  auto file = PartialFile::create(dir / "a.csv", IfExists::overwrite).value();
  ASSERT_TRUE(file.sink().append(as_bytes("ours")));
  write_file(dir / "a.csv", "theirs");
  ASSERT_TRUE(file.keep());
  EXPECT_EQ(read_file(dir / "a.csv"), "ours");
  EXPECT_EQ(files_in(dir.path()), 1u);
}

TEST(PartialFile, LeavesAloneWhatExists) {
  const test::TempDir dir;
  write_file(dir / "a.csv", "theirs");
  write_file(dir / "b.csv.partial", "theirs, too");
  std::filesystem::create_symlink("nowhere", dir / "link");
  EXPECT_EQ(make(dir / "a.csv", "ours", IfExists::fail).error().code, ErrorCode::exists);
  EXPECT_EQ(make(dir / "link", "ours", IfExists::fail).error().code, ErrorCode::exists);
  EXPECT_FALSE(make(dir.path(), "ours", IfExists::overwrite));
  EXPECT_TRUE(make(dir / "b.csv", "ours", IfExists::fail));
  EXPECT_EQ(read_file(dir / "a.csv"), "theirs");
  EXPECT_EQ(read_file(dir / "b.csv.partial"), "theirs, too");
  EXPECT_EQ(files_in(dir.path()), 4u);
}

TEST(PartialFile, TwoOfOneNameDoNotMeet) {
  const test::TempDir dir;
  auto first = PartialFile::create(dir / "a", IfExists::fail).value();
  auto second = PartialFile::create(dir / "a", IfExists::fail).value();
  ASSERT_TRUE(first.sink().append(as_bytes("first")));
  ASSERT_TRUE(second.sink().append(as_bytes("second")));
  EXPECT_TRUE(second.keep());
  EXPECT_EQ(first.keep().error().code, ErrorCode::exists);
  EXPECT_EQ(read_file(dir / "a"), "second");
}

TEST(PartialFile, ReplacesAPrivateFileByAPrivateOneAndWhatALinkPointsTo) {
  const test::TempDir dir;
  write_file(dir / "private", "old");
  ::chmod((dir / "private").c_str(), 0600);
  std::filesystem::create_symlink("private", dir / "link");
  ASSERT_TRUE(make(dir / "link", "new", IfExists::overwrite));
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(read_file(dir / "private"), "new");
  struct stat info {};
  ASSERT_EQ(::stat((dir / "private").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(PartialFile, DevicesAreWrittenInPlace) {
  EXPECT_TRUE(make("/dev/null", "text", IfExists::fail));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  const auto full = make("/dev/full", "text", IfExists::overwrite);
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().message.find("No space left"), std::string::npos);
}

TEST(PartialFile, ADashOrNoNameIsAnError) {
  EXPECT_EQ(make("-", "x", IfExists::fail).error().code, ErrorCode::usage);
  EXPECT_EQ(make("", "x", IfExists::fail).error().code, ErrorCode::usage);
  EXPECT_FALSE(std::filesystem::exists("-"));
}

TEST(PartialFile, ALongNameLeavesRoomForTheOneMeanwhile) {
  const test::TempDir dir;
  const std::string name(255, 'n');
  EXPECT_TRUE(make(dir / name, "x", IfExists::fail));
  EXPECT_EQ(read_file(dir / name), "x");
}

TEST(PartialFile, WritesThatComeBackToAnEarlierPlace) {
  const test::TempDir dir;
  auto file = PartialFile::create(dir / "a", IfExists::fail).value();
  ASSERT_TRUE(file.write_at(0, as_bytes("....")));
  ASSERT_TRUE(file.write_at(4, as_bytes("data")));
  ASSERT_TRUE(file.write_at(0, as_bytes("head")));
  ASSERT_TRUE(file.keep());
  EXPECT_EQ(read_file(dir / "a"), "headdata");
}

// Every operation, every fault, with and without a file that is replaced.
TEST(PartialFile, WhateverFailsAFileIsCompleteOrAsItWas) {
  const test::TempDir dir;
  const std::string text = "a text of more than one piece of ten bytes";
  for (const auto if_exists : {IfExists::fail, IfExists::overwrite}) {
    std::size_t count = 0;
    {
      FaultyFileSystem system;
      ASSERT_TRUE(make(dir / "a", text, if_exists));
      count = system.operations();
    }
    ASSERT_GE(count, 9u);  // open, 5 writes, sync, close, rename, sync of the directory
    for (std::size_t at = 1; at <= count; ++at)
      for (const Fault fault :
           {Fault::short_write, Fault::interrupted, Fault::io_error, Fault::disk_full, Fault::stays_full}) {
        std::filesystem::remove(dir / "a");
        if (if_exists == IfExists::overwrite) write_file(dir / "a", "old");
        FaultyFileSystem system(at, fault);
        const auto done = make(dir / "a", text, if_exists);
        const std::string what = system.failed() + ", " + test::name_of(fault);
        const bool harmless = system.failed().empty() || fault == Fault::short_write ||
                              (fault == Fault::interrupted && system.failed().substr(0, 5) != "close");
        EXPECT_EQ(done.has_value(), harmless) << what;
        const bool named = std::filesystem::exists(dir / "a");
        const std::string content = named ? read_file(dir / "a") : "";
        if (done || system.failed().substr(0, 14) == "sync_directory") {
          EXPECT_EQ(content, text) << what;
        } else {
          EXPECT_EQ(named, if_exists == IfExists::overwrite) << what;
          EXPECT_EQ(content, named ? "old" : "") << what;
          EXPECT_NE(done.error().to_string().find((dir / "a").string()), std::string::npos) << done.error().to_string();
        }
        EXPECT_EQ(files_in(dir.path()), named ? 1u : 0u) << what;
      }
  }
}

TEST(PartialFile, NeverReplacesWhatIsRead) {
  const test::TempDir dir;
  write_file(dir / "in.sdsz", "input");
  std::filesystem::create_symlink("in.sdsz", dir / "link");
  std::filesystem::create_hard_link(dir / "in.sdsz", dir / "hard");
  std::filesystem::create_directory(dir / "sub");
  {
    const FileInUse first(dir / "in.sdsz");
    const FileInUse copy = first;
    for (const auto& name : {"in.sdsz", "link", "hard", "sub/../in.sdsz"})
      for (const auto if_exists : {IfExists::fail, IfExists::overwrite}) {
        const auto made = make(dir / name, "output", if_exists);
        ASSERT_FALSE(made) << name;
        EXPECT_EQ(made.error().code, ErrorCode::usage);
        EXPECT_EQ(made.error().to_string(), (dir / name).string() + ": is read by this command: choose another name");
        EXPECT_FALSE(refuse_existing(dir / name, true)) << name;
      }
    EXPECT_EQ(files_in(dir.path()), 4u);
    EXPECT_TRUE(make(dir / "other", "output", IfExists::overwrite));
  }
  EXPECT_TRUE(make(dir / "hard", "output", IfExists::overwrite));
  EXPECT_EQ(read_file(dir / "in.sdsz"), "input");
}

TEST(PartialFile, ARecordingsFilesAreInUseAsLongAsItLives) {
  const test::TempDir dir;
  write_file(dir / "A.0.sds", test::plain({{1, "ab"}}));
  write_file(dir / "A.sds.yml", test::int16_metadata(1));
  std::optional<Recording> copy;
  {
    const auto plain = Recording::open(dir / "A.0.sds");
    ASSERT_TRUE(plain);
    copy = *plain;
  }
  for (const auto& name : {"A.0.sds", "A.sds.yml"})
    EXPECT_FALSE(make(dir / name, "output", IfExists::overwrite)) << name;
  SdszWriterOptions options;
  options.durability = Durability::process;
  auto writer = SdszWriter::create(dir / "a.sdsz", {}, options);
  const auto id = *writer->add_stream({"A", "0", false, "", "", ""});
  ASSERT_TRUE(writer->append(id, 1, as_bytes("ab")));
  ASSERT_TRUE(writer->flush());
  copy = Recording::open(dir / "a.sdsz").value();
  EXPECT_TRUE(make(dir / "A.0.sds", "output", IfExists::overwrite));
  for (const auto& name : {"a.sdsz", "a.sdsz.wal"})
    EXPECT_FALSE(make(dir / name, "output", IfExists::overwrite)) << name;
}

}  // namespace
}  // namespace sds
